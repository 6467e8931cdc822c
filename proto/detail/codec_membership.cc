#include "base/text.h"
#include "proto/detail/codec_parts.h"

namespace sluice::proto::detail {
namespace {

void write(wire::Register::Builder to, const Register& from) {
  to.setRole(to_enum<wire::Role>(from.role));
  to.setName(text(from.name));
  to.setHost(text(from.host));
  to.setBuild(text(from.build));
  auto lanes = to.initLanes(list_size(from.lanes.size()));
  for (unsigned i = 0; i < lanes.size(); ++i) lanes.set(i, text(from.lanes[i]));
  to.setSlots(from.slots);
}
Register read(wire::Register::Reader from) {
  Register to;
  to.role = enum_of(from.getRole(), Role::kWorker, "role");
  to.name = text(from.getName(), "a member's name");
  to.host = text(from.getHost(), "a member's host");
  to.build = text(from.getBuild(), "a member's build");
  const auto lanes = from.getLanes();
  to.lanes.reserve(count(lanes, kLanesMax, "lanes"));
  for (const auto lane : lanes) to.lanes.push_back(text(lane, "a lane's address"));
  to.slots = from.getSlots();
  if (to.slots > kWorkerSlotsMax) malformed(std::to_string(to.slots) + " worker slots, at most " + std::to_string(kWorkerSlotsMax));
  return to;
}

void write(wire::Registered::Builder to, const Registered& from) {
  to.setId(from.id);
  to.setHeartbeatMs(from.heartbeat_ms);
  to.setSuspicionMs(from.suspicion_ms);
  auto clients = to.initClients(list_size(from.clients.size()));
  for (unsigned i = 0; i < clients.size(); ++i) clients.set(i, from.clients[i].value);
  to.setSlotTable(data(from.slot_table));
}
Registered read(wire::Registered::Reader from) {
  Registered to;
  to.id = from.getId();
  to.heartbeat_ms = from.getHeartbeatMs();
  to.suspicion_ms = from.getSuspicionMs();
  const auto clients = from.getClients();
  to.clients.reserve(count(clients, kWorkerSlotsMax, "client incarnations"));
  for (const auto client : clients) to.clients.emplace_back(client);
  to.slot_table = data(from.getSlotTable(), "a slot table");
  return to;
}

void write(wire::JobReport::Builder to, const JobReport& from) {
  to.setJob(from.job.value);
  to.setGeneration(from.generation);
  to.setState(to_enum<wire::HomeState>(from.state));
  to.setStep(from.step);
  to.setExamples(from.examples);
  to.setExamplesTotal(from.examples_total);
  to.setSeconds(from.seconds);
  to.setWindowSteps(from.window_steps);
  to.setWindowExamples(from.window_examples);
  to.setLossSum(from.loss_sum);
  to.setLossSquares(from.loss_squares);
  to.setSlotSeconds(from.slot_seconds);
  to.setStalenessMean(from.staleness_mean);
  to.setRedoneBatches(from.redone_batches);
  to.setEvaluated(from.evaluated);
  to.setValidationLoss(from.validation_loss);
  to.setMetric(from.metric);
  to.setMetricName(text(from.metric_name));
  to.setEvaluatedAtStep(from.evaluated_at_step);
  to.setEnded(text(from.ended));
}
JobReport read(wire::JobReport::Reader from) {
  JobReport to;
  to.job = JobId(from.getJob());
  to.generation = from.getGeneration();
  to.state = enum_of(from.getState(), HomeState::kFinished, "job state");
  to.step = from.getStep();
  to.examples = from.getExamples();
  to.examples_total = from.getExamplesTotal();
  to.seconds = finite(from.getSeconds(), "a report's seconds");
  to.window_steps = from.getWindowSteps();
  to.window_examples = from.getWindowExamples();
  to.loss_sum = finite(from.getLossSum(), "a report's loss sum");
  to.loss_squares = finite(from.getLossSquares(), "a report's sum of squared losses");
  to.slot_seconds = finite(from.getSlotSeconds(), "a report's slot-seconds");
  to.staleness_mean = finite(from.getStalenessMean(), "a report's staleness");
  to.redone_batches = from.getRedoneBatches();
  to.evaluated = from.getEvaluated();
  to.validation_loss = finite(from.getValidationLoss(), "a report's validation loss");
  to.metric = finite(from.getMetric(), "a report's metric");
  to.metric_name = text(from.getMetricName(), "a metric's name");
  to.evaluated_at_step = from.getEvaluatedAtStep();
  to.ended = text(from.getEnded(), "why a job ended");
  return to;
}

Report read(wire::Report::Reader from) {
  Report to;
  to.server = from.getServer();
  const auto jobs = from.getJobs();
  to.jobs.reserve(count(jobs, kReportsMax, "job reports"));
  for (const auto job : jobs) to.jobs.push_back(read(job));
  return to;
}

}  // namespace

bool write_membership(wire::Header::Body::Builder to, const Body& body) {
  if (const auto* member = std::get_if<Register>(&body)) {
    write(to.initRegister(), *member);
  } else if (const auto* registered = std::get_if<Registered>(&body)) {
    write(to.initRegistered(), *registered);
  } else if (const auto* heartbeat = std::get_if<Heartbeat>(&body)) {
    auto out = to.initHeartbeat();
    out.setId(heartbeat->id);
    out.setRole(to_enum<wire::Role>(heartbeat->role));
    out.setResidentBytes(heartbeat->resident_bytes);
  } else if (std::holds_alternative<HeartbeatReply>(body)) {
    to.setHeartbeatReply();
  } else if (std::holds_alternative<SlotTableRequest>(body)) {
    to.setSlotTableRequest();
  } else if (const auto* table = std::get_if<SlotTableMessage>(&body)) {
    to.setSlotTable(data(table->bytes));
  } else if (const auto* report = std::get_if<Report>(&body)) {
    auto out = to.initReport();
    out.setServer(report->server);
    auto jobs = out.initJobs(list_size(report->jobs.size()));
    for (unsigned i = 0; i < jobs.size(); ++i) write(jobs[i], report->jobs[i]);
  } else if (const auto* end = std::get_if<EndJob>(&body)) {
    to.setEndJob(text(end->keep));
  } else {
    return false;
  }
  return true;
}

bool read_membership(wire::Header::Body::Reader from, Body& body) {
  using Kind = wire::Header::Body::Which;
  switch (from.which()) {
    case Kind::REGISTER:
      body = read(from.getRegister());
      return true;
    case Kind::REGISTERED:
      body = read(from.getRegistered());
      return true;
    case Kind::HEARTBEAT: {
      const auto in = from.getHeartbeat();
      body = Heartbeat{in.getId(), enum_of(in.getRole(), Role::kWorker, "role"), in.getResidentBytes()};
      return true;
    }
    case Kind::HEARTBEAT_REPLY:
      body = HeartbeatReply{};
      return true;
    case Kind::SLOT_TABLE_REQUEST:
      body = SlotTableRequest{};
      return true;
    case Kind::SLOT_TABLE:
      body = SlotTableMessage{data(from.getSlotTable(), "a slot table")};
      return true;
    case Kind::REPORT:
      body = read(from.getReport());
      return true;
    case Kind::END_JOB:
      body = EndJob{text(from.getEndJob(), "an ended job's name")};
      if (const auto& keep = std::get<EndJob>(body).keep; !keep.empty() && !sluice::text::valid_name(keep)) malformed("an ended job's name is not a name");
      return true;
    default:
      return false;
  }
}

}  // namespace sluice::proto::detail
