package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"reflect"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// Fuzz tests of all parsers of external input.

func FuzzEventStream(f *testing.F) {
	f.Add([]byte(": hello\n\nevent: snapshot\nid: 7\ndata: {}\n\nevent: end\n\n"))
	f.Add([]byte("\xEF\xBB\xBFdata: a\r\ndata: b\rid\r\n\r\n\n"))
	f.Add([]byte("event:x\r\n\ndata\n\nid: \x00\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		whole := parseEvents(t, bytes.NewReader(text))
		pieces := parseEvents(t, iotest.OneByteReader(bytes.NewReader(text)))
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("read at once it is %q, and byte by byte %q", whole, pieces)
		}
		// The kind of line end makes no difference.
		if !bytes.ContainsRune(text, '\r') {
			other := parseEvents(t, bytes.NewReader(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n"))))
			if !reflect.DeepEqual(whole, other) {
				t.Errorf("with carriage returns %q becomes %q", whole, other)
			}
		}
	})
}

func parseEvents(t *testing.T, stream io.Reader) (events []streamEvent) {
	t.Helper()
	reader := newEventStream(stream, "", func() {})
	for {
		event, err := reader.next()
		if err == io.EOF {
			return events
		}
		must(t, err)
		events = append(events, event)
	}
}

func FuzzUnits(f *testing.F) {
	for _, seed := range []string{"0", "-1", "9223372036854775808", "1.0", "1e9", "null", " 7 ", "007"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var units Units
		if err := json.Unmarshal([]byte(text), &units); err != nil {
			return
		}
		want := new(big.Int)
		if err := json.Unmarshal([]byte(text), want); err != nil {
			t.Fatalf("%q is read as %v, and is no integer: %v", text, units, err)
		}
		if units.Big().Cmp(want) != 0 || fmt.Sprint(units) != want.String() {
			t.Errorf("%q is read as %v", text, units)
		}
	})
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(snapshotText(3, JobRunning)))
	f.Add([]byte(`{"job": "j", "state": "new", "sequence": 1, "progress": [{"label": "a", "done": 99999999999999999999}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var snapshot, again Snapshot
		if err := json.Unmarshal(text, &snapshot); err != nil {
			return
		}
		if snapshot.Job == "" || snapshot.State == "" {
			t.Errorf("%q is read as a snapshot", text)
		}
		written, err := json.Marshal(snapshot)
		if err != nil {
			// RFC 3339 has no years beyond 9999, which only a fuzzer uses.
			return
		}
		must(t, json.Unmarshal(written, &again))
		rewritten, err := json.Marshal(again)
		must(t, err)
		if !bytes.Equal(written, rewritten) {
			t.Errorf("%s becomes %s", written, rewritten)
		}
	})
}

func FuzzAnswer(f *testing.F) {
	f.Add(503, "application/problem+json", "7", []byte(`{"title": "Overloaded", "errors": [{"pointer": "/0/done"}]}`))
	f.Add(404, "text/html", "Sat, 31 Jan 2026 10:00:00 GMT", []byte("<html>"))
	f.Add(201, "application/json; charset=utf-8", "-1", []byte("{}"))
	f.Fuzz(func(t *testing.T, status int, mediaType, wait string, body []byte) {
		a := &httpResponse{status: status, header: http.Header{"Content-Type": {mediaType}, "Retry-After": {wait}}, body: body}
		found, cause := classify(a, nil)
		if (found == accepted) != (cause == nil) {
			t.Errorf("it is %d, and the cause %v", found, cause)
		}
		if found == accepted && (status < 200 || status > 299) || found == rejected && (status < 400 || status > 499) {
			t.Errorf("status %d is %d", status, found)
		}
		if pause := retryAfter(a); pause < 0 || pause > retryAfterMax {
			t.Errorf("%q causes a wait of %v", wait, pause)
		}
	})
}

func FuzzLabel(f *testing.F) {
	f.Add("download")
	f.Add("\xed\xa0\x80")
	f.Fuzz(func(t *testing.T, label string) {
		isRight := utf8.ValidString(label) && len([]rune(label)) <= LabelScalarsMax && !bytes.ContainsRune([]byte(label), 0)
		if err := checkReport(label, 1, 0); (err == nil) != isRight {
			t.Errorf("%q gives %v", label, err)
		}
	})
}
