#include "CVersion.h"

// Package.swift defines both macros. In C, because another commit then compiles this file only: in Swift, it would
// compile every module that imports the constant.

const char *progress_ledger_version(void) { return PROGRESS_LEDGER_VERSION; }

const char *progress_ledger_build(void) { return PROGRESS_LEDGER_BUILD; }
