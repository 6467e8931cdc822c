#pragma once
/// Every message between processes. A message on the wire is one header frame (Cap'n Proto, `wire.capnp`: Envelope + one Body) and then raw payload frames.
/// The structs here are what the code reads and writes; `encode`/`decode` in codec.h are the only users of the generated code.
///
/// Payload: the sections of a message take their bytes in order from the payload frames; a section never straddles two frames, and each starts at the next
/// multiple of 8 of its frame (a section that does not fit what is left of a frame starts the next frame). Bytes of a section, `count` = floats (dense) or rows
/// (sparse):
///   dense push, dense pull reply: count × f32;   sparse push: count × u64 keys, then count × width × f32;
///   sparse pull: count × u64 keys;               sparse pull reply: count × width × f32, in the order asked.
/// So small sections share a frame and a large one has its own, which is sent and applied without a copy.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "proto/job_spec.h"
#include "proto/table_spec.h"

namespace sluice::proto {

inline constexpr std::uint16_t kProtocolVersion = 5;
inline constexpr std::uint32_t kSectionsMax = 4096;          ///< per message
inline constexpr std::uint32_t kUnansweredPushesMax = 64;    ///< per (client, shard)
inline constexpr std::uint32_t kHeaderBytesMax = 8u << 20;   ///< of the header frame
inline constexpr std::uint32_t kTextBytesMax = 4u << 20;     ///< of any text field
inline constexpr std::uint32_t kSectionCountMax = 1u << 24;  ///< floats or rows of one section
inline constexpr std::uint8_t kCodecMax = 0;                 ///< the highest value codec that this version knows (net/codecs)
inline constexpr std::uint32_t kLanesMax = 256;              ///< per server
inline constexpr std::uint32_t kWorkerSlotsMax = 4096;       ///< per worker
inline constexpr std::uint32_t kReportsMax = 4096;           ///< jobs in one Report

/// What every message says about who sends it and in whose name.
struct Envelope {
  std::uint16_t protocol = kProtocolVersion;
  std::uint64_t request = 0;     ///< chosen by the asker, copied into the answer; 0 = no answer belongs to it
  JobId job;                     ///< 0 = none
  std::uint32_t generation = 0;  ///< of the job: counts restarts of it (restore); older ones are refused
  Incarnation client;            ///< 0 = not a worker slot
  Term manager_term;
  DecisionId decision;
  RingVersion ring;   ///< the sender's slot table
  std::string owner;  ///< of the job; empty until users exist
  friend bool operator==(const Envelope&, const Envelope&) = default;
};

/// How one section ended. In requests: kOk.
enum class Outcome : std::uint8_t {
  kOk = 0,           ///< applied (bsp: held), or a repeat of such a one; pull: the values follow
  kNotModified = 1,  ///< pull: you have this version already; no payload
  kGap = 2,          ///< push: not applied; `sequence` is the number expected: resend from there
  kRejected = 3,     ///< push: refused for good (NaN, bad size); its number is consumed; the answer's `text` says why
  kNoTable = 4,      ///< the lane doesn't know the table: send CreateTables, then again
  kWrongOwner = 5,   ///< not the owner of this hash slot: refresh the slot table
  kStaleTerm = 6,    ///< the primary term moved on: pull afresh and redo the batch
  kFull = 7,         ///< sparse: max_rows reached
};

/// One shard's part of a push, pull or answer: a fixed 40-byte little-endian record, many in one header.
struct Section {
  TableId table;
  ShardId shard;
  std::uint64_t sequence = 0;  ///< push: this client's number for this shard, from 1, without holes; answer kGap: the number expected
  std::uint64_t version = 0;   ///< pull: the version held (0 = none); answers: the shard's version now; push: the version the update was computed from
  std::uint32_t term = 0;      ///< primary term
  std::uint32_t count = 0;     ///< floats (dense) or rows (sparse) in the payload; 0 = no payload
  std::uint32_t step = 0;      ///< push: the job's step that was read (for schedules)
  Outcome outcome = Outcome::kOk;
  std::uint8_t codec = 0;  ///< of the values: 0 = raw f32 (net/codecs)
  /// The optimizer's state goes with the values: behind each row (sparse), behind all of them (dense). pull: asked for; push of kind delta: both are added.
  bool state = false;
  friend bool operator==(const Section&, const Section&) = default;
};
inline constexpr std::size_t kSectionBytes = 40;

// --- data plane: worker slot ↔ server lane -------------------------------------------------------------------------------------------------------------------

enum class PushKind : std::uint8_t { kGradient = 0, kDelta = 1, kAverage = 2 };
enum class AckLevel : std::uint8_t { kApplied = 0, kReplicated = 1, kDurable = 2 };

struct Push {
  PushKind kind = PushKind::kGradient;
  AckLevel ack = AckLevel::kApplied;
  std::vector<Section> sections;
  /// The client's number of the batch it is part of (bsp, or a phase's end): it is checked and kept, until an Apply names it; 0: applied at once.
  std::uint64_t batch = 0;
  /// Not 0: it was sent right behind the commit of the clock before this one, to the lane that has the job's home, which is `behind` until that commit is
  /// there.
  std::uint64_t clock = 0;
  friend bool operator==(const Push&, const Push&) = default;
};
/// One section an asked section, same order. text: why, where a section was rejected.
struct PushReply {
  std::vector<Section> sections;
  std::string text;
  friend bool operator==(const PushReply&, const PushReply&) = default;
};
struct Pull {
  std::vector<Section> sections;
  friend bool operator==(const Pull&, const Pull&) = default;
};
/// One section an asked section, same order; payload for those that are kOk.
struct PullReply {
  std::vector<Section> sections;
  friend bool operator==(const PullReply&, const PullReply&) = default;
};
/// Makes the job's tables known to a lane. Idempotent; other specs under a known id are refused. Answer: Done or Refused.
/// start: where the first values are read from; the lane is `behind` until it has read them.
struct CreateTables {
  std::vector<TableSpec> tables;
  StartSpec start = {};
  friend bool operator==(const CreateTables&, const CreateTables&) = default;
};

/// A slot's part of a clock under bsp; the slot that ended a phase.
struct ApplySlot {
  Incarnation client;
  std::uint64_t batch = 0;  ///< what its pushes named
  std::uint32_t rows = 0;   ///< examples in it: its weight in the mean
  friend bool operator==(const ApplySlot&, const ApplySlot&) = default;
};
inline constexpr std::uint32_t kApplySlotsMax = 1 << 16;
/// bsp: home → every lane that owns shards of the job: all slots have committed this clock; apply what they pushed, each shard once to the mean (sums: to the
/// sum), summed in the order of `slots`, and forget what else is held: it was never committed. Answer: Done, also to a repeat; Refused: behind, an error.
/// A job that is not bsp has one a phase, with the one slot that committed the phase's end; the clocks are then the phases.
struct Apply {
  std::uint64_t clock = 0;
  std::uint64_t step = 0;  ///< the job's step when the clock began (for schedules)
  std::vector<ApplySlot> slots;
  friend bool operator==(const Apply&, const Apply&) = default;
};

// --- job home: worker slot ↔ the lane that holds home_slot(job)
// -----------------------------------------------------------------------------------------------

/// A slot enters a job. The first join opens the job at its home; what later ones say must agree (data content, tables), else Refused.
struct Join {
  std::string spec;             ///< job_spec JSON from the grant
  std::uint64_t data_hash = 0;  ///< content hash of the training cache
  std::uint64_t train_rows = 0;
  std::uint64_t test_rows = 0;   ///< 0 = no held-out data
  std::uint32_t chunk_rows = 0;  ///< rows of a chunk (the last may be short)
  std::vector<TableSpec> tables;
  std::string data;          ///< a JSON object: how the training data was read; kept with the model
  std::uint32_t phases = 0;  ///< passes over the training data, each with an end of its own (Model::finish_phase); 0: the job's epochs, without
  friend bool operator==(const Join&, const Join&) = default;
};
struct JoinReply {
  std::uint64_t clock = 0;            ///< the clock this slot enters at: the job's minimum
  std::uint64_t gate = 0;             ///< the highest clock it may begin
  std::uint64_t commit_sequence = 0;  ///< the next commit's number for this client
  std::uint64_t step = 0;
  std::vector<TableSpec> tables;  ///< as opened (with seeds)
  friend bool operator==(const JoinReply&, const JoinReply&) = default;
};
/// A slot leaves: its clock is taken out, its data lease goes back from `offset` on. Answer: Done. Idempotent.
struct Leave {
  std::uint64_t lease = 0;
  std::uint32_t offset = 0;
  friend bool operator==(const Leave&, const Leave&) = default;
};

/// Asks for work. Answer: LeaseReply.
struct LeaseRequest {
  friend bool operator==(const LeaseRequest&, const LeaseRequest&) = default;
};
enum class LeaseKind : std::uint8_t {
  kTrain = 0,     ///< train on rows [first_row + offset, first_row + rows) of the training data
  kEvaluate = 1,  ///< score rows [first_row, first_row + rows) of the held-out data
  kWait = 2,      ///< nothing now; other slots hold the rest; ask again after retry_ms
  kFinished = 3,  ///< the job is done: leave
  kPhase = 4,     ///< all rows of pass `epoch` are committed: end it (Model::finish_phase); what it changes is pushed to be held
};
struct LeaseReply {
  LeaseKind kind = LeaseKind::kWait;
  std::uint64_t lease = 0;  ///< the lease's number; 0 = none
  std::uint32_t epoch = 0;  ///< from 0; seeds the shuffle within the chunk
  std::uint64_t first_row = 0;
  std::uint32_t rows = 0;
  std::uint32_t offset = 0;  ///< rows of it that are committed already
  std::uint32_t retry_ms = 0;
  friend bool operator==(const LeaseReply&, const LeaseReply&) = default;
};

/// One batch is whole: all its pushes are acknowledged. One state change, applied once: sequence last + 1 of this client; a repeat is answered as the first
/// was.
struct Commit {
  std::uint64_t sequence = 0;
  std::uint64_t clock = 0;  ///< the clock that ends
  std::uint64_t lease = 0;
  std::uint32_t offset = 0;  ///< rows of the lease committed, this batch included
  std::uint32_t examples = 0;
  double loss_sum = 0;          ///< over examples; finite
  double loss_squares = 0;      ///< sum of squares of the examples' losses
  std::uint64_t step_read = 0;  ///< the job's step when its parameters were pulled: staleness = step at commit − step_read
  double slot_seconds = 0;      ///< this slot's time on the job since its last commit
  bool next_lease = false;      ///< also answer with a lease
  std::uint64_t batch = 0;      ///< bsp: what its pushes named
  friend bool operator==(const Commit&, const Commit&) = default;
};
struct CommitReply {
  std::uint64_t gate = 0;  ///< the highest clock this slot may begin; a later rise comes as Gate
  std::uint64_t step = 0;
  bool has_lease = false;
  LeaseReply lease;  ///< where next_lease was asked
  friend bool operator==(const CommitReply&, const CommitReply&) = default;
};
/// A phase lease is done: all of its pushes are acknowledged, and held. Answer: CommitReply. Repeats of a lease's number count once.
struct PhaseCommit {
  std::uint64_t lease = 0;
  std::uint64_t batch = 0;  ///< what its pushes named
  bool done = false;        ///< training is over
  std::string reason;       ///< for a person, where done
  double slot_seconds = 0;
  friend bool operator==(const PhaseCommit&, const PhaseCommit&) = default;
};
inline constexpr std::size_t kReasonBytesMax = 512;  ///< of a PhaseCommit's reason that are kept

/// Home → slot, unasked (request 0): the gate rose, or work is given out again. Slot → home: what is the gate? (answered by Gate)
struct Gate {
  std::uint64_t clock = 0;
  friend bool operator==(const Gate&, const Gate&) = default;
};
/// An evaluate lease is done. Answer: CommitReply. Repeats of a lease's number count once.
struct EvaluateCommit {
  std::uint64_t lease = 0;
  std::uint64_t examples = 0;
  double loss_sum = 0;
  double metric_sum = 0;  ///< accuracy: number right
  std::string metric;     ///< its name, e.g. "accuracy"
  double slot_seconds = 0;
  friend bool operator==(const EvaluateCommit&, const EvaluateCommit&) = default;
};

// --- membership: server or worker ↔ manager
// -------------------------------------------------------------------------------------------------------------------

enum class Role : std::uint8_t { kServer = 0, kWorker = 1 };
struct Register {
  Role role = Role::kServer;
  std::string name;
  std::string host;                ///< boot id of the host: equal means shared memory and comparable monotonic time
  std::string build;               ///< version for people
  std::vector<std::string> lanes;  ///< server: lane addresses
  std::uint32_t slots = 0;         ///< worker
  friend bool operator==(const Register&, const Register&) = default;
};
struct Registered {
  std::uint32_t id = 0;  ///< ServerId or WorkerId
  std::uint32_t heartbeat_ms = 200;
  std::uint32_t suspicion_ms = 800;
  std::vector<Incarnation> clients;  ///< worker: one a slot
  std::string slot_table;            ///< encoded; empty until made
  friend bool operator==(const Registered&, const Registered&) = default;
};
/// Server or worker → manager, every heartbeat_ms. Answer: HeartbeatReply; Refused (kDenied) = you are no longer a member: a worker abandons its pushes and
/// registers anew.
struct Heartbeat {
  std::uint32_t id = 0;
  Role role = Role::kServer;
  std::uint64_t resident_bytes = 0;
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};
struct HeartbeatReply {
  friend bool operator==(const HeartbeatReply&, const HeartbeatReply&) = default;
};
/// Asks manager (or a server) for the slot table newer than envelope.ring. Answer: SlotTableMessage (empty bytes: nothing newer). Also sent unasked by the
/// manager to members.
struct SlotTableRequest {
  friend bool operator==(const SlotTableRequest&, const SlotTableRequest&) = default;
};
struct SlotTableMessage {
  std::string bytes;
  friend bool operator==(const SlotTableMessage&, const SlotTableMessage&) = default;
};

enum class HomeState : std::uint8_t { kTraining = 0, kEvaluating = 1, kFinished = 2 };
/// One job's news since the report before, from its home.
struct JobReport {
  JobId job;
  std::uint32_t generation = 0;
  HomeState state = HomeState::kTraining;
  std::uint64_t step = 0;            ///< batches committed in all
  std::uint64_t examples = 0;        ///< examples committed in all
  std::uint64_t examples_total = 0;  ///< epochs × training rows: what is declared
  double seconds = 0;                ///< since the first commit
  std::uint64_t window_steps = 0;    ///< since the report before
  std::uint64_t window_examples = 0;
  double loss_sum = 0;  ///< over the window's examples
  double loss_squares = 0;
  double slot_seconds = 0;    ///< in all
  double staleness_mean = 0;  ///< steps, over the window
  std::uint64_t redone_batches = 0;
  std::uint64_t evaluated = 0;  ///< examples of the newest complete evaluation; 0 = none yet
  double validation_loss = 0;
  double metric = 0;
  std::string metric_name;
  std::uint64_t evaluated_at_step = 0;
  std::string ended;  ///< why training ended before its epochs; empty where it did not
  friend bool operator==(const JobReport&, const JobReport&) = default;
};
/// Server → manager, a few times a second while something changed, and at once when a job's home state changes. Answer: Done (else it is sent again: totals
/// make repeats harmless).
struct Report {
  std::uint32_t server = 0;
  std::vector<JobReport> jobs;
  friend bool operator==(const Report&, const Report&) = default;
};
/// Manager → server: forget the job; frees its tables and home. Answer: Done, or Refused where they could not be kept (they are freed all the same).
/// Idempotent.
struct EndJob {
  std::string keep;  ///< text::valid_name: what is here of the job goes into the folder of that name first, where the server has one for such; empty: nothing
  friend bool operator==(const EndJob&, const EndJob&) = default;
};

/// A checkpoint of a job, named `cut`. Manager → server, again until it is answered by Saved: the home closes its gate and makes the cut; every server writes
/// its part. Home → every lane of the servers that own shards (answer: Done): this moment is the cut: hand what is here of the job to be written. folder empty:
/// the cut is given up.
struct SaveJob {
  std::string cut;     ///< text::valid_name
  std::string folder;  ///< absolute; it holds a file `checkpoint.request` with the cut's name, so that nobody makes a server write where he can't himself
  friend bool operator==(const SaveJob&, const SaveJob&) = default;
};
/// Server → manager: this server's part of a cut is on the disk, or why not (code, text).
struct Saved {
  std::string cut;
  std::uint64_t bytes = 0;
  bool home = false;    ///< the next two are known here
  double pause_ms = 0;  ///< from the gate's closing to its opening
  std::uint64_t step = 0;
  std::string code, text;
  friend bool operator==(const Saved&, const Saved&) = default;
};

// --- grants: manager → worker --------------------------------------------------------------------------------------------------------------------------------

/// One worker slot's job. job 0 = idle.
struct Assignment {
  WorkerSlot slot;
  JobId job;
  std::uint32_t generation = 0;
  DecisionId decision;  ///< the one that put this job on this slot
  Instant decided_at;   ///< monotonic time of that decision's record; comparable on the manager's host only
  std::string spec;     ///< job_spec JSON; empty when idle
  friend bool operator==(const Assignment&, const Assignment&) = default;
};
/// A worker's whole desired assignment: idempotent; pairs (envelope.manager_term, envelope.decision) lower than one seen are refused. Answer: Done.
struct Grant {
  std::string manager_host;
  std::vector<Assignment> assignments;
  friend bool operator==(const Grant&, const Grant&) = default;
};
/// Worker → manager: a slot's move is over: its first gradient for the new job is computed.
struct Moved {
  std::uint32_t worker = 0;
  WorkerSlot slot;
  JobId from;
  JobId to;
  double total_ms = 0;       ///< decision's record → first gradient; 0 when on another host
  double batch_wait_ms = 0;  ///< grant received → batch boundary
  double stall_ms = 0;       ///< batch boundary → first gradient: what the move cost
  bool cold = false;         ///< data or model were not on the host yet
  // What the stall was made of; together it is the stall.
  double open_ms = 0;      ///< data and model are there
  double lease_ms = 0;     ///< the home has taken the slot in and leased it rows
  double pull_ms = 0;      ///< the parameters are there
  double gradient_ms = 0;  ///< the first batch is computed
  friend bool operator==(const Moved&, const Moved&) = default;
};
/// Worker → manager: a model threw, data is bad …: fails the job with its own words. Answer: Done.
struct JobFault {
  std::uint32_t worker = 0;
  std::string code;
  std::string what;
  friend bool operator==(const JobFault&, const JobFault&) = default;
};

// --- people: client verb → manager
// -----------------------------------------------------------------------------------------------------------------------------

/// verb: "submit", "ps", "explain", …; arguments and answers are JSON documents (docs/protocol.md).
struct Call {
  std::string verb;
  std::string json;
  friend bool operator==(const Call&, const Call&) = default;
};
struct CallReply {
  std::string json;
  friend bool operator==(const CallReply&, const CallReply&) = default;
};

// --- any -----------------------------------------------------------------------------------------------------------------------------------------------------

struct Done {
  friend bool operator==(const Done&, const Done&) = default;
};
enum class RefusalKind : std::uint8_t {
  kError = 0,       ///< for good; code and text say why
  kBehind = 1,      ///< I know less than you (older slot table, job not opened yet): try again shortly
  kWrongOwner = 2,  ///< `slot_table` has the newer table
  kNotMember = 3,   ///< this incarnation or membership is expired
};
struct Refused {
  RefusalKind kind = RefusalKind::kError;
  std::string code;
  std::string text;
  std::string slot_table;
  friend bool operator==(const Refused&, const Refused&) = default;
};

using Body = std::variant<Done, Refused, Push, PushReply, Pull, PullReply, CreateTables, Join, JoinReply, Leave, LeaseRequest, LeaseReply, Commit, CommitReply,
                          Gate, EvaluateCommit, Register, Registered, Heartbeat, HeartbeatReply, SlotTableRequest, SlotTableMessage, Report, EndJob, Grant,
                          Moved, JobFault, Call, CallReply, Apply, PhaseCommit, SaveJob, Saved>;

struct Header {
  Envelope envelope;
  Body body;
  friend bool operator==(const Header&, const Header&) = default;
};

}  // namespace sluice::proto
