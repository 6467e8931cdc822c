#include "proto/detail/codec_parts.h"

namespace sluice::proto::detail {
namespace {

void write(wire::TableSpec::Builder to, const TableSpec& from) {
  to.setId(from.id.value);
  to.setName(text(from.name));
  to.setKind(to_enum<wire::TableKind>(from.kind));
  to.setRows(from.rows);
  to.setCols(from.cols);
  to.setBuckets(from.buckets);
  to.setInit(to_enum<wire::InitKind>(from.init.kind));
  to.setInitScale(from.init.scale);
  to.setSeed(from.seed);
  to.setHolds(from.holds);
  to.setOptimizer(text(from.optimizer.name));
  auto numbers = to.initNumbers(list_size(from.optimizer.numbers.size()));
  unsigned i = 0;
  for (const auto& [name, value] : from.optimizer.numbers) {
    numbers[i].setName(text(name));
    numbers[i++].setValue(value);
  }
}

TableSpec read(wire::TableSpec::Reader from) {
  TableSpec to;
  to.id = TableId(from.getId());
  to.name = text(from.getName(), "a table's name");
  to.kind = enum_of(from.getKind(), TableKind::kSparse, "table kind");
  to.rows = from.getRows();
  to.cols = from.getCols();
  to.buckets = from.getBuckets();
  to.init.kind = enum_of(from.getInit(), InitKind::kNormal, "initialiser");
  to.init.scale = from.getInitScale();
  to.seed = from.getSeed();
  to.holds = from.getHolds();
  to.optimizer.name = text(from.getOptimizer(), "an optimizer's name");
  const auto numbers = from.getNumbers();
  if (numbers.size() > kOptimizerNumbersMax) malformed("more than 64 optimizer numbers");
  for (const auto number : numbers)
    to.optimizer.numbers.insert_or_assign(text(number.getName(), "an optimizer number's name"), finite(number.getValue(), "an optimizer number"));
  if (const auto ok = validate(to); !ok) malformed(ok.error().what);
  return to;
}

/// Where the records are written.
template <class Builder>
std::byte* room_for(Builder to, const std::vector<Section>& sections) {
  return reinterpret_cast<std::byte*>(to.initSections(list_size(sections.size() * kSectionBytes)).begin());
}

void write(wire::Apply::Builder to, const Apply& from) {
  to.setClock(from.clock);
  to.setStep(from.step);
  auto slots = to.initSlots(list_size(from.slots.size()));
  for (unsigned i = 0; i < slots.size(); ++i) {
    slots[i].setClient(from.slots[i].client.value);
    slots[i].setBatch(from.slots[i].batch);
    slots[i].setRows(from.slots[i].rows);
  }
}
Apply read(wire::Apply::Reader from) {
  Apply to{from.getClock(), from.getStep(), {}};
  const auto slots = from.getSlots();
  to.slots.reserve(count(slots, kApplySlotsMax, "slots of a clock"));
  for (const auto slot : slots) {
    to.slots.push_back({Incarnation(slot.getClient()), slot.getBatch(), slot.getRows()});
    if (slot.getBatch() == 0) malformed("a slot's batch in an apply is 0");
  }
  return to;
}

void write(wire::Sections::Builder to, const std::vector<Section>& sections, const std::string* words = nullptr) {
  write_sections(room_for(to, sections), sections);
  if (words != nullptr && !words->empty()) to.setText(text(*words));
}

template <class T>
void put(std::byte* to, std::size_t offset, T value) {
  std::memcpy(to + offset, &value, sizeof value);
}

}  // namespace

void write(TableList::Builder to, const std::vector<TableSpec>& from) {
  for (unsigned i = 0; i < to.size(); ++i) write(to[i], from[i]);
}

std::vector<TableSpec> read(TableList::Reader from) {
  std::vector<TableSpec> to;
  to.reserve(count(from, kTablesMax, "tables"));
  for (const auto table : from) to.push_back(read(table));
  return to;
}

void write_sections(std::byte* to, const std::vector<Section>& from) {
  for (const auto& section : from) {
    put(to, 0, section.table.value);
    put(to, 4, section.shard.value);
    put(to, 8, section.sequence);
    put(to, 16, section.version);
    put(to, 24, section.term);
    put(to, 28, section.count);
    put(to, 32, section.step);
    put(to, 36, section.outcome);
    put(to, 37, section.codec);
    put(to, 38, static_cast<std::uint8_t>(section.state));
    put(to, 39, std::uint8_t{0});
    to += kSectionBytes;
  }
}

std::vector<Section> read_sections(capnp::Data::Reader from) {
  if (from.size() % kSectionBytes != 0) malformed("sections of " + std::to_string(from.size()) + " bytes, not a multiple of 40");
  const std::size_t n = from.size() / kSectionBytes;
  if (n > kSectionsMax) malformed(std::to_string(n) + " sections, at most " + std::to_string(kSectionsMax));
  std::vector<Section> to(n);
  const auto* record = reinterpret_cast<const std::byte*>(from.begin());
  for (auto& section : to) {
    section.table = TableId(load<std::uint32_t>(record));
    section.shard = ShardId(load<std::uint32_t>(record + 4));
    section.sequence = load<std::uint64_t>(record + 8);
    section.version = load<std::uint64_t>(record + 16);
    section.term = load<std::uint32_t>(record + 24);
    section.count = load<std::uint32_t>(record + 28);
    section.step = load<std::uint32_t>(record + 32);
    section.outcome = enum_of(load<std::uint8_t>(record + 36), Outcome::kFull, "section outcome");
    section.codec = load<std::uint8_t>(record + 37);
    if (section.codec > kCodecMax) malformed("unknown codec " + std::to_string(section.codec));
    if (section.count > kSectionCountMax) malformed("a section of " + std::to_string(section.count) + " values, at most " + std::to_string(kSectionCountMax));
    const auto state = load<std::uint8_t>(record + 38);
    if (state > 1 || load<std::uint8_t>(record + 39) != 0) malformed("a section's last two bytes are neither a yes or no nor zero");
    section.state = state == 1;
    record += kSectionBytes;
  }
  return to;
}

bool write_data_plane(wire::Header::Body::Builder to, const Body& body) {
  if (const auto* push = std::get_if<Push>(&body)) {
    auto out = to.initPush();
    out.setKind(to_enum<wire::PushKind>(push->kind));
    out.setAck(to_enum<wire::AckLevel>(push->ack));
    out.setBatch(push->batch);
    out.setClock(push->clock);
    write_sections(room_for(out, push->sections), push->sections);
  } else if (const auto* push_reply = std::get_if<PushReply>(&body)) {
    write(to.initPushReply(), push_reply->sections, &push_reply->text);
  } else if (const auto* pull = std::get_if<Pull>(&body)) {
    write(to.initPull(), pull->sections);
  } else if (const auto* pull_reply = std::get_if<PullReply>(&body)) {
    write(to.initPullReply(), pull_reply->sections);
  } else if (const auto* create = std::get_if<CreateTables>(&body)) {
    auto out = to.initCreateTables();
    write(out.initTables(list_size(create->tables.size())), create->tables);
    out.setFrom(text(create->start.from));
    out.setResume(create->start.resume);
  } else if (const auto* apply = std::get_if<Apply>(&body)) {
    write(to.initApply(), *apply);
  } else {
    return false;
  }
  return true;
}

bool read_data_plane(wire::Header::Body::Reader from, Body& body) {
  using Kind = wire::Header::Body::Which;
  switch (from.which()) {
    case Kind::PUSH: {
      const auto in = from.getPush();
      body = Push{enum_of(in.getKind(), PushKind::kAverage, "push kind"), enum_of(in.getAck(), AckLevel::kDurable, "acknowledgement level"),
                  read_sections(in.getSections()), in.getBatch(), in.getClock()};
      return true;
    }
    case Kind::PUSH_REPLY: {
      const auto in = from.getPushReply();
      body = PushReply{read_sections(in.getSections()), text(in.getText(), "a push reply's text")};
      return true;
    }
    case Kind::PULL:
      body = Pull{read_sections(from.getPull().getSections())};
      return true;
    case Kind::PULL_REPLY:
      body = PullReply{read_sections(from.getPullReply().getSections())};
      return true;
    case Kind::CREATE_TABLES: {
      const auto in = from.getCreateTables();
      body = CreateTables{read(in.getTables()), {text(in.getFrom(), "a path"), in.getResume()}};
      return true;
    }
    case Kind::APPLY:
      body = read(from.getApply());
      return true;
    default:
      return false;
  }
}

}  // namespace sluice::proto::detail
