package ledger

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
)

// certificatesBytesMax is the maximum size of a file of certificates; the systems' files have a quarter of a megabyte.
const certificatesBytesMax = 16 << 20

// certificateFiles are the paths of PEM files; empty ones are not used.
type certificateFiles struct {
	// authorities is the file of the certificates to trust instead of the system's.
	authorities string
	// certificate is the file of the client's own certificate, key that of its private key.
	certificate, key string
}

// paths returns the paths that are used.
func (f certificateFiles) paths() []string {
	var used []string
	for _, path := range []string{f.authorities, f.certificate, f.key} {
		if path != "" {
			used = append(used, path)
		}
	}
	return used
}

// absolute returns the files with absolute paths, because the task may change its working folder.
func (f certificateFiles) absolute() certificateFiles {
	for _, path := range []*string{&f.authorities, &f.certificate, &f.key} {
		if *path == "" {
			continue
		}
		if absolute, err := filepath.Abs(*path); err == nil {
			*path = absolute
		}
	}
	return f
}

// load returns the configuration of TLS with the certificates in the files.
func (f certificateFiles) load() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if f.authorities != "" {
		pool, err := readAuthorities(f.authorities)
		if err != nil {
			return nil, err
		}
		config.RootCAs = pool
	}
	if f.certificate != "" || f.key != "" {
		if f.certificate == "" || f.key == "" {
			return nil, errors.New("needs the other one of the two files")
		}
		pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// readAuthorities returns the certificates in a file.
func readAuthorities(path string) (*x509.CertPool, error) {
	if _, err := statusOfFile(path); err != nil {
		return nil, err
	}
	content, err := readFile(path, certificatesBytesMax)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s has no certificates", path)
	}
	return pool, nil
}

// certificateTransport is a transport with certificates in files, which are read again when one of them changes.
//
// Certificates are replaced before they expire, while a task runs. While the files cannot be used, for example because
// only one of a certificate and its key is replaced yet, the last ones remain in use.
type certificateTransport struct {
	files  certificateFiles
	health *health

	// reading is locked while the files are read, which takes long if a file system does not respond.
	reading sync.Mutex
	// hasWarned is whether the present problem of the files is logged. It is protected by reading.
	hasWarned bool

	// mu protects the fields below, and is never locked for long.
	mu sync.Mutex
	// transport has the connections with the last certificates.
	transport *http.Transport
	// versions are those of the files when they were read.
	versions []os.FileInfo
}

// newCertificateTransport reads the files for the first time.
func newCertificateTransport(files certificateFiles, health *health) (*certificateTransport, error) {
	t := &certificateTransport{files: files.absolute(), health: health}
	t.reading.Lock()
	defer t.reading.Unlock()
	if err := t.readLocked(); err != nil {
		return nil, err
	}
	return t, nil
}

// RoundTrip sends a request with the certificates that are in the files now.
func (t *certificateTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	// Does not wait for another goroutine that reads the files.
	if t.reading.TryLock() {
		err := t.readLocked()
		isNew := err != nil && !t.hasWarned
		t.hasWarned = err != nil
		t.reading.Unlock()
		if isNew {
			t.health.log("progress ledger: the changed certificates cannot be used, and the last ones remain in use: %v", err)
		}
	}
	transport, _ := t.last()
	return transport.RoundTrip(request)
}

// CloseIdleConnections is called by the client's method of this name.
func (t *certificateTransport) CloseIdleConnections() {
	transport, _ := t.last()
	transport.CloseIdleConnections()
}

// readLocked reads the files if one has changed. No other goroutine may be reading them.
//
// Connections with other certificates are closed after their present requests.
func (t *certificateTransport) readLocked() error {
	// Before the files are read, so that the next call notices a change during the reading.
	var versions []os.FileInfo
	for _, path := range t.files.paths() {
		version, err := statusOfFile(path)
		if err != nil {
			return err
		}
		versions = append(versions, version)
	}
	last, known := t.last()
	if last != nil && areSameVersions(known, versions) {
		return nil
	}
	config, err := t.files.load()
	if err != nil {
		return err
	}
	transport := newTransport()
	transport.TLSClientConfig = config
	t.mu.Lock()
	t.transport, t.versions = transport, versions
	t.mu.Unlock()
	if last != nil {
		last.CloseIdleConnections()
	}
	return nil
}

// last returns the transport with the last certificates, and the versions of their files.
func (t *certificateTransport) last() (*http.Transport, []os.FileInfo) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.transport, t.versions
}

// areSameVersions reports whether no file was changed or replaced.
func areSameVersions(one, other []os.FileInfo) bool {
	for index := range one {
		if !isSameVersion(one[index], other[index]) {
			return false
		}
	}
	return true
}

// isSameVersion reports whether a file was neither changed nor replaced.
func isSameVersion(one, other os.FileInfo) bool {
	return os.SameFile(one, other) && one.Size() == other.Size() && one.ModTime().Equal(other.ModTime())
}
