package ledger

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenBytesMax is the maximum size of a token in a file.
const tokenBytesMax = 65_536

// tokenFile is a bearer token in a file, which is read again when it changes.
//
// Some systems replace a token while a task runs, such as Kubernetes for service accounts.
type tokenFile struct {
	path string

	mu       sync.Mutex
	token    string
	modified time.Time
	size     int64
}

// read returns the token in the file.
func (f *tokenFile) read() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status, err := os.Stat(f.path)
	if err != nil {
		return "", err
	}
	// Reading from a pipe or a device could block for ever.
	if !status.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", f.path)
	}
	if f.token != "" && status.ModTime().Equal(f.modified) && status.Size() == f.size {
		return f.token, nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, tokenBytesMax+1))
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(content))
	if problem := tokenProblem(token); token == "" || problem != "" || len(content) > tokenBytesMax {
		return "", fmt.Errorf("%s does not contain a token", f.path)
	}
	f.token, f.modified, f.size = token, status.ModTime(), status.Size()
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

// tokenProblem says why a token cannot be the value of a header; "" if it can.
func tokenProblem(token string) string {
	for _, letter := range []byte(token) {
		if letter < ' ' || letter > '~' {
			return "contains a character that a header cannot hold"
		}
	}
	return ""
}

// trustFile makes the client trust the certificates in this file instead of the system's.
func trustFile(transport *http.Transport, path string) error {
	content, err := os.ReadFile(path)
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
