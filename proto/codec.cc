#include "proto/codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <exception>
#include <memory>

#include "base/assert.h"
#include "proto/detail/codec_parts.h"

namespace sluice::proto {
namespace detail {
void malformed(std::string what) { throw Malformed{std::move(what)}; }
}  // namespace detail

namespace {

constexpr std::size_t kWord = sizeof(capnp::word);
constexpr std::size_t kScratchWords = 4096;  ///< 32 KiB: headers of up to ~800 sections are built and read without the heap

/// Zeroed before and after each use (MallocMessageBuilder's promise), so only the used part is ever cleared.
kj::ArrayPtr<capnp::word> build_scratch() {
  alignas(8) thread_local static capnp::word words[kScratchWords];
  return {words, kScratchWords};
}

void write_envelope(wire::Header::Builder to, const Envelope& from) {
  to.setProtocol(from.protocol);
  to.setGeneration(from.generation);
  to.setRequest(from.request);
  to.setJob(from.job.value);
  to.setClient(from.client.value);
  to.setManagerTerm(from.manager_term.value);
  to.setDecision(from.decision.value);
  to.setRing(from.ring.value);
  if (!from.owner.empty()) to.setOwner(detail::text(from.owner));
}

Envelope read_envelope(wire::Header::Reader from) {
  Envelope to;
  to.protocol = from.getProtocol();
  to.generation = from.getGeneration();
  to.request = from.getRequest();
  to.job = JobId(from.getJob());
  to.client = Incarnation(from.getClient());
  to.manager_term = Term(from.getManagerTerm());
  to.decision = DecisionId(from.getDecision());
  to.ring = RingVersion(from.getRing());
  to.owner = detail::text(from.getOwner(), "the owner");
  return to;
}

/// One segment is the rule: its table is a count less one and a size, both u32. Anything larger than the scratch takes the library's way.
std::string flatten(capnp::MallocMessageBuilder& message) {
  const auto segments = message.getSegmentsForOutput();
  if (segments.size() != 1) {
    const auto words = capnp::messageToFlatArray(segments);
    const auto bytes = words.asBytes();
    return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  }
  const auto body = segments[0].asBytes();
  const std::uint32_t table[2] = {0, static_cast<std::uint32_t>(segments[0].size())};
  std::string out;
  out.reserve(sizeof table + body.size());
  out.append(reinterpret_cast<const char*>(table), sizeof table);
  out.append(reinterpret_cast<const char*>(body.begin()), body.size());
  return out;
}

/// The frame's words, aligned: copied (frames may start anywhere, and a header is small).
class AlignedCopy {
 public:
  explicit AlignedCopy(Bytes frame) : words_(frame.size() / kWord) {
    alignas(8) thread_local static capnp::word scratch[kScratchWords];
    if (words_ > kScratchWords) heap_ = std::make_unique<std::uint64_t[]>(words_);
    to_ = heap_ ? reinterpret_cast<capnp::word*>(heap_.get()) : scratch;
    std::memcpy(static_cast<void*>(to_), frame.data(), frame.size());
  }
  [[nodiscard]] kj::ArrayPtr<const capnp::word> words() const { return {to_, words_}; }

 private:
  std::size_t words_;
  std::unique_ptr<std::uint64_t[]> heap_;
  capnp::word* to_ = nullptr;
};

/// Runs `read` on the frame's root; every way for it to fail becomes kMalformed.
template <class Read>
auto guarded(Bytes frame, Read read) -> Result<decltype(read(wire::Header::Reader()))> {
  if (frame.empty()) return fail(Errc::kMalformed, "an empty header frame");
  if (frame.size() % kWord != 0) return fail(Errc::kMalformed, "a header of " + std::to_string(frame.size()) + " bytes, not a multiple of 8");
  if (frame.size() > kHeaderBytesMax) return fail(Errc::kMalformed, "a header of " + std::to_string(frame.size()) + " bytes, at most 8 MiB");
  try {
    const AlignedCopy copy(frame);
    capnp::ReaderOptions options;
    options.traversalLimitInWords = copy.words().size() + 64;  // every pointer is read once, so an honest frame never exceeds its own size
    options.nestingLimit = 8;
    capnp::FlatArrayMessageReader message(copy.words(), options);
    return read(message.getRoot<wire::Header>());
  } catch (const detail::Malformed& wrong) { return fail(Errc::kMalformed, wrong.what); } catch (const kj::Exception& wrong) {
    return fail(Errc::kMalformed, std::string("not a Cap'n Proto header: ") + wrong.getDescription().cStr());
  } catch (const std::exception& wrong) { return fail(Errc::kMalformed, std::string("a header that cannot be read: ") + wrong.what()); }
}

Header read_header(wire::Header::Reader from) {
  Header to;
  to.envelope = read_envelope(from);
  if (to.envelope.protocol != kProtocolVersion) {
    detail::malformed("protocol version " + std::to_string(to.envelope.protocol) + " (theirs) is not " + std::to_string(kProtocolVersion) + " (ours)");
  }
  const auto body = from.getBody();
  if (!detail::read_data_plane(body, to.body) && !detail::read_home(body, to.body) && !detail::read_membership(body, to.body) &&
      !detail::read_rest(body, to.body)) {
    detail::malformed("unknown kind of message " + std::to_string(static_cast<unsigned>(body.which())));
  }
  return to;
}

}  // namespace

std::string encode(const Header& header) {
  capnp::MallocMessageBuilder message(build_scratch());
  auto root = message.initRoot<wire::Header>();
  write_envelope(root, header.envelope);
  auto body = root.getBody();
  const bool written = detail::write_data_plane(body, header.body) || detail::write_home(body, header.body) || detail::write_membership(body, header.body) ||
                       detail::write_rest(body, header.body);
  SLUICE_ASSERT(written);
  return flatten(message);
}

Result<Header> decode(Bytes frame) { return guarded(frame, read_header); }

Result<Envelope> decode_envelope(Bytes frame) { return guarded(frame, read_envelope); }

}  // namespace sluice::proto
