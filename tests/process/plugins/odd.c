/* Plug-ins whose table is not what this sluice takes, by -DODD=…: nothing of them may be called. */
#include <sluice/abi.h>
#include <stdlib.h>

#define MAGIC 1
#define VERSION 2
#define SIZES 3
#define FUNCTION 4
#define NAME 5

static sluice_status make(const sluice_param* params, uint64_t count, const sluice_shape* shape, sluice_model** out, sluice_error* error) { abort(); }
static void destroy(sluice_model* model) { abort(); }
static sluice_status tables(sluice_model* model, sluice_table* out, uint32_t room, uint32_t* count, sluice_error* error) { abort(); }
static uint32_t number(sluice_model* model) { abort(); }
static sluice_status phases(sluice_model* model, uint32_t epochs, uint32_t* out, sluice_error* error) { abort(); }
static sluice_status keys(sluice_model* model, const sluice_batch* batch, sluice_take_keys take, void* to, sluice_error* error) { abort(); }
static sluice_status update(sluice_model* model, const sluice_view* params, uint32_t count, const sluice_batch* batch, const sluice_update* out,
                            sluice_losses* losses, sluice_error* error) {
  abort();
}
static sluice_status finish_phase(sluice_model* model, const sluice_view* views, uint32_t count, uint32_t phase, const sluice_update* out, sluice_phase_end* end,
                                  sluice_error* error) {
  abort();
}
static sluice_status outputs(sluice_model* model, const sluice_view* params, uint32_t count, const sluice_batch* batch, const float** values, uint64_t* floats,
                             sluice_error* error) {
  abort();
}
static sluice_status evaluate(sluice_model* model, const sluice_view* params, uint32_t count, const sluice_batch* batch, sluice_scores* scores,
                              sluice_error* error) {
  abort();
}
static const char* metric(sluice_model* model) { abort(); }

const sluice_plugin sluice_plugin_v1 = {.magic = ODD == MAGIC ? 1 : SLUICE_ABI_MAGIC,
                                        .abi_version = ODD == VERSION ? 99 : SLUICE_ABI_VERSION,
                                        .plugin_bytes = sizeof(sluice_plugin),
                                        .error_bytes = sizeof(sluice_error),
                                        .shape_bytes = sizeof(sluice_shape) - (ODD == SIZES ? 8 : 0),
                                        .batch_bytes = sizeof(sluice_batch),
                                        .table_bytes = sizeof(sluice_table),
                                        .view_bytes = sizeof(sluice_view),
                                        .update_bytes = sizeof(sluice_update),
                                        .losses_bytes = sizeof(sluice_losses),
                                        .scores_bytes = sizeof(sluice_scores),
                                        .phase_end_bytes = sizeof(sluice_phase_end),
                                        .param_bytes = sizeof(sluice_param),
                                        .name = ODD == NAME ? "No Name" : "odd",
                                        .version = "",
                                        .make = make,
                                        .destroy = destroy,
                                        .tables = tables,
                                        .update_kind = number,
                                        .phases = phases,
                                        .keys = keys,
                                        .update = update,
                                        .finish_phase = finish_phase,
                                        .outputs = outputs,
                                        .evaluate = evaluate,
                                        .predicts_labels = ODD == FUNCTION ? 0 : number,
                                        .metric = metric};
