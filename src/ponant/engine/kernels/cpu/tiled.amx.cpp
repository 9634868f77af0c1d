// Sixteen rows times sixteen outputs a step: the codes of a panel's block are unpacked once for all
// rows of a piece, a tile product sums a block exactly, and vectors scale and add the sums in the
// order and by the formula of linear_int.isa.cpp.
#include "tiled.hpp"

#include <chrono>
#include <cstring>
#include <vector>

#if defined(__linux__) && !defined(PN_EMULATED_TILES)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "linear_codes.hpp"

#include "amx.hpp"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"  // GCC 12 in its own header
#endif

namespace ponant {
namespace PN_ISA {
namespace {

constexpr int kRows = 16;  // of a tile

// Holds the tiles' shapes for as long as a piece is multiplied.
class Shapes {
 public:
  // depth: inputs that share a scale.
  explicit Shapes(int depth) {
    TileConfig config;
    config.rows[kSums] = kRows;
    config.row_bytes[kSums] = kLanes * 4;
    config.rows[kRowCodes] = kRows;
    config.row_bytes[kRowCodes] = static_cast<uint16_t>(depth);
    config.rows[kWeightCodes] = static_cast<uint8_t>(depth / 4);
    config.row_bytes[kWeightCodes] = kLanes * 4;
    tile_configure(config);
  }
  ~Shapes() { tile_release(); }
  Shapes(const Shapes&) = delete;
  Shapes& operator=(const Shapes&) = delete;
};

// Sixteen rows' part of one block; rows behind the last are zeros.
struct alignas(64) RowTile {
  int8_t codes[kRows][kBlock];
  float scales[kRows];
  float minus_sums[kRows];
};

// A piece's rows: [block][tile].
void gather(const Piece& piece, int tiles, int blocks, RowTile* to) {
  const int count = piece.row_end - piece.row_begin;
  for (int i = 0; i < tiles * kRows; ++i) {
    const int row = piece.row_begin + i;
    const RowBlock* from = nullptr;
    if (i < count)
      from = piece.rows->integers +
             static_cast<size_t>(piece.index ? piece.index[row] : row) * piece.rows->blocks;
    for (int block = 0; block < blocks; ++block) {
      RowTile& tile = to[static_cast<size_t>(block) * tiles + i / kRows];
      const int r = i % kRows;
      if (!from) {
        std::memset(tile.codes[r], 0, kBlock);
        tile.scales[r] = tile.minus_sums[r] = 0.0f;
        continue;
      }
      std::memcpy(tile.codes[r], from[block].codes, kBlock);
      tile.scales[r] = from[block].scale;
      tile.minus_sums[r] = from[block].minus_sum;
    }
  }
}

// Buffers of a thread, kept from piece to piece.
struct Scratch {
  Lines rows, totals;
};

// The values that a block's codes mean, as a tile takes them.
template <class Form>
void unpack(const uint8_t* block, size_t low_plane, int8_t* values) {
#pragma GCC unroll 8
  for (int c = 0; c < 8; ++c) {
    const Codes four = four_inputs<Form>(block, low_plane, c);
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(Form::kOffset));
    _mm512_store_si512(values + c * 64, _mm512_sub_epi8(four.v, offset));
  }
}

// Products of one block of a panel with all rows, added to `totals`: (rows, 16).
template <class Form>
void add_block(const Panel& panel, int block, const int8_t* values, const RowTile* rows, int tiles,
               float* totals) {
  constexpr int kDepth = kBlock / Form::kScales;
  alignas(64) int32_t sums[kRows][kLanes];
  for (int half = 0; half < Form::kScales; ++half) {
    const Vec scale = Form::scale(panel, block, half);
    tile_load<kWeightCodes>(values + half * kDepth * kLanes, 64);
    for (int t = 0; t < tiles; ++t) {
      tile_zero<kSums>();
      tile_load<kRowCodes>(&rows[t].codes[0][half * kDepth], kBlock);
      tile_multiply();
      tile_store<kSums>(sums, kLanes * 4);
      float* total = totals + static_cast<size_t>(t) * kRows * kLanes;
      for (int r = 0; r < kRows; ++r, total += kLanes) {
        const Vec sum{_mm512_cvtepi32_ps(_mm512_load_si512(sums[r]))};
        fma(sum, Vec::set(rows[t].scales[r]) * scale, Vec::load(total)).store(total);
      }
    }
  }
  if constexpr (Form::kMinimum) {
    const Vec minimum = Form::minimum(panel, block);
    float* total = totals;
    for (int t = 0; t < tiles; ++t)
      for (int r = 0; r < kRows; ++r, total += kLanes)
        fma(Vec::set(rows[t].minus_sums[r]), minimum, Vec::load(total)).store(total);
  }
}

template <class Form>
void multiply_form(const Piece& piece) {
  constexpr int kBytes = code_stride(Form::kForm);
  thread_local Scratch scratch;
  const int count = piece.row_end - piece.row_begin;
  const int tiles = (count + kRows - 1) / kRows;
  const int blocks = block_count(piece.matrix->inputs);
  const PanelLayout layout = panel_layout(Form::kForm, piece.matrix->inputs);
  const size_t low_plane = static_cast<size_t>(blocks) * kBytes;
  const size_t cells = static_cast<size_t>(tiles) * blocks;
  auto* rows = static_cast<RowTile*>(scratch.rows.reserve(cells * sizeof(RowTile)));
  const size_t values = static_cast<size_t>(tiles) * kRows * kLanes;
  auto* totals = static_cast<float*>(scratch.totals.reserve(values * sizeof(float)));
  gather(piece, tiles, blocks, rows);
  const Shapes shapes(kBlock / Form::kScales);
  alignas(64) int8_t codes[kBlock * kLanes];
  for (int p = piece.panel_begin; p < piece.panel_end; ++p) {
    const auto* data = static_cast<const uint8_t*>(piece.matrix->data) + p * layout.size;
    const Panel panel{data, data + layout.scales, data + layout.halves};
    const Place place{&piece, piece.row_begin, p, 0, blocks, {}};
    const Vec start = place.start(0, 0);
    for (int r = 0; r < tiles * kRows; ++r) start.store(totals + r * kLanes);
    for (int block = 0; block < blocks; ++block) {
      unpack<Form>(panel.codes + static_cast<size_t>(block) * kBytes, low_plane, codes);
      add_block<Form>(panel, block, codes, rows + static_cast<size_t>(block) * tiles, tiles, totals);
    }
    for (int r = 0; r < count; ++r) place.finish(r, 0, Vec::load(totals + r * kLanes));
  }
}

void multiply(const Piece& piece) {
  switch (piece.matrix->form) {
    case PN_I8:
      return multiply_form<FormI8>(piece);
    case PN_I6S16:
      return multiply_form<FormI6S16>(piece);
    case PN_I5M:
      return multiply_form<FormI5M>(piece);
    case PN_I8P:
      return multiply_form<FormI8P>(piece);
    case PN_I5:
      return multiply_form<FormI5>(piece);
    case PN_I4:
      return multiply_form<FormI4>(piece);
    default:
      return multiply_form<FormI4M>(piece);
  }
}

#if defined(PN_EMULATED_TILES)
bool lent() { return true; }
#elif defined(__linux__)
// CPUID leaf 7 tells of the tiles; the kernel lends their state to processes that ask.
bool lent() {
  constexpr unsigned kTiles = 1u << 24, kInt8 = 1u << 25;
  constexpr long kAskForState = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kTiles) == 0 || (d & kInt8) == 0)
    return false;
  return syscall(SYS_arch_prctl, kAskForState, kTileData) == 0;
}
#else
bool lent() { return false; }
#endif

// A small product of a form, made both ways.
class Proof {
 public:
  explicit Proof(int form) : matrix_{form, kOutputs, kInputs, 0, nullptr, nullptr} {
    const PanelLayout layout = panel_layout(form, kInputs);
    const size_t bytes = layout.size * panel_count(kOutputs);
    auto* data = static_cast<uint8_t*>(data_.reserve(bytes));
    // Any codes will do; small upper bits keep half-precision scales finite.
    for (size_t i = 0; i < bytes; ++i)
      data[i] = next() & (i % layout.size < layout.scales ? 0xff : 0x3f);
    matrix_.data = data;
    std::vector<float> x(kInputs);
    for (int row = 0; row < kCount; ++row) {
      for (float& value : x) value = static_cast<float>(next()) - 127.5f;
      avx512bf16::quantise(x.data(), kInputs, blocks_ + row * kBlocks);
    }
    rows_.integers = blocks_;
    rows_.blocks = kBlocks;
  }

  // Seconds of the fastest of a few products into `out`.
  double seconds(void (*way)(const Piece&), std::vector<float>& out) const {
    out.assign(static_cast<size_t>(kCount) * kOutputs, 0.0f);
    const Piece piece{&matrix_, &rows_, nullptr, 0, kCount, 0, panel_count(kOutputs), out.data(),
                      kOutputs};
    double best = 1e9;
    for (int i = 0; i < 4; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      way(piece);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
      best = took.count() < best ? took.count() : best;
    }
    return best;
  }

 private:
  static constexpr int kCount = 40, kInputs = 512, kOutputs = 120, kBlocks = kInputs / kBlock;

  uint8_t next() {
    state_ = state_ * 1664525u + 1013904223u;
    return static_cast<uint8_t>(state_ >> 24);
  }

  uint32_t state_ = 1;
  pn_matrix matrix_;
  Lines data_;
  RowBlock blocks_[kCount * kBlocks];
  RowsView rows_{};
};

}  // namespace
}  // namespace PN_ISA

bool tiles_usable() {
  if (!PN_ISA::lent()) return false;
  double tiled = 0, plain = 0;
  for (int form = PN_I8; form <= PN_I8P; ++form) {
    const PN_ISA::Proof proof(form);
    std::vector<float> one, other;
    tiled += proof.seconds(PN_ISA::multiply, one);
    plain += proof.seconds(avx512bf16::multiply_integers, other);
    if (std::memcmp(one.data(), other.data(), one.size() * sizeof(float)) != 0) return false;
  }
#if defined(PN_EMULATED_TILES)
  return true;
#else
  return tiled < plain;
#endif
}

void multiply_tiled(const Piece& piece) { PN_ISA::multiply(piece); }

}  // namespace ponant
