@0xd1b6f2a8c3e94701;
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("sluice::proto::wire");
# The header frame of every message; docs/protocol.md says how it is laid out and versioned, proto/messages.h what each field means.
# Only proto/detail/codec_*.cc use the code generated from here.
#
# Versions: the fields of Header up to `body`, their order, and `refused` never change, so that peers of different versions can say so to each other.

struct Header {
  protocol @0 :UInt16;
  generation @1 :UInt32;
  request @2 :UInt64;
  job @3 :UInt64;
  client @4 :UInt64;
  managerTerm @5 :UInt64;
  decision @6 :UInt64;
  ring @7 :UInt64;
  owner @8 :Text;

  body :union {
    done @9 :Void;
    refused @10 :Refused;
    push @11 :Push;
    pushReply @12 :Sections;
    pull @13 :Sections;
    pullReply @14 :Sections;
    createTables @15 :CreateTables;
    join @16 :Join;
    joinReply @17 :JoinReply;
    leave @18 :Leave;
    leaseRequest @19 :Void;
    leaseReply @20 :LeaseReply;
    commit @21 :Commit;
    commitReply @22 :CommitReply;
    gate @23 :UInt64;
    evaluateCommit @24 :EvaluateCommit;
    register @25 :Register;
    registered @26 :Registered;
    heartbeat @27 :Heartbeat;
    heartbeatReply @28 :Void;
    slotTableRequest @29 :Void;
    slotTable @30 :Data;
    report @31 :Report;
    endJob @32 :Text;
    grant @33 :Grant;
    moved @34 :Moved;
    jobFault @35 :JobFault;
    call @36 :Call;
    callReply @37 :Text;
    apply @38 :Apply;
    phaseCommit @39 :PhaseCommit;
    saveJob @40 :SaveJob;
    saved @41 :Saved;
  }
}

struct Refused {
  kind @0 :RefusalKind;
  code @1 :Text;
  text @2 :Text;
  slotTable @3 :Data;
}
enum RefusalKind { error @0; behind @1; wrongOwner @2; notMember @3; }

# --- data plane. `sections`: packed 40-byte little-endian records (proto/detail/sections.h).

enum PushKind { gradient @0; delta @1; average @2; }
enum AckLevel { applied @0; replicated @1; durable @2; }
struct Push {
  kind @0 :PushKind;
  ack @1 :AckLevel;
  sections @2 :Data;
  batch @3 :UInt64;
  clock @4 :UInt64;
}
struct Apply {
  clock @0 :UInt64;
  step @1 :UInt64;
  slots @2 :List(ApplySlot);
}
struct ApplySlot {
  client @0 :UInt64;
  batch @1 :UInt64;
  rows @2 :UInt32;
}
struct CreateTables {
  tables @0 :List(TableSpec);
  from @1 :Text;
  resume @2 :Bool;
}
struct Sections {
  sections @0 :Data;
  text @1 :Text;
}

enum TableKind { dense @0; sparse @1; }
enum InitKind { zero @0; uniform @1; normal @2; }
struct TableSpec {
  id @0 :UInt32;
  name @1 :Text;
  kind @2 :TableKind;
  rows @3 :UInt64;
  cols @4 :UInt32;
  buckets @5 :UInt32;
  init @6 :InitKind;
  initScale @7 :Float32;
  seed @8 :UInt64;
  optimizer @9 :Text;
  numbers @10 :List(Number);
  holds @11 :Bool;
}
struct Number {
  name @0 :Text;
  value @1 :Float64;
}

# --- job home

struct Join {
  spec @0 :Text;
  dataHash @1 :UInt64;
  trainRows @2 :UInt64;
  testRows @3 :UInt64;
  chunkRows @4 :UInt32;
  tables @5 :List(TableSpec);
  data @6 :Text;
  phases @7 :UInt32;
}
struct JoinReply {
  clock @0 :UInt64;
  gate @1 :UInt64;
  commitSequence @2 :UInt64;
  step @3 :UInt64;
  tables @4 :List(TableSpec);
}
struct Leave {
  lease @0 :UInt64;
  offset @1 :UInt32;
}
enum LeaseKind { train @0; evaluate @1; wait @2; finished @3; phase @4; }
struct LeaseReply {
  kind @0 :LeaseKind;
  lease @1 :UInt64;
  epoch @2 :UInt32;
  firstRow @3 :UInt64;
  rows @4 :UInt32;
  offset @5 :UInt32;
  retryMs @6 :UInt32;
}
struct Commit {
  sequence @0 :UInt64;
  clock @1 :UInt64;
  lease @2 :UInt64;
  offset @3 :UInt32;
  examples @4 :UInt32;
  lossSum @5 :Float64;
  lossSquares @6 :Float64;
  stepRead @7 :UInt64;
  slotSeconds @8 :Float64;
  nextLease @9 :Bool;
  batch @10 :UInt64;
}
struct CommitReply {
  gate @0 :UInt64;
  step @1 :UInt64;
  hasLease @2 :Bool;
  lease @3 :LeaseReply;
}
struct EvaluateCommit {
  lease @0 :UInt64;
  examples @1 :UInt64;
  lossSum @2 :Float64;
  metricSum @3 :Float64;
  metric @4 :Text;
  slotSeconds @5 :Float64;
}
struct PhaseCommit {
  lease @0 :UInt64;
  batch @1 :UInt64;
  done @2 :Bool;
  reason @3 :Text;
  slotSeconds @4 :Float64;
}

# --- membership

enum Role { server @0; worker @1; }
struct Register {
  role @0 :Role;
  name @1 :Text;
  host @2 :Text;
  build @3 :Text;
  lanes @4 :List(Text);
  slots @5 :UInt32;
}
struct Registered {
  id @0 :UInt32;
  heartbeatMs @1 :UInt32;
  suspicionMs @2 :UInt32;
  clients @3 :List(UInt64);
  slotTable @4 :Data;
}
struct Heartbeat {
  id @0 :UInt32;
  role @1 :Role;
  residentBytes @2 :UInt64;
}
enum HomeState { training @0; evaluating @1; finished @2; }
struct JobReport {
  job @0 :UInt64;
  generation @1 :UInt32;
  state @2 :HomeState;
  step @3 :UInt64;
  examples @4 :UInt64;
  examplesTotal @5 :UInt64;
  seconds @6 :Float64;
  windowSteps @7 :UInt64;
  windowExamples @8 :UInt64;
  lossSum @9 :Float64;
  lossSquares @10 :Float64;
  slotSeconds @11 :Float64;
  stalenessMean @12 :Float64;
  redoneBatches @13 :UInt64;
  evaluated @14 :UInt64;
  validationLoss @15 :Float64;
  metric @16 :Float64;
  metricName @17 :Text;
  evaluatedAtStep @18 :UInt64;
  ended @19 :Text;
}
struct Report {
  server @0 :UInt32;
  jobs @1 :List(JobReport);
}

struct SaveJob {
  cut @0 :Text;
  folder @1 :Text;
}
struct Saved {
  cut @0 :Text;
  bytes @1 :UInt64;
  home @2 :Bool;
  pauseMs @3 :Float64;
  step @4 :UInt64;
  code @5 :Text;
  text @6 :Text;
}

# --- grants

struct Assignment {
  slot @0 :UInt32;
  job @1 :UInt64;
  generation @2 :UInt32;
  decision @3 :UInt64;
  decidedAtNs @4 :Int64;
  spec @5 :Text;
}
struct Grant {
  managerHost @0 :Text;
  assignments @1 :List(Assignment);
}
struct Moved {
  worker @0 :UInt32;
  slot @1 :UInt32;
  from @2 :UInt64;
  to @3 :UInt64;
  totalMs @4 :Float64;
  batchWaitMs @5 :Float64;
  stallMs @6 :Float64;
  cold @7 :Bool;
  openMs @8 :Float64;
  leaseMs @9 :Float64;
  pullMs @10 :Float64;
  gradientMs @11 :Float64;
}
struct JobFault {
  worker @0 :UInt32;
  code @1 :Text;
  what @2 :Text;
}

# --- people

struct Call {
  verb @0 :Text;
  json @1 :Text;
}
