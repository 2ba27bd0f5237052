package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"time"
)

// request is one HTTP request, which can be made any number of times.
type request struct {
	method string
	// path begins with a slash, is escaped, and has the query in it.
	path   string
	header map[string]string
	body   []byte
	// wait bounds one try, from connecting to the last byte of the answer.
	wait time.Duration
	// isLagFinal ends ask at a 504: the ledger has waited for its projection as long as it does.
	isLagFinal bool
}

// answer is a whole answer.
type httpResponse struct {
	status int
	header http.Header
	body   []byte
	// receivedAt is when the head arrived.
	receivedAt time.Time
}

// newTransport has its own connections, kept open for less than the 75 s after which the ledger closes an idle one.
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

// open makes the request, and leaves the answer's body to the caller.
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
	if c.token != "" {
		httpRequest.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range r.header {
		httpRequest.Header.Set(name, value)
	}
	return c.http.Do(httpRequest)
}

// exchange makes the request once and reads the whole answer.
//
// The HTTP client may be the caller's own: its panic in our goroutine would end the program, and becomes an error.
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
	receivedAt := time.Now()
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, responseBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(body) > responseBytesMax {
		return nil, fmt.Errorf("the answer is longer than %d bytes", responseBytesMax)
	}
	return &httpResponse{status: response.StatusCode, header: response.Header, body: body, receivedAt: receivedAt}, nil
}

// finding is what an answer, or the lack of one, means for the request.
type disposition int

const (
	// taken: the ledger did what was asked.
	accepted disposition = iota
	// retryable: it may or may not have done it; the same request is to be made again.
	retryable
	// oversized: it did not do it, because the request is too large.
	oversized
	// refusal: it did not do it, and never will.
	rejected
)

// judge says what came of a request, and why where it was not taken.
//
// Only the ledger itself refuses for good: it says so as problem+json. What anything between says, such as the 404 of
// a proxy during a deployment, is temporary. So is a rejected token: the operator may put it right, and until then the
// pauses are long.
func classify(a *httpResponse, err error) (disposition, error) {
	if err != nil {
		return retryable, err
	}
	if a.status >= 200 && a.status < 300 {
		if isJSON(a.header, "application/json") {
			return accepted, nil
		}
		return retryable, fmt.Errorf("something that is not a ledger answered with status %d", a.status)
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

func isJSON(header http.Header, wanted string) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && mediaType == wanted
}

// parseProblem reads a refusal; where its body does not say more, the status has to do.
func parseProblem(a *httpResponse) *Problem {
	var problem Problem
	if isJSON(a.header, "application/problem+json") {
		if err := json.Unmarshal(a.body, &problem); err != nil {
			problem = Problem{Detail: "its details cannot be read: " + err.Error()}
		}
	}
	problem.Status = a.status
	if problem.Title == "" {
		problem.Title = http.StatusText(a.status)
	}
	return &problem
}

// retryAfter is how long the answer asks to wait: seconds or a date, and never more than a minute, whatever the clocks
// say.
func retryAfter(a *httpResponse, now time.Time) time.Duration {
	if a == nil {
		return 0
	}
	var wait time.Duration
	value := a.header.Get("Retry-After")
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if date, err := http.ParseTime(value); err == nil {
		wait = date.Sub(now)
	}
	if wait < 0 {
		return 0
	}
	if wait > retryAfterMax {
		return retryAfterMax
	}
	return wait
}

// ask makes a request for a caller who waits for its answer, and reads that into the given value. It is tried again
// while the ledger cannot be reached, for ten seconds or until the context ends, and takes 15 s at most in all; a
// rejected token is told at once.
//
// isRepeatable says that doing it twice is the same as doing it once. A request that is not is tried again only where
// no connection came about.
func (c *Client) call(ctx context.Context, r request, isRepeatable bool, into any) error {
	// One try may hang as long as all of them together.
	caller := orBackground(ctx)
	ctx, cancel := context.WithTimeout(caller, requestWait)
	defer cancel()
	began := time.Now()
	for tries := 1; ; tries++ {
		a, err := c.exchange(ctx, r)
		found, cause := classify(a, err)
		switch found {
		case accepted:
			if err := json.Unmarshal(a.body, into); err != nil {
				return &unavailableError{address: c.address, cause: fmt.Errorf("the answer cannot be read: %w", err)}
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
		pause := backoff(tries, randomFraction()) + retryAfter(a, time.Now())
		isFinal := isAuthenticationFailure(a) || !isRepeatable && !isConnectFailure(err) || time.Since(began)+pause > callRetryMax
		if !isFinal {
			isFinal = !sleep(ctx, pause)
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

// isAuthenticationFailure tells of a rejected token, which somebody who waits for the answer should hear of at once.
func isAuthenticationFailure(a *httpResponse) bool {
	return a != nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden)
}

// isConnectFailure tells of a failure before anything was sent.
func isConnectFailure(err error) bool {
	var operation *net.OpError
	return errors.As(err, &operation) && operation.Op == "dial"
}

// sleep waits, and says whether it did so to the end.
func sleep(ctx context.Context, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unavailableError is ErrUnavailable with its cause.
type unavailableError struct {
	address string
	cause   error
}

func (e *unavailableError) Error() string {
	return fmt.Sprintf("ledger: %s: %v", e.address, e.cause)
}

func (e *unavailableError) Is(target error) bool { return target == ErrUnavailable }

func (e *unavailableError) Unwrap() error { return e.cause }
