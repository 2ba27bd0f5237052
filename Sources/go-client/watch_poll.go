package ledger

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// poll waits for a change by one long poll.
func (w *watch) poll() (*Snapshot, error) {
	if w.last != nil && w.last.State != JobRunning {
		w.isEnded = true
		return nil, nil
	}
	r := request{
		method: http.MethodGet, path: jobPath(w.job.ID, "/progress"), header: map[string]string{},
		wait: requestWait + pollWait,
	}
	if w.etag != "" {
		r.header["If-None-Match"] = w.etag
		r.header["Prefer"] = fmt.Sprintf("wait=%d", int(pollWait/time.Second))
	}
	began := w.clock.now()
	a, err := w.job.client.exchange(w.context, r)
	if err != nil {
		return nil, err
	}
	if a.status == http.StatusNotModified {
		// A ledger that responds without waiting must not be polled in a tight loop.
		if rest := pauseMin - w.clock.now().Sub(began); rest > 0 {
			w.clock.sleep(w.context, rest)
		}
		return nil, w.context.Err()
	}
	if found, _ := classify(a, nil); found != accepted {
		return nil, w.problem(a)
	}
	var snapshot Snapshot
	if err := json.Unmarshal(a.body, &snapshot); err != nil {
		return nil, err
	}
	snapshot.receive(clockOf(a.header, a.receivedAt), a.receivedAt)
	w.etag = a.header.Get("ETag")
	if w.etag == "" {
		w.clock.sleep(w.context, time.Second)
	}
	return &snapshot, nil
}
