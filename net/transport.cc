#include "net/transport.h"

#include <new>

namespace sluice::net {

Frame Frame::from(std::string bytes) {
  auto owner = std::make_shared<const std::string>(std::move(bytes));
  const Bytes view = std::as_bytes(std::span(owner->data(), owner->size()));
  return {std::move(owner), view};
}

Frame Frame::from(std::vector<float> values) {
  auto owner = std::make_shared<const std::vector<float>>(std::move(values));
  const Bytes view = std::as_bytes(std::span(*owner));
  return {std::move(owner), view};
}

WritableFrame Transport::allocate(std::size_t bytes) {
  constexpr std::align_val_t kAlign{64};
  std::shared_ptr<void> owner(::operator new(bytes, kAlign), [](void* p) { ::operator delete(p, kAlign); });
  const std::span<std::byte> view(static_cast<std::byte*>(owner.get()), bytes);
  return {std::move(owner), view};
}

}  // namespace sluice::net
