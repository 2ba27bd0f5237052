#ifndef PROGRESS_LEDGER_CZLIB_SHIM_H
#define PROGRESS_LEDGER_CZLIB_SHIM_H

#include <zlib.h>

// Swift does not import macros with arguments.
static inline int progress_ledger_begin_gzip(z_stream *stream, int level) {
    // 15 is the largest window, and 16 more selects the format of gzip. 8 is the default amount of memory.
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}

static inline int progress_ledger_begin_gunzip(z_stream *stream) {
    return inflateInit2(stream, 15 + 16);
}

#endif
