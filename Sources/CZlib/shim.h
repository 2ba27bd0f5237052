#ifndef PROGRESS_LEDGER_CZLIB_SHIM_H
#define PROGRESS_LEDGER_CZLIB_SHIM_H

#include <zlib.h>

#endif
