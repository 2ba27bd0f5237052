#ifndef PROGRESS_LEDGER_CVERSION_H
#define PROGRESS_LEDGER_CVERSION_H

// The version in Package.swift.
const char *progress_ledger_version(void);

// The Git commit of a release build, or "development".
const char *progress_ledger_build(void);

#endif
