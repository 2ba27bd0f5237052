#ifndef PROGRESS_LEDGER_CSPAWN_SHIM_H
#define PROGRESS_LEDGER_CSPAWN_SHIM_H

#include <spawn.h>

// Swift sees only what spawn.h declares without _GNU_SOURCE.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

#endif
