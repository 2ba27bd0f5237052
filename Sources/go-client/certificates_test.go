package ledger

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	certificate, err := x509.ParseCertificate(raw)
	must(t, err)
	return authority{certificate: certificate, key: key}
}

// issue makes a certificate for 127.0.0.1.
func (a authority) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// trusted returns a pool that contains only this authority.
func (a authority) trusted() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// secureServer serves a snapshot with TLS. Its configuration can be replaced.
type secureServer struct {
	authorizations
	*httptest.Server
	config atomic.Pointer[tls.Config]
	// connections counts the accepted connections.
	connections atomic.Int64
	// presented is the name in the last certificate of a client.
	presented atomic.Value
}

func newSecureServer(t *testing.T) *secureServer {
	t.Helper()
	s := &secureServer{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if certificates := r.TLS.PeerCertificates; len(certificates) > 0 {
			s.presented.Store(certificates[0].Subject.CommonName)
		}
		s.authorizations.ServeHTTP(w, r)
	}))
	s.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.Server.EnableHTTP2 = true
	s.Server.TLS = &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return s.config.Load(), nil }}
	s.Server.StartTLS()
	t.Cleanup(s.Server.Close)
	return s
}

// use makes new connections present a certificate of this authority, and perhaps require one of the client.
func (s *secureServer) use(t *testing.T, a authority, clients tls.ClientAuthType) {
	t.Helper()
	s.config.Store(&tls.Config{
		Certificates: []tls.Certificate{a.issue(t, "server")}, ClientCAs: a.trusted(), ClientAuth: clients,
		NextProtos: []string{"h2", "http/1.1"},
	})
}

// clientFiles are the files that the environment of a client names.
type clientFiles struct {
	t                           *testing.T
	authority, certificate, key string
}

func newClientFiles(t *testing.T) clientFiles {
	t.Helper()
	folder := t.TempDir()
	return clientFiles{t, filepath.Join(folder, "ca.pem"), filepath.Join(folder, "client.pem"), filepath.Join(folder, "client.key")}
}

// replace replaces a file at once, as programs that rotate certificates do.
func (f clientFiles) replace(path, kind string, content []byte) {
	f.t.Helper()
	must(f.t, os.WriteFile(path+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600))
	must(f.t, os.Rename(path+".new", path))
}

func (f clientFiles) trust(a authority) { f.replace(f.authority, "CERTIFICATE", a.certificate.Raw) }

func (f clientFiles) presentCertificate(c tls.Certificate) {
	f.replace(f.certificate, "CERTIFICATE", c.Certificate[0])
}

func (f clientFiles) presentKey(c tls.Certificate) {
	f.t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	must(f.t, err)
	f.replace(f.key, "PRIVATE KEY", key)
}

// setEnvironment names the files.
func (f clientFiles) setEnvironment() {
	f.t.Setenv("PROGRESS_LEDGER_CA_FILE", f.authority)
	f.t.Setenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", f.certificate)
	f.t.Setenv("PROGRESS_LEDGER_CLIENT_KEY_FILE", f.key)
}

// try sends one request.
func try(t *testing.T, client *Client) error {
	t.Helper()
	_, err := client.exchange(testContext(t), request{method: http.MethodGet, path: "/v1/limits", wait: testTimeout})
	return err
}

func TestOnlyTheAuthoritiesOfTheFileAreTrusted(t *testing.T) {
	server, own, other := newSecureServer(t), newAuthority(t, "own"), newAuthority(t, "other")
	server.use(t, own, tls.NoClientCert)
	if err := try(t, newTestClient(t, server.URL)); err == nil {
		t.Error("the system's authorities include one of a test")
	}
	files := newClientFiles(t)
	t.Setenv("PROGRESS_LEDGER_CA_FILE", files.authority)
	files.trust(own)
	must(t, try(t, newTestClient(t, server.URL)))
	files.trust(other)
	if err := try(t, newTestClient(t, server.URL)); err == nil {
		t.Error("an unknown certificate was trusted")
	}
}

func TestRenewedCertificatesAndAuthoritiesAreUsedWithoutARestart(t *testing.T) {
	server, old, renewed := newSecureServer(t), newAuthority(t, "old"), newAuthority(t, "new")
	server.use(t, old, tls.RequireAndVerifyClientCert)
	files := newClientFiles(t)
	first, second := old.issue(t, "first"), renewed.issue(t, "second")
	files.trust(old)
	files.presentCertificate(first)
	files.presentKey(first)
	files.setEnvironment()
	client := newTestClient(t, server.URL)
	must(t, try(t, client))
	must(t, try(t, client))
	if count := server.connections.Load(); count != 1 {
		t.Errorf("%d connections were made while no file changed", count)
	}

	// Another authority for both sides: the client's files are old in every respect.
	server.use(t, renewed, tls.RequireAndVerifyClientCert)
	client.http.CloseIdleConnections()
	if err := try(t, client); err == nil {
		t.Error("the new server was trusted before its authority was")
	}
	files.trust(renewed)
	if err := try(t, client); err == nil {
		t.Error("the old certificate was accepted")
	}
	files.presentCertificate(second)
	files.presentKey(second)
	must(t, try(t, client))
	if server.presented.Load() != "second" {
		t.Errorf("the client presented %v", server.presented.Load())
	}
}

func TestARenewedCertificateIsUsedThoughTheOldConnectionIsOpen(t *testing.T) {
	server, authority := newSecureServer(t), newAuthority(t, "authority")
	server.use(t, authority, tls.RequireAndVerifyClientCert)
	files := newClientFiles(t)
	files.trust(authority)
	first, second := authority.issue(t, "first"), authority.issue(t, "second")
	files.presentCertificate(first)
	files.presentKey(first)
	files.setEnvironment()
	client := newTestClient(t, server.URL)
	for _, certificate := range []tls.Certificate{first, second} {
		files.presentCertificate(certificate)
		files.presentKey(certificate)
		must(t, try(t, client))
	}
	if server.presented.Load() != "second" {
		t.Errorf("the client presented %v", server.presented.Load())
	}
}

func TestTheLastCertificatesRemainInUseWhileTheFilesCannotBeUsed(t *testing.T) {
	server, authority := newSecureServer(t), newAuthority(t, "authority")
	server.use(t, authority, tls.RequireAndVerifyClientCert)
	files := newClientFiles(t)
	files.trust(authority)
	first, second := authority.issue(t, "first"), authority.issue(t, "second")
	files.presentCertificate(first)
	files.presentKey(first)
	files.setEnvironment()
	logger := &recordingLogger{}
	client := newTestClient(t, server.URL, WithLogger(logger))
	expect := func(name, when string, warnings int) {
		t.Helper()
		client.http.CloseIdleConnections()
		must(t, try(t, client))
		if got := server.presented.Load(); got != name {
			t.Errorf("%s, the client presented %v", when, got)
		}
		lines := strings.Join(logger.all(), "\n")
		if got := strings.Count(lines, "the last ones remain in use"); got != warnings {
			t.Errorf("%s, %d warnings were logged instead of %d", when, got, warnings)
		}
	}
	expect("first", "at first", 0)
	files.presentCertificate(second)
	expect("first", "while only one of the files is replaced", 1)
	expect("first", "while only one of the files is still replaced", 1)
	files.presentKey(second)
	expect("second", "after both are replaced", 1)
	for index, path := range []string{files.authority, files.certificate, files.key} {
		content, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, content[:60], 0o600))
		expect("second", "while a file is incomplete", index+2)
		must(t, os.Remove(path))
		expect("second", "while a file is missing", index+2)
		must(t, syscall.Mkfifo(path, 0o600))
		expect("second", "while a file is a pipe", index+2)
		must(t, os.Remove(path))
		must(t, os.WriteFile(path, content, 0o600))
		expect("second", "after the repair", index+2)
	}
}

func TestCertificateFilesThatAreBeingReadDelayNoRequest(t *testing.T) {
	server, authority := newSecureServer(t), newAuthority(t, "authority")
	server.use(t, authority, tls.NoClientCert)
	files := newClientFiles(t)
	files.trust(authority)
	t.Setenv("PROGRESS_LEDGER_CA_FILE", files.authority)
	client := newTestClient(t, server.URL)
	transport := client.http.Transport.(*certificateTransport)
	files.trust(authority)
	before, _ := transport.last()
	transport.reading.Lock()
	must(t, try(t, client))
	if now, _ := transport.last(); now != before {
		t.Error("the files were read by two goroutines")
	}
	transport.reading.Unlock()
	must(t, try(t, client))
	if now, _ := transport.last(); now == before {
		t.Error("the files were not read again")
	}
}

func TestRelativePathsOfCertificatesSurviveAChangeOfTheFolder(t *testing.T) {
	authority, files := newAuthority(t, "authority"), newClientFiles(t)
	files.trust(authority)
	folder, err := os.Getwd()
	must(t, err)
	must(t, os.Chdir(filepath.Dir(files.authority)))
	t.Cleanup(func() { must(t, os.Chdir(folder)) })
	transport, err := newCertificateTransport(certificateFiles{authorities: "ca.pem"}, &health{now: time.Now})
	must(t, err)
	must(t, os.Chdir("/"))
	if transport.files.authorities != files.authority {
		t.Errorf("the path is %s", transport.files.authorities)
	}
}
