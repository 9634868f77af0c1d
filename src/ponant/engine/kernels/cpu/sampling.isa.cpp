// Passes over all scores of a row. Plain loops over sixteen lanes, which the compiler turns into
// vectors of the set at hand.
#include "sampling_isa.hpp"

#include <cmath>
#include <limits>

namespace ponant {
namespace PN_ISA {
namespace {

constexpr int kLanes = 16;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Largest of a block; `sane` loses its value where a score is infinite upwards or no number.
float peak_of(const float* scores, int count, bool& sane) {
  float largest[kLanes];
  int32_t finite[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) largest[lane] = -kInfinity, finite[lane] = 1;
  int at = 0;
  for (; at + kLanes <= count; at += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float score = scores[at + lane];
      largest[lane] = score > largest[lane] ? score : largest[lane];
      finite[lane] &= score < kInfinity;
    }
  float top = -kInfinity;
  for (int lane = 0; lane < kLanes; ++lane) {
    top = largest[lane] > top ? largest[lane] : top;
    sane &= finite[lane] != 0;
  }
  for (; at < count; ++at) {
    top = scores[at] > top ? scores[at] : top;
    sane &= scores[at] < kInfinity;
  }
  return top;
}

double mass_of(const float* scores, int count, float top, float factor) {
  float sums[kLanes] = {};
  int at = 0;
  for (; at + kLanes <= count; at += kLanes)
    for (int lane = 0; lane < kLanes; ++lane)
      sums[lane] += decay((scores[at + lane] - top) * factor);
  double mass = 0;
  for (int lane = 0; lane < kLanes; ++lane) mass += sums[lane];
  for (; at < count; ++at) mass += decay((scores[at] - top) * factor);
  return mass;
}

bool peaks(const float* scores, int count, float* peaks) {
  bool sane = true;
  for (int block = 0; block < score_blocks(count); ++block) {
    const int start = block * kScoreBlock;
    const int size = count - start < kScoreBlock ? count - start : kScoreBlock;
    peaks[block] = peak_of(scores + start, size, sane);
  }
  return sane;
}

double masses(const float* scores, int count, float top, float factor, double* masses) {
  double total = 0;
  for (int block = 0; block < score_blocks(count); ++block) {
    const int start = block * kScoreBlock;
    const int size = count - start < kScoreBlock ? count - start : kScoreBlock;
    masses[block] = mass_of(scores + start, size, top, factor);
    total += masses[block];
  }
  return total;
}

void weigh(const float* scores, int count, float top, float factor, float* masses) {
  for (int at = 0; at < count; ++at) masses[at] = decay((scores[at] - top) * factor);
}

void rule_out(const uint32_t* mask, int words, float* scores, int count) {
  const int whole = count / 32 < words ? count / 32 : words;
  for (int word = 0; word < whole; ++word) {
    const uint32_t bits = mask[word];
    float* some = scores + word * 32;
    if (bits == 0xFFFFFFFFu) continue;
    for (int bit = 0; bit < 32; ++bit)
      some[bit] = bits & (uint32_t{1} << bit) ? some[bit] : -kInfinity;
  }
  for (int at = whole * 32; at < count; ++at) {
    const bool allowed = at / 32 < words && (mask[at / 32] >> (at % 32) & 1);
    if (!allowed) scores[at] = -kInfinity;
  }
}

}  // namespace

extern const SamplingSet kSampling{peaks, masses, weigh, rule_out};

}  // namespace PN_ISA
}  // namespace ponant
