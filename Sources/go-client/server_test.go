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

// The tests run against the real server, which PROGRESS_LEDGER_BINARY names.

// testServer is a server with a private database.
type testServer struct {
	url     string
	data    string
	command *exec.Cmd
	// endWatchdog ends the process that stops the server should the tests end without having done so.
	endWatchdog func()
}

// shared is the server of all tests that do not break theirs.
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

// newDataFolder is a folder for a private database: below /var/lib as root, because PostgreSQL then runs as another
// account that must reach it, and in any case one with a short name, because a Unix socket lies in it.
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

// startServer serves the data in this folder.
func startServer(data string) (*testServer, error) {
	binary := os.Getenv("PROGRESS_LEDGER_BINARY")
	if binary == "" {
		return nil, fmt.Errorf("PROGRESS_LEDGER_BINARY does not name the server's program; run Scripts/test-go")
	}
	command := exec.Command(binary, "serve", "--port", "0", "--data", data+"/data", "--log-level", "error")
	command.Stderr = os.Stderr
	// A group of its own: Ctrl-C must not reach the database before we stop the server.
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
		return nil, fmt.Errorf("the server said %q instead of where it listens: %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	endWatchdog, err := startWatchdog(command.Process.Pid)
	if err != nil {
		_ = command.Process.Signal(syscall.SIGTERM)
		return nil, err
	}
	return &testServer{url: url, data: data, command: command, endWatchdog: endWatchdog}, nil
}

// startWatchdog lets a process stop this one when ours has ended, by a panic or a time limit: then the other end of its
// standard input is closed, whatever ended us.
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

// stop ends the server by this signal.
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

// sharedURL is where the shared server is.
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

// ownServer is a server that the test may stop; restart gives one with the same data at another port.
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

// restart ends the server by this signal and serves its data again.
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

// quiet is a logger that keeps what it is told.
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

// patience is how long a test waits for what must happen. It is long, because a machine may be slow, and is never
// waited for where things go right.
const testTimeout = 60 * time.Second

func testContext(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// newTestClient is a client that logs nowhere.
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

// settled is the job's snapshot when everything that is in the ledger is in it.
func settled(t testing.TB, job *Job) *Snapshot {
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

// expectProgress compares a job's indicators, written as in "download: 3/10", with what they must be.
func expectProgress(t testing.TB, job *Job, wanted ...string) {
	t.Helper()
	var found []string
	for _, indicator := range settled(t, job).Progress {
		found = append(found, indicator.String())
	}
	if strings.Join(found, ", ") != strings.Join(wanted, ", ") {
		t.Errorf("the ledger says %q; %q is right", found, wanted)
	}
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start starts an execution that must start.
func start(t testing.TB, job *Job, task string, options ...StartOption) (context.Context, *Execution) {
	t.Helper()
	ctx, execution, err := job.StartExecution(testContext(t), task, options...)
	must(t, err)
	return ctx, execution
}
