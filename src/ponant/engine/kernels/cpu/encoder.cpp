// Runs a BERT encoder over sequences that lie end to end, without padding: every product takes the
// rows of all sequences together, attention takes one sequence and head at a time.
#include <algorithm>
#include <cmath>
#include <new>

#include "encoder.hpp"
#include "forms.hpp"
#include "isa.hpp"
#include "linear.hpp"
#include "pool.hpp"

namespace ponant {

namespace portable {
extern const EncoderSet encoder_table;
}
#if defined(PN_X86)
namespace avx2 {
extern const EncoderSet encoder_table;
}
namespace avx512 {
extern const EncoderSet encoder_table;
}
namespace avx512bf16 {
extern const EncoderSet encoder_table;
}
#endif

// Keys and values of float32, then queries, weights and scores of a few rows.
size_t attention_scratch(int tokens, int size) {
  constexpr size_t kMostRows = 4;
  const size_t padded = (static_cast<size_t>(tokens) + 31) / 32 * 32;
  const size_t width = (static_cast<size_t>(size) + 31) / 32 * 32;
  return sizeof(float) * (2 * padded * width + kMostRows * (width + 2 * padded));
}

const EncoderSet& encoder_set() {
  switch (isa()) {
#if defined(PN_X86)
    case Isa::avx2: return avx2::encoder_table;
    case Isa::avx512: return avx512::encoder_table;
    case Isa::avx512bf16: return avx512bf16::encoder_table;
#endif
    default: return portable::encoder_table;
  }
}

namespace {

// Attention in bf16 belongs to models that are rounded anyway.
auto attention_for(const pn_encoder& model) {
#if defined(PN_X86)
  const bool exact = model.layer_count > 0 && model.layers[0].query.form == PN_F32;
  if (exact && isa() == Isa::avx512bf16) return avx512::encoder_table.attend;
#endif
  (void)model;
  return encoder_set().attend;
}

constexpr int kInlineValues = 8192;  // fewer are done before another thread wakes
constexpr int kRowsPerTask = 8;

// Row `token` of an embedding table in a GGUF format.
void look_up(const pn_encoder& model, int token, float* out) {
  const int width = model.width;
  const size_t row = static_cast<size_t>(token);
  switch (model.words_type) {
    case 0:
      std::copy_n(static_cast<const float*>(model.words) + row * width, width, out);
      return;
    case 1: {
      const auto* halves = static_cast<const uint16_t*>(model.words) + row * width;
      for (int i = 0; i < width; ++i) out[i] = half_to_float(halves[i]);
      return;
    }
    case 30: {
      const auto* halves = static_cast<const uint16_t*>(model.words) + row * width;
      for (int i = 0; i < width; ++i) out[i] = bf16_to_float(halves[i]);
      return;
    }
  }
  constexpr int kQ4Bytes = 18;  // a half, then 16 bytes of which the low halves come first
  const auto* block = static_cast<const uint8_t*>(model.words) + row * (width / kBlock) * kQ4Bytes;
  for (int i = 0; i < width; i += kBlock, block += kQ4Bytes) {
    uint16_t half;
    __builtin_memcpy(&half, block, 2);
    const float scale = half_to_float(half);
    for (int j = 0; j < 16; ++j) {
      out[i + j] = static_cast<float>((block[2 + j] & 15) - 8) * scale;
      out[i + 16 + j] = static_cast<float>((block[2 + j] >> 4) - 8) * scale;
    }
  }
}

}  // namespace

// One call's work over buffers that are kept from call to call.
class Encoder {
 public:
  int run(Pool& pool, const pn_encoder& model, const pn_encoder_batch& batch, float* pooled) {
    pool_ = &pool;
    model_ = &model;
    batch_ = &batch;
    rows_ = batch.starts[batch.sequences];
    reserve();
    embed();
    for (int i = 0; i < model.layer_count; ++i) {
      attend(model.layers[i]);
      feed_forward(model.layers[i]);
    }
    return pool_states(pooled);
  }

 private:
  void reserve() {
    const size_t width = model_->width, rows = rows_;
    int inner = 0, longest = 0;
    for (int i = 0; i < model_->layer_count; ++i)
      inner = std::max(inner, model_->layers[i].up.outputs);
    for (int s = 0; s < batch_->sequences; ++s) longest = std::max(longest, length(s));
    const size_t widest = std::max<size_t>(inner, 3 * width);
    states_ = static_cast<float*>(state_lines_.reserve(rows * width * sizeof(float)));
    wide_ = static_cast<float*>(wide_lines_.reserve(rows * widest * sizeof(float)));
    mixed_ = static_cast<float*>(mixed_lines_.reserve(rows * width * sizeof(float)));
    scratch_bytes_ = whole_lines(attention_scratch(longest, head_size()));
    scratch_ = static_cast<char*>(scratch_lines_.reserve(scratch_bytes_ * pool_->threads()));
  }

  int length(int sequence) const { return batch_->starts[sequence + 1] - batch_->starts[sequence]; }
  int head_size() const { return model_->width / model_->heads; }

  // f(row) for all rows, on several threads where it pays.
  template <class F>
  void each_row(int values_a_row, F&& f) {
    if (static_cast<int64_t>(rows_) * values_a_row < kInlineValues) {
      for (int row = 0; row < rows_; ++row) f(row);
      return;
    }
    pool_->run((rows_ + kRowsPerTask - 1) / kRowsPerTask, [&](int task, int) {
      const int end = std::min(rows_, (task + 1) * kRowsPerTask);
      for (int row = task * kRowsPerTask; row < end; ++row) f(row);
    });
  }

  void embed() {
    const int width = model_->width;
    int row = 0;
    for (int s = 0; s < batch_->sequences; ++s)
      for (int position = 0; position < length(s); ++position, ++row) {
        float* out = states_ + static_cast<size_t>(row) * width;
        look_up(*model_, batch_->tokens[row], out);
        const bool second = model_->type_count > 1 && position >= batch_->seconds[s];
        const float* place = model_->positions + static_cast<size_t>(position) * width;
        const float* type = model_->types + (second ? width : 0);
        for (int i = 0; i < width; ++i) out[i] += place[i] + type[i];
        encoder_set().normalise(out, nullptr, model_->embedding_norm, model_->epsilon, width);
      }
  }

  void attend(const pn_encoder_layer& layer) {
    const int width = model_->width, size = head_size(), heads = model_->heads;
    const Product products[] = {{&layer.query, wide_, 3 * width},
                                {&layer.key, wide_ + width, 3 * width},
                                {&layer.value, wide_ + 2 * width, 3 * width}};
    multiply_rows(states_, products, 3);
    const auto attention = attention_for(*model_);
    const float scale = 1.0f / std::sqrt(static_cast<float>(size));
    pool_->run(batch_->sequences * heads, [&](int task, int thread) {
      const int sequence = task / heads, head = task % heads;
      const size_t start = batch_->starts[sequence];
      const float* query = wide_ + start * 3 * width + head * size;
      attention({query, query + width, query + 2 * width, 3 * width,
                 mixed_ + start * width + head * size, width, length(sequence), size, scale,
                 scratch_ + scratch_bytes_ * thread});
    });
    const Product output{&layer.output, wide_, width};
    multiply_rows(mixed_, &output, 1);
    add_and_normalise(wide_, layer.attention_norm);
  }

  void feed_forward(const pn_encoder_layer& layer) {
    const int inner = layer.up.outputs;
    const Product up{&layer.up, wide_, inner}, down{&layer.down, mixed_, model_->width};
    multiply_rows(states_, &up, 1);
    each_row(inner, [&](int row) {
      encoder_set().gelu(wide_ + static_cast<size_t>(row) * inner, inner);
    });
    multiply_rows(wide_, &down, 1);
    add_and_normalise(mixed_, layer.output_norm);
  }

  // Products of the same rows, whose matrices have one form or several.
  void multiply_rows(const float* x, const Product* products, int count) {
    unsigned kinds = 0;
    for (int i = 0; i < count; ++i) kinds |= kind_of(products[i].matrix->form);
    const int inputs = products[0].matrix->inputs;
    prepared_.prepare(*pool_, x, rows_, inputs, inputs, kinds);
    multiply(*pool_, prepared_, products, count);
  }

  void add_and_normalise(const float* added, const pn_layer_norm& norm) {
    const int width = model_->width;
    each_row(width, [&](int row) {
      const size_t at = static_cast<size_t>(row) * width;
      encoder_set().normalise(states_ + at, added + at, norm, model_->epsilon, width);
    });
  }

  int pool_states(float* pooled) {
    const int width = model_->width;
    bool finite = true;
    for (int s = 0; s < batch_->sequences; ++s, pooled += width) {
      const float* first = states_ + static_cast<size_t>(batch_->starts[s]) * width;
      if (batch_->pooling == PN_FIRST)
        std::copy_n(first, width, pooled);
      else
        encoder_set().mean(first, length(s), width, pooled);
      for (int i = 0; i < width; ++i) finite = finite && std::isfinite(pooled[i]);
    }
    return finite ? 0 : -2;
  }

  Pool* pool_ = nullptr;
  const pn_encoder* model_ = nullptr;
  const pn_encoder_batch* batch_ = nullptr;
  int rows_ = 0;
  float *states_ = nullptr, *wide_ = nullptr, *mixed_ = nullptr;
  char* scratch_ = nullptr;
  size_t scratch_bytes_ = 0;
  Rows prepared_;
  Lines state_lines_, wide_lines_, mixed_lines_, scratch_lines_;
};

}  // namespace ponant

extern "C" pn_encoder_workspace* pn_encoder_workspace_create(void) {
  return reinterpret_cast<pn_encoder_workspace*>(new (std::nothrow) ponant::Encoder);
}

extern "C" void pn_encoder_workspace_destroy(pn_encoder_workspace* workspace) {
  delete reinterpret_cast<ponant::Encoder*>(workspace);
}

extern "C" int pn_encode(pn_pool* pool, pn_encoder_workspace* workspace, const pn_encoder* model,
                         const pn_encoder_batch* batch, float* pooled) {
  if (batch->sequences == 0) return 0;
  try {
    return reinterpret_cast<ponant::Encoder*>(workspace)->run(
        *reinterpret_cast<ponant::Pool*>(pool), *model, *batch, pooled);
  } catch (const std::bad_alloc&) {
    return -1;
  }
}
