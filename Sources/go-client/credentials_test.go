package ledger

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
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

func TestACertificateFileIsTrustedInsteadOfTheSystems(t *testing.T) {
	listening := httptest.NewTLSServer(&authorizations{})
	defer listening.Close()
	path := filepath.Join(t.TempDir(), "ca.pem")
	block := &pem.Block{Type: "CERTIFICATE", Bytes: listening.Certificate().Raw}
	must(t, os.WriteFile(path, pem.EncodeToMemory(block), 0o600))
	if _, err := newTestClient(t, listening.URL).Job("01890000-0000-7000-8000-000000000000").Snapshot(testContext(t)); err == nil {
		t.Error("an unknown certificate was trusted")
	}
	t.Setenv("PROGRESS_LEDGER_CA_FILE", path)
	readSnapshot(t, newTestClient(t, listening.URL))
}

func TestTheCertificateOfTheEnvironmentIsPresented(t *testing.T) {
	listening := httptest.NewUnstartedServer(&authorizations{})
	listening.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	listening.StartTLS()
	defer listening.Close()
	folder := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
		return path
	}
	certificate := write("ca.pem", "CERTIFICATE", listening.Certificate().Raw)
	key, err := x509.MarshalPKCS8PrivateKey(listening.TLS.Certificates[0].PrivateKey)
	must(t, err)
	t.Setenv("PROGRESS_LEDGER_CA_FILE", certificate)
	if _, err := newTestClient(t, listening.URL).Job("01890000-0000-7000-8000-000000000000").Snapshot(testContext(t)); err == nil {
		t.Error("no certificate was needed")
	}
	t.Setenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", certificate)
	t.Setenv("PROGRESS_LEDGER_CLIENT_KEY_FILE", write("key.pem", "PRIVATE KEY", key))
	readSnapshot(t, newTestClient(t, listening.URL))
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
