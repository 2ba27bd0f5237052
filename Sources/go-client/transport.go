package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"
)

// request is an HTTP request that can be sent any number of times.
type request struct {
	method string
	// path begins with a slash, is escaped, and includes the query.
	path   string
	header map[string]string
	body   []byte
	// wait limits one try, from connecting to the last byte of the response.
	wait time.Duration
	// isLagFinal makes a 504 final: the ledger has waited for its projection as long as it ever does.
	isLagFinal bool
}

// httpResponse is a complete response.
type httpResponse struct {
	status int
	header http.Header
	body   []byte
	// receivedAt is the arrival of the header.
	receivedAt time.Time
}

// newTransport makes a transport with its own connections.
//
// It closes idle ones before the ledger does so, after 75 s.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConnsPerHost:   requestsMax,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// open sends the request. The caller reads and closes the response body.
func (c *Client) open(ctx context.Context, r request) (*http.Response, error) {
	httpRequest, err := http.NewRequestWithContext(ctx, r.method, c.url+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, err
	}
	if r.body != nil {
		httpRequest.Header.Set("Content-Type", "application/json")
	}
	httpRequest.Header.Set("Accept", "application/json, application/problem+json")
	httpRequest.Header.Set("User-Agent", "progress-ledger-go")
	token := c.token
	if c.tokenFile != nil {
		token = c.tokenFile.current()
	}
	if token != "" {
		httpRequest.Header.Set("Authorization", "Bearer "+token)
	}
	for name, value := range r.header {
		httpRequest.Header.Set(name, value)
	}
	return c.http.Do(httpRequest)
}

// exchange sends the request once and reads the complete response.
//
// A panic of the caller's own HTTP client would end the program, and becomes an error.
func (c *Client) exchange(ctx context.Context, r request) (response *httpResponse, err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			response, err = nil, fmt.Errorf("the HTTP client panicked: %v", panicked)
		}
	}()
	return c.exchangeOnce(ctx, r)
}

func (c *Client) exchangeOnce(ctx context.Context, r request) (*httpResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, r.wait)
	defer cancel()
	response, err := c.open(ctx, r)
	if err != nil {
		return nil, err
	}
	receivedAt := c.clock.now()
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, responseBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > responseBytesMax {
		return nil, fmt.Errorf("the response is longer than %d bytes", responseBytesMax)
	}
	return &httpResponse{status: response.StatusCode, header: response.Header, body: body, receivedAt: receivedAt}, nil
}

// disposition is the meaning of a response, or of its absence, for the request.
type disposition int

const (
	// accepted: the ledger has done it.
	accepted disposition = iota
	// retryable: the ledger may or may not have done it; send the same request again.
	retryable
	// oversized: the ledger has not done it, because the request is too large.
	oversized
	// rejected: the ledger has not done it, and never will.
	rejected
)

// classify returns the disposition of a request, and the reason if not accepted.
//
// Only the ledger itself rejects for good, with problem+json. The response of a proxy, such as a 404 during a
// deployment, is temporary. A refused token is temporary as well: the operator may correct it, and until then the
// pauses are long.
func classify(a *httpResponse, err error) (disposition, error) {
	if err != nil {
		return retryable, err
	}
	if a.status >= 200 && a.status < 300 {
		if isJSON(a.header, "application/json") {
			return accepted, nil
		}
		return retryable, fmt.Errorf("the response with status %d is not from a ledger", a.status)
	}
	problem := parseProblem(a)
	switch {
	case a.status == http.StatusRequestEntityTooLarge:
		return oversized, problem
	case a.status == http.StatusUnauthorized, a.status == http.StatusForbidden:
		return retryable, problem
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooManyRequests:
		return retryable, problem
	case a.status >= 400 && a.status < 500 && isJSON(a.header, "application/problem+json"):
		return rejected, problem
	}
	return retryable, problem
}

func isJSON(header http.Header, expected string) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == expected
}

// parseProblem reads the problem of a response.
//
// Without a usable body it has only the status.
func parseProblem(a *httpResponse) *Problem {
	var problem Problem
	if isJSON(a.header, "application/problem+json") {
		if err := json.Unmarshal(a.body, &problem); err != nil {
			problem = Problem{Detail: "cannot read the details: " + err.Error()}
		}
	}
	problem.Status = a.status
	if problem.Title == "" {
		problem.Title = http.StatusText(a.status)
	}
	return &problem
}

// retryAfter returns the wait that the response asks for, five minutes at most.
//
// A header with a date is ignored, because both clocks would have to be right.
func retryAfter(a *httpResponse) time.Duration {
	if a == nil {
		return 0
	}
	seconds, err := strconv.ParseUint(a.header.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	if wait := time.Duration(seconds) * time.Second; wait < retryAfterMax {
		return wait
	}
	return retryAfterMax
}

// call sends a request for a waiting caller, and decodes the response.
//
// It retries for 10 s while the ledger is unreachable, and takes 15 s at most in all. A refused token is an error at
// once. The request must be safe to repeat.
func (c *Client) call(ctx context.Context, r request, into any) error {
	// A single try that hangs may take the whole time.
	caller := orBackground(ctx)
	ctx, cancel := context.WithTimeout(caller, requestWait)
	defer cancel()
	began := c.clock.now()
	for tries := 1; ; tries++ {
		a, err := c.exchange(ctx, r)
		found, cause := classify(a, err)
		switch found {
		case accepted:
			if err := json.Unmarshal(a.body, into); err != nil {
				return &unavailableError{address: c.address, cause: fmt.Errorf("cannot read the response: %w", err)}
			}
			if timed, isTimed := into.(clockedResponse); isTimed {
				timed.receive(clockOf(a.header, a.receivedAt), a.receivedAt)
			}
			return nil
		case oversized, rejected:
			return cause
		}
		if r.isLagFinal && a != nil && a.status == http.StatusGatewayTimeout {
			return cause
		}
		pause := backoff(tries, randomFraction()) + retryAfter(a)
		isFinal := isAuthenticationFailure(a) || c.clock.now().Sub(began)+pause > callRetryMax
		if !isFinal {
			isFinal = !c.clock.sleep(ctx, pause)
		}
		if isFinal {
			if err := caller.Err(); err != nil {
				return fmt.Errorf("%w (%v)", err, cause)
			}
			if isAuthenticationFailure(a) {
				return cause
			}
			return &unavailableError{address: c.address, cause: cause}
		}
	}
}

// isAuthenticationFailure reports whether the token was refused.
//
// A waiting caller gets this error at once.
func isAuthenticationFailure(a *httpResponse) bool {
	return a != nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden)
}

// unavailableError is ErrUnavailable with a cause.
type unavailableError struct {
	address string
	cause   error
}

func (e *unavailableError) Error() string {
	return fmt.Sprintf("ledger: %s: %v", e.address, e.cause)
}

func (e *unavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *unavailableError) Unwrap() error { return e.cause }
