"""A real notebook, run by a real kernel, exported, and rendered by a real browser in light and dark themes."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import subprocess
import threading
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

from progress_ledger import AsyncClient, Client, Settings, Snapshot, tables, view
from progress_ledger.answers import Indicators
from progress_ledger.display import Display
from progress_ledger.estimate import Estimate
from progress_ledger.view import View

from conftest import QUICK
from fault_proxy import FaultProxy
from ledger_process import LedgerProcess
from scripted_server import JOB, ScriptedServer, event, snapshot, stream

EXAMPLE = Path(__file__).parents[2] / "Sources" / "python-client" / "examples" / "notebook.ipynb"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def execute(notebook: Any, **environment: str) -> Any:
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": "/tmp"}})
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return client.execute()


@pytest.fixture(scope="module")
def executed(server: LedgerProcess) -> Any:
    return execute(nbformat.read(EXAMPLE, as_version=4), PROGRESS_LEDGER_URL=server.url)


def bundle_of(cell: Any) -> dict[str, str]:
    (output,) = [output for output in cell.outputs if "text/html" in output.get("data", {})]
    return dict(output["data"])


def test_a_job_at_the_end_of_a_cell_is_followed_and_saved_in_its_last_state(executed: Any) -> None:
    shown = bundle_of(executed.cells[2])
    assert set(shown) == {"text/html", "text/plain"}, "both, always, and nothing that needs a live kernel"
    text = shown["text/plain"]
    assert "completed, 100 %" not in text, "three of four mosaics: the job ended with less than there was to do"
    assert "completed, 91 %" in text
    for figures in ("4 / 4", "24 / 24", "3 / 4"):
        assert figures in text
        assert figures in shown["text/html"]
    assert "3 more superseded" in text
    assert "mosaic of <tiles> & more" in text
    assert "mosaic of &lt;tiles&gt; &amp; more" in shown["text/html"]
    assert "<tiles>" not in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", text)


def test_a_view_that_is_asked_for_ends_with_the_job(executed: Any) -> None:
    assert "completed" in bundle_of(executed.cells[-1])["text/plain"]
    assert "superseded attempt 1" in bundle_of(executed.cells[-2])["text/plain"]


def test_no_thread_of_a_view_outlives_its_job(server: LedgerProcess) -> None:
    source = """
import threading
from progress_ledger import Client
job = Client().jobs.create("ends")
view = job.display()
with job.execution("t") as context:
    context.progress().done(1)
job.finish("failed")
assert view.wait(30)
for thread in threading.enumerate():
    if thread.name in ("progress-ledger-watch", "progress-ledger-paint"):
        assert thread.daemon
        thread.join(30)
        assert not thread.is_alive()
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    (cell,) = execute(notebook, PROGRESS_LEDGER_URL=server.url).cells
    assert "failed" in bundle_of(cell)["text/plain"]


class Frames:
    """A view that keeps its frames instead of showing them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.frames: list[View] = []
        self.on_frame: Callable[[View], None] = lambda _: None
        monkeypatch.setattr(Display, "_publish", lambda _, shown, update: self._take(shown))

    def _take(self, shown: View) -> None:
        self.frames.append(shown)
        self.on_frame(shown)


def test_a_view_shows_that_it_reconnects_and_that_it_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = Frames(monkeypatch)
    shown = threading.Event()
    frames.on_frame = lambda frame: shown.set() if frame.snapshot and frame.snapshot.sequence == 2 else None
    date = "Fri, 02 Jan 2026 03:14:05 GMT"
    server = ScriptedServer(stream(event(1, 3), Date=date), stream(event(2, 4), b": beat\n\n", shown, Date=date))
    settings = Settings(pause_seconds_min=0.6, pause_seconds_max=0.6, outage_seconds_max=1.0)
    job = Client(server.url, settings=settings).job(JOB)
    assert job.display().wait(30)
    words = [view.trouble_line(frame).partition(" since")[0] for frame in frames.frames]
    assert [word for word, before in zip(words, [None, *words]) if word != before] == [
        "", "reconnecting", "", "reconnecting", "gave up",
    ]  # fmt: skip
    last = frames.frames[-1]
    assert last.snapshot is not None
    assert (last.snapshot.sequence, last.is_final) == (2, True)
    assert last.as_of is not None, "what is known is shown with its age"


def test_showing_a_job_never_fails(server: LedgerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    away = Client("http://127.0.0.1:9", settings=QUICK).job(JOB)
    shown = away._repr_mimebundle_()
    assert "reconnecting" in shown["text/plain"]
    assert JOB in shown["text/html"]
    assert "not read yet" in shown["text/plain"]
    silent = Client().jobs.create("silent")._repr_mimebundle_()
    assert "silent  running" in silent["text/plain"]


def test_the_live_view_feeds_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    Frames(monkeypatch)
    server = ScriptedServer(stream(event(1, 3), event(2, 10, "completed"), b"event: end\ndata: {}\n\n"))
    job = Client(server.url, settings=QUICK).job(JOB)
    assert job.display().wait(30)
    assert job.known is not None
    assert (job.state, job.progress[0].done) == ("completed", 10)


def test_rows_are_tables_at_the_end_of_a_cell(server: LedgerProcess) -> None:
    ledger = Client(server.url)
    name = "<b>table</b>\u202e"
    job = ledger.jobs.create(name)
    with job.execution("tile", attempt=3) as context:
        context.progress("a").done(2)
    for rows, wanted in (
        (ledger.jobs.list(name=name), job.id),
        (job.tasks(), "tile"),
        (job.events(), "execution_started"),
        (job.history("a"), "sequence"),
        (job.explain("a").executions, "counted_done"),
        (AsyncClient(server.url).jobs.list(name=name), job.id),
    ):
        bundle = rows._repr_mimebundle_()
        assert wanted in bundle["text/plain"]
        assert wanted in bundle["text/html"]
        assert bundle["text/html"].startswith("<div")
        for wrong in ("<b>", "\u202e"):
            assert wrong not in bundle["text/html"]
        assert "\u202e" not in bundle["text/plain"]
    assert ledger.jobs.list(name=name).to_pandas()["job"].tolist() == [job.id]
    for _ in range(30):
        ledger.jobs.create("many")
    text = ledger.jobs.list(name="many")._repr_mimebundle_()["text/plain"]
    assert len(text.splitlines()) == tables.TABLE_ROWS_MAX + 2
    assert text.endswith("…")
    assert ledger.jobs.list(name="none")._repr_mimebundle_()["text/plain"] == "no rows"
    away = Client("http://127.0.0.1:9", settings=Settings(patience_seconds=0))
    assert "cannot be read" in away.jobs.list()._repr_mimebundle_()["text/html"]


def test_outside_of_a_notebook_a_job_is_printed_once(server: LedgerProcess, capsys: pytest.CaptureFixture[str]) -> None:
    job = Client(server.url).jobs.create("printed")
    job._ipython_display_()
    assert capsys.readouterr().out.startswith("printed  running\n")


def shown(state: str = "running", *indicators: tuple[Any, ...], **more: Any) -> View:
    """Returns a view of a job with indicators of (label, done, total, seconds since the last change)."""
    content = snapshot(48_211, 0, state)
    content["progress"] = [
        {
            "label": label, "done": done, "total": total, "percent": None, "attempted_done": done + wasted,
            "attempted_total": total, "updated_at": (NOW - timedelta(seconds=age)).isoformat(),
            "stalled_since": (NOW - timedelta(seconds=age)).isoformat() if age > 60 else None,
        }
        for label, done, total, age, wasted in (entry + (0,) * (5 - len(entry)) for entry in indicators)
    ]  # fmt: skip
    content["name"] = more.pop("name", "landsat mosaic")
    content["tasks"] = more.pop("tasks", {"total": 224, "running": 18, "succeeded": 204, "failed": 2})
    content["ledger_sequence"] += more.pop("lag", 0)
    return View(JOB, Snapshot.read(content), NOW, as_of=more.pop("as_of", NOW), **more)


GALLERY = {
    "running": shown(
        "running", ("query", 12, 12), ("download", 999, 1000, 3, 40), (None, 1, 12_000), ("over", 1204, 1200),
        ("stalled", 3, 40, 420), ("unknown total", 1204, 0), ("declared later", 0, 0), ("not begun", 0, 7, 900),
        name="landsat mosaic, with everything",
    ),
    "nothing yet": shown("running", name="just created", tasks={}),
    "all done, still running": shown("running", ("a", 5, 5), tasks={"total": 5, "running": 1, "succeeded": 4}),
    "completed": shown("completed", ("query", 12, 12), ("download", 1200, 1200), ("optional", 0, 0), is_final=True),
    "failed": shown("failed", ("query", 12, 12), ("download", 700, 1200), is_final=True),
    "canceled": shown("canceled", ("download", 70, 1200), is_final=True),
    "reconnecting": shown(
        "running", ("download", 700, 1200), as_of=NOW - timedelta(minutes=3), lag=17,
        trouble="no connection to http://ledger:8080: [Errno 111] Connection refused",
        trouble_since=NOW - timedelta(minutes=2),
    ),
    "never read": View(JOB, None, NOW, trouble="no connection", trouble_since=NOW),
    "hostile": shown(
        "running", ("<script>alert(1)</script>", 1, 2), ("\u202egnirts desrever", 1, 3), ("a\nb\x1b[31m", 2, 3),
        ('"><img src=x onerror=alert(1)>', 1, 4), ("x" * 100, 1, 2),
        name="<b>bold</b> & \"quoted\"",
    ),
}  # fmt: skip


def test_a_view_shows_when_the_job_began_and_links_to_its_page() -> None:
    began, page = NOW - timedelta(minutes=12), 'https://ledger.example/base/jobs/1?<"&'
    running = GALLERY["running"]
    assert running.snapshot is not None
    frame = replace(running, snapshot=replace(running.snapshot, started_at=began), page=page)
    assert "running for 12 min" in view.text(frame)
    assert began.astimezone().strftime("started %Y-%m-%d %H:%M:%S") in view.text(frame)
    assert page in view.text(frame)
    assert '<a href="https://ledger.example/base/jobs/1?&lt;&quot;&amp;" target="_blank" rel="noopener' in view.html(
        frame
    )
    ended = replace(running.snapshot, state="completed", started_at=began, finished_at=began + timedelta(seconds=90))
    assert "took 1 min" in view.text(replace(frame, snapshot=ended))
    assert view.times_line(replace(frame, snapshot=replace(running.snapshot, started_at=None))) == ""
    assert "<a " not in view.html(running)


def test_a_job_knows_the_url_of_its_page() -> None:
    assert Client("http://ledger.example:8080/base/").job(JOB).page == f"http://ledger.example:8080/base/jobs/{JOB}"
    assert Client().job(JOB).page is None


def test_percent_is_rounded_down_and_each_case_looks_its_own_way() -> None:
    frame = GALLERY["running"]
    assert frame.snapshot is not None
    rows = {row.label: row for row in view.rows(frame.snapshot, NOW)}
    assert {label: row.percent for label, row in rows.items()} == {
        "query": "100 %", "download": "99 %", "landsat mosaic, with everything": "0 %", "over": "100 %",
        "stalled": "7 %", "unknown total": "", "declared later": "", "not begun": "0 %",
    }  # fmt: skip
    assert {label: row.standing for label, row in rows.items()} == {
        "query": "complete", "download": "moving", "landsat mosaic, with everything": "moving", "over": "over",
        "stalled": "stalled", "unknown total": "unknown", "declared later": "empty", "not begun": "waiting",
    }  # fmt: skip
    assert rows["over"].note == "4 over"
    assert rows["stalled"].note == "stalled for 7 min"
    assert rows["download"].note == "40 more superseded"
    assert view.headline(GALLERY["all done, still running"]) == "running, 99 %"
    assert view.headline(GALLERY["completed"]) == "completed, 100 %"
    assert view.headline(GALLERY["nothing yet"]) == "running"
    assert "17 events behind" in view.text(GALLERY["reconnecting"])


@pytest.mark.parametrize("name", list(GALLERY))
def test_names_cannot_inject_markup_or_control_characters(name: str) -> None:
    html, text = view.html(GALLERY[name]), view.text(GALLERY[name])
    for wrong in ("<script", "<img", "<b>", "\u202e", "\x1b", 'alert(1)">'):
        assert wrong not in html
    for wrong in ("\u202e", "\x1b", "a\nb"):
        assert wrong not in text
    opened, closed = re.findall(r"<(div|span|bdi)\b", html), re.findall(r"</(div|span|bdi)>", html)
    assert Counter(opened) == Counter(closed)


def test_unfinished_indicators_are_shown_first_if_there_are_too_many() -> None:
    entries = [(f"done {number}", 1, 1) for number in range(100)] + [("open", 1, 2)]
    frame = shown("running", *entries)
    assert frame.snapshot is not None
    rows = view.rows(frame.snapshot, NOW)
    assert (len(rows), rows[0].label) == (view.ROWS_MAX, "open")
    assert "and 61 more" in view.text(frame)
    assert "and 61 more" in view.html(frame)


def test_a_view_shows_the_remaining_time_as_html_too() -> None:
    frame = GALLERY["running"]
    assert frame.snapshot is not None
    estimate = Estimate(NOW, 540.0, 720.0, 1200.0)
    running = replace(frame, snapshot=replace(frame.snapshot, estimate=estimate))
    assert "≈ 12 min (9–20) left" in view.html(running)
    ended = replace(frame, snapshot=replace(frame.snapshot, state="completed", estimate=estimate))
    assert "left" not in view.html(ended)


def test_jobs_are_a_table_with_links_and_hostile_names_are_escaped() -> None:
    frames = [
        replace(frame, page=f"https://ledger.example/{number}?<") for number, frame in enumerate(GALLERY.values())
    ]
    html, text = tables.jobs_html(frames, True), tables.jobs_text(frames, True)
    assert html.count("<tr>") == len(frames) + 1
    assert 'href="https://ledger.example/0?&lt;"' in html
    assert "&lt;b&gt;bold&lt;/b&gt; &amp; &quot;quoted&quot;" in html
    for wrong in ("<script", "<img", "<b>", "?<"):
        assert wrong not in html
    lines = text.split("\n")
    assert lines[0].split() == ["job", "state", "progress", "remaining", "tasks", "failed", "started", "duration", "id"]
    assert len(lines) == len(frames) + 2
    assert lines[-1] == "…"
    assert "204 / 224" in lines[1]
    assert "not read yet" in text
    assert tables.jobs_html([], False) == "<div>no jobs</div>"


def test_indicators_are_a_tuple_that_notebooks_show_as_escaped_bars() -> None:
    for name in ("running", "hostile"):
        snapshot = GALLERY[name].snapshot
        assert snapshot is not None
        shown = snapshot.progress
        assert isinstance(shown, tuple)
        assert shown == tuple(list(shown))
        assert isinstance(shown, Indicators)
        assert pickle.loads(pickle.dumps(shown)) == shown
        html, text = shown._repr_html_(), tables.indicators_text(shown)
        assert html.count('role="progressbar"') == len(shown)
        assert len(text.split("\n")) == len(shown)
        for wrong in ("<script", "<img", "\u202e", "\x1b"):
            assert wrong not in html
    assert tables.indicators_text(Indicators()) == "no indicators"


def test_the_list_of_jobs_and_the_indicators_of_a_job_are_shown_in_a_notebook(server: LedgerProcess) -> None:
    source = """
from progress_ledger import Client
ledger = Client()
job = ledger.jobs.create("listed <b>", tags={"shown": "notebook"})
with job.execution("t") as context:
    context.progress("tiles").add(4)
    context.progress("tiles").done(1)
assert job.refresh().progress[0].done == 1
"""
    cells = [source, 'ledger.jobs.list(tags={"shown": "notebook"})', "job.progress"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    done = execute(notebook, PROGRESS_LEDGER_URL=server.url)
    listed, progress = bundle_of(done.cells[1]), bundle_of(done.cells[2])
    assert "listed &lt;b&gt;" in listed["text/html"]
    assert f'href="{server.url}/jobs/' in listed["text/html"]
    assert "running" in listed["text/plain"]
    assert "tiles" in progress["text/html"]
    assert progress["text/plain"] == "tiles  #####...............   25 %  1 / 4"


def test_a_live_view_feeds_the_job_that_it_shows(server: LedgerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    Frames(monkeypatch)
    reporter = Client(server.url, settings=QUICK).jobs.create("fed")
    shown = Client(server.url, settings=QUICK).job(reporter.id)
    display = shown.display()
    with reporter.execution("t") as context:
        context.progress("a").add(2)
        context.progress("a").done(2)
    reporter.finish()
    assert display.wait(30)
    # Without a further request.
    assert shown.known is not None
    assert (shown.known.state, [str(one) for one in shown.known.progress]) == ("completed", ["a: 2/2"])


def gallery_notebook() -> Any:
    cells = []
    for name, frame in GALLERY.items():
        output = nbformat.v4.new_output("display_data", {"text/html": view.html(frame), "text/plain": view.text(frame)})
        cell = nbformat.v4.new_code_cell(f"job  # {name}", execution_count=len(cells) + 1, outputs=[output])
        cells.append(cell)
    return nbformat.v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}})


def picture(notebook: Any, theme: str, path: Path, height: int) -> Path:
    """Exports a notebook as a page and renders it in a browser."""
    exporter = HTMLExporter(theme=theme, mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="")
    body, _ = exporter.from_notebook_node(notebook)
    page = path.with_suffix(".html")
    page.write_text(body)
    browser = shutil.which("chromium")
    assert browser, "chromium is missing; Scripts/setup --python installs it"
    # The page must not load anything from other hosts.
    command = [browser, "--headless", "--disable-gpu", "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND"]
    command += [f"--user-data-dir={path.parent / 'browser'}", f"--window-size=1000,{height}", f"--screenshot={path}"]
    # The sandbox needs privileges that containers may lack, and the page is trusted.
    command.append("--no-sandbox")
    result = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert path.exists(), result.stderr
    return path


def colors(path: Path) -> Counter[tuple[int, int, int]]:
    """Counts the pixels of each color. Reads only the features of PNG that the browser uses."""
    data = path.read_bytes()
    place, compressed, width, height, channels = 8, b"", 0, 0, 3
    while place < len(data):
        size, kind = int.from_bytes(data[place : place + 4], "big"), data[place + 4 : place + 8]
        content = data[place + 8 : place + 8 + size]
        if kind == b"IHDR":
            width, height = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            assert content[8] == 8
            channels = {2: 3, 6: 4}[content[9]]
        elif kind == b"IDAT":
            compressed += content
        place += 12 + size
    raw, stride = zlib.decompress(compressed), width * channels
    counts: Counter[tuple[int, int, int]] = Counter()
    before = bytearray(stride)
    for row in range(height):
        start = row * (stride + 1)
        line = unfilter(raw[start], bytearray(raw[start + 1 : start + 1 + stride]), before, channels)
        counts.update(zip(line[0::channels], line[1::channels], line[2::channels]))
        before = line
    return counts


def unfilter(kind: int, line: bytearray, before: bytearray, channels: int) -> bytearray:
    for index in range(len(line)):
        left = line[index - channels] if index >= channels else 0
        up = before[index]
        corner = before[index - channels] if index >= channels else 0
        if kind == 4:
            guess = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))
            line[index] = (line[index] + nearest[2]) & 255
        else:
            line[index] = (line[index] + (0, left, up, (left + up) // 2)[kind]) & 255
    return line


def rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A temporary folder, or the one of PROGRESS_LEDGER_PICTURES, to inspect the pictures."""
    kept = os.environ.get("PROGRESS_LEDGER_PICTURES")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
    return Path(kept) if kept else tmp_path_factory.mktemp("pictures")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_every_case_in_light_and_dark_themes(theme: str, pictures: Path) -> None:
    found = colors(picture(gallery_notebook(), theme, pictures / f"gallery-{theme}.png", 1700))
    ground = found.most_common(1)[0][0]
    assert (sum(ground) > 600) == (theme == "light")
    for color in (*view.COLORS.values(), view.AMBER):
        # At least the area of a bar of nine pixels' height, or of a badge.
        assert found[rgb(color)] > 300, (theme, color, found[rgb(color)])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_browser_shows_the_executed_notebook(executed: Any, theme: str, pictures: Path) -> None:
    found = colors(picture(executed, theme, pictures / f"notebook-{theme}.png", 1600))
    assert found[rgb(view.COLORS["completed"])] > 5000


def test_a_view_through_a_proxy_that_responds_late_is_the_same(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Frames(monkeypatch)
    job = Client(proxy.url, settings=QUICK).jobs.create("late")
    display = job.display()
    with job.execution("t") as context:
        context.progress("a").add(2)
        context.progress("a").done(2)
    job.finish()
    assert display.wait(30)
    last = frames.frames[-1]
    assert last.snapshot is not None
    assert [str(indicator) for indicator in last.snapshot.progress] == ["a: 2/2"]
