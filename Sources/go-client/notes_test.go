package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"testing"
)

func TestPositionsSkippedAndRepeatedUnitsAreExact(t *testing.T) {
	client := newTestClient(t, sharedURL(t))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile")
	position := Progress("position").WithUnit("bytes")
	must(t, position.SetTotal(ctx, 100))
	for _, n := range []int64{0, 30, 30, 10, 60} {
		must(t, position.SetDone(ctx, n, Message(fmt.Sprint("at ", n))))
	}
	must(t, position.Done(ctx, 1))
	must(t, position.SetTotal(ctx, 90))
	must(t, position.SetTotal(ctx, 110, Link("https://host/log")))
	must(t, position.SetDone(ctx, 70))
	must(t, Progress("skipped").Skip(ctx, 40))
	must(t, Progress("skipped").Done(ctx, 2))
	piece := Progress("repeated").Repeatable(ctx)
	for _, units := range []int{3, 1, 5} {
		piece.Restart()
		for i := 0; i < units; i++ {
			must(t, piece.Done(1))
		}
	}
	for name, err := range map[string]error{
		"position": position.SetDone(ctx, -1), "total": position.SetTotal(ctx, IncrementMax+1),
		"skip": Progress("skipped").Skip(ctx, -1), "piece": piece.Done(-1),
		"position without a context": position.SetDone(nilContext, -1), "unit": Progress("a").WithUnit("\n").Done(nilContext, 1),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, execution.Finish(ctx, Succeeded, Message("fine"), Link("https://host/log")))
	if stats := execution.Stats(); stats.Refused != 4 || stats.Dropped != 4 {
		t.Errorf("the stats are %+v", stats)
	}
	must(t, job.Finish(testContext(t), JobCompleted, Message("all done")))
	expectProgress(t, job, "position: 70/110", "skipped: 42/0", "repeated: 5/0")
	snapshot, err := job.Snapshot(testContext(t))
	must(t, err)
	if snapshot.Message != "all done" || snapshot.Progress[0].Unit != "bytes" || snapshot.Progress[0].Message == "" ||
		snapshot.Progress[1].CarriedDone.Compare(UnitsOf(40)) != 0 {
		t.Errorf("the snapshot is %+v", snapshot)
	}
	tasks := job.Tasks(testContext(t), TaskFilter{})
	if !tasks.Next() || tasks.Value().Executions[0].Message != "fine" || tasks.Value().Executions[0].Link != "https://host/log" {
		t.Errorf("the task is %+v, %v", tasks.Value(), tasks.Err())
	}
	if err := piece.Done(1); !errors.Is(err, ErrEnded) && err != nil {
		t.Errorf("a piece after the end: %v", err)
	}
	var none *Repeatable
	none.Restart()
	must(t, none.Done(1))
}

func TestInvalidNotesAreDroppedAndTheirUnitsCount(t *testing.T) {
	logger := &recordingLogger{}
	client := newTestClient(t, sharedURL(t), WithLogger(logger))
	job := newTestJob(t, client)
	ctx, execution := start(t, job, "tile", WithLink("https://user:secret@host"))
	if err := Done(ctx, "a", 1, Link("https://user:secret@host")); !errors.Is(err, ErrInvalid) {
		t.Errorf("a link with a password: %v", err)
	}
	if err := Progress("a").WithUnit(strings.Repeat("a", 33)).Done(ctx, 2, nil); !errors.Is(err, ErrInvalid) {
		t.Errorf("a unit that is too long: %v", err)
	}
	must(t, execution.Finish(ctx, Succeeded, Link("ftp://host")))
	if stats := execution.Stats(); stats.Dropped != 4 || stats.Refused != 0 || stats.Taken != 2 {
		t.Errorf("the stats are %+v", stats)
	}
	expectProgress(t, job, "a: 3/0")
	if lines := strings.Join(logger.all(), "\n"); strings.Contains(lines, "secret") || strings.Count(lines, "a note of") != 1 {
		t.Errorf("the log is %s", lines)
	}
}

func TestALinkHasTheCharactersOfAURL(t *testing.T) {
	for _, link := range []string{
		"https://host", "http://host:8080/a/b%20c?d=e&f=g#h", "HTTPS://[::1]/a", "http://host/a@b",
		"http://[::ffff:1.2.3.4]/?a[]=%2F%C3%A4#%41", "https://host:65535", "https://host:?x:y", "https://host?a@b",
	} {
		if err := checkLink(link); err != nil {
			t.Errorf("%s: %v", link, err)
		}
	}
	for _, link := range []string{
		"", "host", "ftp://host", "https://", "https:///a", "https://:80/", "https://u@host", "https://u:p@host", "https://host/a b",
		"https://host/ü", "https://host/{a}", "https://host/" + strings.Repeat("a", 2000), "https://host/\x00", "https://host:port/",
		"https://host:65536/", "https://host:000080/", "https://host:80:80/", "http://[/", "http://[]/", "http://[::g]/",
		"https://[::1", "http://[::1]x/", "http://a]b/", "https://host/%zz", "https://host/%4",
	} {
		if err := checkLink(link); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is accepted", link)
		}
	}
}

func TestMessagesAreCleanedAndCut(t *testing.T) {
	if found := cleanMessage("a\tb\x1b[1m\r\nc\u0085d"); found != "a b [1m \nc d" {
		t.Errorf("control characters give %q", found)
	}
	if found := cleanMessage(strings.Repeat("é", 1001)); found != strings.Repeat("é", 1000) {
		t.Errorf("a long message has %d bytes", len(found))
	}
	if found := cleanMessage("a\xffb"); found != "a\ufffdb" {
		t.Errorf("invalid UTF-8 gives %q", found)
	}
}

type panicking struct{}

func (panicking) Error() string { panic("no text") }

// pathless is an error whose Unwrap panics for a nil pointer.
type pathless struct{ err error }

func (*pathless) Error() string   { return "no path" }
func (p *pathless) Unwrap() error { return p.err }

// cyclic is an error that wraps itself.
type cyclic struct{}

func (c cyclic) Error() string { return "cycle" }
func (c cyclic) Unwrap() error { return c }

func TestMessagesOfErrorsContainNoCredentials(t *testing.T) {
	plain := fmt.Errorf("tile 17: %w", &fs.PathError{Op: "open", Path: "https://u:p@ss/w@host/a?sig=1", Err: fs.ErrNotExist})
	cases := []struct {
		err            error
		kind, withText string
	}{
		{plain, "*errors.errorString", "tile 17: open https://host/a?… file does not exist"},
		{errors.New("a\nb"), "*errors.errorString", "a"},
		{errors.New(" "), "*errors.errorString", "*errors.errorString"},
		{panicking{}, "ledger.panicking", "ledger.panicking"},
		{(*pathless)(nil), "*ledger.pathless", "no path"},
		{fmt.Errorf("tile 17: %w", (*pathless)(nil)), "*ledger.pathless", "tile 17: no path"},
		{cyclic{}, "ledger.cyclic", "cycle"},
		{errors.New(strings.Repeat("x", 201)), "*errors.errorString", strings.Repeat("x", 199) + "…"},
	}
	for _, c := range cases {
		if found := errorMessage(c.err, false); found != c.kind {
			t.Errorf("the type is %q, not %q", found, c.kind)
		}
		if found := errorMessage(c.err, true); found != c.withText {
			t.Errorf("the text is %q, not %q", found, c.withText)
		}
	}
}

func TestAnOlderLedgerGetsStartsAndEndsWithoutNotes(t *testing.T) {
	logger := &recordingLogger{}
	proxy := newFaultProxy(t, sharedURL(t), func(kind string, before int) fault { return fault{} })
	client := newTestClient(t, proxy.URL, WithLogger(logger), WithErrorMessages())
	job := newTestJob(t, client)
	refuse := func(pointers ...string) fault {
		var errors []string
		for _, pointer := range pointers {
			errors = append(errors, fmt.Sprintf(`{"pointer": %q, "detail": "no such field"}`, pointer))
		}
		body := fmt.Sprintf(`{"title": "Invalid", "status": 422, "errors": [%s]}`, strings.Join(errors, ", "))
		return fault{status: http.StatusUnprocessableEntity, mediaType: "application/problem+json", body: body}
	}
	proxy.setFault(func(kind string, before int) fault {
		switch {
		case kind == "POST /executions" && before == 0:
			return refuse("/link")
		case kind == "POST /events" && before == 0:
			return refuse("/1/message")
		}
		return fault{}
	})
	err := job.Run(context.Background(), "tile", func(ctx context.Context) error {
		must(t, Done(ctx, "a", 1))
		return errors.New("no disk")
	}, WithLink("https://host/log"))
	if err == nil {
		t.Error("the error of the work is lost")
	}
	must(t, job.Finish(testContext(t), JobFailed, Message("later")))
	expectProgress(t, job, "a: 1/0")
	expectOneExecution(t, job, TaskFailed)
	lines := strings.Join(logger.all(), "\n")
	if strings.Count(lines, "older than the client") != 1 {
		t.Errorf("the log is %s", lines)
	}
	for _, body := range append(proxy.bodies("POST /executions"), proxy.bodies("POST /events")...) {
		if strings.Contains(body, "link") || strings.Contains(body, "message") {
			t.Errorf("the server gets %s", body)
		}
	}
}
