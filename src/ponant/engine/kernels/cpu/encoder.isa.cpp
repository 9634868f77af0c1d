// Norms, GELU and attention of an encoder. Every sum runs in one fixed order, so a sequence's bits
// do not depend on what is beside it.
#include "encoder.hpp"

#include "elementwise_math.hpp"
#include "encoder_attention.hpp"

namespace ponant {
namespace PN_ISA {
namespace {

// f(offset, lanes) over `count` values, sixteen at a time, the rest at the end.
template <class F>
inline void each(int count, F&& f) {
  int i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
  if (i < count) f(i, count - i);
}

inline Vec take(const float* p, int n) { return n == kLanes ? Vec::load(p) : Vec::load(p, n); }

inline void put(float* p, Vec a, int n) {
  if (n == kLanes)
    a.store(p);
  else
    a.store(p, n);
}

float add_and_sum(float* x, const float* y, int width) {
  Vec total = Vec::zero();
  each(width, [&](int i, int n) {
    const Vec a = y ? take(x + i, n) + take(y + i, n) : take(x + i, n);
    put(x + i, a, n);
    total = total + a;
  });
  return sum(total);
}

float centre_and_sum_squares(float* x, float mean, int width) {
  Vec squares = Vec::zero();
  each(width, [&](int i, int n) {
    put(x + i, take(x + i, n) - Vec::set(mean), n);
    const Vec a = take(x + i, n);
    squares = multiply_add(a, a, squares);
  });
  return sum(squares);
}

void normalise(float* x, const float* y, const pn_layer_norm& norm, float epsilon, int width) {
  const float mean = add_and_sum(x, y, width) / static_cast<float>(width);
  const float variance = centre_and_sum_squares(x, mean, width) / static_cast<float>(width);
  const Vec inverse = Vec::set(1.0f / std::sqrt(variance + epsilon));
  each(width, [&](int i, int n) {
    const Vec weight = take(norm.weight + i, n), bias = take(norm.bias + i, n);
    put(x + i, multiply_add(take(x + i, n) * inverse, weight, bias), n);
  });
}

// log(erfc(a / sqrt 2) / 2) on a >= 0, fitted so that the largest error of a * exp(it) is least.
constexpr float kLogTail[] = {-0.000328064126f, 0.00491057336f, -0.0359238535f,
                              -0.31884262f,     -0.79766530f,   -0.69317329f};

// max(x, 0) - |x| * Phi(-|x|), whose tail is the exponential of a polynomial.
void gelu(float* x, int count) {
  each(count, [&](int i, int n) {
    const Vec value = take(x + i, n), size = absolute(value);
    Vec tail = Vec::set(kLogTail[0]);
    for (int c = 1; c < 6; ++c) tail = multiply_add(tail, size, Vec::set(kLogTail[c]));
    put(x + i, maximum(Vec::zero(), value) - size * exponential(tail), n);
  });
}

void mean(const float* rows, int count, int width, float* out) {
  const Vec share = Vec::set(1.0f / static_cast<float>(count));
  each(width, [&](int i, int n) {
    Vec total = Vec::zero();
    for (int row = 0; row < count; ++row)
      total = total + take(rows + static_cast<size_t>(row) * width + i, n);
    put(out + i, total * share, n);
  });
}

}  // namespace

extern const EncoderSet encoder_table{normalise, gelu, attend, mean};

}  // namespace PN_ISA
}  // namespace ponant
