#pragma once
/// Latent Dirichlet allocation (Blei, Ng, Jordan, JMLR 2003) by batch variational Bayes: Hoffman, Blei, Bach, Online Learning for Latent Dirichlet Allocation
/// (NIPS 2010), section 2.1 and algorithm 1. Rows are documents, sparse: index = word, value = how often; labels are not looked at. A pass is an iteration:
/// batches infer their documents' topics from the state and push the expected counts of (word, topic), the end of a phase makes new topics of their sums, λ = η
/// + counts.
///
/// Tables. State: progress (1 × 1: passes ended), topics (words × k: the counts; before the first pass ends, what the job's seed has drawn, for λ = 1 ± 0.2).
/// Statistics: counts (words × k).
///
/// A document's inference begins at equal topics; in training at ones that differ by a tenth (rms), drawn from the document's words and the pass, so that the
/// same batch at the same state gives the same. Without that, topics that share their words do not come apart.
///
/// The loss of a document is minus its part of the variational bound (eq. 4 without the topics' own terms), a word, in nats; 0 for a document without words.
/// Metric "log-perplexity", of held-out documents: the topics are inferred from every other entry of the document, and the metric is minus the mean logarithm
/// of the probability of the words of the other entries, under the means of the document's topics and of the topics' words (document completion; 0 where there
/// are none to predict). Both are means over documents, not over words.

#include <memory>
#include <string>

#include "worker/model.h"

namespace sluice::worker::models {

/// params: {"topics": 1 … 1024 (20), "alpha": 0.001 … 100 (1 / topics), "eta": 0.001 … 100 (1 / topics), "iterations": 1 … 1000 (100; most, in a document),
/// "tolerance": 0 … 1 (0.001: a document's inference ends where its topics' mean change is below)}.
[[nodiscard]] Result<std::unique_ptr<Model>> make_lda(const std::string& params, const DataShape& shape);

/// ψ, the derivative of ln Γ, for x > 0; absolute error < 1e-10 (recurrence to x ≥ 6, then Abramowitz and Stegun 6.3.18).
[[nodiscard]] double digamma(double x);

}  // namespace sluice::worker::models
