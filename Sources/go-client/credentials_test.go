package ledger

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// authorizations records the tokens that a server receives.
type authorizations struct {
	mu   sync.Mutex
	seen []string
}

func (a *authorizations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.seen = append(a.seen, r.Header.Get("Authorization"))
	a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write([]byte(newerSnapshot)); err != nil {
		panic(err)
	}
}

func (a *authorizations) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen[len(a.seen)-1]
}

func readSnapshot(t *testing.T, client *Client) {
	t.Helper()
	_, err := client.Job("01890000-0000-7000-8000-000000000000").Snapshot(testContext(t))
	must(t, err)
}

func TestATokenFileIsReadAgainWhenItChanges(t *testing.T) {
	server := &authorizations{}
	listening := httptest.NewServer(server)
	defer listening.Close()
	path := filepath.Join(t.TempDir(), "token")
	write := func(content string) { must(t, os.WriteFile(path, []byte(content), 0o600)) }
	expect := func(client *Client, token string) {
		t.Helper()
		readSnapshot(t, client)
		if got := server.last(); got != "Bearer "+token {
			t.Errorf("the server received %q instead of %q", got, token)
		}
	}
	write("first\n")
	t.Setenv("PROGRESS_LEDGER_TOKEN_FILE", path)
	client := newTestClient(t, listening.URL)
	expect(client, "first")
	write("second")
	expect(client, "second")
	// While the file is replaced, the last token is used.
	for _, wrong := range []string{"two words\nand a line", "ünicode", "", strings.Repeat("x", tokenBytesMax+1)} {
		write(wrong)
		expect(client, "second")
	}
	must(t, os.Remove(path))
	expect(client, "second")
	must(t, syscall.Mkfifo(path, 0o600))
	expect(client, "second")
	must(t, os.Remove(path))
	write("third")
	expect(client, "third")
	t.Setenv("PROGRESS_LEDGER_TOKEN", "variable")
	expect(newTestClient(t, listening.URL), "variable")
}

func TestATokenFileThatIsBeingReadDelaysNoRequest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte("first"), 0o600))
	file := &tokenFile{path: path}
	if _, err := file.read(); err != nil {
		t.Fatal(err)
	}
	must(t, os.WriteFile(path, []byte("the second"), 0o600))
	file.reading.Lock()
	if token := file.current(); token != "first" {
		t.Errorf("the token is %q", token)
	}
	file.reading.Unlock()
	if token := file.current(); token != "the second" {
		t.Errorf("the token is %q", token)
	}
}

func TestMissingCredentialFilesAreNamed(t *testing.T) {
	for _, name := range []string{
		"PROGRESS_LEDGER_TOKEN_FILE", "PROGRESS_LEDGER_CA_FILE", "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE",
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, filepath.Join(t.TempDir(), "missing"))
			client, err := NewClient("https://127.0.0.1:9")
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the error is %v", err)
			}
			if !client.IsSilent() {
				t.Error("the client is not silent")
			}
		})
	}
}
