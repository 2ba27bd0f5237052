package ledger

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

func TestTheExamplesPrintTheExpectedOutput(t *testing.T) {
	for example, want := range map[string]string{
		"subtasks": "(default): 10/10\n",
		"workflow": "finalize: 1/1\nstep1: 4/4\nstep2: 4/4\n",
	} {
		command := exec.Command("go", "run", "./examples/"+example)
		command.Env = append(os.Environ(), "PROGRESS_LEDGER_URL="+sharedURL(t))
		var errors bytes.Buffer
		command.Stderr = &errors
		output, err := command.Output()
		if err != nil || string(output) != want || errors.Len() > 0 {
			t.Errorf("%s prints %q, and %q to standard error, %v", example, output, errors.String(), err)
		}
	}
}
