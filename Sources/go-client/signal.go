package ledger

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// FlushOnSignal ends everything properly when one of these signals comes; SIGTERM, SIGINT and SIGHUP if none is named.
//
// Executions that have not ended are canceled, everything is sent, and the client is closed, which takes the client's
// close wait at most. Then the signal does what it does to a program that does not handle it: it ends the process. A
// second signal, a second later or more, does so at once. A signal that the process ignores, such as SIGHUP under
// nohup, stays ignored. Stop takes the hook away again.
//
// The hook is for programs that do not handle these signals. One that does, for example by signal.NotifyContext, hands
// the canceled context to its tasks: Run and Execution.Close then end them as canceled, and Client.Close before the end
// of main sends everything.
func (c *Client) FlushOnSignal(signals ...os.Signal) (stop func()) {
	if c.IsSilent() {
		return func() {}
	}
	if len(signals) == 0 {
		signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}
	}
	hook := &signalHook{client: c, arrived: make(chan os.Signal, 2), stopped: make(chan struct{})}
	for _, wanted := range signals {
		// Asking for an ignored signal would end its being ignored.
		if wanted != nil && !signal.Ignored(wanted) {
			signal.Notify(hook.arrived, wanted)
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

// signalHook closes one client when a signal comes.
type signalHook struct {
	client  *Client
	arrived chan os.Signal
	stopped chan struct{}
}

// signalHooks are the hooks of all clients of the process: none may end the process while another one still sends.
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

// take removes all hooks and returns them. Only the hook that the signal reaches first gets any.
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

// run waits for the signal. The first hook that it reaches closes the clients of all hooks at the same time.
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
			// What could not be delivered has been logged, and the process is about to end.
			_ = hook.client.Close()
		}()
	}
	closed := make(chan struct{})
	go func() {
		closing.Wait()
		close(closed)
	}()
	began := time.Now()
	for isOver := false; !isOver; {
		select {
		case <-closed:
			isOver = true
		case <-h.arrived:
			// Some senders, such as GNU timeout, send the first signal twice.
			isOver = time.Since(began) >= secondSignalMin
		}
	}
	signal.Reset(received)
	endBy(received)
}

// cancelAll ends the executions that have not ended.
func (c *Client) cancelAll() {
	for _, execution := range c.liveExecutions() {
		if execution.queueFinish(Canceled) {
			execution.wakeSender()
		}
	}
}

// endBy ends this process by the signal, so that its parent sees what ended it; and by exit code 1 where a process
// cannot send itself signals.
func endBy(received os.Signal) {
	process, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = process.Signal(received)
	}
	if err != nil {
		os.Exit(1)
	}
}
