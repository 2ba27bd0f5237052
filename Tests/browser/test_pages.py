"""Pages of the past, hostile names, pages without scripts, and accessibility."""

import subprocess
import time
import urllib.parse

import pytest
from selenium.webdriver.common.keys import Keys
from support import PHONE, SMALL_PHONE, WIDE, Ledger, binary, progress, serving, start

HOSTILE = "<script>window.hostile = true</script>\"'><img src=x onerror=\"window.hostile = true\">&amp;\u202e\u0007 x"
LONG = "long " * 20


@pytest.fixture(scope="module")
def story(ledger):
    """A job with a past: a tile that was restarted, and a zombie that reported for the old execution."""
    job = ledger.create("story", tags={"kind": "story"}, key=f"story-{time.monotonic_ns()}")
    ledger.append(job, progress("plan", "tiles", total=100), progress("tile-17", "tiles", done=40))
    ledger.append(job, start("tile-17", 2))
    ledger.append(job, progress("tile-17", "tiles", done=1), progress("tile-17", "tiles", attempt=2, done=5))
    ledger.append(job, {"type": "execution_finished", "task": "tile-17", "attempt": 2, "outcome": "failed"})
    return job


def test_names_are_shown_exactly_and_never_become_markup(browsers, ledger, url):
    job = ledger.create(HOSTILE[:200], tags={HOSTILE[:100]: LONG})
    ledger.append(
        job, {**progress(HOSTILE, HOSTILE[:100], total=2, done=1), "execution": HOSTILE},
        progress(LONG, LONG[:100], total=2, done=1), progress("x" * 200, "x" * 100, done=1))
    shown = HOSTILE.replace("\u202e", "\\u{202E}").replace("\u0007", "\\u{7}")
    for size in [WIDE, PHONE]:
        browser = browsers(size=size)
        for path in ["/", f"/jobs/{job}", f"/jobs/{job}?" + urllib.parse.urlencode({"indicator": HOSTILE[:100]})]:
            browser.open(url + path).wait_live()
            assert browser.run("return window.hostile") is None
            assert browser.run("return document.querySelectorAll('img, main script').length") == 0
            # No name makes the page wider than its window.
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), path
        assert browser.text("h1 bdi") == shown
        assert browser.indicator(HOSTILE[:100])["label"] == HOSTILE[:100].replace("\u202e", "\\u{202E}").replace("\u0007", "\\u{7}")
        # The same for a label that appears while the page is open.
        label = f"<b>{size[0]}</b>\u202e"
        ledger.append(job, progress("late", label, total=4, done=1))
        browser.wait(lambda: browser.indicator(label) is not None)
        assert browser.indicator(label)["label"] == f"<b>{size[0]}</b>\\u{{202E}}"
        assert browser.run("return document.querySelectorAll('main b:not(.conservation b)').length") == 0


def test_the_slider_shows_bars_tasks_and_events_as_of_any_event(browser, story, url):
    browser.open(f"{url}/jobs/{story}").wait_live()
    assert browser.indicator("tiles")["done"] == "5"
    slider = browser.find("#at")
    last = int(slider.get_attribute("max"))
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    browser.wait(lambda: browser.driver.current_url.endswith("at_sequence=3"))
    browser.wait(lambda: browser.state() == "past")
    assert browser.indicator("tiles")["done"] == "40"
    assert browser.text("#moment .sequence") == "3"
    assert len(browser.all("#tasks tr[data-counts=superseded]")) == 0
    assert browser.text("#events tbody tr:first-child td:first-child") == "3"
    # The same by its address; nothing moves although the job is running.
    browser.open(f"{url}/jobs/{story}?at_sequence=3")
    assert browser.indicator("tiles")["done"] == "40" and browser.state() == "past"
    browser.find("#moment .now").click()
    browser.wait(lambda: browser.state() == "live")
    assert browser.indicator("tiles")["done"] == "5"
    assert browser.text("#events tbody tr:first-child td:first-child") == str(last)
    browser.driver.back()
    browser.wait(lambda: browser.state() == "past")
    assert browser.indicator("tiles")["done"] == "40"


def test_the_slider_keeps_its_pointer_while_it_is_dragged(browser, story, url):
    browser.open(f"{url}/jobs/{story}").wait_live()
    left, top, width, height = browser.run(
        "const at = document.querySelector('#at'); at.scrollIntoView({ block: 'center' }); const box = at.getBoundingClientRect(); return [box.left, box.top, box.width, box.height]")

    def mouse(kind, share):
        browser.command("Input.dispatchMouseEvent", type=kind, x=left + 9 + (width - 18) * share, y=top + height / 2,
                        button="left", buttons=1, clickCount=1)

    mouse("mousePressed", 1)
    seen = []
    for share in [0.75, 0.5, 0.25]:
        mouse("mouseMoved", share)
        value = browser.run("return document.querySelector('#at').value")
        browser.wait(lambda: browser.text("#moment .sequence") == value)
        seen.append(int(value))
    mouse("mouseReleased", 0.25)
    assert len(set(seen)) == 3 and seen == sorted(seen, reverse=True), seen


def test_executions_and_events_show_what_counts_and_why_not(browser, story, url):
    browser.open(f"{url}/jobs/{story}").wait_live()
    superseded = browser.text("#tasks tr[data-counts=superseded]")
    assert "superseded by attempt 2" in superseded
    assert "counted until retried" in browser.text("#tasks tr[data-counts=provisional]")
    assert "late superseded by attempt 2" in browser.text("#events tr[data-verdict=late]")
    mark = browser.find("#chart .plot a")
    assert mark.get_attribute("aria-label") == "−40 done: tile-17 restarted, attempt 2"
    for name, value, count in [("verdict", "superseded", 2), ("type", "execution_started", 1), ("verdict", "conflict", 0)]:
        browser.open(f"{url}/jobs/{story}").wait_live()
        browser.run(
            """
            const select = document.querySelector(`#events select[name=${arguments[0]}]`);
            select.value = arguments[1];
            select.dispatchEvent(new Event("change", { bubbles: true }));
            """, name, value)
        browser.wait(lambda: f"{name}={value}" in browser.driver.current_url)
        browser.wait(lambda: len(browser.all("#events tbody tr:not(.empty)")) == count)


def test_an_indicator_chosen_with_the_keyboard_is_explained(browser, story, url):
    browser.open(f"{url}/jobs/{story}").wait_live()
    link = browser.find(".indicator .label")
    browser.run("arguments[0].focus()", link)
    link.send_keys(Keys.ENTER)
    browser.wait(lambda: browser.text("#explanation h2") == "Why tiles shows 5\u2009/\u2009100")
    assert "45\u2009/\u2009100 counted" not in browser.text(".conservation")
    assert "46\u2009/\u2009100 received" in browser.text(".conservation")
    assert "superseded by attempt 2" in browser.text("#explanation tbody")
    assert browser.find(".indicator .label").get_attribute("aria-current") == "true"
    assert "indicator=tiles" in browser.driver.current_url
    browser.find("#explanation .close").click()
    browser.wait(lambda: browser.text("#explanation h2") is None)


def test_every_control_is_reachable_with_the_keyboard(browser, story, url):
    browser.open(f"{url}/jobs/{story}").wait_live()
    reached = set()
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(browser.run(
            "const e = document.activeElement; return e.id || e.name || e.getAttribute('class') || e.textContent"))
    assert {"at", "label", "state", "type", "verdict", "task", "wide"} <= reached, reached


def test_pages_work_without_scripts(browsers, story, url):
    browser = browsers(scripts=False)
    browser.open(f"{url}/?state=running&search=STOR")
    browser.find("table.jobs tbody th a").click()
    assert "story" in browser.find("h1").text
    bar = browser.find(".indicator .bar")
    assert bar.get_attribute("role") == "progressbar" and bar.get_attribute("aria-valuenow") == "5"
    assert "the state when this page was loaded" in browser.find("#connection").text
    browser.find("#events tbody tr:nth-child(4) a").click()
    assert "As of event" in browser.find("#moment").text
    browser.find("#moment .now").click()
    browser.find("#chain a").click()
    assert "✓ Verified" in browser.find("#chain").text
    browser.find(".indicator .label").click()
    assert "superseded by attempt 2" in browser.find("#explanation").text
    browser.open(f"{url}/jobs/{story}")
    browser.find("#events input[name=task]").send_keys("plan")
    browser.find("#events button").click()
    browser.wait(lambda: len(browser.all("#events tbody tr")) == 1)


def test_jobs_are_searched_filtered_and_paged(browser, ledger, url):
    for number in range(60):
        ledger.create(f"batch {number}", tags={"kind": "batch"})
    browser.open(f"{url}/?tag=kind%3Dbatch").wait_live()
    names = [row.text for row in browser.all("table.jobs tbody th > a:first-child")]
    assert names == [f"batch {number}" for number in range(59, 9, -1)]
    browser.find("a[rel=next]").click()
    browser.wait_live()
    assert [row.text for row in browser.all("table.jobs tbody th > a:first-child")] == [
        f"batch {number}" for number in range(9, -1, -1)]
    browser.find("input[name=search]").send_keys("BATCH 42", Keys.ENTER)
    browser.wait(lambda: len(browser.all("table.jobs tbody tr")) == 1)
    # A new job that matches appears by itself; another one does not.
    browser.wait_live()
    ledger.create("other")
    ledger.create("batch 42 again", tags={"kind": "batch"})
    browser.wait(lambda: len(browser.all("table.jobs tbody tr")) == 2)


def test_a_job_of_a_hundred_thousand_tasks_stays_usable(browser, ledger, url):
    job = ledger.create("large")
    for part in range(10):
        ledger.call(f"/v1/jobs/{job}/events", [
            progress(f"task-{part * 10_000 + number:06}", "tiles", total=1, done=number % 2) for number in range(10_000)])
    ledger.call(f"/v1/jobs/{job}/progress?min_sequence=100001")
    begin = time.monotonic()
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert time.monotonic() - begin < 3
    assert len(browser.all("#tasks tbody tr")) == 50
    # All of them are drawn over time, in a few curves.
    assert browser.find("#timeline path.layer[data-outcome=running]").is_displayed()
    assert len(browser.all("#timeline *")) < 500
    for page in range(2, 5):
        begin = time.monotonic()
        browser.find("#tasks a[rel=next]").click()
        browser.wait(lambda: browser.text("#tasks tbody th") == f"task-{99_999 - (page - 1) * 50:06}")
        assert time.monotonic() - begin < 2
    # The chart of so long a history is drawn on request only.
    def drawn():
        return browser.run("return document.querySelector('#chart').dataset.drawn")
    assert drawn() == "no"
    browser.find("#chart .empty a").click()
    browser.wait(lambda: drawn() == "yes", 20)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_pages_are_accessible_and_load_nothing_from_elsewhere(browsers, story, url, size, dark):
    browser = browsers(size=size, dark=dark)
    browser.expected = ["404"]
    for path in ["/", "/wall", f"/jobs/{story}?indicator=tiles", f"/jobs/{story}?at_sequence=3", f"/jobs/{story}/task?name=tile-17",
                 "/notifications", "/jobs/nonsense", "/no/such/page"]:
        browser.open(url + path)
        if browser.all("#connection"):
            browser.wait(lambda: browser.state() in ("live", "past"))
        if browser.all("#chain"):
            browser.wait(lambda: browser.text("#chain strong") is not None)
        assert browser.violations() == [], path
        hosts = browser.run("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)")
        assert set(hosts) <= {url}


@pytest.mark.parametrize("dark", [False, True])
def test_a_retired_job_says_what_is_left_of_it(browsers, tmp_path, dark):
    browser = browsers(size=SMALL_PHONE, dark=dark)
    browser.expected = ["410"]
    with serving() as url:
        ledger = Ledger(url)
        job = ledger.create("retired")
        ledger.append(job, progress("t", "tiles", total=1, done=1), {
            "type": "execution_finished", "task": "t", "attempt": 1, "outcome": "succeeded"})
        ledger.finish(job)
        subprocess.run([binary(), "retire", job, "--folder", str(tmp_path), "--data", url.data], check=True, capture_output=True)
        for path in [f"/jobs/{job}", f"/jobs/{job}/task?name=t"]:
            browser.open(url + path)
            assert browser.text("h1") == "Job retired"
            assert browser.text("main code") == job
            # The time is in the viewer's zone, which the foot names; the place of the export may be confidential.
            assert browser.find("main time").get_attribute("title").endswith("Z")
            assert browser.text("#zone").startswith("times are in"), browser.text("#zone")
            assert str(tmp_path) not in browser.text("body")
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
            assert browser.violations() == []
            assert browser.find("main .ways a").get_attribute("href") == f"{url}/"
        # The page would report that its server has ended.
        browser.open("about:blank")


def test_pages_below_a_base_path_load_everything_from_below_it(browser):
    with serving(arguments=["--base-path", "/tools/ledger"]) as url:
        ledger = Ledger(url)
        job = ledger.create("below")
        ledger.append(job, progress("t", label="tiles", total=4, done=1))

        def outside():
            names = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
            assert names
            return [name for name in names if not name.startswith(f"{url}/tools/ledger/")]

        browser.open(f"{url}/tools/ledger").wait(lambda: browser.all("tr[data-job]"))
        assert browser.run("return location.pathname") == "/tools/ledger/"
        assert outside() == []
        browser.find(f"tr[data-job='{job}'] th a").click()
        browser.wait_live()
        assert browser.run("return location.pathname") == f"/tools/ledger/jobs/{job}"
        ledger.append(job, progress("t", label="tiles", done=1))
        browser.wait(lambda: browser.indicator("tiles")["now"] == "50")
        browser.find(".indicators a.label").click()
        browser.wait(lambda: "indicator=tiles" in browser.run("return location.href"))
        assert browser.run("return location.pathname") == f"/tools/ledger/jobs/{job}"
        assert outside() == []
        browser.find("header nav a").click()
        browser.wait(lambda: browser.run("return location.pathname") == "/tools/ledger/")
        # The page would report that its server has ended.
        browser.open("about:blank")
