#include "net/payload.h"

namespace sluice::net {

void PayloadWriter::add(const Frame& frame) {
  if (frame.size() <= kCopyBytesMax) return add_copy(frame.bytes());
  flush();
  frames_.push_back(frame);
}

void PayloadWriter::add_copy(Bytes bytes) {
  if (bytes.empty()) return;
  small_.resize(align8(small_.size()));
  small_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

void PayloadWriter::flush() {
  if (!small_.empty()) frames_.push_back(Frame::from(std::move(small_)));
  small_ = {};
}

std::vector<Frame> PayloadWriter::finish() {
  flush();
  return std::exchange(frames_, {});
}

Result<Bytes> PayloadReader::take(std::size_t bytes) {
  if (bytes == 0) return Bytes{};
  if (frame_ < frames_.size()) {
    const std::size_t start = align8(offset_);
    const std::size_t size = frames_[frame_].size();
    if (start > size || bytes > size - start) ++frame_, offset_ = 0;
  }
  if (frame_ >= frames_.size()) return fail(Errc::kMalformed, "the payload ends before its sections do");
  const std::size_t start = align8(offset_);
  const Bytes all = frames_[frame_].bytes();
  if (bytes > all.size() - start) {
    return fail(Errc::kMalformed, "a section of " + std::to_string(bytes) + " bytes in a payload frame of " + std::to_string(all.size()));
  }
  offset_ = start + bytes;
  return all.subspan(start, bytes);
}

Result<Frame> PayloadReader::take_frame(std::size_t bytes) {
  const auto taken = take(bytes);
  if (!taken) return fail(taken.error());
  return bytes == 0 ? Frame() : Frame(frames_[frame_].owner(), *taken);
}

bool PayloadReader::at_end() const {
  if (frame_ >= frames_.size()) return true;
  return frame_ + 1 == frames_.size() && align8(offset_) >= frames_[frame_].size();
}

}  // namespace sluice::net
