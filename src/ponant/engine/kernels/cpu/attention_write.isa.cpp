// Writes keys and values to their slots in a page.
//
// What another sequence left in a page must not count, even where it is not a number: a weight of 0
// times NaN is NaN. Hence the zeros behind the first values of a page; keys need none, since scores
// behind a row are not looked at.
#include "attention_forms.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

constexpr int kMostValues = 256;  // rounded at a time

void round_to_bf16(const float* x, int count, uint16_t* out) {
  for (int i = 0; i < count; ++i) out[i] = float_to_bf16(x[i]);
}

// [head size / 2][token][2]: a pair of a token's values is one word of 32 bits.
void write_bf16_key(const float* key, int size, int slot, uint32_t* page) {
  alignas(64) uint16_t rounded[kMostValues];
  for (int i = 0; i < size; i += kMostValues) {
    const int count = size - i < kMostValues ? size - i : kMostValues;
    round_to_bf16(key + i, count, rounded);
    uint32_t* out = page + i / 2 * kPageTokens + slot;
    for (int pair = 0; pair < count / 2; ++pair, out += kPageTokens)
      std::memcpy(out, rounded + 2 * pair, sizeof *out);
  }
}

// [token / 2][head size][2]: a value shares its word with that of the token beside it.
void write_bf16_value(const float* value, int size, int slot, uint32_t* page) {
  uint32_t* const out = page + slot / 2 * size;
  const int shift = slot % 2 * 16;
  const uint32_t other = 0xffff0000u >> shift;
  for (int i = 0; i < size; ++i)
    out[i] = (out[i] & other) | static_cast<uint32_t>(float_to_bf16(value[i])) << shift;
}

// [head size][token].
void write_float_key(const float* key, int size, int slot, float* page) {
  for (int i = 0; i < size; ++i) page[i * kPageTokens + slot] = key[i];
}

}  // namespace

void write_page(const LayerCache& cache, int page, int head, int slot, int count, const float* keys,
                const float* values, int stride) {
  char* const key_page = cache.keys(page, head);
  char* const value_page = cache.values(page, head);
  const int size = cache.head_size;
  if (slot == 0) std::memset(value_page, 0, cache.half_bytes());
  for (int row = 0; row < count; ++row, ++slot, keys += stride, values += stride) {
    if (cache.form == PN_F32) {
      write_float_key(keys, size, slot, reinterpret_cast<float*>(key_page));
      std::memcpy(value_page + sizeof(float) * size * slot, values, sizeof(float) * size);
    } else {
      write_bf16_key(keys, size, slot, reinterpret_cast<uint32_t*>(key_page));
      write_bf16_value(values, size, slot, reinterpret_cast<uint32_t*>(value_page));
    }
  }
}

}  // namespace PN_ISA
}  // namespace ponant
