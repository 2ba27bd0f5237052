package ledger

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// FlushOnSignal cancels executions and sends all before a signal ends the process.
//
// The default signals are SIGTERM, SIGINT and SIGHUP. On the first of them, open executions end as canceled, everything
// is sent, and the client is closed, within the client's close wait. Then the signal ends the process, as it does
// without a handler. A second signal, a second later or more, ends the process at once. An ignored signal, such as
// SIGHUP under nohup, stays ignored. Stop removes the handler.
//
// FlushOnSignal is for programs without handlers of these signals. A program with its own, for example by
// signal.NotifyContext, passes the canceled context to its tasks: Run and Execution.Close then end them as canceled,
// and Client.Close at the end of main sends everything.
func (c *Client) FlushOnSignal(signals ...os.Signal) (stop func()) {
	if c.IsSilent() {
		return func() {}
	}
	if len(signals) == 0 {
		signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
	}
	hook := &signalHook{client: c, arrived: make(chan os.Signal, 2), stopped: make(chan struct{})}
	for _, requested := range signals {
		// Notify would stop ignoring the signal.
		if requested != nil && !signal.Ignored(requested) {
			signal.Notify(hook.arrived, requested)
		}
	}
	signalHooks.add(hook)
	go hook.run()
	var once sync.Once
	return func() {
		once.Do(func() {
			signal.Stop(hook.arrived)
			signalHooks.remove(hook)
			close(hook.stopped)
		})
	}
}

// signalHook closes one client on a signal.
type signalHook struct {
	client  *Client
	arrived chan os.Signal
	stopped chan struct{}
}

// signalHooks holds the hooks of all clients.
//
// None may end the process while another client is still sending.
var signalHooks hookSet

type hookSet struct {
	mu    sync.Mutex
	hooks map[*signalHook]struct{}
}

func (s *hookSet) add(hook *signalHook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hooks == nil {
		s.hooks = make(map[*signalHook]struct{})
	}
	s.hooks[hook] = struct{}{}
}

func (s *hookSet) remove(hook *signalHook) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.hooks, hook)
}

// take removes and returns all hooks, so that only the first caller gets any.
func (s *hookSet) take() []*signalHook {
	s.mu.Lock()
	defer s.mu.Unlock()
	var accepted []*signalHook
	for hook := range s.hooks {
		accepted = append(accepted, hook)
	}
	s.hooks = nil
	return accepted
}

// run waits for a signal.
//
// The first hook to receive it closes the clients of all hooks concurrently.
func (h *signalHook) run() {
	var received os.Signal
	select {
	case received = <-h.arrived:
	case <-h.stopped:
		return
	}
	hooks := signalHooks.take()
	if len(hooks) == 0 {
		return
	}
	var closing sync.WaitGroup
	for _, hook := range hooks {
		hook := hook
		closing.Add(1)
		go func() {
			defer closing.Done()
			hook.client.cancelAll()
			// Undelivered reports have been logged, and the process is about to end.
			_ = hook.client.Close()
		}()
	}
	closed := make(chan struct{})
	go func() {
		closing.Wait()
		close(closed)
	}()
	h.await(closed)
	signal.Reset(received)
	endBy(received)
}

// await waits until the clients are closed, or until a second signal.
func (h *signalHook) await(closed <-chan struct{}) {
	began := h.client.clock.now()
	for {
		select {
		case <-closed:
			return
		case <-h.arrived:
			// Some programs, such as GNU timeout, send the first signal twice.
			if h.client.clock.now().Sub(began) >= secondSignalMin {
				return
			}
		}
	}
}

// cancelAll ends all open executions as canceled.
func (c *Client) cancelAll() {
	for _, execution := range c.liveExecutions() {
		if execution.queueFinish(Canceled, notes{}) {
			execution.wakeSender()
		}
	}
}

// endBy ends this process by the signal, so that its parent sees the reason.
//
// If that is impossible, it exits with 1.
func endBy(received os.Signal) {
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Signal(received)
	}
	if err != nil {
		os.Exit(1)
	}
}
