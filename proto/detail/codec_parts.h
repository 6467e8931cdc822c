#pragma once
/// What the planes' encoders and decoders share. `Malformed` is thrown by readers here and caught in codec.cc: it never leaves the room.

#include <cmath>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "proto/messages.h"
#include "wire.capnp.h"

namespace sluice::proto::detail {

struct Malformed {
  std::string what;
};
[[noreturn]] void malformed(std::string what);

// Readers. `what` names the field in the error.

[[nodiscard]] inline std::string text(capnp::Text::Reader from, std::string_view what) {
  if (from.size() > kTextBytesMax) malformed(std::string(what) + " is longer than 4 MiB");
  return {from.begin(), from.size()};
}
[[nodiscard]] inline std::string data(capnp::Data::Reader from, std::string_view what) {
  if (from.size() > kTextBytesMax) malformed(std::string(what) + " is longer than 4 MiB");
  return {reinterpret_cast<const char*>(from.begin()), from.size()};
}
[[nodiscard]] inline double finite(double value, std::string_view what) {
  if (!std::isfinite(value)) malformed(std::string(what) + " is not a finite number");
  return value;
}
/// `last`: the highest value known.
template <class To, class From>
[[nodiscard]] To enum_of(From value, To last, std::string_view what) {
  const auto number = static_cast<unsigned>(value);
  if (number > static_cast<unsigned>(last)) malformed("unknown " + std::string(what) + " " + std::to_string(number));
  return static_cast<To>(number);
}
template <class List>
[[nodiscard]] std::uint32_t count(const List& list, std::uint32_t most, std::string_view what) {
  if (list.size() > most) malformed(std::to_string(list.size()) + " " + std::string(what) + ", at most " + std::to_string(most));
  return list.size();
}
template <class To, class From>
[[nodiscard]] To to_enum(From value) {
  return static_cast<To>(static_cast<unsigned>(value));
}

// Writers.

[[nodiscard]] inline capnp::Text::Reader text(const std::string& from) { return {from.c_str(), from.size()}; }
[[nodiscard]] inline capnp::Data::Reader data(const std::string& from) { return {reinterpret_cast<const kj::byte*>(from.data()), from.size()}; }
/// Cap'n Proto counts list elements in 29 bits and ours are bounded far below.
[[nodiscard]] inline unsigned list_size(std::size_t n) { return static_cast<unsigned>(n); }

using TableList = capnp::List<wire::TableSpec>;
void write(TableList::Builder to, const std::vector<TableSpec>& from);
[[nodiscard]] std::vector<TableSpec> read(TableList::Reader from);

/// Sections ↔ packed records of kSectionBytes, little-endian: table u32, shard u32, sequence u64, version u64, term u32, count u32, step u32, outcome u8, codec
/// u8, state u8 (0 or 1), zero u8.
void write_sections(std::byte* to, const std::vector<Section>& from);
[[nodiscard]] std::vector<Section> read_sections(capnp::Data::Reader from);

/// Each plane writes the body if it is one of its own, else leaves it alone; and reads what belongs to it.
bool write_data_plane(wire::Header::Body::Builder to, const Body& body);
bool write_home(wire::Header::Body::Builder to, const Body& body);
bool write_membership(wire::Header::Body::Builder to, const Body& body);
bool write_rest(wire::Header::Body::Builder to, const Body& body);
bool read_data_plane(wire::Header::Body::Reader from, Body& body);
bool read_home(wire::Header::Body::Reader from, Body& body);
bool read_membership(wire::Header::Body::Reader from, Body& body);
bool read_rest(wire::Header::Body::Reader from, Body& body);

}  // namespace sluice::proto::detail
