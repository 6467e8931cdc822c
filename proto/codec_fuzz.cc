/// libFuzzer: any bytes as a header frame, a slot table and a job spec. What can be read must survive being written and read again.

#include <cstdint>
#include <cstdlib>
#include <string>

#include "proto/codec.h"
#include "proto/job_spec.h"
#include "proto/slot_table.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Bytes bytes = std::as_bytes(std::span(text.data(), text.size()));
  if (const auto header = proto::decode(bytes)) {
    require(proto::decode_envelope(bytes).has_value());
    const std::string again = proto::encode(*header);
    require(proto::decode(std::as_bytes(std::span(again.data(), again.size()))) == *header);
  } else {
    require(header.error().code == Errc::kMalformed);
  }
  if (const auto table = proto::slot_table_from_bytes(text)) require(proto::slot_table_from_bytes(proto::encode(*table)) == *table);
  if (const auto spec = proto::job_spec_from_json(text)) require(proto::job_spec_from_json(proto::to_json(*spec)) == *spec);
  return 0;
}
