package ledger

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests use a real server, the program in PROGRESS_LEDGER_BINARY.

// testServer is a server with a private database.
type testServer struct {
	url     string
	data    string
	command *exec.Cmd
	// endWatchdog ends the watchdog, which stops the server if the tests end without stopping it.
	endWatchdog func()
}

// shared is the server of all tests that do not stop theirs.
var shared struct {
	once   sync.Once
	server *testServer
	err    error
}

func TestMain(m *testing.M) {
	if role := os.Getenv("PROGRESS_LEDGER_TEST_ROLE"); role != "" {
		playRole(role)
		return
	}
	code := m.Run()
	if shared.server != nil {
		shared.server.remove()
	}
	os.Exit(code)
}

// newDataFolder creates a folder for a private database.
//
// As root it is below /var/lib, because PostgreSQL then runs as another account and must reach it. Its path is short,
// because it contains a Unix socket.
func newDataFolder() (string, error) {
	parent := "/tmp"
	if os.Getuid() == 0 {
		parent = "/var/lib"
	}
	folder, err := os.MkdirTemp(parent, "ledger-go-test-")
	if err != nil {
		return "", err
	}
	return folder, os.Chmod(folder, 0o755)
}

// startServer starts a server on the data in this folder.
func startServer(data string) (*testServer, error) {
	binary := os.Getenv("PROGRESS_LEDGER_BINARY")
	if binary == "" {
		return nil, fmt.Errorf("PROGRESS_LEDGER_BINARY is not the path of the server's program; run Scripts/test-go")
	}
	command := exec.Command(binary, "serve", "--port", "0", "--data", data+"/data", "--log-level", "error")
	command.Stderr = os.Stderr
	// It has its own process group, so that Ctrl-C does not reach the database before the server is stopped.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	url := strings.TrimPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !strings.HasPrefix(url, "http") {
		_ = command.Process.Kill()
		_ = command.Wait()
		return nil, fmt.Errorf("the server printed %q instead of its address: %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	endWatchdog, err := startWatchdog(command.Process.Pid)
	if err != nil {
		_ = command.Process.Signal(syscall.SIGTERM)
		return nil, err
	}
	return &testServer{url: url, data: data, command: command, endWatchdog: endWatchdog}, nil
}

// startWatchdog starts a process to stop the server at the end of the tests.
//
// It works even after a panic or a time limit. The end of the test process closes the watchdog's standard input.
func startWatchdog(pid int) (end func(), err error) {
	watchdog := exec.Command("sh", "-c", `read -r line; kill -TERM "$1"`, "watchdog", fmt.Sprint(pid))
	watchdog.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := watchdog.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := watchdog.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = watchdog.Process.Kill()
		_ = watchdog.Wait()
		_ = input.Close()
	}, nil
}

// stop ends the server with this signal.
func (s *testServer) stop(signal syscall.Signal) error {
	s.endWatchdog()
	if err := s.command.Process.Signal(signal); err != nil {
		return err
	}
	_, err := s.command.Process.Wait()
	return err
}

func (s *testServer) remove() {
	if err := s.stop(syscall.SIGTERM); err != nil {
		fmt.Fprintln(os.Stderr, "a test server could not be stopped:", err)
	}
	if err := os.RemoveAll(s.data); err != nil {
		fmt.Fprintln(os.Stderr, "a test server's data could not be removed:", err)
	}
}

// sharedURL returns the URL of the shared server.
func sharedURL(t testing.TB) string {
	t.Helper()
	shared.once.Do(func() {
		var data string
		if data, shared.err = newDataFolder(); shared.err == nil {
			shared.server, shared.err = startServer(data)
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.server.url
}

// ownServer starts a server that the test may stop and restart.
func ownServer(t *testing.T) *testServer {
	t.Helper()
	data, err := newDataFolder()
	if err != nil {
		t.Fatal(err)
	}
	server, err := startServer(data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.remove)
	return server
}

// restart replaces the server by one on the same data, at another port.
func (s *testServer) restart(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := s.stop(signal); err != nil {
		t.Fatal(err)
	}
	next, err := startServer(s.data)
	if err != nil {
		t.Fatal(err)
	}
	*s = *next
}

// recordingLogger is a logger that keeps its lines in memory.
type recordingLogger struct {
	mu    sync.Mutex
	lines []string
}

func (q *recordingLogger) Printf(format string, arguments ...any) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines = append(q.lines, fmt.Sprintf(format, arguments...))
}

func (q *recordingLogger) all() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return append([]string(nil), q.lines...)
}

var _ Logger = log.Default()

// testTimeout is the limit of every wait in the tests.
//
// It is long, because a machine may be slow, and only failing tests reach it.
const testTimeout = 60 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// newTestClient returns a client without visible log.
func newTestClient(t testing.TB, url string, options ...ClientOption) *Client {
	t.Helper()
	client, err := NewClient(url, append([]ClientOption{WithLogger(&recordingLogger{}), WithCloseWait(testTimeout)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newTestJob(t testing.TB, client *Client) *Job {
	t.Helper()
	job, err := client.CreateJob(testContext(t), "test "+t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// settledSnapshot returns the job's snapshot with all events folded.
func settledSnapshot(t testing.TB, job *Job) *Snapshot {
	t.Helper()
	ctx := testContext(t)
	now, err := job.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := job.Snapshot(ctx, AtLeast(now.LedgerSequence))
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// expectProgress compares a job's indicators with texts such as "download: 3/10".
func expectProgress(t testing.TB, job *Job, want ...string) {
	t.Helper()
	var found []string
	for _, indicator := range settledSnapshot(t, job).Progress {
		found = append(found, indicator.String())
	}
	if strings.Join(found, ", ") != strings.Join(want, ", ") {
		t.Errorf("the ledger has %q; want %q", found, want)
	}
}

// must fails the test if there is an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts an execution, and fails the test if that is impossible.
func start(t testing.TB, job *Job, task string, options ...StartOption) (context.Context, *Execution) {
	t.Helper()
	ctx, execution, err := job.StartExecution(testContext(t), task, options...)
	must(t, err)
	return ctx, execution
}
