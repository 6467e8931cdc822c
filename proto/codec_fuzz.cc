/// libFuzzer: any bytes as a header frame, a slot table and a job spec; and valid headers of random content with some bytes changed, as the input says. What
/// can be read must survive being written and read again.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "proto/codec.h"
#include "proto/detail/random_header.h"
#include "proto/job_spec.h"
#include "proto/slot_table.h"

namespace {

using namespace sluice;

void require(bool holds) {
  if (!holds) std::abort();
}

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

void read_header(const std::string& text) {
  const auto header = proto::decode(bytes_of(text));
  if (!header) return require(header.error().code == Errc::kMalformed);
  require(proto::decode_envelope(bytes_of(text)).has_value());
  const std::string again = proto::encode(*header);
  require(proto::decode(bytes_of(again)) == *header);
}

/// Bytes: seed u64, kind u8, then changes: where u16, what u8.
void read_changed_header(const std::string& input) {
  if (input.size() < 9) return;
  proto::detail::RandomHeader random(load<std::uint64_t>(bytes_of(input).data()));
  std::string text = proto::encode(random.make(static_cast<unsigned char>(input[8]) % std::variant_size_v<proto::Body>));
  for (std::size_t at = 9; at + 3 <= input.size(); at += 3) { text[load<std::uint16_t>(bytes_of(input).data() + at) % text.size()] ^= input[at + 2]; }
  read_header(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  read_header(text);
  read_changed_header(text);
  if (const auto table = proto::slot_table_from_bytes(text)) require(proto::slot_table_from_bytes(proto::encode(*table)) == *table);
  if (const auto spec = proto::job_spec_from_json(text)) require(proto::job_spec_from_json(proto::to_json(*spec)) == *spec);
  return 0;
}
