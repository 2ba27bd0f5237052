"""Shared by the browser tests: a server, its ledger, a browser, and a proxy that can fail."""

import inspect
import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PROJECT = Path(__file__).resolve().parents[2]
WIDE = (1280, 1000)
PHONE = (390, 844)
SMALL_PHONE = (360, 740)


def binary():
    """The program under test: PROGRESS_LEDGER_BINARY, or the debug build."""
    return os.environ.get("PROGRESS_LEDGER_BINARY") or str(PROJECT / ".build/debug/progress-ledger")


class ServerURL(str):
    """The URL of a server under test, with the data folder of its database."""

    data: str

    def create_token(self, name, *arguments):
        """Creates a token in the database; returns its text once the server accepts it."""
        token = subprocess.run(
            [binary(), "token", "create", name, "--data", self.data, *arguments], check=True, capture_output=True,
            text=True).stdout.strip()
        request = urllib.request.Request(f"{self}/v1/limits", headers={"authorization": f"Bearer {token}"})
        for _ in range(200):
            try:
                urllib.request.urlopen(request, timeout=30).close()
                return token
            except urllib.error.HTTPError as error:
                assert error.code == 401
            time.sleep(0.05)
        raise AssertionError("the server does not accept the token")


def wait_for_refusal(url):
    """Waits until the server knows that it has tokens."""
    for _ in range(200):
        try:
            Ledger(url).call("/v1/jobs")
        except urllib.error.HTTPError as error:
            assert error.code == 401
            return
        time.sleep(0.05)
    raise AssertionError("the server does not require a token")


def log_in(browser, token):
    browser.wait(lambda: browser.all("#login input"))
    browser.find("#login input").send_keys(token)
    browser.find("#login button").click()


@contextmanager
def serving(port=0, arguments=()):
    """Runs a server with a database of its own and further arguments; yields its URL."""
    # The path is short because PostgreSQL's socket is in it. The folder is open to other accounts because PostgreSQL
    # does not run as root.
    with tempfile.TemporaryDirectory(prefix="pl-browser-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        process = subprocess.Popen(
            [binary(), "serve", "--port", str(port), "--data", f"{folder}/data", "--log-level", "error", *arguments],
            stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on "), f"the server did not start: {line!r}"
            url = ServerURL(line.removeprefix("listening on ").strip())
            url.data = f"{folder}/data"
            yield url
        finally:
            process.terminate()
            process.wait(60)


class Ledger:
    """Reports to the ledger as workers do."""

    def __init__(self, url, token=None):
        self.url = url
        self.headers = {"content-type": "application/json"}
        if token is not None:
            self.headers["authorization"] = f"Bearer {token}"

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers=self.headers)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    def create(self, name, **fields):
        return self.call("/v1/jobs", {"name": name, **fields})["job"]

    def append(self, job, *events):
        return self.call(f"/v1/jobs/{job}/events?wait=folded", list(events))

    def finish(self, job, outcome="completed"):
        return self.append(job, {"type": "job_finished", "outcome": outcome})

    def demo(self, *arguments):
        """Starts the demonstration; returns its process."""
        return subprocess.Popen(
            [binary(), "demo", "--json", "--server", self.url, *arguments], stdout=subprocess.PIPE, text=True)


def progress(task, label=None, attempt=1, **units):
    event = {"type": "progress", "task": task, "attempt": attempt, **units}
    return event if label is None else {**event, "label": label}


def start(task, attempt):
    return {"type": "execution_started", "task": task, "attempt": attempt}


class Browser:
    """A headless Chromium with queries for the pages under test."""

    def __init__(self, size=WIDE, dark=False, scripts=True, arguments=()):
        # Parts of the console messages that the test expects.
        self.expected = []
        options = Options()
        options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage",
                         *arguments]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(
            options=options, service=Service(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")))
        # axe checks thousands of elements of the reference.
        self.driver.set_script_timeout(120)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.command("Emulation.setEmulatedMedia", features=scheme)
        self.resize(*size)
        if not scripts:
            self.command("Emulation.setScriptExecutionDisabled", value=True)

    def command(self, name, **parameters):
        return self.driver.execute_cdp_cmd(name, parameters)

    def resize(self, width, height):
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def open(self, url):
        self.driver.get(url)
        return self

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        """The exact text of an element, spaces included; None if it does not exist."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def wait(self, condition, seconds=15):
        """Waits until the condition holds; returns its value.

        The error names the condition by its source, and its last value.
        """
        last = None

        def holds(_):
            nonlocal last
            last = condition()
            return last

        try:
            return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(holds)
        except TimeoutException as error:
            source = inspect.getsource(condition).strip()
            raise AssertionError(f"waited {seconds} s for: {source}\nThe last value was {last!r}.") from error

    def before_load(self, script):
        """Runs a script in every page that is opened from now on, before the page's own."""
        self.command("Page.addScriptToEvaluateOnNewDocument", source=script)

    def hide(self):
        """Makes the page believe that its tab is hidden."""
        self._set_hidden(True)

    def reveal(self):
        """Makes the page believe that its tab is visible again."""
        self._set_hidden(False)

    def _set_hidden(self, is_hidden):
        self.run(
            """
            Object.defineProperty(document, "hidden", { configurable: true, get: () => arguments[0] });
            document.dispatchEvent(new Event("visibilitychange"));
            """, is_hidden)

    def mouse(self, kind, x, y):
        self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def center(self, selector):
        """The center of an element, in the coordinates of the window, after scrolling it there."""
        return self.run(
            """
            const element = document.querySelector(arguments[0]);
            element.scrollIntoView({ block: "center" });
            const box = element.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
            """, selector)

    def wait_live(self):
        self.wait(lambda: self.state() in ("live", "ended"))
        return self

    def state(self):
        return self.run("return document.querySelector('#connection').dataset.state")

    def indicator(self, label):
        """The row of an indicator, or None."""
        return self.run(
            """
            const row = [...document.querySelectorAll(".indicator")].find((row) => row.dataset.label === arguments[0]);
            if (!row) return null;
            const text = (name) => row.querySelector(name).textContent;
            const bar = row.querySelector(".bar");
            return {
              status: row.dataset.status, label: text(".label"), percent: text(".percent"), done: text(".done"),
              total: text(".total"), note: text(".note"), role: bar.getAttribute("role"),
              now: bar.getAttribute("aria-valuenow"), words: bar.getAttribute("aria-valuetext"),
              width: bar.querySelector(".fill").getAttribute("width"),
            };
            """, label)

    def errors(self):
        """Unexpected errors and warnings in the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING") and not any(text in entry["message"] for text in self.expected)]

    def violations(self):
        """Accessibility violations that axe finds."""
        engine = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        self.run(engine)
        found = self.driver.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
        return [f"{entry['id']}: {node['html'][:160]} ({node['failureSummary']})"
                for entry in found for node in entry["nodes"]]

    def close(self):
        self.driver.quit()


class Proxy:
    """A TCP proxy in front of a server; it can drop connections or hold events back."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self.upstream = (host, int(port))
        self.open = set()
        self.streaming = set()
        self.lock = threading.Lock()
        self.is_cut = False
        # Whether responses on connections with a stream are held back, as buffering proxies do.
        self.holds_events = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                # The proxy was closed.
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(self.upstream)
            with self.lock:
                self.open |= {client, server}
            streams = threading.Event()
            for source, sink, is_request in [(client, server, True), (server, client, False)]:
                threading.Thread(target=self._pump, args=(source, sink, is_request, streams), daemon=True).start()

    def _pump(self, source, sink, is_request, streams):
        try:
            while data := source.recv(65_536):
                if is_request and (b"/watch " in data or b"/watch?" in data):
                    streams.set()
                    with self.lock:
                        self.streaming.add(source)
                if is_request or not (self.holds_events and streams.is_set()):
                    sink.sendall(data)
        except OSError:
            # One of the sides has closed its connection, or the proxy has cut it.
            pass
        with self.lock:
            self.streaming -= {source, sink}
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                # It is shut down already.
                pass

    def open_streams(self):
        """The number of connections with a stream."""
        with self.lock:
            return len(self.streaming)

    def cut(self):
        self.is_cut = True
        with self.lock:
            for end in self.open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # Its client or server has closed it.
                    pass
            self.open.clear()

    def restore(self):
        self.is_cut = False

    def close(self):
        self.cut()
        self.listener.close()
