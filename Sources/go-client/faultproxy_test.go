package ledger

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// faultProxy is a proxy that injects the faults of networks, proxies and servers.
type faultProxy struct {
	*httptest.Server

	mu      sync.Mutex
	backend string
	// fault returns the fault of a request, given its kind and the number of earlier requests of that kind. Nil passes
	// all requests.
	fault func(kind string, before int) fault
	seen  map[string]int
	// passed holds the request bodies that reached the server, by kind.
	passed map[string][]string
	// arrived receives the kind of every request before its fault.
	arrived chan string
}

// fault is a fault of one request.
type fault struct {
	// hold delays the request until this channel is closed.
	hold <-chan struct{}
	// cutBefore closes the connection before the request is forwarded, cutAfter after the server's response.
	cutBefore, cutAfter bool
	// status, unless 0, is a response in place of the server's, with the following properties.
	status     int
	retryAfter string
	location   string
	mediaType  string
	body       string
	// slow delays the server's response.
	slow time.Duration
}

func newFaultProxy(t testing.TB, backend string, decide func(kind string, before int) fault) *faultProxy {
	t.Helper()
	proxy := &faultProxy{
		backend: backend, fault: decide, seen: map[string]int{}, passed: map[string][]string{},
		arrived: make(chan string, 10_000),
	}
	proxy.Server = httptest.NewServer(http.HandlerFunc(proxy.serve))
	t.Cleanup(func() {
		proxy.CloseClientConnections()
		proxy.Close()
	})
	return proxy
}

// kindOf returns the kind of a request, such as "POST /events".
func kindOf(r *http.Request) string {
	path := r.URL.Path
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return r.Method + " " + path[i:]
		}
	}
	return r.Method + " " + path
}

func (p *faultProxy) serve(writer http.ResponseWriter, incoming *http.Request) {
	body, err := io.ReadAll(incoming.Body)
	if err != nil {
		return
	}
	kind := kindOf(incoming)
	p.mu.Lock()
	before := p.seen[kind]
	p.seen[kind]++
	backend := p.backend
	var f fault
	if p.fault != nil {
		f = p.fault(kind, before)
	}
	p.mu.Unlock()
	p.arrived <- kind
	if f.hold != nil {
		<-f.hold
	}
	if f.cutBefore {
		panic(http.ErrAbortHandler)
	}
	if f.status != 0 {
		if f.retryAfter != "" {
			writer.Header().Set("Retry-After", f.retryAfter)
		}
		if f.location != "" {
			writer.Header().Set("Location", f.location)
		}
		if f.mediaType != "" {
			writer.Header().Set("Content-Type", f.mediaType)
		}
		writer.WriteHeader(f.status)
		_, _ = io.WriteString(writer, f.body)
		return
	}
	outgoing, err := http.NewRequest(incoming.Method, backend+incoming.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	outgoing.Header = incoming.Header.Clone()
	response, err := http.DefaultTransport.RoundTrip(outgoing)
	if err != nil {
		// The client must see an unreachable server.
		panic(http.ErrAbortHandler)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	p.passed[kind] = append(p.passed[kind], string(body))
	p.mu.Unlock()
	if f.slow > 0 {
		time.Sleep(f.slow)
	}
	if f.cutAfter {
		panic(http.ErrAbortHandler)
	}
	for name, values := range response.Header {
		writer.Header()[name] = values
	}
	writer.WriteHeader(response.StatusCode)
	_, _ = writer.Write(content)
}

// setFault sets the faults from now on.
func (p *faultProxy) setFault(decide func(kind string, before int) fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = decide
	p.seen = map[string]int{}
}

func (p *faultProxy) setBackend(url string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.backend = url
}

// bodies returns the bodies of the requests of this kind that reached the server.
func (p *faultProxy) bodies(kind string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.passed[kind]...)
}

// await waits until a request of this kind arrives.
func (p *faultProxy) await(t testing.TB, kind string) {
	t.Helper()
	timeout := time.After(testTimeout)
	for {
		select {
		case arrived := <-p.arrived:
			if arrived == kind {
				return
			}
		case <-timeout:
			t.Fatalf("no %s arrived", kind)
		}
	}
}

// problem returns an error response of the ledger.
func problem(status int, title string) fault {
	return fault{
		status: status, mediaType: "application/problem+json",
		body: fmt.Sprintf(`{"title": %q, "status": %d, "detail": "as the test wants it"}`, title, status),
	}
}
