"""What the tests of the pages share: a server, its ledger, a browser, and a wire that can be cut."""

import json
import os
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PROJECT = Path(__file__).resolve().parents[2]
WIDE = (1280, 1000)
PHONE = (390, 844)


def binary():
    """The program under test: PROGRESS_LEDGER_BINARY, or the debug build."""
    return os.environ.get("PROGRESS_LEDGER_BINARY") or str(PROJECT / ".build/debug/progress-ledger")


@contextmanager
def serving(port=0):
    """A server with a database of its own, by its URL."""
    # Short, because PostgreSQL's socket lies in it; open, because PostgreSQL runs as another account where we are root.
    with tempfile.TemporaryDirectory(prefix="pl-browser-", dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        process = subprocess.Popen(
            [binary(), "serve", "--port", str(port), "--data", f"{folder}/data", "--log-level", "error"],
            stdout=subprocess.PIPE, text=True)
        try:
            line = process.stdout.readline()
            assert line.startswith("listening on "), f"the server did not start: {line!r}"
            yield line.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            process.wait(60)


class Ledger:
    """Reports to the ledger as workers do."""

    def __init__(self, url):
        self.url = url

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def create(self, name, **fields):
        return self.call("/v1/jobs", {"name": name, **fields})["job"]

    def append(self, job, *events):
        return self.call(f"/v1/jobs/{job}/events?wait=folded", list(events))

    def finish(self, job, outcome="completed"):
        return self.append(job, {"type": "job_finished", "outcome": outcome})

    def demo(self, *arguments):
        """Plays the demonstration beside the test."""
        return subprocess.Popen(
            [binary(), "demo", "--json", "--server", self.url, *arguments], stdout=subprocess.PIPE, text=True)


def progress(task, label=None, attempt=1, **units):
    event = {"type": "progress", "task": task, "attempt": attempt, **units}
    return event if label is None else {**event, "label": label}


def start(task, attempt):
    return {"type": "execution_started", "task": task, "attempt": attempt}


class Browser:
    """A headless chromium, and what one looks for on our pages."""

    def __init__(self, size=WIDE, dark=False, scripts=True):
        # What the console may tell, by a part of its text.
        self.expected = []
        options = Options()
        options.binary_location = os.environ.get("CHROMIUM", "/usr/bin/chromium")
        for argument in ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"]:
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(
            options=options, service=Service(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver")))
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
        """The text as it stands in the page, spaces included; nil where there is no such element."""
        return self.run("return document.querySelector(arguments[0])?.textContent ?? null", selector)

    def wait(self, condition, seconds=15):
        """Waits until the condition holds; returns what it returned."""
        def holds(_):
            return condition()
        return WebDriverWait(self.driver, seconds, poll_frequency=0.05).until(holds)

    def wait_live(self):
        self.wait(lambda: self.state() in ("live", "ended"))
        return self

    def state(self):
        return self.run("return document.querySelector('#connection').dataset.state")

    def indicator(self, label):
        """What is shown of an indicator."""
        return self.run(
            """
            const row = [...document.querySelectorAll(".indicator")].find((row) => row.dataset.label === arguments[0]);
            if (!row) return null;
            const text = (name) => row.querySelector(name).textContent;
            const bar = row.querySelector(".bar");
            return {
              standing: row.dataset.standing, label: text(".label"), percent: text(".percent"), done: text(".done"),
              total: text(".total"), note: text(".note"), role: bar.getAttribute("role"),
              now: bar.getAttribute("aria-valuenow"), words: bar.getAttribute("aria-valuetext"),
              width: bar.querySelector(".fill").getAttribute("width"),
            };
            """, label)

    def errors(self):
        """What the console tells that is wrong, since it was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")
                if entry["level"] in ("SEVERE", "WARNING") and not any(text in entry["message"] for text in self.expected)]

    def violations(self):
        """What axe finds wrong for people who do not see or point."""
        engine = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        self.run(engine)
        found = self.driver.execute_async_script("axe.run().then((found) => arguments[0](found.violations))")
        return [f"{entry['id']}: {node['html'][:160]} ({node['failureSummary']})"
                for entry in found for node in entry["nodes"]]

    def close(self):
        self.driver.quit()


class Wire:
    """A TCP proxy before a server, which can be cut and mended."""

    def __init__(self, url):
        host, port = url.removeprefix("http://").split(":")
        self.upstream = (host, int(port))
        self.open = set()
        self.lock = threading.Lock()
        self.is_cut = False
        # Whether what is said on a stream of events is kept back, as some proxies do.
        self.keeps_events = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            server = socket.create_connection(self.upstream)
            with self.lock:
                self.open |= {client, server}
            streams = threading.Event()
            for source, sink, asks in [(client, server, True), (server, client, False)]:
                threading.Thread(target=self._pump, args=(source, sink, asks, streams), daemon=True).start()

    def _pump(self, source, sink, asks, streams):
        try:
            while data := source.recv(65_536):
                if asks and b"/watch " in data:
                    streams.set()
                if asks or not (self.keeps_events and streams.is_set()):
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        self.is_cut = True
        with self.lock:
            for end in self.open:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
            self.open.clear()

    def mend(self):
        self.is_cut = False

    def close(self):
        self.cut()
        self.listener.close()


def until(condition, seconds=15):
    """Waits until the condition holds, for what no browser tells."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "never happened"
        time.sleep(0.05)
    return result
