//go:build !linux

package ledger

import "os/exec"

// endWithUs does nothing where a system has no such means: a server then outlives tests that panic.
func endWithUs(*exec.Cmd) {}
