// What every instruction set offers to linear.cpp.
#pragma once

#include "linear.hpp"

namespace ponant {

// Part of a product: rows and panels in half-open ranges.
struct Piece {
  const pn_matrix* matrix;
  const RowsView* rows;
  const int* index;  // rows to take, or null for all in order
  int row_begin, row_end;
  int panel_begin, panel_end;
  float* out;
  int stride;
};

// Panels to look over by the upper four bits of their codes, and by all bits of a few blocks.
struct Screening {
  const pn_matrix* matrix;  // in PN_I8P
  const RowBlock* row;
  const float* reaches;  // (blocks): how far a block's term can be off, for a scale of one
  const int* whole;      // blocks of which all bits are read
  int whole_count;
  int panel_begin, panel_end;
  float* uppers;  // (panels): what no output of the panel exceeds
};

struct LinearSet {
  // One row of `inputs` values to blocks of integers; values behind the last input are zeros.
  void (*quantise)(const float* x, int inputs, RowBlock* blocks);
  // One row to bf16, two values in 32 bits.
  void (*halve)(const float* x, int inputs, uint32_t* pairs);
  void (*multiply_integers)(const Piece&);
  void (*multiply_floats)(const Piece&);
  void (*screen)(const Screening&);
};

// Those of the instruction set in use.
const LinearSet& linear_set();

#define PN_DECLARE_SET(name)                  \
  namespace name {                            \
  void quantise(const float*, int, RowBlock*); \
  void halve(const float*, int, uint32_t*);   \
  void multiply_integers(const Piece&);       \
  void multiply_row(const Piece&);            \
  void multiply_floats(const Piece&);         \
  void screen(const Screening&);              \
  }
PN_DECLARE_SET(portable)
#if defined(PN_X86)
PN_DECLARE_SET(avx2)
PN_DECLARE_SET(avx512)
PN_DECLARE_SET(avx512bf16)
#endif
#undef PN_DECLARE_SET

}  // namespace ponant
