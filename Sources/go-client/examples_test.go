package ledger

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheSampleOfTheReadmeRunsInAModuleOfItsOwn(t *testing.T) {
	const module = "github.com/progress-ledger/progress-ledger/Sources/go-client"
	text, err := os.ReadFile("README.md")
	must(t, err)
	_, sample, _ := strings.Cut(string(text), "```go\n")
	sample, _, _ = strings.Cut(sample, "```")
	imports, body, _ := strings.Cut(sample, "\n\n")
	program := "package main\n" + imports + "\nimport (\n\"context\"\n\"fmt\"\n)\nfunc main() {\n" +
		"ctx, files := context.Background(), []string{\"a\", \"b\"}\n" +
		strings.Replace(body, "http://localhost:8080", sharedURL(t), 1) + "fmt.Println(download, isThere, err)\n}\n"
	source, err := os.Getwd()
	must(t, err)
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(program), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte("module sample\n\ngo 1.19\n"), 0o600))
	for _, arguments := range [][]string{
		{"mod", "edit", "-replace", module + "=" + source}, {"get", module}, {"run", "."},
	} {
		command := exec.Command("go", arguments...)
		command.Dir = folder
		var errors bytes.Buffer
		command.Stderr = &errors
		output, err := command.Output()
		if err != nil {
			t.Fatalf("go %v: %v, %s", arguments, err, errors.String())
		}
		if arguments[0] == "run" && string(output) != "download: 1/10\nupload: 0/2\ndownload: 1/10 true <nil>\n" {
			t.Errorf("the sample prints %q", output)
		}
	}
}

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
