#pragma once
/// For the tests of this room: lanes, job homes, data and models that are as small as they can be, and write down what a slot did to them. All in one thread,
/// on the in-process transport. The real servers meet the real workers in tests/cluster.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "net/channel.h"
#include "net/inproc_transport.h"
#include "proto/slot_table.h"
#include "worker/slot.h"

namespace sluice::worker::fake {

struct Shard {
  std::vector<float> dense;
  std::map<Key, std::vector<float>> rows;
  std::uint64_t version = 1;
  std::map<Incarnation, std::uint64_t> last;                             ///< number applied last
  std::map<std::pair<Incarnation, std::uint64_t>, std::string> applied;  ///< the bytes of each
};

struct Home {
  proto::JobSpec spec;
  proto::Join opened;
  struct Member {
    net::PeerId peer;
    std::uint32_t lane = 0;
    std::uint64_t clock = 0, next_commit = 1;
    std::uint64_t bias = 0;  ///< the job's count of clocks less the client's own
    bool working = false;    ///< holds a training lease: only then others wait for it
    proto::LeaseReply lease;
    proto::CommitReply last_reply;
  };
  std::map<Incarnation, Member> members;
  std::deque<proto::LeaseReply> free;  ///< chunks to lease, training first
  std::map<std::uint64_t, proto::LeaseReply> out;
  std::set<std::uint64_t> evaluated;
  std::map<std::pair<std::uint32_t, std::uint64_t>, int> trained;  ///< (epoch, row) → times committed
  std::uint64_t step = 0, next_lease = 1, last_minimum = 0, joins = 0, leaves = 0;
  std::vector<proto::Commit> commits;
  std::uint64_t scored = 0;
  double metric_sum = 0;
  /// The slowest working member's clock, in the job's count; never falls.
  std::uint64_t minimum();
  /// In the client's own count.
  [[nodiscard]] std::uint64_t gate(const Member& member);
};

/// State shared by all lanes, and what a test may turn.
struct World {
  std::uint32_t lanes = 2;
  proto::SlotTable table;
  std::map<std::tuple<JobId, TableId, ShardId>, Shard> shards;
  std::map<JobId, Home> homes;
  std::set<std::pair<std::uint32_t, JobId>> created;  ///< (lane, job)
  std::set<Incarnation> expired;
  std::vector<std::string> violations;  ///< of the protocol, by the slots
  std::uint64_t pushes = 0, pulls = 0, pulls_modified = 0, repeats = 0, gaps = 0, wrong_owner = 0, table_requests = 0, gate_questions = 0;
  bool send_gates = true;
  bool tell_table = true;  ///< in Refused{kWrongOwner}
  /// Answers in a lane's place; nullopt: the lane does. An empty optional within: no answer at all.
  std::function<std::optional<std::optional<proto::Body>>(std::uint32_t lane, const proto::Header&)> intercept;
  std::function<void(const proto::Envelope&, const proto::Pull&)> on_pull;

  [[nodiscard]] const std::vector<float>& dense(JobId job, TableId id, ShardId shard) { return shards.at({job, id, shard}).dense; }
  /// Hash slots round robin over the lanes, rotated by `rotation`; the version goes up.
  void publish(std::uint32_t rotation = 0);
};

/// An actor that is watched for spinning: a step that did nothing must name a time that is yet to come.
[[nodiscard]] std::unique_ptr<Actor> watched(std::unique_ptr<Actor> actor, const Clock& clock);

[[nodiscard]] std::string lane_address(std::uint32_t lane);
[[nodiscard]] std::unique_ptr<Actor> make_lane(World& world, std::uint32_t lane, net::Transport& transport, Clock& clock);

/// Row r has the keys r (value 1) and 1,000,000 + r mod 7 (value 2), label r mod 2.
class Rows final : public Dataset {
 public:
  explicit Rows(std::uint64_t rows) { shape_ = {rows, 2'000'000, 2, true}; }
  [[nodiscard]] const DataShape& shape() const override { return shape_; }
  [[nodiscard]] std::uint64_t content_hash() const override { return shape_.rows * 31; }

 private:
  DataShape shape_;
};
/// spec.name "missing": kNotFound; else Rows(features) to train and 50 to test, or none when spec.test is empty.
[[nodiscard]] DataSource made_up_data();

/// What a fake model saw and how it is to behave; shared by all its instances.
struct ModelScript {
  std::uint64_t dense_floats = 3 * proto::kShardFloats + 100;
  bool sparse = true;
  std::function<void(std::uint64_t batch)> before_update;  ///< may throw; batch: counted over all instances
  std::function<void()> before_evaluate;
  bool loss_is_nan = false, gradient_is_nan = false;
  std::uint64_t batches = 0, scored = 0;
  std::vector<std::pair<std::uint64_t, float>> seen;  ///< (own batch number, first dense float) of each update
};
/// dense table "w": every float gets + 1 a batch; dense table "b" of 3 floats; sparse table "rows" (width 2): each key gets (times in the batch, sum of
/// values).
[[nodiscard]] MakeModel counting_model(std::shared_ptr<ModelScript> script);

/// One thread, some lanes, some slots of one worker; no manager: tests hand orders to the slots.
class Cluster {
 public:
  struct Options {
    std::uint64_t seed = 1;
    std::uint32_t lanes = 2, slots = 1;
    net::Faults faults = {};
    Duration call_deadline = from_ms(10'000);
  };
  explicit Cluster(const Options& options);
  ~Cluster();

  void add_model(const std::string& name, std::shared_ptr<ModelScript> script);
  /// A job on `rows` made-up rows.
  [[nodiscard]] static proto::JobSpec job(const std::string& model, std::uint64_t rows = 640, std::uint32_t batch = 16, std::uint32_t epochs = 1);
  /// Puts a job on a slot; job 0 = idle. Decisions count up.
  void order(std::uint32_t slot, JobId job, const proto::JobSpec& spec);
  void idle(std::uint32_t slot) { order(slot, JobId{}, {}); }
  bool run(const std::function<bool()>& done, double seconds = 60);
  void run_for(double seconds) {
    (void)run([] { return false; }, seconds);
  }
  [[nodiscard]] Home& home(JobId job) { return world.homes.at(job); }
  [[nodiscard]] bool finished(JobId job);
  /// Where a job stands, for failing tests.
  [[nodiscard]] std::string describe(JobId job);
  /// News so far of one kind, emptied by no one.
  template <class T>
  [[nodiscard]] std::vector<T> news();
  /// All rows of an epoch were committed once, and the sums at the shards say the same.
  void expect_exactly_once(JobId job, std::uint64_t rows, std::uint32_t epochs);

  SimClock clock;
  net::InprocTransport transport;
  SimExecutor executor;
  World world;
  std::vector<std::shared_ptr<SlotInbox>> inboxes;
  std::shared_ptr<ControlInbox> control;
  std::optional<RingVersion> table_wanted;
  std::vector<Incarnation> lost;
  std::uint32_t slots_ended = 0;

 private:
  void collect();
  std::shared_ptr<ModelRegistry> models_;
  std::deque<News> news_;
  std::uint64_t decision_ = 0;
};

template <class T>
std::vector<T> Cluster::news() {
  collect();
  std::vector<T> out;
  for (const auto& one : news_) {
    if (const auto* t = std::get_if<T>(&one)) out.push_back(*t);
  }
  return out;
}

}  // namespace sluice::worker::fake
