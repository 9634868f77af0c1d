// Looks over a head by the upper four bits of its codes, which is half the memory.
//
// A code is 16 * high + low. With 7.5 in place of every low part, the rest is a sum of terms of at
// most 7.5 * scale * |input|; were they independent, it would exceed `deviations` times the root of
// their squares with a probability under exp(-deviations^2 / 2) (Hoeffding, 1963).
#include "linear_isa.hpp"
#include "simd.hpp"

#include <cmath>
#include <limits>

namespace ponant {
namespace PN_ISA {
namespace {

constexpr float kMiddle = 120.5f;  // the codes' offset less the middle of the lower four bits

#if PN_LEVEL >= 2
Vec upper_products(const uint8_t* codes, const int8_t* row) {
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i sums = _mm512_setzero_si512();
  for (int c = 0; c < 4; ++c) {
    int32_t first, second;
    std::memcpy(&first, row + 8 * c, 4);
    std::memcpy(&second, row + 8 * c + 4, 4);
    const __m512i both = _mm512_loadu_si512(codes + c * 64);
    const __m512i next = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
    sums = _mm512_dpbusd_epi32(sums, _mm512_and_si512(both, mask), _mm512_set1_epi32(first));
    sums = _mm512_dpbusd_epi32(sums, next, _mm512_set1_epi32(second));
  }
  return {_mm512_cvtepi32_ps(sums)};
}
#else
Vec upper_products(const uint8_t* codes, const int8_t* row) {
  float sums[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) {
    int sum = 0;
    for (int input = 0; input < kBlock; ++input) {
      const uint8_t both = codes[input / 8 * 64 + lane * 4 + input % 4];
      sum += (both >> (input % 8 / 4 * 4) & 15) * row[input];
    }
    sums[lane] = static_cast<float>(sum);
  }
  return Vec::load(sums);
}
#endif

float upper_of(const Screening& task, int panel) {
  const PanelLayout layout = panel_layout(PN_I8P, task.matrix->inputs);
  const int blocks = block_count(task.matrix->inputs);
  const uint8_t* codes = static_cast<const uint8_t*>(task.matrix->data) + panel * layout.size;
  const RowBlock* row = task.rows->integers + static_cast<size_t>(task.row) * blocks;
  const float* energies = task.energies + static_cast<size_t>(task.row) * blocks;
  Vec value = Vec::zero(), spread = Vec::zero();
  for (int block = 0; block < blocks; ++block) {
    const Vec scale = Vec::from_half(codes + layout.scales + block * kScaleBytes);
    const Vec products = upper_products(codes + static_cast<size_t>(block) * kLowBytes,
                                        row[block].codes);
    value = fma(products, Vec::set(16.0f * row[block].scale) * scale, value);
    value = fma(scale, Vec::set(kMiddle * row[block].minus_sum), value);
    spread = fma(scale * scale, Vec::set(energies[block]), spread);
  }
  float values[kLanes], spreads[kLanes];
  value.store(values);
  spread.store(spreads);
  const int outputs = task.matrix->outputs - panel * kLanes;
  float most = -std::numeric_limits<float>::infinity();
  for (int lane = 0; lane < kLanes && lane < outputs; ++lane) {
    const float upper = values[lane] + std::sqrt(spreads[lane]);
    if (!(upper <= most)) most = upper;  // what is not a number is never passed over
  }
  return most;
}

}  // namespace

void screen(const Screening& task) {
  for (int panel = task.panel_begin; panel < task.panel_end; ++panel)
    task.uppers[panel] = upper_of(task, panel);
}

}  // namespace PN_ISA
}  // namespace ponant
