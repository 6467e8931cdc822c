#include "net/codecs/codec.h"

#include "net/codecs/raw.h"

namespace sluice::net {

CodecRegistry codecs() {
  CodecRegistry out("codec");
  out.add("raw", [] { return make_raw_codec(); });
  return out;
}

Result<const Codec*> codec_of(std::uint8_t number) {
  static const std::unique_ptr<Codec> raw = make_raw_codec();
  if (number == raw->number()) return raw.get();
  return fail(Errc::kMalformed, "unknown codec " + std::to_string(number));
}

}  // namespace sluice::net
