#pragma once
/// How a section's values are written on the wire. Section::codec is the index of its codec here: indices never change their meaning.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/registry.h"
#include "base/result.h"
#include "net/transport.h"

namespace sluice::net {

/// Pure and without state; any thread.
class Codec {
 public:
  virtual ~Codec() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  /// Section::codec.
  [[nodiscard]] virtual std::uint8_t number() const = 0;
  /// The largest error of a value relative to the largest magnitude among those encoded together; 0 = exact.
  [[nodiscard]] virtual double relative_error() const = 0;
  /// The bytes of `count` values: what a reader takes from the payload.
  [[nodiscard]] virtual std::size_t bytes(std::size_t count) const = 0;
  /// Values → bytes. REQUIRES: to.size() == bytes(values.size()).
  virtual void encode(std::span<const float> values, std::span<std::byte> to) const = 0;
  /// Untrusted bytes of any content and alignment → values. Errors: kMalformed (from.size() is not bytes(values.size()), or no encoder wrote that). NaN is a
  /// value like others.
  [[nodiscard]] virtual Result<void> decode(Bytes from, std::span<float> values) const = 0;
};

using CodecRegistry = Registry<std::unique_ptr<Codec> (*)()>;
/// Every codec: "raw".
[[nodiscard]] CodecRegistry codecs();
/// The codec of a Section::codec. Errors: kMalformed.
[[nodiscard]] Result<const Codec*> codec_of(std::uint8_t number);

}  // namespace sluice::net
