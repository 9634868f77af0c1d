// Looks over a head by the upper four bits of its codes, which is half the memory.
//
// A code is 16 * high + low. With 7.5 in place of every low part, a block's term is off by at most
// 7.5 * |scale| * the sum of its |inputs|. Blocks whose inputs are large make most of that, so that
// their low parts are read, too: what is left is a bound that holds always, and is near enough.
#include "linear_isa.hpp"
#include "simd.hpp"

#include <cmath>
#include <limits>

namespace ponant {
namespace PN_ISA {
namespace {

constexpr float kLowMiddle = 7.5f;
constexpr float kMiddle = 128.0f - kLowMiddle;
constexpr float kSmallest = 1e-30f;  // more than what is lost where products are too small for a float

#if PN_LEVEL >= 2
// Products with the upper or the lower halves of codes. Those in a byte's upper half stay where they
// are: their products are sixteen times as large.
Vec half_products(const uint8_t* codes, const int8_t* row) {
  const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(-16);
  __m512i even = _mm512_setzero_si512(), odd = even;
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    int32_t first, second;
    std::memcpy(&first, row + 8 * c, 4);
    std::memcpy(&second, row + 8 * c + 4, 4);
    const __m512i both = _mm512_loadu_si512(codes + c * 64);
    even = _mm512_dpbusd_epi32(even, _mm512_and_si512(both, low), _mm512_set1_epi32(first));
    odd = _mm512_dpbusd_epi32(odd, _mm512_and_si512(both, high), _mm512_set1_epi32(second));
  }
  return {_mm512_cvtepi32_ps(_mm512_add_epi32(even, _mm512_srai_epi32(odd, 4)))};
}
#else
Vec half_products(const uint8_t* codes, const int8_t* row) {
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

constexpr int kAhead[] = {16, 32, 48, 64, 96};  // blocks; see linear_row.isa.cpp
constexpr int kTimes = sizeof(kAhead) / sizeof(*kAhead);

// Asks for the upper bits and scales of blocks that come, in the order in which they are read.
class Ahead {
 public:
  void start(const uint8_t* panels, const PanelLayout& layout, int blocks, int ahead) {
    const size_t panel = ahead / blocks, block = ahead % blocks;
    codes_ = panels + panel * layout.size + block * kLowBytes;
    scales_ = panels + panel * layout.size + layout.scales + block * kScaleBytes;
    blocks_ = blocks;
    left_ = blocks - static_cast<int>(block);
    size_ = layout.size;
  }

  void fetch() {
    for (int line = 0; line < kLowBytes; line += 64) __builtin_prefetch(codes_ + line);
    __builtin_prefetch(scales_);
    asm volatile("");  // without an effect that GCC knows, it leaves this out
    codes_ += kLowBytes;
    scales_ += kScaleBytes;
    if (--left_) return;
    codes_ += size_ - static_cast<size_t>(blocks_) * kLowBytes;
    scales_ += size_ - static_cast<size_t>(blocks_) * kScaleBytes;
    left_ = blocks_;
  }

 private:
  const uint8_t *codes_, *scales_;
  int blocks_, left_;
  size_t size_;
};

float upper_of(const Screening& task, int panel, Ahead (&ahead)[kTimes]) {
  const PanelLayout layout = panel_layout(PN_I8P, task.matrix->inputs);
  const int blocks = block_count(task.matrix->inputs);
  const uint8_t* high = static_cast<const uint8_t*>(task.matrix->data) + panel * layout.size;
  const uint8_t* low = high + static_cast<size_t>(blocks) * kLowBytes;
  const uint8_t* scales = high + layout.scales;
  for (int i = 0; i < task.whole_count; ++i)
    for (int line = 0; line < kLowBytes; line += 64)
      __builtin_prefetch(low + static_cast<size_t>(task.whole[i]) * kLowBytes + line);
  Vec value = Vec::zero(), reach = Vec::set(kSmallest);
  for (int block = 0; block < blocks; ++block) {
    for (Ahead& place : ahead) place.fetch();
    const RowBlock& row = task.row[block];
    const Vec scale = Vec::from_half(scales + block * kScaleBytes);
    const Vec products = half_products(high + static_cast<size_t>(block) * kLowBytes, row.codes);
    value = fma(products, Vec::set(16.0f * row.scale) * scale, value);
    value = fma(scale, Vec::set(kMiddle * row.minus_sum), value);
    reach = fma(absolute(scale), Vec::set(task.reaches[block]), reach);
  }
  for (int i = 0; i < task.whole_count; ++i) {
    const int block = task.whole[i];
    const RowBlock& row = task.row[block];
    const Vec scale = Vec::from_half(scales + block * kScaleBytes);
    const Vec products = half_products(low + static_cast<size_t>(block) * kLowBytes, row.codes);
    value = fma(products, Vec::set(row.scale) * scale, value);
    value = fma(scale, Vec::set(kLowMiddle * row.minus_sum), value);
  }
  float uppers[kLanes];
  (value + reach).store(uppers);
  const int outputs = task.matrix->outputs - panel * kLanes;
  float most = -std::numeric_limits<float>::infinity();
  for (int lane = 0; lane < kLanes && lane < outputs; ++lane) {
    if (std::isnan(uppers[lane])) return std::numeric_limits<float>::infinity();
    if (uppers[lane] > most) most = uppers[lane];
  }
  return most;
}

}  // namespace

void screen(const Screening& task) {
  const PanelLayout layout = panel_layout(PN_I8P, task.matrix->inputs);
  const auto* data = static_cast<const uint8_t*>(task.matrix->data) + task.panel_begin * layout.size;
  Ahead ahead[kTimes];
  for (int i = 0; i < kTimes; ++i)
    ahead[i].start(data, layout, block_count(task.matrix->inputs), kAhead[i]);
  for (int panel = task.panel_begin; panel < task.panel_end; ++panel)
    task.uppers[panel] = upper_of(task, panel, ahead);
}

}  // namespace PN_ISA
}  // namespace ponant
