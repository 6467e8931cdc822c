#include "cli/run_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/rng.h"
#include "base/text.h"

namespace sluice::cli {
namespace {
namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

KnownNames test_names() {
  KnownNames out;
  out.check_metric = built_in_names().check_metric;
  out.only_metric = [](const std::string& model, const std::string&) { return model == "kmeans" ? std::optional<std::string>("inertia") : std::nullopt; };
  out.check_model = [](const std::string& model, const std::string& params) -> Result<void> {
    if (model != "mlp" && model != "softmax" && model != "kmeans")
      return fail(Errc::kBadConfig, text::unknown_name("model", model, {"kmeans", "mlp", "softmax"}));
    if (params.find("hiden") != std::string::npos) return fail(Errc::kBadConfig, text::unknown_name("parameter", "hiden", {"hidden"}));
    return {};
  };
  out.check_labels = [](const std::string& model, const std::string&, proto::LabelKind labels) -> Result<void> {
    if (model == "mlp" && labels == proto::LabelKind::kTargets) return fail(Errc::kBadConfig, "model 'mlp' needs classes");
    return {};
  };
  out.open_plugin = [](const std::string& path) -> Result<KnownPlugin> {
    if (!path.ends_with("/libmine.so")) return fail(Errc::kNotFound, path + ": No such file or directory");
    return KnownPlugin{"mine", 7};
  };
  out.check_plugin = [](const std::string& path, const std::string& params, std::optional<proto::LabelKind> labels) -> Result<bool> {
    if (params.find("hiden") != std::string::npos) return fail(Errc::kBadConfig, "unknown parameter 'hiden' of " + fs::path(path).filename().string());
    if (labels == proto::LabelKind::kTargets) return fail(Errc::kBadConfig, "model 'mine' learns classes");
    return params.find("clusters") == std::string::npos;
  };
  out.check_optimizer = [](const proto::OptimizerSpec& spec) -> Result<void> {
    if (spec.name != "adam" && spec.name != "sgd") return fail(Errc::kBadConfig, text::unknown_name("optimizer", spec.name, {"adam", "sgd"}));
    for (const auto& [key, value] : spec.numbers) {
      if (key != "lr" && key != "clip" && !key.starts_with("schedule.")) return fail(Errc::kBadConfig, text::unknown_name("key", key, {"lr"}));
    }
    return {};
  };
  out.check_policy = [](const std::string& policy) -> Result<void> {
    if (policy == "fair" || policy == "slaq") return {};
    return fail(Errc::kBadConfig, text::unknown_name("policy", policy, {"fair", "slaq"}));
  };
  return out;
}

class RunFileTest : public testing::Test {
 protected:
  RunFileTest() {
    std::string pattern = (fs::temp_directory_path() / "sluice-run-file-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    for (const char* file : {"a.idx", "b.idx", "rows.txt"}) std::ofstream(folder_ / file) << "x";
  }
  ~RunFileTest() override { fs::remove_all(folder_); }

  Result<RunFile> read(const std::string& text, const std::vector<Override>& overrides = {}) {
    std::ofstream(folder_ / "sweep.yaml") << text;
    return read_run_file((folder_ / "sweep.yaml").string(), overrides, test_names());
  }
  std::string words(const std::string& text, const std::vector<Override>& overrides = {}) {
    const auto got = read(text, overrides);
    if (got) return "";
    std::string out = got.error().what;
    for (std::size_t at; (at = out.find(folder_.string() + "/")) != std::string::npos;) out.erase(at, folder_.string().size() + 1);
    return out;
  }

  fs::path folder_;
};

const std::string kData = "data:\n  tiny: {format: idx, train: [a.idx, b.idx]}\n";

TEST_F(RunFileTest, AModelThatIsAPathIsAPlugIn) {
  const std::string job = "jobs:\n  - {name: one, data: tiny, model: ";
  const auto got = read(kData + job + "./build/../libmine.so, limits: {call: 1500ms, memory_mb: 64}}\n");
  ASSERT_TRUE(got) << got.error().what;
  const auto& spec = got->jobs[0].spec;
  EXPECT_EQ(spec.model, "mine");
  EXPECT_EQ(spec.plugin, (proto::PluginSpec{(folder_ / "libmine.so").string(), 7, 1500, 64}));
  EXPECT_EQ(words(kData + job + "libyours.so}\n"), "sweep.yaml:4:36: libyours.so: No such file or directory");
  EXPECT_EQ(words(kData + job + "./libmine.so, params: {hiden: 1}}\n"), "sweep.yaml:4:59: unknown parameter 'hiden' of libmine.so");
  EXPECT_EQ(words(kData + job + "mlp, limits: {call: 1s}}\n"), "sweep.yaml:4:49: 'limits' are a plug-in's; 'mlp' is a built-in model");
  EXPECT_EQ(words(kData + job + "./libmine.so, optimizer: {name: adam}}\n"), "");
  EXPECT_EQ(words(kData + job + "./libmine.so, params: {clusters: 3}, optimizer: {name: adam}}\n"),
            "sweep.yaml:4:84: model 'mine' gives no gradients: what it pushes is added up, with no optimizer, schedule or clip; take 'optimizer' out");
  EXPECT_EQ(words(kData + job + "./libmine.so, params: {clusters: 3}, consistency: {local_steps: 2}}\n"),
            "sweep.yaml:4:86: model 'mine' gives no gradients, so a slot can take no local steps with it; take 'local_steps' out");
  const auto summed = read(kData + job + "./libmine.so, params: {clusters: 3}}\n");
  ASSERT_TRUE(summed) << summed.error().what;
  EXPECT_EQ(summed->jobs[0].spec.optimizer, (proto::OptimizerSpec{"add", {}}));
  EXPECT_NE(
      words("data:\n  tiny: {format: libsvm, train: rows.txt, labels: targets}\n" + job + "./libmine.so}\n").find("model 'mine' learns classes (data: tiny)"),
      std::string::npos);
}

TEST_F(RunFileTest, ReadsAWholeFile) {
  const auto got = read(kData +
                        "cluster: {servers: 2, slots: auto}\npolicy: {name: fair, round: 250ms}\njobs:\n  - name: mlp\n    model: mlp\n    data: tiny\n    "
                        "params: {hidden: [256, 128]}\n"
                        "    optimizer: {name: adam, lr: 0.003}\n    batch: 64\n    epochs: 5\n    seed: 9\n    weight: 2\n    consistency: {mode: ssp, "
                        "staleness: 4}\n    slots: {min: 1, max: 8}\n    submit_after: 1.5s\n");
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(got->name, "sweep");
  EXPECT_EQ(got->cluster.servers, 2u);
  EXPECT_FALSE(got->cluster.slots);
  EXPECT_EQ(got->policy.round_ms, 250u);
  ASSERT_EQ(got->jobs.size(), 1u);
  const auto& [job, submit_after] = got->jobs[0];
  EXPECT_EQ(submit_after, from_ms(1500));
  EXPECT_EQ(job.name, "mlp");
  EXPECT_EQ(job.params, R"({"hidden":[256,128]})");
  EXPECT_EQ(job.optimizer.number("lr", 0), 0.003);
  EXPECT_EQ(job.consistency.staleness, 4u);
  EXPECT_EQ(job.slots_max, 8u);
  EXPECT_THAT(job.data.train, ElementsAre((folder_ / "a.idx").string(), (folder_ / "b.idx").string())) << "roots are relative to the run file";
}

TEST_F(RunFileTest, ConsistencyIsOneOfThreeEachWithItsOwnNumbers) {
  const auto with = [&](const std::string& text) {
    const auto got = read(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, consistency: {" + text + "}}\n");
    return got ? std::string(name_of(got->jobs[0].spec.consistency.mode)) : got.error().what;
  };
  EXPECT_EQ(with("mode: bsp"), "bsp");
  EXPECT_THAT(with("mode: bsp, staleness: 3"), HasSubstr("bsp has no staleness bound: it is 0"));
  EXPECT_THAT(with("mode: ssp"), HasSubstr("ssp needs its bound"));
  EXPECT_THAT(with("mode: bsb"), HasSubstr("did you mean 'bsp'? known: asp, bsp, ssp"));
}

TEST_F(RunFileTest, LocalStepsAreAveragedInStepAndAddedElsewhere) {
  const auto with = [&](const std::string& text, const std::string& optimizer = "sgd") {
    const auto got = read(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, optimizer: " + optimizer + ", consistency: {" + text + "}}\n");
    if (!got) return got.error().what;
    const auto& c = got->jobs[0].spec.consistency;
    return std::to_string(c.local_steps) + (c.push == proto::LocalPush::kAverage ? " average" : " delta");
  };
  EXPECT_EQ(with("mode: bsp, local_steps: 8"), "8 average");
  EXPECT_EQ(with("mode: bsp, local_steps: 8, push: delta"), "8 delta");
  EXPECT_EQ(with("mode: ssp, staleness: 2, local_steps: 8"), "8 delta");
  EXPECT_THAT(with("mode: asp, local_steps: 8, push: average"), HasSubstr("push: average needs mode: bsp"));
  EXPECT_THAT(with("mode: bsp, local_steps: 8", "adam"),
              HasSubstr("local_steps needs optimizer sgd or adagrad: the slots take the steps, and 'adam' is the servers'"));
  EXPECT_THAT(with("mode: bsp, local_steps: 8", "{name: sgd, schedule: {kind: step, every: 5}}"), HasSubstr("no schedule"));
  EXPECT_THAT(with("mode: bsp, push: delta"), HasSubstr("give local_steps too"));
  EXPECT_THAT(with("mode: bsp, local_steps: 8, push: deltas"), HasSubstr("did you mean 'delta'"));
  EXPECT_THAT(with("mode: bsp, local_steps: 0"), HasSubstr("local_steps"));
  EXPECT_THAT(with("mode: bsp, local_steps: 1001"), HasSubstr("local_steps"));
}

TEST_F(RunFileTest, PatienceIsANumberOfEpochsAndNeedsHeldOutRows) {
  const auto with = [&](const std::string& stop, const std::string& test = ", test: [a.idx, b.idx]", const std::string& more = "") {
    const auto got =
        read("data:\n  tiny: {format: idx, train: [a.idx, b.idx]" + test + "}\njobs:\n  - {name: m, model: mlp, data: tiny, stop: " + stop + more + "}\n");
    return got ? std::to_string(got->jobs[0].spec.patience_epochs) : got.error().what;
  };
  EXPECT_EQ(with("{patience: 3epochs}"), "3");
  EXPECT_EQ(with("{patience: 1epoch}"), "1");
  for (const std::string wrong : {"3", "3 epoch", "0epochs", "-1epochs", "3batches", "epochs", "1.5epochs", "99999999999epochs"}) {
    EXPECT_THAT(with("{patience: " + wrong + "}"), HasSubstr("must be a number of epochs with its unit (3epochs), not '" + wrong + "'"));
  }
  EXPECT_THAT(with("{}"), HasSubstr("patience"));
  EXPECT_THAT(with("{patienc: 3epochs}"), HasSubstr("did you mean 'patience'"));
  EXPECT_THAT(with("{patience: 3epochs}", ""), HasSubstr("dataset 'tiny' has no held-out rows; give it 'test', or the job 'validation'"));
  EXPECT_EQ(with("{patience: 3epochs}", "", ", validation: {fraction: 0.1}"), "3");
}

TEST_F(RunFileTest, AJobMayEndWhenItHasConvergedOrReachedItsTarget) {
  const auto with = [&](const std::string& keys, const std::string& test = ", test: [a.idx, b.idx]") {
    const auto got = read("data:\n  tiny: {format: idx, train: [a.idx, b.idx]" + test + "}\njobs:\n  - {name: m, model: mlp, data: tiny, " + keys + "}\n");
    if (!got) return got.error().what;
    const auto& job = got->jobs[0].spec;
    return (job.stop_converged ? "converged " : "") + (job.target ? to_text(*job.target) + " by " + std::to_string(job.target->by_seconds).substr(0, 4) : "") +
           " metric " + job.validation.metric;
  };
  EXPECT_EQ(with("stop: {converged: yes}", ""), "converged  metric ");
  EXPECT_EQ(with("stop: {patience: 3epochs, converged: yes}"), "converged  metric ");
  EXPECT_EQ(with("stop: {patience: 3epochs, converged: no}"), " metric ");
  EXPECT_THAT(with("stop: {converged: soon}"), HasSubstr(":4:57: 'converged' under stop must be yes or no, not 'soon'"));
  EXPECT_THAT(with("stop: {}"), HasSubstr("'stop' needs patience (stop: {patience: 3epochs}) or converged"));
  EXPECT_EQ(with("target: {loss: 0.35, by: 60s}", ""), "loss <= 0.35 by 60.0 metric ");
  EXPECT_EQ(with("target: {validation_loss: 0.4}"), "validation_loss <= 0.4 by 0.00 metric ");
  EXPECT_EQ(with("target: {accuracy: 0.9, by: 2min}"), "accuracy >= 0.9 by 120. metric accuracy");
  EXPECT_EQ(with("target: {top-5: 0.9}, validation: {metric: top-5}"), "top-5 >= 0.9 by 0.00 metric top-5");
  EXPECT_THAT(with("target: {top-5: 0.9}, validation: {metric: accuracy}"), HasSubstr("the target is of 'top-5', and validation.metric is 'accuracy'"));
  EXPECT_THAT(with("target: {acuracy: 0.9}"), AllOf(HasSubstr(":4:48:"), HasSubstr("did you mean 'accuracy'"), HasSubstr("(or loss, validation_loss)")));
  EXPECT_THAT(with("target: {accuracy: 0.9}", ""), HasSubstr("'accuracy' is of held-out rows, and dataset 'tiny' has no held-out rows"));
  EXPECT_THAT(with("target: {loss: low}"), HasSubstr("'loss' under target must be a number, not 'low'"));
  EXPECT_THAT(with("target: {by: 60s}"), HasSubstr("'target' needs one of loss, validation_loss and a metric"));
  EXPECT_THAT(with("target: {loss: 1, accuracy: 1}"), HasSubstr("'target' needs one of"));
  EXPECT_THAT(with("target: 0.35"), HasSubstr("target must be a map"));
  EXPECT_THAT(with("target: {loss: 0.3, by: 60}"), HasSubstr("'by'"));
}

TEST_F(RunFileTest, MembersOfAGroupAreNamedOrAreASweepsJobs) {
  const auto with = [&](const std::string& keys) {
    const auto got = read(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, " + keys + "}\n");
    if (!got) return got.error().what;
    std::string out;
    for (const auto& [job, submit_after] : got->jobs) out += job.group + (job.objective == proto::Objective::kBest ? "/best " : "/each ");
    return out;
  };
  EXPECT_EQ(with("batch: 4"), "/each ");
  EXPECT_EQ(with("seed: [1, 2]"), "/each /each ") << "a sweep is a group only where somebody says so";
  EXPECT_EQ(with("seed: [1, 2], objective: best"), "m/best m/best ");
  EXPECT_EQ(with("seed: [1, 2], group: search, objective: best"), "search/best search/best ");
  EXPECT_EQ(with("group: search"), "search/each ");
  EXPECT_THAT(with("objective: best"), HasSubstr("'objective' is about a group of jobs; give 'group' its name"));
  EXPECT_THAT(with("group: search, objective: beast"), HasSubstr("did you mean 'best'"));
  EXPECT_THAT(with("group: My Search"), HasSubstr("'My Search' is not a group's name"));
}

TEST_F(RunFileTest, FairnessIsANumberUpToOneOrStrict) {
  const auto with = [&](const std::string& fairness) {
    const auto got = read(kData + "policy: {name: fair, fairness: " + fairness + "}\njobs:\n  - {name: m, model: mlp, data: tiny}\n");
    return got ? got->policy.fairness : got.error().what;
  };
  EXPECT_EQ(with("strict"), "strict");
  EXPECT_EQ(with("0"), "0");
  EXPECT_EQ(with("0.25"), "0.25");
  for (const std::string wrong : {"1.5", "-0.1", "nan", "lenient", "[1]"})
    EXPECT_THAT(with(wrong), HasSubstr("'fairness' under policy must be a number from 0 to 1")) << wrong;
}

TEST_F(RunFileTest, SweepsAreTheProductOfTheirAxesInTheFilesOrder) {
  const auto got = read(
      kData + "jobs:\n  - name: m\n    model: mlp\n    data: tiny\n    params: {hidden: [[64], [256, 128]]}\n    optimizer: {name: adam, lr: [0.1, 0.2]}\n");
  ASSERT_TRUE(got) << got.error().what;
  std::vector<std::string> seen;
  for (const auto& [job, submit_after] : got->jobs) seen.push_back(job.name + job.params + std::to_string(job.optimizer.number("lr", 0)).substr(0, 3));
  EXPECT_THAT(seen, ElementsAre("m-1{\"hidden\":[64]}0.1", "m-2{\"hidden\":[64]}0.2", "m-3{\"hidden\":[256,128]}0.1", "m-4{\"hidden\":[256,128]}0.2"));
}

TEST_F(RunFileTest, AnyScalarOfAJobCanBeAnAxis) {
  const auto got = read(kData + "jobs:\n  - {name: m, model: [mlp, softmax], data: tiny, batch: [32, 64], seed: [1, 2, 3]}\n");
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(got->jobs.size(), 12u);
  EXPECT_EQ(got->jobs[11].spec.model, "softmax");
  EXPECT_EQ(got->jobs[11].spec.seed, 3u);
}

TEST_F(RunFileTest, AllMistakesAtOnceWithPlaces) {
  const auto said = words("clustr: {servers: 2}\npolicy: {name: slack}\n" + kData +
                          "jobs:\n  - name: one\n    model: mpl\n    data: tinny\n  - name: Two!\n    model: mlp\n    data: tiny\n    params: {hiden: [3]}\n   "
                          " optimizer: {name: adm}\n    batch: 0\n"
                          "  - name: three\n    model: mlp\n    data: tiny\n    optimizer:\n        learning_rate: 0.1\n    init_from: one\n");
  for (const char* part : {"sweep.yaml:1:1: unknown key 'clustr' under the run file; did you mean 'cluster'?", "sweep.yaml:2:16: unknown policy 'slack'",
                           "sweep.yaml:7:12: unknown model 'mpl'; did you mean 'mlp'?", "sweep.yaml:8:11: unknown dataset 'tinny'; did you mean 'tiny'?",
                           "sweep.yaml:9:11: 'Two!' is not a name", "sweep.yaml:12:14: unknown parameter 'hiden'; did you mean 'hidden'?",
                           "sweep.yaml:13:23: unknown optimizer 'adm'", "sweep.yaml:14:12: 'batch'",
                           "sweep.yaml:19:9: unknown key 'learning_rate'; did you mean 'lr'?", "sweep.yaml:20:16: init_from: one is not there"}) {
    EXPECT_THAT(said, HasSubstr(part));
  }
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 9);
}

/// k-means does not say classes: scored by accuracy it would fail when it is first scored.
TEST_F(RunFileTest, AModelWithAMetricOfItsOwnIsScoredByNoOther) {
  const auto job = [&](const std::string& rest) {
    return "data:\n  tiny: {format: idx, train: [a.idx, b.idx], test: [a.idx, b.idx]}\njobs:\n  - {name: m, model: kmeans, data: tiny, " + rest + "}\n";
  };
  for (const char* wrong : {"target: {accuracy: 0.9}", "validation: {metric: accuracy}"})
    EXPECT_THAT(words(job(wrong)), HasSubstr("metric 'accuracy' is not for model 'kmeans', which is scored by 'inertia' only")) << wrong;
  for (const char* right : {"target: {inertia: 30}", "target: {validation_loss: 30}", "validation: {metric: inertia}"}) {
    const auto file = read(job(right));
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_EQ(file->jobs[0].spec.validation.metric, "") << right;
  }
  EXPECT_EQ(read(job("target: {inertia: 30}"))->jobs[0].spec.target->of, "inertia");
}

TEST_F(RunFileTest, KeysOfTheDesignSaySo) {
  EXPECT_THAT(words(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, replicas: 2}\n"), HasSubstr("'replicas' under job 'm' is part"));
}

TEST_F(RunFileTest, SchedulesBecomeTheOptimizersNumbers) {
  const auto numbers = [&](const std::string& schedule) {
    const auto got = read(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, optimizer: {name: adam, lr: 0.1, clip: 2, schedule: " + schedule + "}}\n");
    EXPECT_TRUE(got) << got.error().what;
    return got ? got->jobs.at(0).spec.optimizer.numbers : std::map<std::string, double>{};
  };
  using Numbers = std::map<std::string, double>;
  EXPECT_EQ(numbers("constant"), (Numbers{{"lr", 0.1}, {"clip", 2}}));
  EXPECT_EQ(numbers("cosine"), (Numbers{{"lr", 0.1}, {"clip", 2}, {"schedule.steps", 0}}));
  EXPECT_EQ(numbers("{kind: cosine, warmup: 200, steps: 1000, floor: 0.1}"),
            (Numbers{{"lr", 0.1}, {"clip", 2}, {"schedule.warmup", 200}, {"schedule.steps", 1000}, {"schedule.floor", 0.1}}));
  EXPECT_EQ(numbers("{kind: step, every: 50}"), (Numbers{{"lr", 0.1}, {"clip", 2}, {"schedule.every", 50}}));
}

TEST_F(RunFileTest, MistakesInASchedule) {
  const auto said = [&](const std::string& schedule) {
    return words(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, optimizer: {name: adam, schedule: " + schedule + "}}\n");
  };
  EXPECT_THAT(said("cosin"), HasSubstr("4:73: unknown schedule 'cosin'; did you mean 'cosine'?"));
  EXPECT_THAT(said("{warmup: 5}"), HasSubstr("'kind'"));
  EXPECT_THAT(said("{kind: cosine, every: 5}"), HasSubstr("unknown number of schedule 'cosine' 'every'"));
  EXPECT_THAT(said("{kind: step}"), HasSubstr("schedule 'step' needs 'every'"));
  EXPECT_THAT(said("{kind: cosine, warmup: soon}"), HasSubstr("'warmup' under schedule must be a number"));
  EXPECT_THAT(said("[cosine, step]"), testing::Not(testing::IsEmpty()));
}

TEST_F(RunFileTest, AMistakeInASweepIsSaidOnce) {
  const auto said =
      words(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, batch: -1, seed: [1, 2, 3]}\n  - {name: n, model: mlp, data: tiny, seed: []}\n");
  EXPECT_THAT(said, HasSubstr("'seed' is a sweep over no values"));
  EXPECT_THAT(said, HasSubstr("4:46: 'batch'"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(RunFileTest, SweepsAreBounded) {
  std::string axis = "[0";
  for (int i = 1; i < 100; ++i) axis += "," + std::to_string(i);
  axis += "]";
  const auto said =
      words(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, seed: " + axis + ", batch: " + axis + ", epochs: " + axis + ", weight: " + axis + "}\n");
  EXPECT_THAT(said, HasSubstr("the sweep makes more than 1000 jobs"));
}

TEST_F(RunFileTest, NamesAreDistinctAlsoAfterSweeps) {
  EXPECT_THAT(words(kData + "jobs:\n  - {name: m, model: mlp, data: tiny, seed: [1, 2]}\n  - {name: m-2, model: mlp, data: tiny}\n"),
              HasSubstr("two jobs are called 'm-2'"));
}

TEST_F(RunFileTest, MissingDataSaysWhichFileAndWhereToGetIt) {
  const std::string jobs = "jobs:\n  - {name: m, model: mlp, data: d}\n";
  const auto got = read("data:\n  d: {format: idx, train: [x.gz, y.gz], root: /nowhere/datasets/fashion-mnist}\n" + jobs);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Errc::kBadData);
  EXPECT_THAT(got.error().what, HasSubstr("there is no file /nowhere/datasets/fashion-mnist/x.gz (the Debian package dataset-fashion-mnist"));
  EXPECT_THAT(got.error().what, HasSubstr("sweep.yaml:2:28"));
  EXPECT_EQ(read("data:\n  d: {format: idx, train: [x.gz, y.gz], root: /nowhere}\n" + jobs + "more: 1\n").error().code, Errc::kBadConfig)
      << "a mistake of the file comes first";
  EXPECT_THAT(words("data:\n  d: {format: libsvm, train: wordnet/train.libsvm}\n" + jobs), HasSubstr("wordnet-base"));
  EXPECT_THAT(words("data:\n  d: {format: idx, train: rows.txt}\n" + jobs), HasSubstr("must be two files: [images, labels]"));
  EXPECT_THAT(words("data:\n  d: {format: cvs, train: rows.txt}\n" + jobs), HasSubstr("unknown format 'cvs'; did you mean 'csv'?"));
  EXPECT_EQ(words("data:\n  d: {format: libsvm, train: rows.txt}\n" + jobs), "");
}

/// What labels are is said by the dataset; a model that can't learn from them is refused before anything starts, once, at the model.
TEST_F(RunFileTest, LabelsAreClassesOrTargets) {
  const std::string file = "data:\n  d: {format: libsvm, train: rows.txt, labels: targets}\n  c: {format: libsvm, train: rows.txt}\n";
  const auto got = read(file + "jobs:\n  - {name: m, model: softmax, data: d}\n  - {name: n, model: mlp, data: c}\n");
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(got->jobs[0].spec.data.labels, proto::LabelKind::kTargets);
  EXPECT_EQ(got->jobs[1].spec.data.labels, proto::LabelKind::kClasses);
  EXPECT_EQ(words(file + "jobs:\n  - {name: m, model: mlp, data: d}\n"), "sweep.yaml:5:22: model 'mlp' needs classes (data: d)");
  EXPECT_THAT(words(file + "jobs:\n  - {name: m, model: mpl, data: d}\n"), Not(HasSubstr("needs classes")));
  EXPECT_THAT(words("data:\n  d: {format: libsvm, train: rows.txt, labels: target}\njobs: []\n"),
              HasSubstr("2:48: unknown 'labels' 'target'; did you mean 'targets'?"));
}

TEST_F(RunFileTest, CsvSaysHowItIsRead) {
  const std::string jobs = "jobs:\n  - {name: m, model: mlp, data: d}\n";
  const auto got =
      read("data:\n  d: {format: csv, train: rows.txt, label: price, separator: tab, header: yes, missing: mean, text: zip, skip: [id, 7]}\n" + jobs);
  ASSERT_TRUE(got) << got.error().what;
  const proto::CsvSpec& csv = got->jobs[0].spec.data.csv;
  EXPECT_EQ(csv, (proto::CsvSpec{"price", "\t", "yes", "mean", {"zip"}, {"id", "7"}}));
  const auto said = [&](const std::string& more) { return words("data:\n  d: {format: csv, train: rows.txt, " + more + "}\n" + jobs); };
  EXPECT_EQ(said("header: auto"), "");
  EXPECT_THAT(said("separator: ab"), HasSubstr("2:48: 'separator' must be one character (or tab), not 'ab'"));
  EXPECT_THAT(said("missing: meen"), HasSubstr("unknown 'missing' 'meen'; did you mean 'mean'?"));
  EXPECT_THAT(said("skip: [[1]]"), HasSubstr("'skip': a column's name or number is wanted here, not a list"));
  EXPECT_THAT(said("features: 7"), HasSubstr("'features' is for libsvm files"));
  EXPECT_THAT(said("lable: x"), HasSubstr("unknown key 'lable' under dataset 'd'; did you mean 'label'?"));
  EXPECT_THAT(words("data:\n  d: {format: libsvm, train: rows.txt, label: x}\n" + jobs),
              HasSubstr("2:47: 'label' is for csv files; this dataset is of format libsvm"));
}

TEST_F(RunFileTest, ValidationSaysWhichRowsAreHeldOut) {
  const auto job = [](const std::string& validation) { return "jobs:\n  - {name: m, model: mlp, data: d, validation: " + validation + "}\n"; };
  const std::string one = "data:\n  d: {format: libsvm, train: rows.txt}\n", both = "data:\n  d: {format: libsvm, train: rows.txt, test: rows.txt}\n";
  const auto data = [&](const std::string& validation) {
    const auto got = read(one + job(validation));
    EXPECT_TRUE(got) << got.error().what;
    return got ? got->jobs[0].spec.data : proto::DataSpec{};
  };
  EXPECT_EQ(data("{fraction: 0.2}").held_out, (proto::HeldOut{0.2, "random"}));
  EXPECT_EQ(data("{last: 0.1}").held_out, (proto::HeldOut{0.1, "last"}));
  EXPECT_THAT(data("{file: a.idx}").test, ElementsAre((folder_ / "a.idx").string()));
  EXPECT_EQ(data("{file: a.idx}").held_out.share, 0);
  EXPECT_THAT(words(one + job("{fraction: 0.95}")), HasSubstr("4:59: 'fraction' under validation must be at most 0.9"));
  EXPECT_THAT(words(one + job("{fraction: 0.1, last: 0.1}")), HasSubstr("'validation' needs one of fraction, last"));
  EXPECT_THAT(words(one + job("{}")), HasSubstr("'validation' needs one of fraction, last"));
  EXPECT_THAT(words(one + job("{fraktion: 0.1}")), HasSubstr("unknown key 'fraktion' under validation; did you mean 'fraction'?"));
  const auto scoring = [&](const std::string& validation) {
    const auto got = read(one + job(validation));
    EXPECT_TRUE(got) << got.error().what;
    return got ? got->jobs[0].spec.validation : proto::ValidationSpec{};
  };
  EXPECT_EQ(scoring("{fraction: 0.1, every: 1epoch}"), (proto::ValidationSpec{1, 0, ""}));
  EXPECT_EQ(scoring("{fraction: 0.1, every: 500steps, metric: top-5}"), (proto::ValidationSpec{0, 500, "top-5"}));
  EXPECT_THAT(words(one + job("{fraction: 0.1, every: 10s}")), HasSubstr("'every' under validation must be a number of epochs or steps with its unit"));
  EXPECT_THAT(words(one + job("{fraction: 0.1, every: 0epochs}")), HasSubstr("'every' under validation must be"));
  EXPECT_THAT(words(one + job("{fraction: 0.1, metric: acuracy}")), HasSubstr("unknown metric 'acuracy'; did you mean 'accuracy'?"));
  EXPECT_THAT(words(one + job("{fraction: 0.1, metric: mae}")), HasSubstr("metric 'mae' is for targets, and the data's labels are classes"));
  EXPECT_THAT(words(one + job("{file: none.txt}")), HasSubstr("there is no file none.txt"));
  EXPECT_THAT(words(one + job("0.1")), HasSubstr("must be a map"));
  EXPECT_THAT(words(both + job("{fraction: 0.1}")), HasSubstr("dataset 'd' has test files"));
  EXPECT_THAT(words("data:\n  d: {format: idx, train: [a.idx, b.idx]}\n" + job("{file: a.idx}")), HasSubstr("has parts of two files"));
}

TEST_F(RunFileTest, AnotherVersionSaysSoAndNothingElse) {
  const auto said = words("version: 2\nnew_things: [1]\n");
  EXPECT_THAT(said, HasSubstr("sweep.yaml:1:10: this run file is of version 2; this sluice reads version 1"));
  EXPECT_THAT(said, Not(HasSubstr("new_things")));
  EXPECT_EQ(words("version: 1\n" + kData + "jobs:\n  - {name: m, model: mlp, data: tiny}\n"), "");
}

TEST_F(RunFileTest, OverridesAreCheckedLikeTheFile) {
  const std::string text = kData + "jobs:\n  - {name: m, model: mlp, data: tiny, epochs: 9}\n";
  const auto got = read(text, {*parse_override("cluster.slots=3"), *parse_override("jobs.m.epochs=1"), *parse_override("jobs.*.optimizer.lr=[0.1, 0.2]")});
  ASSERT_TRUE(got) << got.error().what;
  EXPECT_EQ(got->cluster.slots, 3u);
  EXPECT_EQ(got->jobs.size(), 2u);
  EXPECT_EQ(got->jobs[1].spec.epochs, 1u);
  EXPECT_EQ(got->jobs[1].submit_after, Duration{}) << "at once, where the file says nothing";
  EXPECT_EQ(words(text, {*parse_override("jobs.m.submit_after=0s")}), "");
  EXPECT_THAT(words(text, {*parse_override("jobs.m.submit_after=5")}), HasSubstr("'submit_after' under job 'm' must be a length of time"));
  EXPECT_EQ(words(text, {*parse_override("jobs.m.epochs=no")}),
            "--set jobs.m.epochs=no: 'epochs' under job 'm' must be a whole number from 1 to 1000000, not 'no'");
  EXPECT_THAT(words(text, {*parse_override("jobs.n.epochs=2")}), HasSubstr("unknown name 'n'"));
  EXPECT_THAT(words(text, {*parse_override("policy.nam=fair")}), HasSubstr("--set policy.nam=fair: unknown key 'nam' under policy; did you mean 'name'?"));
  EXPECT_FALSE(parse_override("cluster.slots"));
}

TEST_F(RunFileTest, FilesThatCannotBeRead) {
  EXPECT_EQ(read_run_file((folder_ / "none.yaml").string(), {}, test_names()).error().code, Errc::kNotFound);
  EXPECT_EQ(read_run_file(folder_.string(), {}, test_names()).error().code, Errc::kBadConfig);
  EXPECT_THAT(words(""), HasSubstr("empty"));
  EXPECT_THAT(words("- 1\n"), HasSubstr("must be a map"));
}

/// Mangled run files are read or refused with words, never a crash.
TEST_F(RunFileTest, MangledFilesNeverCrash) {
  const std::string good = "cluster: {servers: 2, slots: 2}\npolicy: {name: slaq, round: 500ms}\n" + kData +
                           "jobs:\n  - name: m\n    model: mlp\n    data: tiny\n    params: {hidden: [[64], [256, 128]]}\n    optimizer: {name: adam, lr: "
                           "[0.1, 0.2]}\n    slots: {min: 0, max: 8}\n";
  SeededRng rng(11);
  const std::string bytes = "{}[]:,-#&*!|'\"% \n0129az~.<";
  int good_ones = 0;
  int refused = 0;
  for (int round = 0; round < 1500; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + rng.below(4); edits > 0; --edits) {
      const std::size_t at = rng.below(text.size());
      if (rng.below(2) == 0) {
        text[at] = bytes[rng.below(bytes.size())];
      } else {
        const std::size_t from = rng.below(text.size());
        text.insert(at, text.substr(from, rng.below(30)));
      }
    }
    const auto got = read(text);
    ++(got ? good_ones : refused);
    EXPECT_TRUE(got || !got.error().what.empty());
  }
  EXPECT_GT(good_ones, 20);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace sluice::cli
