package ledger

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// Client is the way to one ledger. Make one for each process and close it at the end. All its methods may be called
// from any goroutine.
//
// A client without a URL, and a nil one, is silent: reporting does nothing, and reading fails with ErrNotConfigured. So
// a task runs in a unit test as it does in production.
type Client struct {
	// Jobs creates, finds and lists jobs.
	Jobs Jobs

	// url has no slash at its end; empty is silent.
	url string
	// address is the URL without a password, for messages.
	address       string
	token         string
	http          *http.Client
	interval      time.Duration
	closeWait     time.Duration
	checkInterval time.Duration
	requestWait   time.Duration
	health        health
	ownWrites     ownWrites
	// slots are the requests that may be under way.
	slots chan struct{}

	mu sync.Mutex
	// executions are those that have not delivered everything.
	executions map[*Execution]struct{}
	// starts has, for each task that is about to start, the channel that is closed when its start is settled.
	starts map[taskKey]chan struct{}
	// ends are the ends of jobs that are not settled.
	ends     map[*jobEnd]struct{}
	draining int
	isClosed bool
}

// taskKey names a task of the whole ledger.
type taskKey struct {
	job, task string
}

// ClientOption changes how a client behaves.
type ClientOption func(*Client) error

// WithToken sets the bearer token, which is PROGRESS_LEDGER_TOKEN unless told. It is sent to the configured URL and to
// nobody else: redirects are not followed.
func WithToken(token string) ClientOption {
	return func(c *Client) error {
		if strings.ContainsAny(token, "\r\n\x00") {
			return &InvalidError{Field: "token", Problem: "cannot stand in a header"}
		}
		c.token = token
		return nil
	}
}

// WithHTTPClient sets the HTTP client, for certificates and proxies of one's own. Its Timeout is not used: every
// request of a Client has its own.
func WithHTTPClient(client *http.Client) ClientOption {
	return func(c *Client) error {
		if client == nil {
			return &InvalidError{Field: "HTTP client", Problem: "is nil"}
		}
		copied := *client
		c.http = &copied
		return nil
	}
}

// WithLogger sets where the client says, once, that something is wrong; log.Default() unless told.
func WithLogger(logger Logger) ClientOption {
	return func(c *Client) error {
		if logger == nil {
			return &InvalidError{Field: "logger", Problem: "is nil"}
		}
		c.health.logger = logger
		return nil
	}
}

// WithInterval sets how long increments are gathered before they are sent: 800 ms unless told, 1 s at most.
func WithInterval(interval time.Duration) ClientOption {
	return func(c *Client) error {
		if interval <= 0 || interval > intervalMax {
			return &InvalidError{Field: "interval", Problem: fmt.Sprintf("is %v; up to %v is right", interval, intervalMax)}
		}
		c.interval = interval
		return nil
	}
}

// WithCloseWait sets how long the ends of executions, of the job and of the client wait for the last reports; 5 s by
// default. In an outage it is the wait of all of them together.
//
// With 0 nothing waits: what is not delivered is delivered in the background while the process lives, and Client.Flush
// waits for it.
func WithCloseWait(wait time.Duration) ClientOption {
	return func(c *Client) error {
		if wait < 0 {
			return &InvalidError{Field: "close wait", Problem: fmt.Sprintf("is %v", wait)}
		}
		c.closeWait = wait
		return nil
	}
}

// WithLookInterval sets how often an execution finds out whether it has been superseded: 10 s unless told, 100 ms at
// least. It asks along with its reports where it has any, and otherwise with a small query.
func WithLookInterval(interval time.Duration) ClientOption {
	return func(c *Client) error {
		if interval < checkIntervalMin {
			problem := fmt.Sprintf("is %v; %v is the least", interval, checkIntervalMin)
			return &InvalidError{Field: "look interval", Problem: problem}
		}
		c.checkInterval = interval
		return nil
	}
}

// NewClient makes a client of the ledger at this URL, as in http://127.0.0.1:8080; a path is kept, where a proxy serves
// the ledger below one. An empty URL stands for PROGRESS_LEDGER_URL, and where that is empty too, the client is silent.
//
// Nothing is sent yet. The error is an *InvalidError: something that is given, or stands in the environment, cannot
// be right. The client can be used all the same, and is silent.
func NewClient(address string, options ...ClientOption) (*Client, error) {
	source := "url"
	if address == "" {
		address, source = os.Getenv("PROGRESS_LEDGER_URL"), "PROGRESS_LEDGER_URL"
	}
	c := &Client{
		token:         os.Getenv("PROGRESS_LEDGER_TOKEN"),
		http:          &http.Client{Transport: newTransport()},
		interval:      intervalDefault,
		closeWait:     closeWaitDefault,
		checkInterval: checkIntervalDefault,
		requestWait:   requestWait,
		health:        health{logger: log.Default(), now: time.Now},
		slots:         make(chan struct{}, requestsMax),
		executions:    make(map[*Execution]struct{}),
		starts:        make(map[taskKey]chan struct{}),
		ends:          make(map[*jobEnd]struct{}),
	}
	c.Jobs = Jobs{client: c}
	for _, option := range append([]ClientOption{WithToken(c.token)}, options...) {
		if option == nil {
			continue
		}
		if err := option(c); err != nil {
			return c, err
		}
	}
	// A redirect could take the token elsewhere, and turn an append into a read.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http.Timeout = 0
	if address == "" {
		return c, nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return c, &InvalidError{Field: source, Problem: "is not a URL like http://HOST:PORT"}
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return c, &InvalidError{Field: source, Problem: "has a query or a fragment, which the ledger's URL has not"}
	}
	parsed.Path = strings.TrimRight(parsed.Path, "/")
	parsed.RawPath = strings.TrimRight(parsed.RawPath, "/")
	c.url, c.address = parsed.String(), parsed.Redacted()
	return c, nil
}

// IsSilent tells whether reporting does nothing, because no URL is configured.
func (c *Client) IsSilent() bool { return c == nil || c.url == "" }

// Flush waits until everything that all executions of this client have reported so far is recorded, including what
// ended executions left behind in an outage. It waits as long as the context lets it, and a minute at most.
//
// The error, if there is one, is ErrUndelivered or that of the context; it says nothing about the work.
func (c *Client) Flush(ctx context.Context) error {
	if c.IsSilent() {
		return nil
	}
	ctx, cancel := context.WithTimeout(orBackground(ctx), flushWaitMax)
	defer cancel()
	return c.flushAll(ctx)
}

// flushAll flushes all executions at the same time.
func (c *Client) flushAll(ctx context.Context) error {
	var first error
	executions := c.liveExecutions()
	for _, execution := range executions {
		execution.requestFlush()
	}
	for _, execution := range executions {
		if err := execution.Flush(ctx); err != nil && first == nil {
			first = err
		}
	}
	for _, end := range c.unsettledEnds() {
		if err := end.await(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Close sends what is left, waits for it (see WithCloseWait), and gives up the rest: nothing is sent afterwards, and
// reporting on executions that are still open does nothing. Closing twice is closing once.
func (c *Client) Close() error {
	if c.IsSilent() {
		return nil
	}
	c.mu.Lock()
	wasClosed := c.isClosed
	c.isClosed = true
	c.mu.Unlock()
	if wasClosed {
		return nil
	}
	began := time.Now()
	wait := c.lastWait()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	for _, execution := range c.liveExecutions() {
		execution.skipPause()
	}
	err := c.flushAll(ctx)
	if ctx.Err() != nil {
		c.health.recordTimeout(c.address, began, wait)
	}
	c.giveUp()
	c.http.CloseIdleConnections()
	return err
}

// giveUp gives up everything that is not delivered, and logs it once.
func (c *Client) giveUp() {
	var count int64
	var cause error
	for _, execution := range c.liveExecutions() {
		if lost := execution.abandon(); lost > 0 {
			count += lost
			cause = execution.Stats().Err
		}
	}
	for _, end := range c.unsettledEnds() {
		end.giveUp()
		count++
		cause = end.lastCause()
	}
	if count > 0 {
		c.health.logLoss(c.address, count, cause)
	}
}

// lastWait is how long the end of a job, or that of the client, waits. In an outage whose patience is spent it still
// waits for one try.
func (c *Client) lastWait() time.Duration {
	least := c.closeWait / lastWaitPart
	if wait := c.health.remainingWait(c.closeWait - least); wait > least {
		return wait
	}
	return least
}

// takeSlot waits until another request may be made.
func (c *Client) takeSlot(life context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-life.Done():
		return life.Err()
	}
}

func (c *Client) freeSlot() { <-c.slots }

// joinEnd makes the end of a job one of the client's, behind the executions of the job that have ended. It returns
// false if the client is closed.
func (c *Client) joinEnd(end *jobEnd) (isOpen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return false
	}
	for execution := range c.executions {
		if execution.key.job == end.job && execution.hasEnded() {
			end.predecessors = append(end.predecessors, execution.stopped)
		}
	}
	c.ends[end] = struct{}{}
	return true
}

// leaveEnd ends what joinEnd began.
func (c *Client) leaveEnd(end *jobEnd) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ends, end)
}

func (c *Client) hasClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isClosed
}

func (c *Client) unsettledEnds() []*jobEnd {
	c.mu.Lock()
	defer c.mu.Unlock()
	ends := make([]*jobEnd, 0, len(c.ends))
	for end := range c.ends {
		ends = append(ends, end)
	}
	return ends
}

// mayDrainEnd tells whether the end of a job may be delivered in the background.
func (c *Client) mayDrainEnd() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ends) <= drainingMax && !c.isClosed
}

func (c *Client) liveExecutions() []*Execution {
	c.mu.Lock()
	defer c.mu.Unlock()
	executions := make([]*Execution, 0, len(c.executions))
	for execution := range c.executions {
		executions = append(executions, execution)
	}
	return executions
}

// join makes an execution one of the client's. It returns what must be settled before its start may be sent, or nil,
// and false where the client is closed.
func (c *Client) join(e *Execution, key taskKey) (predecessor <-chan struct{}, isOpen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.isClosed {
		return nil, false
	}
	c.executions[e] = struct{}{}
	if before, isThere := c.starts[key]; isThere {
		predecessor = before
	}
	c.starts[key] = e.startDone
	return predecessor, true
}

// startIsDone lets the next execution of the task start.
func (c *Client) startIsDone(e *Execution, key taskKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starts[key] == e.startDone {
		delete(c.starts, key)
	}
	select {
	case <-e.startDone:
		// It was recorded before, and lost by the ledger.
	default:
		close(e.startDone)
	}
}

// leave ends what join began.
func (c *Client) leave(e *Execution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.executions, e)
	if e.isDraining {
		c.draining--
	}
}

// mayDrain tells whether an ended execution may go on trying to deliver.
func (c *Client) mayDrain(e *Execution) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, isThere := c.executions[e]; !isThere {
		return true
	}
	if c.draining >= drainingMax || c.isClosed {
		return false
	}
	c.draining++
	e.isDraining = true
	return true
}
