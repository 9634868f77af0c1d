// Attention over the paged cache of keys and values.
//
// A page holds 16 tokens. Of one layer and key-value head it holds, for BF16, keys as
// [head size / 2][token][2] and values as [token / 2][head size][2], the layouts of the dot product
// of bf16 pairs; for F32, keys as [head size][token] and values as [token][head size].
//
// A row's scores are cut into blocks of 128 tokens at fixed positions. Each block has its own
// largest score, sum and weighted values; blocks are merged in ascending order. So it makes no
// difference to a row's bits which rows run beside it, or which thread takes which block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ponant.h"

namespace ponant {

constexpr int kPageTokens = 16;
constexpr int kBlockPages = 8;
constexpr int kBlockTokens = kPageTokens * kBlockPages;

// The cache of one layer.
struct LayerCache {
  int form;
  int key_value_heads;
  int head_size;
  size_t page_bytes;  // from a page to the next
  char* data;         // the layer's part of page 0

  size_t value_bytes() const { return form == PN_F32 ? 4 : 2; }
  size_t half_bytes() const { return value_bytes() * kPageTokens * head_size; }
  char* keys(int page, int head) const {
    return data + page_bytes * static_cast<size_t>(page) + 2 * half_bytes() * head;
  }
  char* values(int page, int head) const { return keys(page, head) + half_bytes(); }
};

// Rows of one sequence that attend together, at ascending positions.
struct AttentionTile {
  const int32_t* pages;
  const int32_t* positions;
  int first;  // row in queries and out
  int count;
};

struct Attention {
  LayerCache cache;
  int group;   // query heads that share a key-value head
  int window;  // 0: everything before
  const float* queries;  // (rows, heads * head size), scaled
  float* out;            // the same shape
};

// Blocks that a tile's rows see: [first, last).
struct BlockRange {
  int first, last;
};
BlockRange blocks_of(const Attention& attention, const AttentionTile& tile);

struct AttentionKernels {
  // Working memory of one thread in bytes, for tiles of `rows` rows times heads of the group.
  size_t (*scratch_bytes)(int rows, int head_size);
  // What one block gives each row of the tile, in `partial` floats.
  size_t (*partial_floats)(int rows, int head_size);
  // A whole tile and head.
  void (*attend)(const Attention&, const AttentionTile&, int head, void* scratch);
  // One block of a tile and head, to be merged later.
  void (*attend_block)(const Attention&, const AttentionTile&, int head, int block, float* partial,
                       void* scratch);
  // Merge `blocks` partials that lie one after the other, in ascending order.
  void (*merge)(const Attention&, const AttentionTile&, int head, const float* partials,
                int blocks, void* scratch);
  // Write keys and values, shape (count, head size) with a row `stride` floats from the next, to
  // the slots of a page from `slot` on. From slot 0 on, the values behind them become 0.
  void (*write)(const LayerCache&, int page, int head, int slot, int count, const float* keys,
                const float* values, int stride);
};

// Those of the instruction set in use.
const AttentionKernels& attention_kernels();

}  // namespace ponant
