package ledger

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Client connects to one ledger.
//
// Make one per process and close it at the end. All methods are safe for concurrent use.
//
// A nil client, or one without a URL, is silent: reports do nothing, and reads fail with ErrNotConfigured. Therefore a
// task runs in a unit test as it does in production.
type Client struct {
	// Jobs creates, finds and lists jobs.
	Jobs Jobs

	// url has no trailing slash; empty makes the client silent.
	url string
	// address is the URL without a password, for messages.
	address string
	token   string
	// tokenFile is nil if the token was given.
	tokenFile     *tokenFile
	http          *http.Client
	interval      time.Duration
	closeWait     time.Duration
	checkInterval time.Duration
	requestWait   time.Duration
	clock         clock
	health        health
	support       fieldSupport
	errorMessages bool
	ownWrites     ownWrites
	// slots limits the requests in flight.
	slots chan struct{}

	mu sync.Mutex
	// executions holds the executions with undelivered reports, and all open ones.
	executions map[*Execution]struct{}
	// starts holds, for each task with a pending start, the channel that is closed when that start is done.
	starts map[taskKey]chan struct{}
	// ends holds the unsettled ends of jobs.
	ends     map[*jobEnd]struct{}
	draining int
	isClosed bool
}

// taskKey identifies a task across all jobs.
type taskKey struct {
	job, task string
}

// ClientOption configures a client.
type ClientOption func(*Client) error

// WithToken sets the bearer token; the default is PROGRESS_LEDGER_TOKEN.
//
// Without either, it is the content of the file that PROGRESS_LEDGER_TOKEN_FILE names, which is read again when it
// changes.
// It is sent to the configured URL only: redirects are not followed.
func WithToken(token string) ClientOption {
	return func(c *Client) error {
		if problem := tokenProblem(token); problem != "" {
			return &InvalidError{Field: "token", Problem: problem}
		}
		c.token = token
		return nil
	}
}

// WithHTTPClient sets the HTTP client, for custom certificates and proxies.
//
// Without it, https trusts the certificates in the file that PROGRESS_LEDGER_CA_FILE names, or else the system's, and
// presents the one in PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE with the key in PROGRESS_LEDGER_CLIENT_KEY_FILE. These
// files are read again when they change.
// Its Timeout is not used, because every request of a Client has its own.
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

// WithLogger sets the logger for warnings; the default is log.Default().
func WithLogger(logger Logger) ClientOption {
	return func(c *Client) error {
		if logger == nil {
			return &InvalidError{Field: "logger", Problem: "is nil"}
		}
		c.health.logger = logger
		return nil
	}
}

// WithErrorMessages makes Run record the text of the work's error as the message of a failed execution.
//
// Without it, the message is only the type of the innermost error. What is recorded stays for ever, and texts of errors
// may contain personal data. Only the first line is recorded, of at most 200 Unicode scalars, without the users,
// passwords and queries of URLs.
func WithErrorMessages() ClientOption {
	return func(c *Client) error {
		c.errorMessages = true
		return nil
	}
}

// WithInterval sets how long increments are collected before they are sent.
//
// The default, and the maximum, is 1 s.
func WithInterval(interval time.Duration) ClientOption {
	return func(c *Client) error {
		if interval <= 0 || interval > intervalMax {
			return &InvalidError{Field: "interval", Problem: fmt.Sprintf("is %v; it must be positive and at most %v", interval, intervalMax)}
		}
		c.interval = interval
		return nil
	}
}

// WithCloseWait sets the maximum wait for the last reports; the default is 5 s.
//
// It applies to the ends of executions, of jobs and of the client, which share it in an outage. With 0 nothing waits:
// undelivered reports are sent in the background while the process lives, and Client.Flush waits for them.
func WithCloseWait(wait time.Duration) ClientOption {
	return func(c *Client) error {
		if wait < 0 {
			return &InvalidError{Field: "close wait", Problem: fmt.Sprintf("is %v; it must not be negative", wait)}
		}
		c.closeWait = wait
		return nil
	}
}

// WithLookInterval sets how often an execution checks whether it is superseded.
//
// The default is 10 s, the minimum 100 ms. The check is part of the next report; without reports it is a small query.
func WithLookInterval(interval time.Duration) ClientOption {
	return func(c *Client) error {
		if interval < checkIntervalMin {
			problem := fmt.Sprintf("is %v; the minimum is %v", interval, checkIntervalMin)
			return &InvalidError{Field: "look interval", Problem: problem}
		}
		c.checkInterval = interval
		return nil
	}
}

// NewClient makes a client of the ledger at a URL like http://127.0.0.1:8080.
//
// A path is kept, for a proxy that serves the ledger below it. An empty URL means PROGRESS_LEDGER_URL; if that is empty
// too, the client is silent.
//
// NewClient sends nothing. The error is an *InvalidError about an argument or a variable of the environment. The client
// can be used even then, and is silent.
func NewClient(address string, options ...ClientOption) (*Client, error) {
	source := "url"
	if address == "" {
		address, source = os.Getenv("PROGRESS_LEDGER_URL"), "PROGRESS_LEDGER_URL"
	}
	transport := newTransport()
	c := &Client{
		token:         os.Getenv("PROGRESS_LEDGER_TOKEN"),
		http:          &http.Client{Transport: transport},
		interval:      intervalDefault,
		closeWait:     closeWaitDefault,
		checkInterval: checkIntervalDefault,
		requestWait:   requestWait,
		clock:         systemClock,
		health:        health{logger: log.Default(), now: systemClock.now},
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
	// A redirect could send the token elsewhere, and turn an append into a read.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http.Timeout = 0
	if address == "" {
		return c, nil
	}
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return c, &InvalidError{Field: source, Problem: "is not a URL such as http://HOST:PORT"}
	}
	if parsed.RawQuery != "" || parsed.Fragment != "" {
		return c, &InvalidError{Field: source, Problem: "must not have a query or a fragment"}
	}
	if err := c.readCredentials(transport, parsed.Scheme); err != nil {
		return c, err
	}
	parsed.Path = strings.TrimRight(parsed.Path, "/")
	parsed.RawPath = strings.TrimRight(parsed.RawPath, "/")
	c.url, c.address = parsed.String(), parsed.Redacted()
	return c, nil
}

// readCredentials reads the files that the environment names: a token, the certificates to trust, and the client's own.
func (c *Client) readCredentials(transport *http.Transport, scheme string) error {
	files := certificateFiles{
		authorities: os.Getenv("PROGRESS_LEDGER_CA_FILE"),
		certificate: os.Getenv("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE"),
		key:         os.Getenv("PROGRESS_LEDGER_CLIENT_KEY_FILE"),
	}
	if len(files.paths()) > 0 && scheme == "https" && c.http.Transport == transport {
		if files.authorities != "" {
			if _, err := readAuthorities(files.authorities); err != nil {
				return &InvalidError{Field: "PROGRESS_LEDGER_CA_FILE", Problem: err.Error()}
			}
		}
		reading, err := newCertificateTransport(files, &c.health)
		if err != nil {
			return &InvalidError{Field: "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", Problem: err.Error()}
		}
		c.http.Transport = reading
	}
	if path := os.Getenv("PROGRESS_LEDGER_TOKEN_FILE"); path != "" && c.token == "" {
		// The task may change its working folder.
		if absolute, err := filepath.Abs(path); err == nil {
			path = absolute
		}
		c.tokenFile = &tokenFile{path: path}
		if _, err := c.tokenFile.read(); err != nil {
			return &InvalidError{Field: "PROGRESS_LEDGER_TOKEN_FILE", Problem: err.Error()}
		}
	}
	return nil
}

// IsSilent reports whether the client has no URL, so that reports do nothing.
func (c *Client) IsSilent() bool { return c == nil || c.url == "" }

// Flush sends everything reported so far, and waits until it is recorded.
//
// It includes the undelivered reports of ended executions and the ends of jobs. It waits until the context ends, and a
// minute at most. The error is ErrUndelivered, or the reason why the end of a job was refused; it does not concern the
// work.
func (c *Client) Flush(ctx context.Context) error {
	if c.IsSilent() {
		return nil
	}
	ctx, cancel := context.WithTimeout(orBackground(ctx), flushWaitMax)
	defer cancel()
	return c.flushAll(ctx)
}

// flushAll flushes all executions and ends of jobs concurrently.
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

// Close sends the last reports, waits for them, and abandons the rest.
//
// Afterwards nothing is sent: reports of open executions are dropped and counted. A second call does nothing.
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
	began := c.clock.now()
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

// giveUp abandons everything undelivered, and logs it in one line.
func (c *Client) giveUp() {
	var count int64
	var cause error
	for _, execution := range c.liveExecutions() {
		if lost := execution.abandon(); lost > 0 {
			count += lost
			cause = execution.Stats().LastError
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

// lastWait returns the wait of the end of a job or of the client.
//
// It suffices for one try even if an outage has used up the common wait.
func (c *Client) lastWait() time.Duration {
	least := c.closeWait / lastWaitPart
	if wait := c.health.remainingWait(c.closeWait - least); wait > least {
		return wait
	}
	return least
}

// takeSlot waits for permission to make a request.
func (c *Client) takeSlot(life context.Context) error {
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-life.Done():
		return life.Err()
	}
}

func (c *Client) freeSlot() { <-c.slots }

// registerJobEnd queues the end of a job behind the job's ended executions.
//
// It returns false if the client is closed.
func (c *Client) registerJobEnd(end *jobEnd) (isOpen bool) {
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

// unregisterJobEnd removes the end of a job.
func (c *Client) unregisterJobEnd(end *jobEnd) {
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

// mayDrainJobEnd reports whether a job's end may be delivered in the background.
func (c *Client) mayDrainJobEnd() bool {
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

// register adds an execution.
//
// It returns the pending start of an earlier execution of the same task, or nil, and false if the client is closed.
func (c *Client) register(e *Execution, key taskKey) (predecessor <-chan struct{}, isOpen bool) {
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

// startIsDone allows the next execution of the task to start.
func (c *Client) startIsDone(e *Execution, key taskKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.starts[key] == e.startDone {
		delete(c.starts, key)
	}
	select {
	case <-e.startDone:
		// The ledger had lost the start and has recorded it again.
	default:
		close(e.startDone)
	}
}

// unregister removes an execution.
func (c *Client) unregister(e *Execution) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.executions, e)
	if e.isDraining {
		c.draining--
	}
}

// mayDrain reports whether an ended execution may be delivered in the background.
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
