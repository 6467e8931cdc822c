#pragma once
/// How messages with shared frames look on a ZeroMQ connection, and how its ends find out that both can.
///
/// Greeting: one message of one frame. The connecting side offers its pool; the listening side answers with its own and says whether it could open the offered
/// one; the connecting side confirms in the same way. Each sends shared frames only after the other said that it opened the pool, so a peer on another host, of
/// another user or of another program just gets bytes. "Could not" said later takes that back.
///
/// Lent message: a leading frame says where the shared frames lie and at which places they stand; the other frames follow as they are.

#include <optional>
#include <variant>

#include "net/detail/peer_pools.h"
#include "net/transport.h"

namespace sluice::net::detail {

enum class GreetingKind : std::uint8_t { kOffer = 0, kAnswer = 1, kConfirm = 2 };
struct Greeting {
  GreetingKind kind = GreetingKind::kOffer;
  bool opened = false;  ///< the sender could open the receiver's pool
  PoolName pool;        ///< the sender's; pid 0: it has none
};
[[nodiscard]] Frame encode(const Greeting& greeting);
/// None if the message is something else.
[[nodiscard]] std::optional<Greeting> greeting_of(const Message& message);

/// Replaces frames of `pool` by a leading frame. None where the message has no frame to lend, or all loans are taken: send it as it is.
struct Lent {
  Message message;
  Ticket ticket;
};
[[nodiscard]] std::optional<Lent> lend(SharedPool& pool, const Message& message, const ProcessId& borrower, Instant now);

/// Undoes `lend` on the receiving side, in place. Other messages stay as they are.
enum class Borrowed {
  kNothing,     ///< the message had no shared frames
  kAll,         ///< they are there now
  kLost,        ///< the sender took them back: drop the message
  kUnreadable,  ///< its pool cannot be opened, or a lie: drop the message and say so
};
[[nodiscard]] Borrowed borrow(PeerPools& pools, Message& message);

}  // namespace sluice::net::detail
