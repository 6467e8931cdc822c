#include "proto/detail/codec_parts.h"

namespace sluice::proto::detail {
namespace {

void write(wire::LeaseReply::Builder to, const LeaseReply& from) {
  to.setKind(to_enum<wire::LeaseKind>(from.kind));
  to.setLease(from.lease);
  to.setEpoch(from.epoch);
  to.setFirstRow(from.first_row);
  to.setRows(from.rows);
  to.setOffset(from.offset);
  to.setRetryMs(from.retry_ms);
}
LeaseReply read(wire::LeaseReply::Reader from) {
  LeaseReply to;
  to.kind = enum_of(from.getKind(), LeaseKind::kPhase, "lease kind");
  to.lease = from.getLease();
  to.epoch = from.getEpoch();
  to.first_row = from.getFirstRow();
  to.rows = from.getRows();
  to.offset = from.getOffset();
  to.retry_ms = from.getRetryMs();
  if (to.offset > to.rows) malformed("a lease's offset is beyond its rows");
  return to;
}

void write(wire::Join::Builder to, const Join& from) {
  to.setSpec(text(from.spec));
  to.setDataHash(from.data_hash);
  to.setTrainRows(from.train_rows);
  to.setTestRows(from.test_rows);
  to.setChunkRows(from.chunk_rows);
  detail::write(to.initTables(list_size(from.tables.size())), from.tables);
  to.setData(text(from.data));
  to.setPhases(from.phases);
}
Join read(wire::Join::Reader from) {
  return {
      text(from.getSpec(), "a join's spec"), from.getDataHash(), from.getTrainRows(), from.getTestRows(), from.getChunkRows(), detail::read(from.getTables()),
      text(from.getData(), "a join's data"), from.getPhases()};
}

void write(wire::JoinReply::Builder to, const JoinReply& from) {
  to.setClock(from.clock);
  to.setGate(from.gate);
  to.setCommitSequence(from.commit_sequence);
  to.setStep(from.step);
  detail::write(to.initTables(list_size(from.tables.size())), from.tables);
}
JoinReply read(wire::JoinReply::Reader from) {
  return {from.getClock(), from.getGate(), from.getCommitSequence(), from.getStep(), detail::read(from.getTables())};
}

void write(wire::Commit::Builder to, const Commit& from) {
  to.setSequence(from.sequence);
  to.setClock(from.clock);
  to.setLease(from.lease);
  to.setOffset(from.offset);
  to.setExamples(from.examples);
  to.setLossSum(from.loss_sum);
  to.setLossSquares(from.loss_squares);
  to.setStepRead(from.step_read);
  to.setSlotSeconds(from.slot_seconds);
  to.setNextLease(from.next_lease);
  to.setBatch(from.batch);
}
Commit read(wire::Commit::Reader from) {
  Commit to;
  to.sequence = from.getSequence();
  to.clock = from.getClock();
  to.lease = from.getLease();
  to.offset = from.getOffset();
  to.examples = from.getExamples();
  to.loss_sum = finite(from.getLossSum(), "a commit's loss sum");
  to.loss_squares = finite(from.getLossSquares(), "a commit's sum of squared losses");
  to.step_read = from.getStepRead();
  to.slot_seconds = finite(from.getSlotSeconds(), "a commit's slot-seconds");
  to.next_lease = from.getNextLease();
  to.batch = from.getBatch();
  return to;
}

void write(wire::CommitReply::Builder to, const CommitReply& from) {
  to.setGate(from.gate);
  to.setStep(from.step);
  to.setHasLease(from.has_lease);
  write(to.initLease(), from.lease);
}
CommitReply read(wire::CommitReply::Reader from) { return {from.getGate(), from.getStep(), from.getHasLease(), read(from.getLease())}; }

void write(wire::EvaluateCommit::Builder to, const EvaluateCommit& from) {
  to.setLease(from.lease);
  to.setExamples(from.examples);
  to.setLossSum(from.loss_sum);
  to.setMetricSum(from.metric_sum);
  to.setMetric(text(from.metric));
  to.setSlotSeconds(from.slot_seconds);
}
EvaluateCommit read(wire::EvaluateCommit::Reader from) {
  EvaluateCommit to;
  to.lease = from.getLease();
  to.examples = from.getExamples();
  to.loss_sum = finite(from.getLossSum(), "an evaluation's loss sum");
  to.metric_sum = finite(from.getMetricSum(), "an evaluation's metric sum");
  to.metric = text(from.getMetric(), "a metric's name");
  to.slot_seconds = finite(from.getSlotSeconds(), "an evaluation's slot-seconds");
  return to;
}

void write(wire::PhaseCommit::Builder to, const PhaseCommit& from) {
  to.setLease(from.lease);
  to.setBatch(from.batch);
  to.setDone(from.done);
  to.setReason(text(from.reason));
  to.setSlotSeconds(from.slot_seconds);
}
PhaseCommit read(wire::PhaseCommit::Reader from) {
  return {from.getLease(), from.getBatch(), from.getDone(), text(from.getReason(), "the reason for a training's end"),
          finite(from.getSlotSeconds(), "a phase's slot-seconds")};
}

}  // namespace

bool write_home(wire::Header::Body::Builder to, const Body& body) {
  if (const auto* join = std::get_if<Join>(&body)) {
    write(to.initJoin(), *join);
  } else if (const auto* join_reply = std::get_if<JoinReply>(&body)) {
    write(to.initJoinReply(), *join_reply);
  } else if (const auto* leave = std::get_if<Leave>(&body)) {
    auto out = to.initLeave();
    out.setLease(leave->lease);
    out.setOffset(leave->offset);
  } else if (std::holds_alternative<LeaseRequest>(body)) {
    to.setLeaseRequest();
  } else if (const auto* lease = std::get_if<LeaseReply>(&body)) {
    write(to.initLeaseReply(), *lease);
  } else if (const auto* commit = std::get_if<Commit>(&body)) {
    write(to.initCommit(), *commit);
  } else if (const auto* commit_reply = std::get_if<CommitReply>(&body)) {
    write(to.initCommitReply(), *commit_reply);
  } else if (const auto* gate = std::get_if<Gate>(&body)) {
    to.setGate(gate->clock);
  } else if (const auto* evaluate = std::get_if<EvaluateCommit>(&body)) {
    write(to.initEvaluateCommit(), *evaluate);
  } else if (const auto* phase = std::get_if<PhaseCommit>(&body)) {
    write(to.initPhaseCommit(), *phase);
  } else {
    return false;
  }
  return true;
}

bool read_home(wire::Header::Body::Reader from, Body& body) {
  using Kind = wire::Header::Body::Which;
  switch (from.which()) {
    case Kind::JOIN:
      body = read(from.getJoin());
      return true;
    case Kind::JOIN_REPLY:
      body = read(from.getJoinReply());
      return true;
    case Kind::LEAVE: {
      const auto in = from.getLeave();
      body = Leave{in.getLease(), in.getOffset()};
      return true;
    }
    case Kind::LEASE_REQUEST:
      body = LeaseRequest{};
      return true;
    case Kind::LEASE_REPLY:
      body = read(from.getLeaseReply());
      return true;
    case Kind::COMMIT:
      body = read(from.getCommit());
      return true;
    case Kind::COMMIT_REPLY:
      body = read(from.getCommitReply());
      return true;
    case Kind::GATE:
      body = Gate{from.getGate()};
      return true;
    case Kind::EVALUATE_COMMIT:
      body = read(from.getEvaluateCommit());
      return true;
    case Kind::PHASE_COMMIT:
      body = read(from.getPhaseCommit());
      return true;
    default:
      return false;
  }
}

}  // namespace sluice::proto::detail
