"""The JavaScript client in a browser: <progress-ledger-job> in a page of another site, and reports from a page."""

import http.server
import json
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from support import PROJECT, Ledger, Proxy, progress, serving, start, wait_for_refusal

PACKAGE = PROJECT / "Sources/javascript-client"
MODULE = "application/javascript"
SIZES = [(360, 740), (768, 1024), (1440, 900)]


class Site(http.server.BaseHTTPRequestHandler):
    """Serves the package's modules, and a page with a strict content security policy."""

    ledger = ""
    # The snapshot that every job of the site's own ledger has.
    snapshot: dict = {}

    def do_GET(self):
        if self.path.endswith("/watch"):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(f"id: 1\nevent: snapshot\ndata: {json.dumps(self.snapshot)}\n\n".encode())
            self.wfile.flush()
            # The stream stays open until the page closes it.
            self.connection.recv(1)
            return
        path = Path(self.path.split("?")[0].lstrip("/"))
        is_module = path.parts[:1] == ("src",) and (PACKAGE / path).is_file()
        body = (PACKAGE / path).read_bytes() if is_module else PAGE.encode()
        policy = f"default-src 'none'; script-src 'self'; connect-src 'self' {self.ledger}; img-src data:; style-src 'self'"
        self.send_response(200)
        self.send_header("Content-Type", MODULE if is_module else "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", policy)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>Wiki</title><link rel="icon" href="data:,">
<script type="module" src="/src/element.js"></script><main><h1>Status</h1></main></html>"""

# Adds elements, and notes the signal of each request of the page.
ADD = """
    const [attributes, done] = arguments;
    customElements.whenDefined("progress-ledger-job").then(() => {
      for (const each of attributes) {
        const element = document.createElement("progress-ledger-job");
        for (const [name, value] of Object.entries(each)) element.setAttribute(name, value);
        document.querySelector("main").append(element);
      }
      done();
    });
"""

# The shown texts and bars of an element.
SHOWN = """
    const element = document.querySelectorAll("progress-ledger-job")[arguments[0]];
    const root = element.shadowRoot;
    const text = (part) => root.querySelector(`.${part}:not([hidden])`)?.textContent ?? "";
    return {
      ...Object.fromEntries(["name", "state", "percent", "finish", "failures", "warning", "message", "more", "error", "connection", "live"]
        .map((part) => [part, text(part)])),
      indicators: [...root.querySelectorAll(".indicator")].map((row) => ({
        label: row.querySelector(".label").textContent, percent: row.querySelector(".percent").textContent,
        count: row.querySelector(".count").textContent, note: row.querySelector(".note").textContent,
        status: row.dataset.status, role: row.querySelector(".bar").getAttribute("role"),
        now: row.querySelector(".bar").getAttribute("aria-valuenow"), words: row.querySelector(".bar").getAttribute("aria-valuetext"),
        width: row.querySelector(".fill").style.width,
      })),
    };
"""

SIGNALS = """
    window.signals = [];
    const original = window.fetch;
    window.fetch = (address, options) => {
      window.signals.push(options.signal);
      return original(address, options);
    };
"""


@contextmanager
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://wiki.example:{server.server_port}"
    finally:
        server.shutdown()


@pytest.fixture(scope="module")
def shared():
    """The origin of the site, the URL of a ledger that permits it, a reporter with a token, and the ledger's URL object."""
    with site() as origin, serving(arguments=["--cors-origin", origin]) as url:
        token = url.create_token("admin", "--scope", "admin")
        wait_for_refusal(url)
        yield origin, url, Ledger(url, token)


@pytest.fixture
def page(browsers, shared):
    """Opens the page of the other site in a new browser."""
    origin, url, _ = shared

    def make(ledger=url, **options):
        Site.ledger = ledger
        browser = browsers(arguments=["--host-resolver-rules=MAP *.example 127.0.0.1"], **options)
        browser.before_load(SIGNALS)
        browser.open(f"{origin}/")
        return browser

    return make


def add(browser, *attributes):
    browser.driver.execute_async_script(ADD, list(attributes))


def shown(browser, index=0):
    return browser.run(SHOWN, index)


def share(url, job):
    return url.create_token(f"share {job}", "--scope", "read", "--job", job, "--expires", "1d")


def units(count):
    return {"total": 10, "done": count}


def test_a_page_of_another_site_shows_a_live_job_with_a_share_token(page, shared):
    _, url, ledger = shared
    job = ledger.create("<b>mosaic</b>\u202e")
    hostile = "<img src=x onerror=alert(1)>"
    ledger.append(job, progress("t", hostile, **units(3)), progress("t", None, total=2**53 - 1, done=2**53 - 1),
                  progress("t", None, total=2**53 - 1))
    browser = page()
    add(browser, {"job": job, "src": url, "token": share(url, job)})
    found = browser.wait(lambda: (now := shown(browser))["indicators"] and now)
    assert (found["name"], found["state"], found["error"], found["connection"]) == ("<b>mosaic</b>\\u{202E}", "running", "", "")
    first, second = found["indicators"]
    assert first == {
        "label": hostile, "percent": "30\u202f%", "count": "3\u2009/\u200910", "note": "", "status": "moving", "role": "progressbar",
        "now": "30", "words": "3 of 10, 30 percent", "width": "30%"}
    assert second["label"] == "default"
    assert second["count"].endswith("18\u202f014\u202f398\u202f509\u202f481\u202f982"), "sums beyond 2^53 are exact"
    ledger.append(job, progress("t", hostile, done=7))
    browser.wait(lambda: shown(browser)["indicators"][0]["status"] == "complete")
    assert browser.violations() == []
    ledger.finish(job)
    browser.wait(lambda: shown(browser)["state"] == "completed")
    assert "completed" in shown(browser)["live"], "the end is announced"
    assert browser.run("return document.querySelector('progress-ledger-job').snapshot.state") == "completed"


def test_everything_that_a_snapshot_says_is_shown(page, shared):
    origin, _, _ = shared
    now = "2026-11-30T12:00:00.000000Z"
    Site.snapshot = {
        "now": now, "job": "j", "name": "everything", "state": "running", "sequence": 9, "ledger_sequence": 9, "percent": 41,
        "message": "mosaicking\nnorth", "stalled_since": "2026-11-30T11:48:00Z", "tasks": {"total": 9, "failed": 2, "silent": 3},
        "estimate": {"at": now, "remaining_seconds": {"p10": 540.0, "p50": 720.0, "p90": 1200.0},
                     "finish_at": {name: "2026-11-30T12:12:00Z" for name in ("p10", "p50", "p90")}, "basis": "job"},
        "progress": [
            {"label": "read", "unit": "bytes", "done": 3_100_000_000_000, "total": 10_000_000_000_000, "percent": 31,
             "message": "scene\u202e 17\nof 400"},
            {"label": "index", "unit": "files", "done": 5, "total": 4, "percent": 125},
            {"label": "copy", "done": 1, "total": 4, "percent": 25, "stalled_since": "2026-11-30T10:00:00Z"},
            {"label": "cache", "done": 12, "total": 0, "percent": None}],
    }
    browser = page()
    add(browser, {"job": "j", "src": origin})
    found = browser.wait(lambda: (now := shown(browser))["indicators"] and now)
    assert found["percent"] == "41\u202f%"
    assert found["finish"].startswith("≈ 12 min (9–20) left, until ")
    assert found["failures"] == "2 tasks have failed"
    assert found["warning"] == "stalled for 12\u202fmin · 3 executions are silent"
    assert found["message"] == "mosaicking\nnorth"
    assert [(row["count"], row["note"], row["status"]) for row in found["indicators"]] == [
        ("3.1\u202fTB\u2009/\u200910.0\u202fTB", "scene\\u{202E} 17 of 400", "moving"),
        ("5\u2009/\u20094 files", "1 more than declared", "over"), ("1\u2009/\u20094", "stalled for 2\u202fh 0\u202fmin", "stalled"),
        ("12", "total unknown", "unknown")]
    assert browser.violations() == []


def test_a_share_token_shows_nothing_else(page, shared):
    _, url, ledger = shared
    one, other = ledger.create("one"), ledger.create("other")
    browser = page()
    browser.expected = ["Failed to load resource"]
    add(browser, {"job": other, "src": url, "token": share(url, one)}, {"job": one, "src": url, "token": "pl_wrong"},
        {"job": one, "src": "ftp://nowhere"})
    browser.wait(lambda: "does not exist, or the token does not permit it" in shown(browser, 0)["error"])
    browser.wait(lambda: "token is not accepted" in shown(browser, 1)["error"])
    browser.wait(lambda: "cannot be used" in shown(browser, 2)["error"])
    assert (shown(browser, 0)["name"], shown(browser, 0)["state"]) == (f"Job {other}", "not available")


def test_an_element_stops_when_it_is_removed_and_shares_its_connection(page, shared):
    _, url, ledger = shared
    job = ledger.create("removed")
    token = share(url, job)
    browser = page()
    add(browser, *[{"job": job, "src": url, "token": token}] * 3)
    for index in range(3):
        browser.wait(lambda: shown(browser, index)["name"] == "removed")  # noqa: B023
    assert browser.run("return window.signals.length") == 1, "three elements share one request"
    browser.run("document.querySelector('h1').after(document.querySelector('progress-ledger-job'))")
    browser.run("document.querySelectorAll('progress-ledger-job')[0].remove()")
    ledger.append(job, progress("t", "a", **units(5)))
    browser.wait(lambda: shown(browser)["indicators"])
    assert browser.run("return window.signals.length") == 1, "the others keep it"
    browser.run("for (const element of [...document.querySelectorAll('progress-ledger-job')]) element.remove()")
    browser.wait(lambda: browser.run("return window.signals.every((signal) => signal.aborted)"))


def test_further_jobs_are_polled(page, shared):
    _, url, ledger = shared
    jobs = [ledger.create(f"job {index}") for index in range(6)]
    browser = page()
    add(browser, *[{"job": job, "src": url, "token": share(url, job)} for job in jobs])
    for index in range(6):
        browser.wait(lambda: shown(browser, index)["name"] == f"job {index}")  # noqa: B023
    ledger.append(jobs[5], progress("t", "a", **units(5)))
    browser.wait(lambda: shown(browser, 5)["percent"] == "50\u202f%")


def test_an_element_says_that_its_connection_is_lost_and_recovers(page, shared):
    _, url, ledger = shared
    proxy = Proxy(url)
    try:
        job = ledger.create("lost")
        browser = page(ledger=proxy.url)
        browser.expected = ["Failed to load resource", "ERR_", "CORS policy"]
        add(browser, {"job": job, "src": proxy.url, "token": share(url, job)})
        browser.wait(lambda: shown(browser)["name"] == "lost")
        proxy.cut()
        browser.wait(lambda: shown(browser)["connection"] == "connection lost; trying again")
        ledger.append(job, progress("t", "a", **units(4)))
        proxy.restore()
        browser.wait(lambda: shown(browser)["connection"] == "" and shown(browser)["percent"] == "40\u202f%")
    finally:
        proxy.close()


@pytest.mark.parametrize("dark", [False, True])
def test_the_element_fits_every_window(page, shared, dark):
    _, url, ledger = shared
    job = ledger.create("a name that is long enough to need more than one line on a small telephone, " * 2)
    ledger.append(job, *[progress("t", f"indicator {index} with a label that is rather long", total=10**14, done=index * 10**12)
                         for index in range(60)], start("failing", 1),
                  {"type": "execution_finished", "task": "failing", "attempt": 1, "outcome": "failed"})
    browser = page(dark=dark)
    add(browser, {"job": job, "src": url, "token": share(url, job)})
    for size in SIZES:
        browser.resize(*size)
        browser.wait(lambda: shown(browser)["more"] == "and 10 more")
        assert browser.run("return document.documentElement.scrollWidth") <= size[0], f"{size} scrolls sideways"
        assert shown(browser)["failures"] == "1 task has failed"
        assert browser.violations() == [], size


def test_a_page_reports_and_watches(page, shared):
    _, url, ledger = shared
    token = url.create_token("browser", "--scope", "report", "--scope", "read")
    browser = page()
    result = browser.driver.execute_async_script(
        """
        const [url, token, done] = arguments;
        import("/src/browser.js").then(async ({ Client }) => {
          const client = new Client({ url, token });
          const job = await client.jobs.create("from a page");
          const states = [];
          const watching = (async () => { for await (const { state } of job.watch()) states.push(state); })();
          await job.run("t", async (execution) => {
            for (let unit = 0; unit < 5; unit += 1) execution.progress("a").done(1);
          });
          await job.finish("completed");
          await watching;
          const found = await client.jobs.find(job.id);
          done({ job: job.id, done: String(found.progress[0].done), last: states.at(-1) });
        }).catch((error) => done({ error: String(error) }));
        """, url, token)
    assert result == {"job": result.get("job"), "done": "5", "last": "completed"}
    assert ledger.call(f"/v1/jobs/{result['job']}")["progress"][0]["done"] == 5


def test_the_last_reports_are_sent_when_the_page_is_left(page, shared):
    origin, url, ledger = shared
    token = url.create_token("leaving", "--scope", "report", "--scope", "read")
    job = ledger.create("left")
    browser = page()
    browser.driver.execute_async_script(
        """
        const [url, token, job, done] = arguments;
        import("/src/browser.js").then(async ({ Client }) => {
          const client = new Client({ url, token });
          const execution = client.job(job).execution("t");
          await execution.started();
          execution.progress("a").done(7);
          done();
        });
        """, url, token, job)
    browser.open(f"{origin}/other")
    browser.wait(lambda: (ledger.call(f"/v1/jobs/{job}")["progress"] or [{}])[0].get("done") == 7)
