#pragma once
/// The C ABI between Sluice and a plug-in: plain structs and function pointers, no C++ type, no exception. Plug-ins in C++ need not look at it: sluice/model.h
/// fills it in.
///
/// A plug-in is a shared object that exports one object, `const sluice_plugin sluice_plugin_v1` (C linkage). Sluice reads `magic`, `abi_version` and the sizes
/// before it calls anything; where one differs from its own, the plug-in is refused. Every function returns a sluice_status; where it is not SLUICE_OK the
/// reason is in `error`, and nothing else that the function writes is looked at. Memory belongs to whoever made it. A model object is used by one thread at a
/// time; different objects may be used by different threads at once.

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_ABI_MAGIC 0x43554c53u /* "SLUC" */
#define SLUICE_ABI_VERSION 1u
#define SLUICE_PLUGIN_SYMBOL "sluice_plugin_v1"

typedef int32_t sluice_status;
#define SLUICE_OK 0
#define SLUICE_FAILED 1     /* the model failed, in its own words */
#define SLUICE_BAD_PARAMS 2 /* its params, or this data, are not for it */
#define SLUICE_NO_MEMORY 3

typedef struct sluice_error {
  char text[1000]; /* UTF-8, ends with 0 */
} sluice_error;

/* What is known of the data before any row of it is seen. classes 0: labels are numbers to come near to. */
typedef struct sluice_shape {
  uint64_t rows;
  uint64_t features;
  uint32_t classes;
  uint32_t sparse; /* 0 or 1 */
  uint32_t epochs; /* the run file's, at least 1: for models whose tables grow with them */
  uint32_t reserved;
} sluice_shape;

/* Dense: `dense` is rows × features, row-major, the rest NULL. Sparse (CSR): row i has the entries offsets[i] … offsets[i + 1] of indices and values. */
typedef struct sluice_batch {
  uint64_t rows;
  uint64_t features;
  const float* dense;
  const uint64_t* offsets; /* rows + 1, from 0 */
  const uint32_t* indices;
  const float* values;
  const float* labels; /* rows */
} sluice_batch;

typedef struct sluice_table {
  char name[64];
  uint64_t rows; /* dense: rows; sparse: the most keys it may ever have */
  uint32_t cols;
  uint32_t kind; /* 0 dense, 1 sparse */
  uint32_t init; /* 0 zero, 1 uniform in [-scale, scale), 2 normal with deviation scale */
  float scale;
  uint32_t use; /* 0 parameters: pulled and pushed to; 1 state: pulled only; 2 statistics: pushed to only */
  uint32_t reserved;
} sluice_table;

/* Dense: the whole table, keys NULL. Sparse: a row of values for each key. A statistics table is empty. */
typedef struct sluice_view {
  const float* values;
  uint64_t floats;
  const uint64_t* keys;
  uint64_t key_count;
} sluice_view;

/* As its view; contents undefined before, every float must be written. A state table's is empty. */
typedef struct sluice_update {
  float* values;
  uint64_t floats;
} sluice_update;

typedef struct sluice_losses {
  double loss_sum;     /* over the batch's examples */
  double loss_squares; /* of each example's loss squared */
} sluice_losses;

typedef struct sluice_scores {
  uint64_t examples;
  double loss_sum;
  double metric_sum;
} sluice_scores;

typedef struct sluice_phase_end {
  uint32_t done; /* 1: training is over */
  char reason[252];
} sluice_phase_end;

/* One parameter of the job. kind: 0 anything else (see json), 1 number, 2 text, 3 true or false (numbers[0] is 1 or 0), 4 list of numbers. */
typedef struct sluice_param {
  const char* key;
  const char* json; /* its value as JSON */
  const char* text; /* kind 2 */
  const double* numbers;
  uint64_t count; /* of numbers */
  uint32_t kind;
  uint32_t reserved;
} sluice_param;

typedef struct sluice_model sluice_model; /* the plug-in's own */

/* Takes sorted distinct keys of one sparse table; called once for each that has any. */
typedef void (*sluice_take_keys)(void* to, uint32_t table, const uint64_t* keys, uint64_t count);

typedef struct sluice_plugin {
  uint32_t magic;
  uint32_t abi_version;
  /* sizeof of the structs as the plug-in was compiled with */
  uint32_t plugin_bytes, error_bytes, shape_bytes, batch_bytes, table_bytes, view_bytes, update_bytes, losses_bytes, scores_bytes, phase_end_bytes, param_bytes;
  uint32_t reserved;
  const char* name;    /* of the model: 1 to 64 of a-z 0-9 . _ - */
  const char* version; /* for people; may be empty */

  sluice_status (*make)(const sluice_param* params, uint64_t count, const sluice_shape* shape, sluice_model** out, sluice_error* error);
  void (*destroy)(sluice_model* model);
  /* Writes at most `room` tables; *count is how many there are. */
  sluice_status (*tables)(sluice_model* model, sluice_table* out, uint32_t room, uint32_t* count, sluice_error* error);
  /* 0 gradient of the batch's mean loss, 1 delta, 2 statistics */
  uint32_t (*update_kind)(sluice_model* model);
  /* Passes over the data that `epochs` means for a model with phases; 0: it has none. */
  sluice_status (*phases)(sluice_model* model, uint32_t epochs, uint32_t* out, sluice_error* error);
  sluice_status (*keys)(sluice_model* model, const sluice_batch* batch, sluice_take_keys take, void* to, sluice_error* error);
  sluice_status (*update)(sluice_model* model, const sluice_view* params, uint32_t tables, const sluice_batch* batch, const sluice_update* out,
                          sluice_losses* losses, sluice_error* error);
  sluice_status (*finish_phase)(sluice_model* model, const sluice_view* tables, uint32_t count, uint32_t phase, const sluice_update* out, sluice_phase_end* end,
                                sluice_error* error);
  /* *values: rows × as many outputs as it has, in the model's memory until its next call. */
  sluice_status (*outputs)(sluice_model* model, const sluice_view* params, uint32_t tables, const sluice_batch* batch, const float** values, uint64_t* floats,
                           sluice_error* error);
  sluice_status (*evaluate)(sluice_model* model, const sluice_view* params, uint32_t tables, const sluice_batch* batch, sluice_scores* scores,
                            sluice_error* error);
  /* 1: outputs speak of the data's labels; 0: the number of the largest is the answer, from 0: a cluster, a topic. The same at every call. */
  uint32_t (*predicts_labels)(sluice_model* model);
  /* What metric_sum sums: "accuracy", "mse"; lives as long as the model. */
  const char* (*metric)(sluice_model* model);
} sluice_plugin;

#ifdef __cplusplus
}
#endif
