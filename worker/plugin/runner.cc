#include "worker/plugin/runner.h"

#include <fmt/format.h>

#include "base/log.h"

namespace sluice::worker::plugin {

Result<std::unique_ptr<Model>> Runner::make(const ModelRegistry& models, const proto::JobSpec& spec, const DataShape& shape, Interrupt interrupt) {
  warm_ = true;
  if (!spec.plugin.path.empty()) return make_plugin(spec, shape, std::move(interrupt));
  const auto make = models.find(spec.model);
  if (!make) return fail(make.error());
  try {
    return (**make)(spec.params, shape);
  } catch (const std::exception& wrong) { return fail(Errc::kJobFailed, fmt::format("model '{}' failed: {}", spec.model, wrong.what())); } catch (...) {
    return fail(Errc::kJobFailed, fmt::format("model '{}' failed", spec.model));
  }
}

Result<std::unique_ptr<Model>> Runner::make_plugin(const proto::JobSpec& spec, const DataShape& shape, Interrupt interrupt) {
  if (wanted_) wanted_->store(true, std::memory_order_relaxed);
  auto process = std::move(spare_);
  if (process && !process->alive()) process.reset();
  warm_ = process && process->ready();
  if (!process) {
    auto started = SlotProcess::start({});
    if (!started) return fail(started.error());
    process = std::move(*started);
  }
  process->set_limits(spec.plugin.memory_mb << 20, from_ms(spec.plugin.call_ms));
  const auto facts = open_plugin(*process, spec.plugin.path, spec.plugin.digest, interrupt);
  if (!facts) return fail(facts.error());
  auto model = make_process_model(std::move(process), spec.model, spec.params, shape, std::move(interrupt));
  if (!model && model.error().code == Errc::kJobFailed) return fail(Errc::kJobFailed, fmt::format("model '{}' failed: {}", spec.model, model.error().what));
  return model;
}

void Runner::refill() {
  if (spare_ || !wanted_ || !wanted_->load(std::memory_order_relaxed)) return;
  auto started = SlotProcess::start({});
  if (started) {
    spare_ = std::move(*started);
  } else {
    log::warn("{}", started.error().what);
    wanted_->store(false, std::memory_order_relaxed);  // until the next job asks for one
  }
}

}  // namespace sluice::worker::plugin
