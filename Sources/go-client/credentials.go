package ledger

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

// tokenBytesMax is the maximum size of a token in a file.
const tokenBytesMax = 65_536

// certificatesBytesMax is the maximum size of a file of certificates; the systems' files have a quarter of a megabyte.
const certificatesBytesMax = 16 << 20

// tokenFile is a bearer token in a file, which is read again when it changes.
//
// Some systems replace a token while a task runs, such as Kubernetes for service accounts.
type tokenFile struct {
	path string

	mu    sync.Mutex
	token string
	// version is that of the file when the token was read.
	version os.FileInfo
}

// read returns the token in the file.
func (f *tokenFile) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	version, err := statusOfFile(f.path)
	if err != nil {
		return "", err
	}
	if last := f.version; last != nil && os.SameFile(last, version) && last.Size() == version.Size() &&
		last.ModTime().Equal(version.ModTime()) {
		return f.token, nil
	}
	content, err := readFile(f.path, tokenBytesMax+1)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if problem := tokenProblem(token); token == "" || problem != "" || len(content) > tokenBytesMax {
		return "", fmt.Errorf("%s does not contain a token", f.path)
	}
	f.token, f.version = token, version
	return token, nil
}

// current returns the token in the file, or the last one if the file cannot be read now.
func (f *tokenFile) current() string {
	if token, err := f.read(); err == nil {
		return token
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token
}

// statusOfFile refuses what is not a regular file: reading from a pipe or a device could block for ever.
func statusOfFile(path string) (os.FileInfo, error) {
	status, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !status.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return status, nil
}

// readFile reads a file up to a limit.
func readFile(path string, bytesMax int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, bytesMax))
}

// tokenProblem says why a token cannot be the value of a header; "" if it can.
func tokenProblem(token string) string {
	for _, letter := range []byte(token) {
		if letter < ' ' || letter > '~' {
			return "contains a character that a header cannot hold"
		}
	}
	return ""
}

// presentCertificate makes the client present a certificate to servers.
func presentCertificate(transport *http.Transport, certificateFile, keyFile string) error {
	if certificateFile == "" || keyFile == "" {
		return errors.New("needs the other one of the two files")
	}
	for _, path := range []string{certificateFile, keyFile} {
		if _, err := statusOfFile(path); err != nil {
			return err
		}
	}
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		return err
	}
	if transport.TLSClientConfig == nil {
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	return nil
}

// trustFile makes the client trust the certificates in this file instead of the system's.
func trustFile(transport *http.Transport, path string) error {
	if _, err := statusOfFile(path); err != nil {
		return err
	}
	content, err := readFile(path, certificatesBytesMax)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		return fmt.Errorf("%s has no certificates", path)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return nil
}
