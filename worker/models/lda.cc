#include "worker/models/lda.h"

#include <fmt/format.h>
#include <math.h>  // lgamma_r

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "base/assert.h"
#include "base/rng.h"
#include "worker/models/params.h"

namespace sluice::worker::models {
namespace {

enum LdaTable : std::size_t { kLdaPasses, kLdaTopics, kLdaCounts, kLdaTables };
constexpr double kStartNoise = 0.1;                              // rms
constexpr std::uint64_t kLdaFloatsMax = std::uint64_t{1} << 26;  // words × topics: pushed with each batch

struct LdaSpec {
  std::uint64_t words = 0;
  std::uint32_t topics = 20;
  double alpha = 0, eta = 0;
  std::uint32_t iterations = 100;
  double tolerance = 1e-3;
};

double log_gamma(double x) {
  int sign = 0;
  return lgamma_r(x, &sign);  // std::lgamma writes a global
}

/// λ − η of an entry: what the state says, never below 0, as counts are added up and taken away with rounding.
float count_of(float state, bool first) { return first ? 1 + 0.2F * state : state < 0 ? 0 : state; }

class Lda final : public Model {
 public:
  explicit Lda(const LdaSpec& spec) : spec_(spec) {}

  [[nodiscard]] std::vector<TableDecl> tables() const override {
    return {{.name = "progress", .rows = 1, .cols = 1, .init = {}, .use = TableUse::kState},
            {.name = "topics", .rows = spec_.words, .cols = spec_.topics, .init = {proto::InitKind::kUniform, 1}, .use = TableUse::kState},
            {.name = "counts", .rows = spec_.words, .cols = spec_.topics, .init = {}, .use = TableUse::kStatistics}};
  }
  void keys(const Batch&, std::vector<std::vector<Key>>&) const override {}
  [[nodiscard]] UpdateKind update_kind() const override { return UpdateKind::kStatistics; }
  [[nodiscard]] std::uint32_t phases(std::uint32_t epochs) const override { return epochs; }
  [[nodiscard]] bool predicts_labels() const override { return false; }
  [[nodiscard]] std::string metric() const override { return "log-perplexity"; }

  Losses update(std::span<const TableView> params, const Batch& batch, std::span<const TableUpdate> out) override {
    follow(params);
    const std::span<float> counts = out[kLdaCounts].values;
    std::fill(counts.begin(), counts.end(), 0.0F);
    Losses losses;
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      const double loss = document_loss(batch, i, Start::kDrawn);
      losses.loss_sum += loss;
      losses.loss_squares += loss * loss;
      for (std::size_t w = 0; w < words_.size(); ++w) {
        float* into = counts.data() + words_[w] * spec_.topics;
        const float* share = shares_.data() + w * spec_.topics;
        const float scale = times_[w] / norms_[w];
        for (std::uint32_t k = 0; k < spec_.topics; ++k) into[k] += scale * weights_[k] * share[k];
      }
    }
    return losses;
  }

  PhaseEnd finish_phase(std::span<const TableView> all, std::uint32_t, std::span<const TableUpdate> out) override {
    SLUICE_ASSERT(all.size() == kLdaTables && out.size() == kLdaTables);
    out[kLdaPasses].values[0] = 1;
    const auto counts = all[kLdaCounts].values, topics = all[kLdaTopics].values;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      out[kLdaTopics].values[i] = counts[i] - topics[i];
      out[kLdaCounts].values[i] = -counts[i];
    }
    return {};
  }

  /// The means of the document's topics.
  std::span<const float> outputs(std::span<const TableView> params, const Batch& batch) override {
    follow(params);
    outputs_.resize(std::size_t{batch.rows} * spec_.topics);
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      take(batch, i, 0, 1);
      infer(Start::kEqual);
      mean_topics(std::span(outputs_).subspan(std::size_t{i} * spec_.topics, spec_.topics));
    }
    return outputs_;
  }

  Scores evaluate(std::span<const TableView> params, const Batch& batch) override {
    follow(params);
    Scores scores{.examples = batch.rows};
    for (std::uint32_t i = 0; i < batch.rows; ++i) {
      scores.loss_sum += document_loss(batch, i, Start::kEqual);
      scores.metric_sum += completion(batch, i);
    }
    return scores;
  }

 private:
  /// Where a document's inference begins: at topics of the same weight; or, in training, at ones that a hash of the document and the pass has put a little
  /// apart. The bound has many optima in which topics share their words; from equal weights each pass comes back to the one it was in.
  enum class Start { kEqual, kDrawn };

  /// Makes expected_ (each word's exp(E[ln β]), as shares of the word's largest, whose logarithm is in scale_) and means' denominators out of the state, where
  /// it is another than before, bit for bit.
  void follow(std::span<const TableView> params) {
    const auto topics = params[kLdaTopics].values;
    const auto passes = static_cast<double>(params[kLdaPasses].values[0]);
    SLUICE_ASSERT(topics.size() == spec_.words * spec_.topics);
    if (!(passes >= 0 && passes < 1e9)) throw std::runtime_error(fmt::format("the state's number of passes is {}", passes));
    passes_ = static_cast<std::uint64_t>(passes);
    const bool first = passes == 0;
    if (!kept_.empty() && first == first_ && std::memcmp(kept_.data(), topics.data(), topics.size_bytes()) == 0) return;
    kept_.assign(topics.begin(), topics.end());
    first_ = first;
    const std::size_t k = spec_.topics;
    totals_.assign(k, spec_.eta * static_cast<double>(spec_.words));
    for (std::size_t i = 0; i < kept_.size(); ++i) totals_[i % k] += static_cast<double>(count_of(kept_[i], first));
    std::vector<double> of_total(k), of_word(k);
    for (std::size_t t = 0; t < k; ++t) of_total[t] = digamma(totals_[t]);
    expected_.resize(kept_.size()), scale_.resize(spec_.words);
    for (std::size_t w = 0; w < spec_.words; ++w) {
      for (std::size_t t = 0; t < k; ++t) of_word[t] = digamma(spec_.eta + static_cast<double>(count_of(kept_[w * k + t], first))) - of_total[t];
      scale_[w] = *std::max_element(of_word.begin(), of_word.end());
      for (std::size_t t = 0; t < k; ++t) expected_[w * k + t] = static_cast<float>(std::exp(of_word[t] - scale_[w]));
    }
  }

  /// Every `step`th entry of the document from the `from`th on. Throws std::runtime_error for a count below 0.
  void take(const Batch& batch, std::uint32_t i, std::uint64_t from, std::uint64_t step) {
    words_.clear(), times_.clear(), shares_.clear();
    length_ = 0;
    for (std::uint64_t e = batch.offsets[i] + from; e < batch.offsets[i + 1]; e += step) {
      if (batch.values[e] == 0) continue;
      if (!(batch.values[e] > 0))
        throw std::runtime_error(fmt::format("word {} occurs {} times: a document's values are counts, 0 or above", batch.indices[e], batch.values[e]));
      words_.push_back(batch.indices[e]);
      times_.push_back(batch.values[e]);
      length_ += static_cast<double>(batch.values[e]);
      const float* share = expected_.data() + std::size_t{batch.indices[e]} * spec_.topics;
      shares_.insert(shares_.end(), share, share + spec_.topics);
    }
  }

  void begin(Start start) {
    gamma_.assign(spec_.topics, spec_.alpha + length_ / static_cast<double>(spec_.topics));
    if (start == Start::kEqual) return;
    std::uint64_t document = mix64(passes_);
    for (std::size_t w = 0; w < words_.size(); ++w) document = mix64(document, std::uint64_t{words_[w]} << 32 | std::bit_cast<std::uint32_t>(times_[w]));
    const double width = kStartNoise * std::sqrt(12.0);
    for (std::size_t t = 0; t < gamma_.size(); ++t) gamma_[t] *= 1 + width * (unit_double(mix64(document, t)) - 0.5);
  }

  /// Algorithm 1's E step for the document taken: gamma_, and with it weights_ = exp(ψ(γ)) as shares of their largest, and norms_ of the words.
  void infer(Start start) {
    const std::size_t k = spec_.topics;
    begin(start);
    norms_.resize(words_.size());
    for (std::uint32_t round = 0;; ++round) {
      weigh();
      if (round == spec_.iterations) return;
      sums_.assign(k, 0);
      for (std::size_t w = 0; w < words_.size(); ++w) {
        const float* share = shares_.data() + w * k;
        const float scale = times_[w] / norms_[w];
        for (std::size_t t = 0; t < k; ++t) sums_[t] += scale * share[t];
      }
      double change = 0;
      for (std::size_t t = 0; t < k; ++t) {
        const double next = spec_.alpha + static_cast<double>(weights_[t]) * static_cast<double>(sums_[t]);
        change += std::abs(next - gamma_[t]);
        gamma_[t] = next;
      }
      if (change < spec_.tolerance * static_cast<double>(k)) return weigh();
    }
  }
  void weigh() {
    const std::size_t k = spec_.topics;
    logs_.resize(k), weights_.resize(k);
    for (std::size_t t = 0; t < k; ++t) logs_[t] = digamma(gamma_[t]);
    top_ = *std::max_element(logs_.begin(), logs_.end());
    for (std::size_t t = 0; t < k; ++t) weights_[t] = static_cast<float>(std::exp(logs_[t] - top_));
    for (std::size_t w = 0; w < words_.size(); ++w) {
      const float* share = shares_.data() + w * k;
      float norm = 0;
      for (std::size_t t = 0; t < k; ++t) norm += weights_[t] * share[t];
      norms_[w] = std::max(norm, std::numeric_limits<float>::min());  // a NaN passes: max(NaN, x) is NaN
    }
  }

  /// Minus the document's part of the bound, a word.
  double document_loss(const Batch& batch, std::uint32_t i, Start start) {
    take(batch, i, 0, 1);
    infer(start);
    if (words_.empty()) return 0;
    const auto k = static_cast<double>(spec_.topics);
    const double all = k * spec_.alpha + length_, of_all = digamma(all);
    double bound = log_gamma(k * spec_.alpha) - log_gamma(all);
    for (std::size_t w = 0; w < words_.size(); ++w)
      bound += static_cast<double>(times_[w]) * (std::log(static_cast<double>(norms_[w])) + scale_[words_[w]] + top_ - of_all);
    for (std::size_t t = 0; t < spec_.topics; ++t) bound += (spec_.alpha - gamma_[t]) * (logs_[t] - of_all) + log_gamma(gamma_[t]) - log_gamma(spec_.alpha);
    return -bound / length_;
  }

  void mean_topics(std::span<float> out) const {
    double all = 0;
    for (const double g : gamma_) all += g;
    for (std::size_t t = 0; t < out.size(); ++t) out[t] = static_cast<float>(gamma_[t] / all);
  }

  double completion(const Batch& batch, std::uint32_t i) {
    take(batch, i, 0, 2);
    infer(Start::kEqual);
    mean_.resize(spec_.topics);
    mean_topics(mean_);
    double sum = 0, length = 0;
    for (std::uint64_t e = batch.offsets[i] + 1; e < batch.offsets[i + 1]; e += 2) {
      double p = 0;
      for (std::size_t t = 0; t < spec_.topics; ++t) {
        const double count = static_cast<double>(count_of(kept_[std::size_t{batch.indices[e]} * spec_.topics + t], first_));
        p += static_cast<double>(mean_[t]) * (spec_.eta + count) / totals_[t];
      }
      sum -= static_cast<double>(batch.values[e]) * std::log(p);
      length += static_cast<double>(batch.values[e]);
    }
    return length > 0 ? sum / length : 0;
  }

  const LdaSpec spec_;
  // Of the state followed.
  std::vector<float> kept_, expected_;  // words × topics
  std::vector<double> scale_, totals_;  // of each word; of each topic: the sum of its λ
  bool first_ = false;
  std::uint64_t passes_ = 0;
  // Of the document taken. A word's shares are its row of expected_.
  std::vector<std::uint32_t> words_;
  std::vector<float> times_, shares_, norms_, weights_, sums_, mean_, outputs_;
  std::vector<double> gamma_, logs_;
  double length_ = 0, top_ = 0;
};

}  // namespace

double digamma(double x) {
  double shift = 0;
  for (; x < 6; x += 1) shift -= 1 / x;
  const double r = 1 / (x * x);
  return shift + std::log(x) - 0.5 / x - r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132 - r * (691.0 / 32760))))));
}

Result<std::unique_ptr<Model>> make_lda(const std::string& params, const DataShape& shape) {
  const auto read = Params::parse("lda", params, {"topics", "alpha", "eta", "iterations", "tolerance"});
  if (!read) return fail(read.error());
  const auto topics = read->whole("topics", 20, 1, 1024), iterations = read->whole("iterations", 100, 1, 1000);
  if (!topics) return fail(topics.error());
  if (!iterations) return fail(iterations.error());
  const auto alpha = read->number("alpha", 1.0 / *topics, 0.0009, 100), eta = read->number("eta", 1.0 / *topics, 0.0009, 100);
  const auto tolerance = read->number("tolerance", 1e-3, 0, 1);
  for (const auto* number : {&alpha, &eta, &tolerance}) {
    if (!*number) return fail(number->error());
  }
  if (!shape.sparse)
    return fail(Errc::kBadConfig, "model 'lda' needs sparse rows (format: libsvm), whose indices are words and whose values say how often; these are dense");
  if (shape.features == 0) return fail(Errc::kBadConfig, "model 'lda' needs data with at least one feature");
  if (shape.features > kLdaFloatsMax / *topics)
    return fail(Errc::kBadConfig,
                fmt::format("model 'lda': {} words × {} topics are more than {} floats, which each batch pushes; fewer topics, or fewer words", shape.features,
                            *topics, kLdaFloatsMax));
  return std::make_unique<Lda>(LdaSpec{shape.features, *topics, *alpha, *eta, *iterations, *tolerance});
}

}  // namespace sluice::worker::models
