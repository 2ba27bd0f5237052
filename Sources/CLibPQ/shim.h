#ifndef PROGRESS_LEDGER_CLIBPQ_SHIM_H
#define PROGRESS_LEDGER_CLIBPQ_SHIM_H

#include <libpq-fe.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#endif
