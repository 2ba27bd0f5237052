package ledger

import (
	"os/exec"
	"syscall"
)

// endWithUs lets the kernel stop a server when the tests end without having stopped it, by a panic or a time limit.
func endWithUs(command *exec.Cmd) {
	command.SysProcAttr.Pdeathsig = syscall.SIGTERM
}
