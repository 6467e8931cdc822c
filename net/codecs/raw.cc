#include "net/codecs/raw.h"

#include <cstring>

#include "base/assert.h"

namespace sluice::net {
namespace {

class RawCodec final : public Codec {
 public:
  [[nodiscard]] std::string_view name() const override { return "raw"; }
  [[nodiscard]] std::uint8_t number() const override { return 0; }
  [[nodiscard]] double relative_error() const override { return 0; }
  [[nodiscard]] std::size_t bytes(std::size_t count) const override { return count * sizeof(float); }
  void encode(std::span<const float> values, std::span<std::byte> to) const override {
    SLUICE_ASSERT(to.size() == values.size_bytes());
    if (!values.empty()) std::memcpy(to.data(), values.data(), values.size_bytes());
  }
  [[nodiscard]] Result<void> decode(Bytes from, std::span<float> values) const override {
    if (from.size() != values.size_bytes())
      return fail(Errc::kMalformed, std::to_string(from.size()) + " bytes for " + std::to_string(values.size()) + " raw values");
    if (!values.empty()) std::memcpy(values.data(), from.data(), from.size());
    return {};
  }
};

}  // namespace

std::unique_ptr<Codec> make_raw_codec() { return std::make_unique<RawCodec>(); }

}  // namespace sluice::net
