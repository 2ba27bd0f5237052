package ledger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
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

// presentations records the client certificates that a server receives.
type presentations struct {
	authorizations
	last atomic.Value
}

func (p *presentations) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.last.Store(string(r.TLS.PeerCertificates[0].Raw))
	p.authorizations.ServeHTTP(w, r)
}

// newCertificate makes a certificate with its key, in DER.
func newCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err = x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(t, err)
	key, err = x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return certificate, key
}

func TestTheCertificateOfTheEnvironmentIsPresentedAndReadAgain(t *testing.T) {
	server := &presentations{}
	listening := httptest.NewUnstartedServer(server)
	listening.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	listening.StartTLS()
	defer listening.Close()
	folder := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(folder, name)
		must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
		return path
	}
	t.Setenv("PROGRESS_LEDGER_CA_FILE", write("ca.pem", "CERTIFICATE", listening.Certificate().Raw))
	if _, err := newTestClient(t, listening.URL).Job("01890000-0000-7000-8000-000000000000").Snapshot(testContext(t)); err == nil {
		t.Error("no certificate was needed")
	}
	first, firstKey := newCertificate(t)
	second, secondKey := newCertificate(t)
	t.Setenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", write("client.pem", "CERTIFICATE", first))
	t.Setenv("PROGRESS_LEDGER_CLIENT_KEY_FILE", write("key.pem", "PRIVATE KEY", firstKey))
	client := newTestClient(t, listening.URL)
	expect := func(certificate []byte, when string) {
		t.Helper()
		listening.CloseClientConnections()
		readSnapshot(t, client)
		if server.last.Load() != string(certificate) {
			t.Errorf("%s, another certificate was presented", when)
		}
	}
	expect(first, "at first")
	write("client.pem", "CERTIFICATE", second)
	expect(first, "while only one of the files is replaced")
	write("key.pem", "PRIVATE KEY", secondKey)
	expect(second, "after both are replaced")
	must(t, os.Remove(filepath.Join(folder, "key.pem")))
	expect(second, "while one is missing")
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
