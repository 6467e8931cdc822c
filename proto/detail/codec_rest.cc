#include "proto/detail/codec_parts.h"

/// Grants, checkpoints, people's calls, and the two answers that anything may get: Done and Refused.
namespace sluice::proto::detail {
namespace {

void write(wire::Assignment::Builder to, const Assignment& from) {
  to.setSlot(from.slot.value);
  to.setJob(from.job.value);
  to.setGeneration(from.generation);
  to.setDecision(from.decision.value);
  to.setDecidedAtNs(from.decided_at.ns);
  to.setSpec(text(from.spec));
}
Assignment read(wire::Assignment::Reader from) {
  Assignment to;
  to.slot = WorkerSlot(from.getSlot());
  to.job = JobId(from.getJob());
  to.generation = from.getGeneration();
  to.decision = DecisionId(from.getDecision());
  to.decided_at = Instant{from.getDecidedAtNs()};
  to.spec = text(from.getSpec(), "an assignment's spec");
  return to;
}

Grant read(wire::Grant::Reader from) {
  Grant to;
  to.manager_host = text(from.getManagerHost(), "the manager's host");
  const auto assignments = from.getAssignments();
  to.assignments.reserve(count(assignments, kWorkerSlotsMax, "assignments"));
  for (const auto assignment : assignments) to.assignments.push_back(read(assignment));
  return to;
}

void write(wire::Moved::Builder to, const Moved& from) {
  to.setWorker(from.worker);
  to.setSlot(from.slot.value);
  to.setFrom(from.from.value);
  to.setTo(from.to.value);
  to.setTotalMs(from.total_ms);
  to.setBatchWaitMs(from.batch_wait_ms);
  to.setStallMs(from.stall_ms);
  to.setCold(from.cold);
  to.setOpenMs(from.open_ms);
  to.setLeaseMs(from.lease_ms);
  to.setPullMs(from.pull_ms);
  to.setGradientMs(from.gradient_ms);
}
Moved read(wire::Moved::Reader from) {
  Moved to;
  to.worker = from.getWorker();
  to.slot = WorkerSlot(from.getSlot());
  to.from = JobId(from.getFrom());
  to.to = JobId(from.getTo());
  to.total_ms = finite(from.getTotalMs(), "a move's total");
  to.batch_wait_ms = finite(from.getBatchWaitMs(), "a move's batch wait");
  to.stall_ms = finite(from.getStallMs(), "a move's stall");
  to.cold = from.getCold();
  to.open_ms = finite(from.getOpenMs(), "a move's opening");
  to.lease_ms = finite(from.getLeaseMs(), "a move's wait for a lease");
  to.pull_ms = finite(from.getPullMs(), "a move's pull");
  to.gradient_ms = finite(from.getGradientMs(), "a move's first gradient");
  return to;
}

void write(wire::Refused::Builder to, const Refused& from) {
  to.setKind(to_enum<wire::RefusalKind>(from.kind));
  to.setCode(text(from.code));
  to.setText(text(from.text));
  to.setSlotTable(data(from.slot_table));
}
Refused read(wire::Refused::Reader from) {
  return {enum_of(from.getKind(), RefusalKind::kNotMember, "kind of refusal"), text(from.getCode(), "a refusal's code"),
          text(from.getText(), "a refusal's text"), data(from.getSlotTable(), "a slot table")};
}

void write(wire::Saved::Builder to, const Saved& from) {
  to.setCut(text(from.cut));
  to.setBytes(from.bytes);
  to.setHome(from.home);
  to.setPauseMs(from.pause_ms);
  to.setStep(from.step);
  to.setCode(text(from.code));
  to.setText(text(from.text));
}
Saved read(wire::Saved::Reader from) {
  return {text(from.getCut(), "a cut's name"),  from.getBytes(), from.getHome(),
          finite(from.getPauseMs(), "a pause"), from.getStep(),  text(from.getCode(), "a code"),
          text(from.getText(), "words")};
}

}  // namespace

bool write_rest(wire::Header::Body::Builder to, const Body& body) {
  if (std::holds_alternative<Done>(body)) {
    to.setDone();
  } else if (const auto* refused = std::get_if<Refused>(&body)) {
    write(to.initRefused(), *refused);
  } else if (const auto* grant = std::get_if<Grant>(&body)) {
    auto out = to.initGrant();
    out.setManagerHost(text(grant->manager_host));
    auto assignments = out.initAssignments(list_size(grant->assignments.size()));
    for (unsigned i = 0; i < assignments.size(); ++i) write(assignments[i], grant->assignments[i]);
  } else if (const auto* moved = std::get_if<Moved>(&body)) {
    write(to.initMoved(), *moved);
  } else if (const auto* fault = std::get_if<JobFault>(&body)) {
    auto out = to.initJobFault();
    out.setWorker(fault->worker);
    out.setCode(text(fault->code));
    out.setWhat(text(fault->what));
  } else if (const auto* call = std::get_if<Call>(&body)) {
    auto out = to.initCall();
    out.setVerb(text(call->verb));
    out.setJson(text(call->json));
  } else if (const auto* reply = std::get_if<CallReply>(&body)) {
    to.setCallReply(text(reply->json));
  } else if (const auto* save = std::get_if<SaveJob>(&body)) {
    auto out = to.initSaveJob();
    out.setCut(text(save->cut));
    out.setFolder(text(save->folder));
  } else if (const auto* saved = std::get_if<Saved>(&body)) {
    write(to.initSaved(), *saved);
  } else {
    return false;
  }
  return true;
}

bool read_rest(wire::Header::Body::Reader from, Body& body) {
  using Kind = wire::Header::Body::Which;
  switch (from.which()) {
    case Kind::DONE:
      body = Done{};
      return true;
    case Kind::REFUSED:
      body = read(from.getRefused());
      return true;
    case Kind::GRANT:
      body = read(from.getGrant());
      return true;
    case Kind::MOVED:
      body = read(from.getMoved());
      return true;
    case Kind::JOB_FAULT: {
      const auto in = from.getJobFault();
      body = JobFault{in.getWorker(), text(in.getCode(), "a fault's code"), text(in.getWhat(), "a fault's words")};
      return true;
    }
    case Kind::CALL: {
      const auto in = from.getCall();
      body = Call{text(in.getVerb(), "a verb"), text(in.getJson(), "a call's JSON")};
      return true;
    }
    case Kind::CALL_REPLY:
      body = CallReply{text(from.getCallReply(), "an answer's JSON")};
      return true;
    case Kind::SAVE_JOB: {
      const auto in = from.getSaveJob();
      body = SaveJob{text(in.getCut(), "a cut's name"), text(in.getFolder(), "a folder")};
      return true;
    }
    case Kind::SAVED:
      body = read(from.getSaved());
      return true;
    default:
      return false;
  }
}

}  // namespace sluice::proto::detail
