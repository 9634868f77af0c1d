/* The C interface of the kernels. Every buffer belongs to the caller and outlives the call; arrays
 * are row-major; nothing here throws. Python binds it in kernels/library.py. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#if defined(__cplusplus)
extern "C" {
#endif
#pragma GCC visibility push(default)

/* Instruction set in use: 0 portable, 1 AVX2, 2 AVX-512 with VNNI, 3 that with BF16, 4 and matrix
 * tiles where the processor has them and they prove right and fast. */
int pn_isa(void);
void pn_set_isa(int limit);

/* ---- threads: pool.cpp ------------------------------------------------------------------- */

/* Workers that share one call's work; `threads` counts the calling thread. A pool serves one call
 * at a time. Waiting threads spin for at most 50 microseconds, then sleep. */
typedef struct pn_pool pn_pool;
pn_pool* pn_pool_create(int threads);
void pn_pool_destroy(pn_pool* pool);

/* ---- weights: pack.cpp, linear.isa.cpp ---------------------------------------------------- */

enum pn_form {
  PN_F32 = 0,
  PN_F16 = 1,
  PN_BF16 = 2,
  PN_I8 = 3,    /* Q8_0, ours: scale per 32 */
  PN_I6S16 = 4, /* Q6_K: scale per 16 */
  PN_I5M = 5,   /* Q5_K: scale and minimum per 32 */
  PN_I4 = 6,    /* Q4_0: scale per 32 */
  PN_I4M = 7,   /* Q4_K: scale and minimum per 32 */
  PN_I5 = 8,    /* Q5_0: scale per 32 */
  PN_I8P = 9,   /* Q8_0 in two planes of four bits, so that a head can be screened by the upper */
};

/* A weight in panels of 16 outputs; `data` is 64-byte aligned. `bias` has `outputs` values or is
 * null. */
typedef struct {
  int32_t form;
  int32_t outputs;
  int32_t inputs;
  int32_t reserved;
  const void* data;
  const float* bias;
} pn_matrix;

/* Bytes that a packed matrix takes. */
size_t pn_packed_size(int form, int outputs, int inputs);

/* Pack rows as a GGUF file stores them (`ggml_type` by its number) into the form that holds them
 * without loss. Returns 0, or -1 where form and type do not belong together. */
int pn_pack(pn_pool* pool, int ggml_type, const void* rows, int form, int outputs, int inputs,
            void* packed);

/* Quantise float32 rows to PN_I8 (nearest, scale = largest / 127 as half). */
int pn_quantise(pn_pool* pool, const float* rows, int form, int outputs, int inputs, void* packed);

/* Rows `indices` of a packed matrix as float32, shape (count, inputs). */
void pn_rows(const pn_matrix* matrix, const int32_t* indices, int count, float* out);

/* out = x @ matrix.T + bias, shape (rows, outputs), with x of shape (rows, inputs). */
void pn_linear(pn_pool* pool, const pn_matrix* matrix, const float* x, int rows, float* out);

/* ---- decoder: decoder.cpp, attention.isa.cpp ---------------------------------------------- */

typedef struct {
  const float* frequencies; /* (rotated / 2) */
  int32_t pairs;            /* rotated / 2 */
  int32_t interleaved;
  float factor;
  int32_t reserved;
} pn_rope;

enum pn_activation { PN_SILU = 0, PN_GELU_TANH = 1, PN_XIELU = 2 };

typedef struct {
  pn_matrix gate; /* data null: no gate */
  pn_matrix up;
  pn_matrix down;
} pn_feed_forward;

typedef struct {
  const float* attention_norm;
  const float* attention_post_norm; /* null: none; likewise below */
  const float* feed_forward_norm;
  const float* feed_forward_post_norm;
  const float* query_norm;
  const float* key_norm;
  pn_matrix query, key, value, output;
  float query_scale;
  int32_t window; /* 0: everything before */
  int32_t rope;
  float temperature_beta; /* 0: none */
  int32_t temperature_length;
  int32_t activation;
  float xielu[4]; /* alpha_p, alpha_n, beta, eps */
  int32_t experts; /* 0: the one feed-forward `parts[0]` */
  int32_t experts_chosen;
  pn_matrix router;
  const pn_feed_forward* parts;
} pn_layer;

typedef struct {
  int32_t width, heads, key_value_heads, head_size, vocabulary, layer_count, rope_count;
  float epsilon;
  float embedding_scale;
  int32_t reserved;
  pn_matrix embedding, head;
  const float* norm;
  const pn_layer* layers;
  const pn_rope* ropes;
} pn_model;

/* The cache: `form` is PN_BF16 or PN_F32; `pages` counts page 0. Layout belongs to
 * attention.isa.cpp; the pages of one number over all layers are contiguous. */
typedef struct {
  int32_t form;
  int32_t pages;
  void* data;
} pn_cache;

size_t pn_page_size(const pn_model* model, int form);

/* A batch as `ponant.engine.decoder.Batch` describes it. */
typedef struct {
  int32_t rows, sequences, wanted_count, reserved;
  const int32_t* tokens;
  const int32_t* starts;
  const int32_t* positions;
  const int32_t* page_starts;
  const int32_t* pages;
  const int32_t* wanted;
} pn_batch;

/* Run a batch. `hidden` has shape (wanted_count, width). Working memory is kept in `workspace` from
 * call to call. Returns 0; -1: out of memory; -2: a hidden state is not a number; -3: the batch
 * reaches outside the model or the cache, and nothing was done. */
typedef struct pn_workspace pn_workspace;
pn_workspace* pn_workspace_create(void);
void pn_workspace_destroy(pn_workspace* workspace);
int pn_forward(pn_pool* pool, pn_workspace* workspace, const pn_model* model, pn_cache* cache,
               const pn_batch* batch, float* hidden);

/* Scores of hidden states, shape (rows, vocabulary). */
int pn_logits(pn_pool* pool, pn_workspace* workspace, const pn_model* model, const float* hidden,
              int rows, float* logits);

/* The likeliest token of each row, the lowest where several are; -2 where a score is not a number.
 * A head in PN_I8P is screened first: see head.cpp. */
int pn_best(pn_pool* pool, pn_workspace* workspace, const pn_model* model, const float* hidden,
            int rows, int32_t* tokens);

/* ---- sampling: sampling.cpp, sampling.isa.cpp --------------------------------------------- */

/* How one row's token is drawn, and which it is. `Draw` in engine/sampling.py describes the
 * fields. */
typedef struct {
  const uint32_t* mask; /* null: everything is allowed */
  const int32_t* biased;
  const float* bias;
  const int32_t* seen;
  const float* counts;
  const int32_t* forbidden;
  double uniform;
  int32_t mask_words, biased_count, seen_count, forbidden_count;
  float repetition, presence, frequency;
  float temperature; /* 0: the largest score, ties to the lowest id */
  float top_p, min_p;
  int32_t top_k;        /* 0: all */
  int32_t given;        /* a token that is only scored; -1: draw one */
  int32_t alternatives; /* -1: no log-probabilities */
  int32_t token;        /* out; -1: nothing is allowed, -2: a score is not a number */
  float logprob;        /* out */
  int32_t reserved;
  int32_t* top_tokens;  /* out, (alternatives) */
  float* top_logprobs;  /* out, (alternatives) */
} pn_draw;

/* Draw a token for each row of `logits`, shape (count, vocabulary). Returns 0, or -1: out of
 * memory. */
int pn_sample(pn_pool* pool, const float* logits, int vocabulary, pn_draw* draws, int count);

/* ---- encoder: encoder.cpp ----------------------------------------------------------------- */

typedef struct {
  const float* weight;
  const float* bias;
} pn_layer_norm;

typedef struct {
  pn_matrix query, key, value, output, up, down;
  pn_layer_norm attention_norm, output_norm;
} pn_encoder_layer;

/* A BERT encoder. `words` has rows as a GGUF file stores them (F32, F16, BF16 or Q4_0 by ggml's
 * number) and may lie in a mapped file; `positions` has (max_tokens, width) values, `types`
 * (type_count, width). */
typedef struct {
  int32_t width, heads, layer_count, type_count;
  float epsilon;
  int32_t words_type;
  const void* words;
  const float* positions;
  const float* types;
  pn_layer_norm embedding_norm;
  const pn_encoder_layer* layers;
} pn_encoder;

enum pn_pooling { PN_MEAN = 0, PN_FIRST = 1 };

/* Sequences end to end. `starts` has sequences + 1 values; `seconds` says how many tokens of each
 * precede its second part, whose token type is 1 where there are two. */
typedef struct {
  int32_t sequences, pooling;
  const int32_t* tokens;
  const int32_t* starts;
  const int32_t* seconds;
} pn_encoder_batch;

/* The mean or the first of each sequence's last states, shape (sequences, width). Returns 0; -1: out
 * of memory; -2: a state is not a number. */
typedef struct pn_encoder_workspace pn_encoder_workspace;
pn_encoder_workspace* pn_encoder_workspace_create(void);
void pn_encoder_workspace_destroy(pn_encoder_workspace* workspace);
int pn_encode(pn_pool* pool, pn_encoder_workspace* workspace, const pn_encoder* model,
              const pn_encoder_batch* batch, float* pooled);

/* ---- text: unigram.cpp -------------------------------------------------------------------- */

/* A unigram vocabulary that stays where it is: the bytes of piece i are text[offsets[i]] up to
 * text[offsets[i + 1]]; no text becomes a piece that is hidden. */
typedef struct {
  const uint8_t* text;
  const uint32_t* offsets; /* (count + 1) */
  const float* scores;
  const uint8_t* hidden;
  int32_t count;
  int32_t unknown;
} pn_unigram_pieces;

typedef struct pn_unigram pn_unigram;
pn_unigram* pn_unigram_create(const pn_unigram_pieces* pieces);
void pn_unigram_destroy(pn_unigram* unigram);

/* Ids of UTF-8 text, at most as many as it has bytes; their count, or -1: out of memory. */
int pn_unigram_encode(const pn_unigram* unigram, const uint8_t* text, int bytes, int32_t* ids);

#pragma GCC visibility pop
#if defined(__cplusplus)
}
#endif
