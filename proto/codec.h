#pragma once
/// Header ↔ bytes. The only place that touches Cap'n Proto's generated code.

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/messages.h"

namespace sluice::proto {

/// The header frame's bytes (8-byte aligned length).
[[nodiscard]] std::string encode(const Header& header);

/// Reads untrusted bytes of any content, length and alignment. Errors: kMalformed with what is wrong: length, protocol version (named: theirs and ours),
/// unknown kind or enum value, counts over their bounds, text over kTextBytesMax, non-finite numbers, invalid table specs. Never throws, never allocates more
/// than a small multiple of the frame.
[[nodiscard]] Result<Header> decode(Bytes frame);

/// Only the envelope, of any protocol version: its fields never move. To answer a peer whose message `decode` refuses. Errors: kMalformed.
[[nodiscard]] Result<Envelope> decode_envelope(Bytes frame);

}  // namespace sluice::proto
