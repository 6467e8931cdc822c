/* A plug-in of another ABI version: nothing of it may be called. */
#include <sluice/abi.h>

const sluice_plugin sluice_plugin_v1 = {.magic = SLUICE_ABI_MAGIC, .abi_version = 99, .name = "other", .version = ""};
