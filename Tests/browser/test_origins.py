"""A page of another site can neither read nor change the ledger of a loopback server, and cannot embed its pages."""

import http.server
import threading
from contextlib import contextmanager

import pytest

from support import Ledger, log_in, serving, wait_for_refusal

# Sends a request from a page and returns what the page learns of the response.
FETCH = """
    const [path, options, done] = arguments;
    fetch(path, options).then(
      async (response) => done({ type: response.type, status: response.status, text: await response.text() }),
      (error) => done({ error: String(error) }));
"""


class HostilePage(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>hostile</title><link rel=icon href=data:,>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextmanager
def hostile_site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HostilePage)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()


@pytest.fixture
def hostile(browsers, url):
    """A page of another site, in a browser in which that site's names resolve to this machine."""
    browser = browsers(arguments=["--host-resolver-rules=MAP *.example 127.0.0.1"])
    # Refused requests appear in the console.
    browser.expected = ["CORS policy", "Failed to load resource", "ERR_FAILED", "ERR_BLOCKED", "frame", url]
    with hostile_site() as port:
        browser.open(f"http://evil.example:{port}/")
        yield browser


def fetch(browser, path, **options):
    return browser.driver.execute_async_script(FETCH, path, options)


def sequence(ledger, job):
    return ledger.call(f"/v1/jobs/{job}")["ledger_sequence"]


def test_a_foreign_page_cannot_read_the_ledger(hostile, ledger, url):
    job = ledger.create("secret")
    assert "error" in fetch(hostile, f"{url}/v1/jobs/{job}")
    assert "error" in fetch(hostile, f"{url}/v1/jobs/{job}/events")
    opaque = fetch(hostile, f"{url}/v1/jobs/{job}", mode="no-cors")
    assert "error" in opaque or opaque["text"] == "", opaque


def test_a_foreign_page_cannot_change_the_ledger(hostile, ledger, url):
    job = ledger.create("target")
    event = '{"type":"progress","task":"t","done":1}'
    # The last two are "simple" requests, which a browser sends without asking first.
    for options in [
        {"headers": {"Content-Type": "application/json"}}, {"mode": "no-cors"},
        {"mode": "no-cors", "headers": {"Content-Type": "text/plain"}},
    ]:
        fetch(hostile, f"{url}/v1/jobs/{job}/events", method="POST", body=event, **options)
        fetch(hostile, f"{url}/v1/jobs", method="POST", body='{"name":"planted"}', **options)
    hostile.run(
        """
        const form = document.createElement("form");
        Object.assign(form, { method: "post", enctype: "text/plain", action: arguments[0] });
        const input = document.createElement("input");
        Object.assign(input, { name: '{"name":"planted","tags":{"x":"', value: '"}}' });
        form.append(input);
        document.body.append(form);
        form.submit();
        """, f"{url}/v1/jobs")
    hostile.wait(lambda: "Foreign origin" in hostile.driver.page_source)
    assert sequence(ledger, job) == 1
    assert all(found["name"] != "planted" for found in ledger.call("/v1/jobs")["jobs"])


# A page on another port of the same machine belongs to the same site, so that a browser sends it strict cookies too.
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1"])
def test_a_foreign_page_cannot_use_a_login(browsers, host):
    browser = browsers(arguments=["--host-resolver-rules=MAP *.example 127.0.0.1"])
    with hostile_site() as port, serving() as url:
        job = Ledger(url).create("secret")
        token = url.create_token("admin", "--scope", "admin")
        wait_for_refusal(url)
        browser.expected = ["CORS policy", "Failed to load resource", "ERR_FAILED", "ERR_BLOCKED", "401", url]
        browser.open(f"{url}/login")
        log_in(browser, token)
        browser.wait(lambda: "secret" in (browser.text("#list") or ""))
        browser.open(f"http://{host}:{port}/")
        event = '{"type":"job_finished","outcome":"failed"}'
        for mode in ["cors", "no-cors"]:
            options = {"mode": mode, "credentials": "include"}
            read = fetch(browser, f"{url}/v1/jobs/{job}", **options)
            assert "error" in read or read["text"] == "", read
            for path, body in [(f"/v1/jobs/{job}/events", event), ("/v1/tokens", '{"name":"t","scopes":["admin"]}')]:
                fetch(browser, url + path, method="POST", body=body, headers={"Content-Type": "text/plain"}, **options)
        ledger = Ledger(url, token)
        assert sequence(ledger, job) == 1
        assert [found["name"] for found in ledger.call("/v1/tokens")["tokens"]] == ["admin"]
        # The login itself works.
        browser.open(f"{url}/jobs/{job}")
        assert "secret" in browser.text("h1")


def test_a_name_that_resolves_to_this_machine_is_refused(hostile, ledger, url):
    job = ledger.create("rebound")
    port = url.rsplit(":", 1)[1]
    # After a DNS rebinding a page of the other server sends requests to this one as its own origin. Here the page is
    # this server's refusal. Its content security policy must not block the requests: the test is about the host.
    hostile.command("Page.setBypassCSP", enabled=True)
    hostile.open(f"http://evil.example:{port}/jobs/{job}")
    assert "Unknown host" in hostile.driver.page_source and "rebound" not in hostile.driver.page_source
    found = fetch(hostile, f"/v1/jobs/{job}")
    assert found["status"] == 421 and "rebound" not in found["text"]
    written = fetch(hostile, f"/v1/jobs/{job}/events", method="POST", body='{"type":"job_finished","outcome":"failed"}',
                    headers={"Content-Type": "application/json"})
    assert written["status"] == 421 and sequence(ledger, job) == 1


def test_a_page_of_a_configured_origin_can_read_and_write(browsers):
    browser = browsers(arguments=["--host-resolver-rules=MAP *.example 127.0.0.1"])
    with hostile_site() as port:
        origin = f"http://wiki.example:{port}"
        with serving(arguments=["--cors-origin", origin]) as url:
            ledger = Ledger(url)
            job = ledger.create("shared")
            browser.open(f"{origin}/")
            # A request with JSON is preceded by a preflight request.
            written = fetch(browser, f"{url}/v1/jobs/{job}/events?wait=folded", method="POST",
                            body='{"type":"progress","task":"t","total":2,"done":1}',
                            headers={"Content-Type": "application/json"})
            assert written["status"] == 201, written
            found = fetch(browser, f"{url}/v1/jobs/{job}/progress")
            assert found["status"] == 200 and '"done":1' in found["text"].replace(" ", ""), found
            assert fetch(browser, f"{url}/v1/jobs/missing")["status"] == 404
            streamed = browser.driver.execute_async_script(
                """
                const [url, done] = arguments;
                const source = new EventSource(url);
                source.addEventListener("snapshot", (event) => { source.close(); done(event.data); });
                source.onerror = () => done("error");
                """, f"{url}/v1/jobs/{job}/watch")
            assert '"shared"' in streamed, streamed
            browser.expected = ["Failed to load resource"]


def test_a_foreign_page_cannot_embed_a_page(hostile, ledger, url):
    job = ledger.create("framed")
    hostile.run(
        """
        const frame = document.createElement("iframe");
        frame.onload = () => { window.loaded = true; };
        frame.src = arguments[0];
        document.body.append(frame);
        """, f"{url}/jobs/{job}")
    hostile.wait(lambda: hostile.run("return window.loaded === true"))
    hostile.driver.switch_to.frame(0)
    assert "framed" not in hostile.driver.page_source
    hostile.driver.switch_to.default_content()


def test_the_own_pages_work(browser, ledger, url):
    job = ledger.create("own")
    browser.open(f"{url}/jobs/{job}").wait_live()
    written = fetch(browser, f"/v1/jobs/{job}/events", method="POST", body='{"type":"progress","task":"t","done":1}',
                    headers={"Content-Type": "application/json"})
    assert written["status"] == 201 and sequence(ledger, job) == 2
