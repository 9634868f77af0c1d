// Norms, rotations and activations. Sums run in one fixed order for a given width.
#include "elementwise.hpp"

#include "elementwise_math.hpp"

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

float inverse_rms(const float* x, float epsilon, int width) {
  Vec squares = Vec::zero();
  each(width, [&](int i, int n) {
    const Vec a = take(x + i, n);
    squares = multiply_add(a, a, squares);
  });
  return 1.0f / std::sqrt(sum(squares) / static_cast<float>(width) + epsilon);
}

void norm(const float* x, const float* weight, float epsilon, int rows, int width, float* out) {
  for (int row = 0; row < rows; ++row, x += width, out += width) {
    const Vec inverse = Vec::set(inverse_rms(x, epsilon, width));
    each(width, [&](int i, int n) {
      put(out + i, take(x + i, n) * inverse * take(weight + i, n), n);
    });
  }
}

void add(float* x, const float* y, const float* weight, float epsilon, int rows, int width) {
  for (int row = 0; row < rows; ++row, x += width, y += width) {
    if (!weight) {
      each(width, [&](int i, int n) { put(x + i, take(x + i, n) + take(y + i, n), n); });
      continue;
    }
    const Vec inverse = Vec::set(inverse_rms(y, epsilon, width));
    each(width, [&](int i, int n) {
      put(x + i, take(x + i, n) + take(y + i, n) * inverse * take(weight + i, n), n);
    });
  }
}

void scale(float* x, float factor, int count) {
  each(count, [&](int i, int n) { put(x + i, take(x + i, n) * Vec::set(factor), n); });
}

void accumulate(float* x, const float* y, float factor, int count) {
  each(count, [&](int i, int n) {
    put(x + i, multiply_add(take(y + i, n), Vec::set(factor), take(x + i, n)), n);
  });
}

inline Vec sigmoid_times(Vec x, Vec argument) {
  const Vec one = Vec::set(1.0f);
  return x / (one + exponential(Vec::zero() - argument));
}

// tanh's formula, with (1 + tanh(u)) / 2 written as 1 / (1 + e^(-2u)).
inline Vec gelu(Vec x) {
  const Vec cubic = multiply_add(x * x * x, Vec::set(0.044715f), x);
  return sigmoid_times(x, cubic * Vec::set(2.0f * 0.7978845608028654f));
}

// arXiv 2411.13010; constants are alpha_p, alpha_n, beta, eps.
inline Vec xielu(Vec x, const float* constants) {
  const Vec linear = x * Vec::set(constants[2]);
  const Vec positive = multiply_add(x * x, Vec::set(constants[0]), linear);
  const Vec below = exponential_minus_one(minimum(x, Vec::set(constants[3]))) - x;
  const Vec negative = multiply_add(below, Vec::set(constants[1]), linear);
  return select(less(Vec::zero(), x), positive, negative);
}

template <class F>
void gated(float* gate, const float* up, int count, F&& f) {
  each(count, [&](int i, int n) {
    const Vec a = f(take(gate + i, n));
    put(gate + i, up ? a * take(up + i, n) : a, n);
  });
}

void activate(int kind, const float* constants, float* gate, const float* up, int count) {
  switch (kind) {
    case PN_SILU: return gated(gate, up, count, [](Vec x) { return sigmoid_times(x, x); });
    case PN_GELU_TANH: return gated(gate, up, count, [](Vec x) { return gelu(x); });
    default: return gated(gate, up, count, [=](Vec x) { return xielu(x, constants); });
  }
}

void rotate_halves(float* head, int pairs, const float* cosines, const float* sines) {
  each(pairs, [&](int i, int n) {
    const Vec c = take(cosines + i, n), s = take(sines + i, n);
    const Vec a = take(head + i, n), b = take(head + pairs + i, n);
    put(head + i, a * c - b * s, n);
    put(head + pairs + i, b * c + a * s, n);
  });
}

void rotate_neighbours(float* head, int pairs, const float* cosines, const float* sines) {
  for (int i = 0; i < pairs; ++i) {
    const float a = head[2 * i], b = head[2 * i + 1];
    head[2 * i] = a * cosines[i] - b * sines[i];
    head[2 * i + 1] = b * cosines[i] + a * sines[i];
  }
}

void rotate(float* head, int head_size, const pn_rope* rope, const float* cosines,
            const float* sines, float factor) {
  if (rope->interleaved)
    rotate_neighbours(head, rope->pairs, cosines, sines);
  else
    rotate_halves(head, rope->pairs, cosines, sines);
  if (factor != 1.0f) scale(head, factor, head_size);
}

// x - x is 0 for every number and NaN for the rest.
bool finite(const float* x, int count) {
  Vec all = Vec::zero();
  each(count, [&](int i, int n) {
    const Vec a = take(x + i, n);
    all = all + (a - a);
  });
  return sum(all) == 0.0f;
}

}  // namespace

extern const Elementwise elementwise_table{norm,     add,    scale, activate,
                                           accumulate, rotate, finite};

}  // namespace PN_ISA
}  // namespace ponant
