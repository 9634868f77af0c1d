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

// The last token that is kept, likelier ones before it; ties go to the lowest id.
struct Last {
  float score;
  int32_t id;

  bool keeps(float other, int32_t other_id) const {
    return other > score || (other == score && other_id <= id);
  }
};

constexpr Last kAll{-kInfinity, std::numeric_limits<int32_t>::max()};

bool likelier(const Last& a, const Last& b) {
  return a.score != b.score ? a.score > b.score : a.id < b.id;
}

// Some tokens in the order of their ids, with their scores and what these weigh.
class Candidates {
 public:
  // Room for so many; what was there is gone.
  void clear(int most) {
    scores_.resize(most);
    ids_.resize(most);
    size_ = 0;
  }

  // Take those of a run of ids whose score reaches a threshold.
  void gather(const float* scores, int32_t start, int32_t stop, float threshold) {
    for (int32_t id = start; id < stop; ++id) {  // without a branch: which ones do is no pattern
      scores_[size_] = scores[id];
      ids_[size_] = id;
      size_ += scores[id] >= threshold;
    }
  }

  void weigh(float top, float factor) {
    masses_.resize(size_);
    top_ = top;
    set().weigh(scores_.data(), size_, top, factor, masses_.data());
  }

  int size() const { return size_; }

  double mass(Last last) const {
    double total = 0;
    for (int at = 0; at < size_; ++at)
      if (last.keeps(scores_[at], ids_[at])) total += masses_[at];
    return total;
  }

  // The last of the `wanted` likeliest.
  Last largest(int wanted) {
    if (wanted >= size_) return kAll;
    sorted_.clear();
    for (int at = 0; at < size_; ++at) sorted_.push_back({scores_[at], ids_[at]});
    std::nth_element(sorted_.begin(), sorted_.begin() + wanted - 1, sorted_.end(), likelier);
    return sorted_[wanted - 1];
  }

  // The last whose predecessors weigh less than `mass`. Buckets by the distance from the top narrow
  // it down to a few, which are sorted.
  Last nucleus(double mass) {
    buckets_.assign(kBuckets, 0);
    for (int at = 0; at < size_; ++at) buckets_[bucket(scores_[at])] += masses_[at];
    double before = 0;
    int edge = 0;
    while (edge + 1 < kBuckets && before + buckets_[edge] < mass) before += buckets_[edge++];
    return last_of(edge, before, mass);
  }

  // Where a uniform number falls among those that are kept and weigh no less than `least`.
  int32_t pick(Last last, double least, double uniform) const {
    double total = 0;
    for (int at = 0; at < size_; ++at)
      if (takes(at, last, least)) total += masses_[at];
    double left = uniform * total;
    int32_t found = kNoToken;
    for (int at = 0; at < size_ && (found == kNoToken || left >= 0); ++at) {
      if (!takes(at, last, least)) continue;
      found = ids_[at];
      left -= masses_[at];
    }
    return found;
  }

  // Those that are kept, the likeliest first.
  const std::vector<Last>& sorted(Last last) {
    sorted_.clear();
    for (int at = 0; at < size_; ++at)
      if (last.keeps(scores_[at], ids_[at])) sorted_.push_back({scores_[at], ids_[at]});
    std::sort(sorted_.begin(), sorted_.end(), likelier);
    return sorted_;
  }

 private:
  static constexpr int kShift = 18;  // 32 buckets for each power of two of the distance
  static constexpr int kBuckets = 1 << (31 - kShift);

  int bucket(float score) const {
    return static_cast<int>(__builtin_bit_cast(uint32_t, top_ - score + 0.0f) >> kShift);
  }

  bool takes(int at, Last last, double least) const {
    return masses_[at] > 0 && masses_[at] >= least && last.keeps(scores_[at], ids_[at]);
  }

  // The last that is kept in the bucket where the mass is reached, `before` of it likelier.
  Last last_of(int edge, double before, double mass) {
    heavy_.clear();
    for (int at = 0; at < size_; ++at)
      if (bucket(scores_[at]) == edge) heavy_.push_back({{scores_[at], ids_[at]}, masses_[at]});
    std::sort(heavy_.begin(), heavy_.end(),
              [](const Heavy& a, const Heavy& b) { return likelier(a.token, b.token); });
    Last last = kAll;
    for (const Heavy& one : heavy_) {
      if (before >= mass) break;
      last = one.token;
      before += one.mass;
    }
    return last;
  }

  struct Heavy {
    Last token;
    float mass;
  };

  std::vector<float> scores_, masses_;
  std::vector<int32_t> ids_;
  std::vector<Last> sorted_;
  std::vector<Heavy> heavy_;
  std::vector<double> buckets_;
  int size_ = 0;
  float top_ = 0;
};

// Memory of one thread, kept from call to call.
struct Scratch {
  std::vector<float> scores, peaks, sorted, forbidden;
  std::vector<double> masses;
  Candidates candidates;
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
    int32_t found = kNoToken;
    const int start = block * kScoreBlock, stop = std::min(count_, start + kScoreBlock);
    for (int id = start; id < stop && (found == kNoToken || left >= 0); ++id) {
      const float mass = decay((values_[id] - top_) * factor);
      if (mass <= 0) continue;
      found = id;
      left -= mass;
    }
    return found;
  }

  // Every token whose score reaches a threshold.
  Candidates& gather(float threshold, float factor) const {
    Candidates& found = scratch_.candidates;
    found.clear(count_ + 1);  // one past the last is written, too
    for (int block = 0; block < score_blocks(count_); ++block) {
      if (!(scratch_.peaks[block] >= threshold)) continue;
      const int start = block * kScoreBlock;
      found.gather(values_, start, std::min(count_, start + kScoreBlock), threshold);
    }
    found.weigh(top_, factor);
    return found;
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

  // At least those that top-p leaves of a total mass.
  Candidates& gather_nucleus(double top_p, double total, float factor) const {
    Candidates& few = gather(threshold(kFewBlocks), factor);
    if (few.mass(kAll) >= top_p * total) return few;
    // All tokens lighter than this weigh less than what top-p leaves out.
    const double lightest = (1 - top_p) * total / count_ * 0.999;
    return gather(std::max(top_ + static_cast<float>(std::log(lightest)) / factor, kLowest), factor);
  }

 private:
  static constexpr int kFewBlocks = 32;

  const float* values_;
  int count_;
  Scratch& scratch_;
  bool sane_;
  float top_;
};

int32_t sample(const pn_draw& draw, Scores& scores, int count) {
  const float factor = 1.0f / draw.temperature;
  if (draw.top_k > 0 && draw.top_k < count) {
    Candidates& likely = scores.gather(scores.threshold(draw.top_k), factor);
    Last last = likely.largest(draw.top_k);
    if (draw.top_p < 1) last = likely.nucleus(draw.top_p * likely.mass(last));
    return likely.pick(last, draw.min_p, draw.uniform);
  }
  if (draw.top_p < 1) {
    const double total = scores.mass(factor);
    Candidates& likely = scores.gather_nucleus(draw.top_p, total, factor);
    return likely.pick(likely.nucleus(draw.top_p * total), draw.min_p, draw.uniform);
  }
  if (draw.min_p > 0) {
    const float least = draw.temperature * (std::log(draw.min_p) - 1e-3f);
    return scores.gather(scores.top() + least, factor).pick(kAll, draw.min_p, draw.uniform);
  }
  return scores.at_share(draw.uniform * scores.mass(factor), factor);
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
  return draw.temperature > 0 ? sample(draw, scores, count) : scores.best();
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
  const int wanted = std::min(draw.alternatives, count);
  Candidates& likely = scores.gather(scores.threshold(wanted), 1.0f);
  int place = 0;
  for (const Last& one : likely.sorted(likely.largest(wanted))) {
    draw.top_tokens[place] = one.id;
    draw.top_logprobs[place++] = static_cast<float>(one.score - total);
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
