package ledger

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// FlushOnSignal flushes all executions when one of these signals comes, SIGTERM where none is named, and then lets the
// signal do what it does to a program that does not handle it: end it. It waits for the client's close wait at most.
// Stop takes the hook away again.
//
// Executions are flushed and not finished: the work was interrupted, and what comes of it is for whoever starts it
// again. The hook is for programs that do not handle these signals; one that does calls Client.Close where it ends.
func (c *Client) FlushOnSignal(signals ...os.Signal) (stop func()) {
	if c.IsSilent() {
		return func() {}
	}
	if len(signals) == 0 {
		signals = []os.Signal{syscall.SIGTERM}
	}
	arrived := make(chan os.Signal, 1)
	stopped := make(chan struct{})
	signal.Notify(arrived, signals...)
	go func() {
		select {
		case received := <-arrived:
			// Whatever could not be delivered has been logged, and the process is about to end.
			_ = c.Close()
			signal.Reset(received)
			endBy(received)
		case <-stopped:
		}
	}()
	var once sync.Once
	return func() {
		once.Do(func() {
			signal.Stop(arrived)
			close(stopped)
		})
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
