#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "net/payload.h"
#include "worker/detail/fake_cluster.h"

namespace sluice::worker::fake {

std::uint64_t Home::minimum() {
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [client, member] : members) {
    if (member.working) least = std::min(least, member.clock + member.bias);
  }
  if (least != std::numeric_limits<std::uint64_t>::max()) last_minimum = std::max(last_minimum, least);
  return last_minimum;
}
std::uint64_t Home::gate(const Member& member) {
  if (spec.consistency.mode == proto::ConsistencyMode::kAsp) return std::numeric_limits<std::uint64_t>::max();
  return std::max(minimum() + spec.consistency.staleness, member.bias) - member.bias;
}

std::string lane_address(std::uint32_t lane) { return "inproc://lane-" + std::to_string(lane); }

void World::publish(std::uint32_t rotation) {
  ++table.version.value;
  table.servers.clear();
  for (std::uint32_t i = 0; i < lanes; ++i) table.servers.push_back({ServerId(i + 1), "server-" + std::to_string(i + 1), {lane_address(i)}});
  table.slots.assign(proto::kHashSlots, {});
  for (std::uint32_t h = 0; h < proto::kHashSlots; ++h) table.slots[h].primary = ServerId(1 + (h + rotation) % lanes);
}

namespace {

class Lane final : public Actor {
 public:
  Lane(World& world, std::uint32_t lane, net::Transport& transport, Clock& clock)
      : world_(world), lane_(lane), endpoint_(std::move(*transport.listen(lane_address(lane))), clock) {}
  Step step() override {
    bool any = false;
    while (auto request = endpoint_.receive()) {
      any = true;
      handle(*request);
    }
    return {any, Instant::never()};
  }
  void wait(Instant) override {}
  void wake() override {}
  void stop() override {}
  [[nodiscard]] bool ended() const override { return false; }

 private:
  void handle(const net::Request& request) {
    std::vector<net::Frame> payload;
    std::optional<proto::Body> body;
    std::optional<std::optional<proto::Body>> instead;
    if (world_.intercept) instead = world_.intercept(lane_, request.header);
    if (instead)
      body = *instead;
    else
      body = answer(request, payload);
    if (!body) return;
    proto::Header header;
    header.envelope = request.header.envelope;
    header.body = std::move(*body);
    (void)endpoint_.reply(request, std::move(header), std::move(payload));
  }

  std::optional<proto::Body> answer(const net::Request& request, std::vector<net::Frame>& payload) {
    const auto& envelope = request.header.envelope;
    if (world_.expired.contains(envelope.client)) return proto::Refused{proto::RefusalKind::kNotMember, "denied", "expired", ""};
    const auto& body = request.header.body;
    if (const auto* push = std::get_if<proto::Push>(&body)) return on_push(request, *push);
    if (const auto* pull = std::get_if<proto::Pull>(&body)) return on_pull(request, *pull, payload);
    if (std::holds_alternative<proto::CreateTables>(body)) {
      create(envelope.job, std::get<proto::CreateTables>(body).tables);
      return proto::Done{};
    }
    if (std::holds_alternative<proto::SlotTableRequest>(body)) {
      ++world_.table_requests;
      return proto::SlotTableMessage{world_.tell_table ? proto::encode(world_.table) : ""};
    }
    if (world_.table.server(world_.table.at(proto::home_slot(envelope.job)).primary)->lanes[0] != lane_address(lane_)) {
      ++world_.wrong_owner;
      return proto::Refused{proto::RefusalKind::kWrongOwner, "", "", world_.tell_table ? proto::encode(world_.table) : ""};
    }
    return on_home(request);
  }

  void create(JobId job, const std::vector<proto::TableSpec>& tables) {
    world_.created.insert({lane_, job});
    for (const auto& table : tables) {
      for (std::uint32_t s = 0; s < table.shards(); ++s) {
        auto [it, made] = world_.shards.try_emplace({job, table.id, ShardId(s)});
        if (made) it->second.dense.assign(table.shard_floats(ShardId(s)), 0);
        widths_[{job, table.id}] = table.kind == proto::TableKind::kSparse ? table.cols : 0;
      }
    }
  }

  proto::Outcome reachable(const proto::Envelope& envelope, const proto::Section& section) {
    if (world_.table.lane_address(proto::hash_slot(envelope.job, section.table, section.shard)) != lane_address(lane_)) {
      ++world_.wrong_owner;
      return proto::Outcome::kWrongOwner;
    }
    return world_.created.contains({lane_, envelope.job}) ? proto::Outcome::kOk : proto::Outcome::kNoTable;
  }

  proto::Body on_push(const net::Request& request, const proto::Push& push) {
    proto::PushReply reply;
    net::PayloadReader payload(request.payload);
    const auto& envelope = request.header.envelope;
    const bool known = world_.created.contains({lane_, envelope.job});
    for (const auto& section : push.sections) {
      proto::Section out = section;
      out.count = 0;
      out.outcome = reachable(envelope, section);
      reply.sections.push_back(out);
      if (!known) continue;  // where a section ends depends on its table
      const std::uint32_t width = widths_[{envelope.job, section.table}];
      const auto bytes = payload.take(width > 0 ? section.count * (sizeof(Key) + width * sizeof(float)) : section.count * sizeof(float));
      if (!bytes) {
        world_.violations.push_back("a push with too little payload");
        return proto::Refused{proto::RefusalKind::kError, "malformed", "payload", ""};
      }
      auto& answer = reply.sections.back();
      if (out.outcome == proto::Outcome::kOk)
        apply(envelope.client, section, *bytes, world_.shards.at({envelope.job, section.table, section.shard}), width, answer, reply.text);
    }
    if (known && !payload.at_end()) world_.violations.push_back("a push with too much payload");
    return reply;
  }

  void apply(Incarnation client, const proto::Section& section, Bytes bytes, Shard& shard, std::uint32_t width, proto::Section& out, std::string& text) {
    std::uint64_t& last = shard.last[client];
    const std::string content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    out.version = shard.version;
    if (section.sequence <= last) {
      ++world_.repeats;
      if (shard.applied.at({client, section.sequence}) != content) world_.violations.push_back("a push was sent again with other bytes");
      return;
    }
    if (section.sequence > last + 1) {
      ++world_.gaps;
      out.outcome = proto::Outcome::kGap;
      out.sequence = last + 1;
      return;
    }
    last = section.sequence;
    shard.applied[{client, section.sequence}] = content;
    ++world_.pushes;
    const std::size_t keys = width > 0 ? section.count : 0;
    const std::byte* values = bytes.data() + keys * sizeof(Key);
    const std::size_t floats = width > 0 ? keys * width : section.count;
    for (std::size_t i = 0; i < floats; ++i) {
      const float v = load<float>(values + i * sizeof(float));
      if (std::isfinite(v)) continue;
      out.outcome = proto::Outcome::kRejected;
      text = "the update holds a NaN";
      return;
    }
    for (std::size_t i = 0; i < floats; ++i) {
      const float v = load<float>(values + i * sizeof(float));
      if (width == 0) {
        shard.dense[i] += v;
      } else {
        auto& row = shard.rows[load<Key>(bytes.data() + i / width * sizeof(Key))];
        row.resize(width);
        row[i % width] += v;
      }
    }
    out.version = ++shard.version;
  }

  proto::Body on_pull(const net::Request& request, const proto::Pull& pull, std::vector<net::Frame>& payload) {
    ++world_.pulls;
    if (world_.on_pull) world_.on_pull(request.header.envelope, pull);
    proto::PullReply reply;
    net::PayloadReader in(request.payload);
    net::PayloadWriter values;
    const auto& envelope = request.header.envelope;
    for (const auto& section : pull.sections) {
      proto::Section out = section;
      out.outcome = reachable(envelope, section);
      const auto keys = in.take(section.count * sizeof(Key));
      EXPECT_TRUE(keys);
      const std::uint32_t width = widths_[{envelope.job, section.table}];
      out.count = 0;
      if (out.outcome == proto::Outcome::kOk) {
        Shard& shard = world_.shards.at({envelope.job, section.table, section.shard});
        out.version = shard.version;
        if (width == 0 && section.version == shard.version) {
          out.outcome = proto::Outcome::kNotModified;
        } else if (width == 0) {
          ++world_.pulls_modified;
          out.count = static_cast<std::uint32_t>(shard.dense.size());
          values.add_copy(as_bytes_of(std::span<const float>(shard.dense)));
        } else {
          out.count = section.count;
          std::vector<float> rows;
          for (std::uint32_t i = 0; i < section.count; ++i) {
            auto& row = shard.rows[load<Key>(keys->data() + i * sizeof(Key))];
            row.resize(width);
            rows.insert(rows.end(), row.begin(), row.end());
          }
          values.add_copy(as_bytes_of(std::span<const float>(rows)));
        }
      }
      reply.sections.push_back(out);
    }
    payload = values.finish();
    return reply;
  }

  std::optional<proto::Body> on_home(const net::Request& request) {
    const auto& envelope = request.header.envelope;
    const auto& body = request.header.body;
    if (const auto* join = std::get_if<proto::Join>(&body)) return on_join(request, *join);
    const auto it = world_.homes.find(envelope.job);
    if (it == world_.homes.end()) return proto::Refused{proto::RefusalKind::kBehind, "", "not open", ""};
    Home& home = it->second;
    const auto member = home.members.find(envelope.client);
    if (const auto* leave = std::get_if<proto::Leave>(&body)) {
      if (member == home.members.end()) return proto::Done{};
      ++home.leaves;
      (void)home.minimum();
      if (const auto out = home.out.find(leave->lease); leave->lease != 0 && out != home.out.end()) {
        if (leave->offset != out->second.offset) world_.violations.push_back("a lease went back with another offset than was committed");
        home.free.push_front(out->second);
        home.out.erase(out);
      }
      if (member->second.lease.lease != 0 && leave->lease != member->second.lease.lease) world_.violations.push_back("left without giving the lease back");
      home.members.erase(member);
      raise_gates(home, envelope.job, {});
      return proto::Done{};
    }
    if (member == home.members.end()) return proto::Refused{proto::RefusalKind::kError, "", "not joined", ""};
    if (std::holds_alternative<proto::LeaseRequest>(body)) return lease(home, member->second);
    if (const auto* commit = std::get_if<proto::Commit>(&body)) return on_commit(home, envelope, member->second, *commit);
    if (std::holds_alternative<proto::Gate>(body)) {
      ++world_.gate_questions;
      return proto::Gate{home.gate(member->second)};
    }
    if (const auto* scored = std::get_if<proto::EvaluateCommit>(&body)) {
      if (home.evaluated.insert(scored->lease).second) {
        home.scored += scored->examples;
        home.metric_sum += scored->metric_sum;
        home.out.erase(scored->lease);
        member->second.lease = {};
        member->second.working = false;
      }
      return proto::CommitReply{home.gate(member->second), home.step, false, {}};
    }
    return proto::Refused{proto::RefusalKind::kError, "", "unknown", ""};
  }

  proto::Body on_join(const net::Request& request, const proto::Join& join) {
    const auto& envelope = request.header.envelope;
    auto [it, opened] = world_.homes.try_emplace(envelope.job);
    Home& home = it->second;
    if (opened) {
      home.spec = *proto::job_spec_from_json(join.spec);
      home.opened = join;
      for (std::uint32_t epoch = 0; epoch < home.spec.epochs; ++epoch) chunks(home, proto::LeaseKind::kTrain, join.train_rows, join.chunk_rows, epoch);
      chunks(home, proto::LeaseKind::kEvaluate, join.test_rows, 20, 0);
    }
    if (join.tables != home.opened.tables || join.chunk_rows != home.opened.chunk_rows)
      return proto::Refused{proto::RefusalKind::kError, "", "another join", ""};
    if (!home.members.contains(envelope.client)) {
      ++home.joins;
      const std::uint64_t clock = home.minimum();
      auto& member = home.members[envelope.client];
      member.clock = clock;
      member.next_commit = ++commits_[{envelope.job, envelope.client}];
      member.peer = request.peer;
      member.lane = lane_;
    }
    const auto& member = home.members[envelope.client];
    return proto::JoinReply{member.clock, home.gate(home.members[envelope.client]), member.next_commit, home.step, home.opened.tables};
  }

  static void chunks(Home& home, proto::LeaseKind kind, std::uint64_t rows, std::uint32_t chunk, std::uint32_t epoch) {
    for (std::uint64_t first = 0; first < rows; first += chunk) {
      home.free.push_back({kind, home.next_lease++, epoch, first, static_cast<std::uint32_t>(std::min<std::uint64_t>(chunk, rows - first)), 0, 0});
    }
  }

  static proto::LeaseReply lease(Home& home, Home::Member& member) {
    if (member.lease.lease != 0) return member.lease;
    proto::LeaseReply reply;
    const bool training_out = std::any_of(home.out.begin(), home.out.end(), [](const auto& o) { return o.second.kind == proto::LeaseKind::kTrain; });
    if (!home.free.empty() && !(home.free.front().kind == proto::LeaseKind::kEvaluate && training_out)) {
      reply = home.free.front();
      home.free.pop_front();
      home.out[reply.lease] = member.lease = reply;
      const bool works = reply.kind == proto::LeaseKind::kTrain;
      if (works && !member.working) member.bias = std::max(member.clock + member.bias, home.minimum()) - member.clock;
      member.working = works;
    } else if (home.free.empty() && home.out.empty()) {
      member.working = false;
      reply.kind = proto::LeaseKind::kFinished;
    } else {
      member.working = false;
      reply.kind = proto::LeaseKind::kWait;
      reply.retry_ms = 5;
    }
    return reply;
  }

  proto::Body on_commit(Home& home, const proto::Envelope& envelope, Home::Member& member, const proto::Commit& commit) {
    if (commit.sequence + 1 == member.next_commit) return member.last_reply;
    if (commit.sequence != member.next_commit || commit.clock != member.clock || commit.lease != member.lease.lease) {
      world_.violations.push_back("a commit that does not follow the one before");
      return proto::Refused{proto::RefusalKind::kError, "", "commit", ""};
    }
    if (commit.clock > home.gate(member)) world_.violations.push_back("a commit beyond the gate");
    for (std::uint32_t r = member.lease.offset; r < commit.offset; ++r) ++home.trained[{member.lease.epoch, member.lease.first_row + r}];
    home.commits.push_back(commit);
    ++member.next_commit;
    commits_[{envelope.job, envelope.client}] = commit.sequence;
    const std::uint64_t before = home.minimum();
    ++member.clock;
    ++home.step;
    member.lease.offset = home.out[commit.lease].offset = commit.offset;
    if (commit.offset == member.lease.rows) {
      home.out.erase(commit.lease);
      member.lease = {};
    }
    const proto::LeaseReply next = commit.next_lease ? lease(home, member) : proto::LeaseReply{};
    if (member.lease.lease == 0) member.working = false;
    member.last_reply = proto::CommitReply{home.gate(member), home.step, commit.next_lease, next};
    if (home.minimum() > before) raise_gates(home, envelope.job, envelope.client);
    return member.last_reply;
  }

  void raise_gates(Home& home, JobId job, Incarnation but) {
    if (!world_.send_gates) return;
    for (auto& [client, member] : home.members) {
      if (client == but) continue;
      proto::Header header;
      header.envelope.job = job;
      header.envelope.client = client;
      header.body = proto::Gate{home.gate(member)};
      (void)endpoint_.notify(member.peer, header);
    }
  }

  World& world_;
  std::uint32_t lane_;
  net::Endpoint endpoint_;
  std::map<std::pair<JobId, TableId>, std::uint32_t> widths_;
  std::map<std::pair<JobId, Incarnation>, std::uint64_t> commits_;
};

}  // namespace

std::unique_ptr<Actor> make_lane(World& world, std::uint32_t lane, net::Transport& transport, Clock& clock) {
  return std::make_unique<Lane>(world, lane, transport, clock);
}

}  // namespace sluice::worker::fake
