#pragma once
/// The verbs of the binary: each adds its subcommand and, when it was asked for, does its work and leaves the process's exit status. One file a verb.

#include <CLI/CLI.hpp>

namespace sluice::cli {

void add_run(CLI::App& app, int& status);
void add_manager(CLI::App& app, int& status);
void add_server(CLI::App& app, int& status);
void add_worker(CLI::App& app, int& status);
void add_submit(CLI::App& app, int& status);
void add_ps(CLI::App& app, int& status);
void add_explain(CLI::App& app, int& status);
void add_cancel(CLI::App& app, int& status);
void add_pause(CLI::App& app, int& status);
void add_resume(CLI::App& app, int& status);
void add_set(CLI::App& app, int& status);
void add_logs(CLI::App& app, int& status);
void add_up(CLI::App& app, int& status);
void add_down(CLI::App& app, int& status);
void add_compare(CLI::App& app, int& status);
void add_export(CLI::App& app, int& status);
void add_checkpoint(CLI::App& app, int& status);
void add_restore(CLI::App& app, int& status);
void add_predict(CLI::App& app, int& status);
void add_eval(CLI::App& app, int& status);
void add_report(CLI::App& app, int& status);
void add_data(CLI::App& app, int& status);
void add_replay(CLI::App& app, int& status);
void add_simulate(CLI::App& app, int& status);
void add_model(CLI::App& app, int& status);
void add_slot_process(CLI::App& app, int& status);

}  // namespace sluice::cli
