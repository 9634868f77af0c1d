// Draws tokens: bias, penalties, mask, temperature, top-k, top-p, min-p, and one uniform number.
// `engine/sampling.py` says the same in NumPy.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#include "isa.hpp"
#include "pool.hpp"
#include "ponant.h"
#include "sampling_isa.hpp"

namespace ponant {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kLowest = std::numeric_limits<float>::lowest();  // everything not ruled out
constexpr int kNoToken = -1, kNotANumber = -2;

constexpr const SamplingSet* kSets[] = {
    &portable::kSampling,
#if defined(PN_X86)
    &avx2::kSampling,
    &avx512::kSampling,
    &avx512bf16::kSampling,
#endif
};

const SamplingSet& set() { return *kSets[static_cast<int>(isa())]; }

struct Candidate {
  float score;
  int32_t id;
  double mass;
};

bool likelier(const Candidate& a, const Candidate& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

bool earlier(const Candidate& a, const Candidate& b) { return a.id < b.id; }

// Memory of one thread, kept from call to call.
struct Scratch {
  std::vector<float> scores, peaks, sorted;
  std::vector<double> masses;
  std::vector<float> forbidden;
  std::vector<Candidate> kept;
};

// A row's scores and what is known of every block of them.
class Scores {
 public:
  Scores(const float* values, int count, Scratch& scratch)
      : values_(values), count_(count), scratch_(scratch) {
    scratch.peaks.resize(score_blocks(count));
    sane_ = set().peaks(values, count, scratch.peaks.data());
    top_ = *std::max_element(scratch.peaks.begin(), scratch.peaks.end());
  }

  bool sane() const { return sane_; }
  float top() const { return top_; }

  // The lowest id with the largest score.
  int32_t best() const {
    const auto block = std::find(scratch_.peaks.begin(), scratch_.peaks.end(), top_);
    const float* begin = values_ + (block - scratch_.peaks.begin()) * kScoreBlock;
    return static_cast<int32_t>(std::find(begin, values_ + count_, top_) - values_);
  }

  // Sum of exp((score - top) * factor); keeps those of the blocks.
  double mass(float factor) {
    scratch_.masses.resize(score_blocks(count_));
    return set().masses(values_, count_, top_, factor, scratch_.masses.data());
  }

  // Which id a share of the mass falls on, once `mass` was taken with the same factor.
  int32_t at_share(double share, float factor) const {
    double left = share;
    int block = 0, last = 0;
    for (int other = 0; other < score_blocks(count_); ++other)
      if (scratch_.masses[other] > 0) last = other;
    while (block < last && left >= scratch_.masses[block]) left -= scratch_.masses[block++];
    int32_t found = -1;
    const int start = block * kScoreBlock, stop = std::min(count_, start + kScoreBlock);
    for (int id = start; id < stop; ++id) {
      const float mass = decay((values_[id] - top_) * factor);
      if (mass <= 0) continue;
      found = id;
      left -= mass;
      if (left < 0) break;
    }
    return found;
  }

  // Fill `kept` with every score from a threshold on.
  void gather(float threshold, float factor) const {
    auto& kept = scratch_.kept;
    kept.clear();
    for (int block = 0; block < score_blocks(count_); ++block) {
      if (!(scratch_.peaks[block] >= threshold)) continue;
      const int start = block * kScoreBlock, stop = std::min(count_, start + kScoreBlock);
      for (int32_t id = start; id < stop; ++id)
        if (values_[id] >= threshold) kept.push_back({values_[id], id, 0});
    }
    for (Candidate& one : kept) one.mass = decay((one.score - top_) * factor);
  }

  // A threshold with at least `wanted` scores from it on, if there are: that many blocks reach it.
  float threshold(int wanted) const {
    if (wanted >= score_blocks(count_)) return kLowest;
    auto& sorted = scratch_.sorted;
    sorted = scratch_.peaks;
    std::nth_element(sorted.begin(), sorted.begin() + wanted - 1, sorted.end(),
                     std::greater<float>());
    return std::max(sorted[wanted - 1], kLowest);
  }

  // Fill `kept` with the `wanted` largest scores, ties to the lowest ids, in no order.
  void gather_largest(int wanted, float factor) const {
    auto& kept = scratch_.kept;
    gather(threshold(wanted), factor);
    if (wanted >= static_cast<int>(kept.size())) return;
    std::nth_element(kept.begin(), kept.begin() + wanted, kept.end(), likelier);
    kept.resize(wanted);
  }

 private:
  const float* values_;
  int count_;
  Scratch& scratch_;
  bool sane_;
  float top_;
};

double mass_of(const std::vector<Candidate>& kept) {
  double total = 0;
  for (const Candidate& one : kept) total += one.mass;
  return total;
}

// Leave the likeliest candidates whose predecessors hold less than `mass`: halves, so that no more
// is sorted than is needed.
void cut(std::vector<Candidate>& kept, double mass) {
  auto low = kept.begin(), high = kept.end();
  double before = 0;
  while (high - low > 32) {
    const auto middle = low + (high - low) / 2;
    std::nth_element(low, middle, high, likelier);
    double half = 0;
    for (auto one = low; one != middle; ++one) half += one->mass;
    if (before + half < mass) {
      before += half;
      low = middle;
    } else {
      high = middle;
    }
  }
  std::sort(low, high, likelier);
  while (low != high && before < mass) before += (low++)->mass;
  kept.erase(std::max(low, kept.begin() + 1), kept.end());
}

// Where a uniform number falls among candidates in the order of their ids.
int32_t pick(std::vector<Candidate>& kept, double uniform) {
  std::sort(kept.begin(), kept.end(), earlier);
  double left = uniform * mass_of(kept);
  int32_t found = kNoToken;
  for (const Candidate& one : kept) {
    if (one.mass <= 0) continue;
    found = one.id;
    left -= one.mass;
    if (left < 0) break;
  }
  return found;
}

// Fill `kept` with a superset of what top-p leaves, and say how much mass the cut is at.
double gather_nucleus(Scores& scores, float top_p, float factor, int count, Scratch& scratch) {
  const double mass = top_p * scores.mass(factor);
  for (const int wanted : {32, 256, count}) {
    scores.gather(scores.threshold(std::min(wanted, count)), factor);
    if (mass_of(scratch.kept) >= mass) break;
  }
  return mass;
}

int32_t sample(const pn_draw& draw, Scores& scores, int count, Scratch& scratch) {
  const float factor = 1.0f / draw.temperature;
  const int top_k = draw.top_k > 0 && draw.top_k < count ? draw.top_k : 0;
  auto& kept = scratch.kept;
  if (top_k) {
    scores.gather_largest(top_k, factor);
    std::sort(kept.begin(), kept.end(), earlier);  // sums must not hang on the selection's order
    if (draw.top_p < 1) cut(kept, draw.top_p * mass_of(kept));
  } else if (draw.top_p < 1) {
    const double mass = gather_nucleus(scores, draw.top_p, factor, count, scratch);
    cut(kept, mass);
  } else if (draw.min_p > 0) {
    scores.gather(scores.top() + draw.temperature * (std::log(draw.min_p) - 1e-3f), factor);
  } else {
    return scores.at_share(draw.uniform * scores.mass(factor), factor);
  }
  if (draw.min_p > 0)
    kept.erase(std::remove_if(kept.begin(), kept.end(),
                              [&](const Candidate& one) { return one.mass < draw.min_p; }),
               kept.end());
  return pick(kept, draw.uniform);
}

void adjust(const pn_draw& draw, float* scores) {
  for (int at = 0; at < draw.biased_count; ++at) scores[draw.biased[at]] += draw.bias[at];
  for (int at = 0; at < draw.seen_count; ++at) {
    float& score = scores[draw.seen[at]];
    const float count = draw.counts[at];
    const float presence = count > 0 ? draw.presence : 0.0f;
    const float scaled = score > 0 ? score / draw.repetition : score * draw.repetition;
    score = scaled - (presence + draw.frequency * count);
  }
}

// Rule out stop tokens that come too early; false, and no change, where nothing else is left.
bool forbid(const pn_draw& draw, float* scores, int count, Scratch& scratch) {
  auto& saved = scratch.forbidden;
  saved.clear();
  for (int at = 0; at < draw.forbidden_count; ++at) {
    saved.push_back(scores[draw.forbidden[at]]);
    scores[draw.forbidden[at]] = -kInfinity;
  }
  if (std::any_of(scores, scores + count, [](float score) { return score > -kInfinity; }))
    return true;
  for (int at = draw.forbidden_count; at-- > 0;) scores[draw.forbidden[at]] = saved[at];
  return false;
}

int32_t choose(const pn_draw& draw, const float* logits, int count, Scratch& scratch) {
  const bool changed =
      draw.mask || draw.biased_count || draw.seen_count || draw.forbidden_count;
  if (changed) {
    scratch.scores.assign(logits, logits + count);
    float* scores = scratch.scores.data();
    adjust(draw, scores);
    if (draw.mask) set().rule_out(draw.mask, draw.mask_words, scores, count);
    if (draw.forbidden_count) forbid(draw, scores, count, scratch);
    logits = scores;
  }
  Scores scores(logits, count, scratch);
  if (!scores.sane()) return kNotANumber;
  if (scores.top() == -kInfinity) return kNoToken;
  return draw.temperature > 0 ? sample(draw, scores, count, scratch) : scores.best();
}

// Log-probabilities of the drawn token and of the likeliest, under the unmodified distribution.
void score(pn_draw& draw, const float* logits, int count, Scratch& scratch) {
  Scores scores(logits, count, scratch);
  if (!scores.sane()) {
    draw.token = kNotANumber;
    return;
  }
  const double total = scores.top() + std::log(scores.mass(1.0f));
  draw.logprob = static_cast<float>(logits[draw.token] - total);
  if (draw.alternatives <= 0) return;
  auto& kept = scratch.kept;
  scores.gather_largest(std::min(draw.alternatives, count), 1.0f);
  std::sort(kept.begin(), kept.end(), likelier);
  for (size_t at = 0; at < kept.size() && at < static_cast<size_t>(draw.alternatives); ++at) {
    draw.top_tokens[at] = kept[at].id;
    draw.top_logprobs[at] = static_cast<float>(kept[at].score - total);
  }
}

void run(pn_draw& draw, const float* logits, int count) {
  thread_local Scratch scratch;
  draw.token = draw.given >= 0 ? draw.given : choose(draw, logits, count, scratch);
  if (draw.token >= 0 && draw.alternatives >= 0) score(draw, logits, count, scratch);
}

}  // namespace
}  // namespace ponant

extern "C" int pn_sample(pn_pool* pool, const float* logits, int vocabulary, pn_draw* draws,
                         int count) {
  std::atomic<bool> failed{false};
  const auto draw = [&](int row, int) {
    try {
      ponant::run(draws[row], logits + static_cast<size_t>(row) * vocabulary, vocabulary);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
  };
  reinterpret_cast<ponant::Pool*>(pool)->run(count, draw);
  return failed ? -1 : 0;
}
