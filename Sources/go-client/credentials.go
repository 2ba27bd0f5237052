package ledger

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// tokenBytesMax is the maximum size of a token in a file.
const tokenBytesMax = 65_536

// tokenFile is a bearer token in a file, which is read again when it changes.
//
// Some systems replace a token while a task runs, such as Kubernetes for service accounts.
type tokenFile struct {
	path string

	// reading is locked while the file is read, which takes long if it is on a file system that does not respond.
	reading sync.Mutex

	// mu protects the fields below, and is never locked for long.
	mu    sync.Mutex
	token string
	// version is that of the file when the token was read.
	version os.FileInfo
}

// read returns the token in the file.
func (f *tokenFile) read() (string, error) {
	f.reading.Lock()
	defer f.reading.Unlock()
	return f.readLocked()
}

// readLocked returns the token in the file, which no other goroutine may be reading.
func (f *tokenFile) readLocked() (string, error) {
	version, err := statusOfFile(f.path)
	if err != nil {
		return "", err
	}
	token, last := f.known()
	if last != nil && isSameVersion(last, version) {
		return token, nil
	}
	content, err := readFile(f.path, tokenBytesMax+1)
	if err != nil {
		return "", err
	}
	token = strings.TrimSpace(string(content))
	if problem := tokenProblem(token); token == "" || problem != "" || len(content) > tokenBytesMax {
		return "", fmt.Errorf("%s does not contain a token", f.path)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.token, f.version = token, version
	return token, nil
}

// known returns the last token, and the version of the file that had it.
func (f *tokenFile) known() (string, os.FileInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.token, f.version
}

// current returns the token in the file, or the last one if the file cannot be read now.
//
// It does not wait for another goroutine that reads the file.
func (f *tokenFile) current() string {
	if f.reading.TryLock() {
		defer f.reading.Unlock()
		if token, err := f.readLocked(); err == nil {
			return token
		}
	}
	token, _ := f.known()
	return token
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
