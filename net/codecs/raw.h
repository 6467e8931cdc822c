#pragma once
/// Values as they are: 4-byte little-endian floats.

#include <memory>

#include "net/codecs/codec.h"

namespace sluice::net {

[[nodiscard]] std::unique_ptr<Codec> make_raw_codec();

}  // namespace sluice::net
