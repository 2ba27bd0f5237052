"""The page of a job for the person on call, and the page of a task."""

import json

import pytest
from selenium.webdriver.common.keys import Keys
from support import Proxy, progress, start

SIZES = [(360, 740), (768, 1024), (1440, 900)]


def failed(task, message=None, attempt=1, **fields):
    event = {"type": "execution_finished", "task": task, "attempt": attempt, "outcome": "failed", **fields}
    return event if message is None else {**event, "message": message}


@pytest.fixture(scope="module")
def trouble(ledger):
    """A job with a retry, failures of two kinds, a silent execution, and four finished indicators."""
    job = ledger.create("trouble", tags={"ledger.lease": "1"})
    ledger.append(job, *[progress("plan", f"done {number}", total=1, done=1) for number in range(4)])
    ledger.append(job, progress("tile-1", "tiles", total=10, done=4), start("tile-1", 2), progress("tile-1", "tiles", attempt=2, done=1))
    ledger.append(job, *[failed(f"tile-{number}", f"KeyError: 'a'\nline {number}", link=f"https://engine.example/{number}")
                         for number in range(2, 5)], failed("tile-5", "disk full"))
    return job


def test_the_first_screen_says_what_is_wrong_and_why(browser, trouble, url):
    browser.resize(1440, 900)
    browser.open(f"{url}/jobs/{trouble}").wait_live()
    browser.wait(lambda: browser.find("#stalls").is_displayed())
    shown = browser.run("""
        return ["#head .state", "#stalls .silent", "#failures .failed", "#failures .message", "#failures a.outside", "#indicators .bar"]
          .map((selector) => [selector, document.querySelector(selector).getBoundingClientRect().bottom]);
    """)
    assert all(0 < bottom < 900 for _, bottom in shown), shown
    assert browser.text("#failures .times") == "3×"
    assert browser.text("#failures strong") == "4 tasks have failed"
    # The page of the example is one click away.
    browser.find("#failures .where a").click()
    browser.wait_live()
    assert browser.text("h1") == "tile-4" and "KeyError: 'a'line 4" in browser.text("#head .newest")
    browser.find("header nav a:last-child").click()
    browser.wait_live()
    browser.find("#failures .failed a").click()
    browser.wait(lambda: "state=failed" in browser.driver.current_url)
    browser.wait(lambda: names(browser) == [f"tile-{number}" for number in range(2, 6)])


def test_a_silence_that_begins_before_the_page_is_live_is_shown(browser, ledger, url):
    proxy = Proxy(url)
    # The page reads its first snapshot seconds after it was rendered.
    proxy.holds_events = True
    try:
        job = ledger.create("silent at once", tags={"ledger.lease": "1"})
        ledger.append(job, progress("a", "tiles", total=10, done=4))
        browser.open(f"{proxy.url}/jobs/{job}")
        browser.wait(lambda: browser.text('[data-count="silent"] dd') == "1")
        browser.wait(lambda: browser.all("#stalls .silent"))
    finally:
        browser.open("about:blank")
        proxy.close()


def test_a_new_failure_appears_by_itself(browser, ledger, url):
    job = ledger.create("appears")
    ledger.append(job, progress("t", "tiles", total=2, done=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert not browser.find("#failures").is_displayed()
    ledger.append(job, failed("t", "<i>no</i>"))
    browser.wait(lambda: browser.text("#failures .message") == "<i>no</i>")
    ledger.append(job, start("t", 2))
    browser.wait(lambda: not browser.find("#failures").is_displayed())


def names(browser):
    """The tasks of the table, read at once: the table may be updated at any time."""
    return browser.run("return [...document.querySelectorAll('#tasks tbody th')].map((row) => row.textContent)")


def labels(browser, selector):
    return browser.run("return [...document.querySelectorAll(arguments[0])].map((row) => row.dataset.label)", selector)


def test_finished_indicators_are_folded_and_long_lists_too(browser, ledger, url):
    job = ledger.create("bars")
    ledger.append(job, *[progress("t", f"{number:02}", total=2, done=1) for number in range(16)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert labels(browser, "#indicators > ul > li") == [f"{number:02}" for number in range(12)]
    assert browser.text("[data-key=more] summary") == "4 more" and not browser.find("[data-key=finished]").is_displayed()
    ledger.append(job, *[progress("t", f"{number:02}", done=1) for number in range(3)])
    browser.wait(lambda: browser.indicator("02")["status"] == "complete")
    assert labels(browser, "#indicators > ul > li")[:3] == ["00", "01", "02"], "a few finished ones stay in their places"
    ledger.append(job, progress("t", "03", done=1))
    browser.wait(lambda: browser.text("[data-key=finished] summary") == "4 finished")
    assert labels(browser, "#indicators > ul > li") == [f"{number:02}" for number in range(4, 16)]
    assert not browser.find("[data-key=more]").is_displayed()
    browser.find("[data-key=finished] summary").click()
    assert browser.find("[data-label='03'] .bar").is_displayed()
    # The viewer's choice stays, and the server renders the same groups.
    ledger.append(job, progress("t", "04", done=1))
    browser.wait(lambda: browser.text("[data-key=finished] summary") == "5 finished")
    assert browser.find("[data-label='04'] .bar").is_displayed()
    shown = labels(browser, "#indicators li")
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert labels(browser, "#indicators li") == shown


def test_rates_leave_out_carried_units(browser, ledger, url):
    job = ledger.create("carried")
    ledger.append(job, progress("t", "tiles", total=1_000_000))
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, progress("t", "tiles", done=500_000, carried=500_000), progress("t", "tiles", done=40))
    browser.wait(lambda: browser.indicator("tiles")["done"] == "500\u202f040")
    # At most 40 units in the second of the measurement, and not half a million.
    rate = browser.wait(lambda: browser.text(".indicator .rate"))
    assert float(rate.removesuffix("/s")) <= 40, rate
    assert browser.text("#head .rate").startswith("tiles: ") and browser.text("#head .rate").endswith("/s")


def test_the_chart_has_axes_and_runs_to_now(browser, ledger, url):
    browser.before_load("window.elapsed = 0; const realNow = performance.now.bind(performance); performance.now = () => realNow() + window.elapsed;")
    job = ledger.create("axes")
    ledger.append(job, progress("t", "tiles", total=100, done=10), progress("t", "bytes", total=4096, done=1, unit="bytes"))
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert [text.text for text in browser.all("#chart .values text")] == ["0", "20", "40", "60", "80", "100"]
    end = browser.find("#chart figcaption .right time").get_attribute("datetime")
    # Without any event, the axis goes on.
    browser.run("window.elapsed = 60_000")
    browser.wait(lambda: browser.find("#chart figcaption .right time").get_attribute("datetime") > end)
    select = "#chart select"
    assert [option.text for option in browser.all(f"{select} option")] == ["tiles", "bytes"]
    browser.find(select).send_keys("bytes")
    browser.wait(lambda: browser.text("#chart h2") == "bytes over time")
    assert "chart=bytes" in browser.driver.current_url
    assert [text.text for text in browser.all("#chart .values text")] == ["0 B", "1.0 KiB", "2.0 KiB", "3.0 KiB", "4.0 KiB"]
    # The choice has nothing to do with the explanation.
    assert not browser.find("#explanation").is_displayed()


def test_executions_are_searched_sorted_and_drawn(browser, ledger, url):
    job = ledger.create("sorted")
    ledger.append(job, *[progress(f"task-{number:03}", "tiles", total=1) for number in range(120)], start("task-077", 2), start("Odd", 1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert len(browser.all(".timeline li")) == 50
    # Of many tasks, those that started last come first.
    assert names(browser)[:2] == ["Odd", "task-119"]
    assert browser.find("#tasks th[aria-sort]").text.startswith("Events")
    browser.find("#tasks th[aria-sort] a").click()
    browser.wait(lambda: names(browser)[0] == "task-000")
    browser.find("#tasks th[aria-sort] a").click()
    browser.wait(lambda: names(browser)[0] == "Odd")

    browser.find("#tasks input[name=find]").send_keys("ASK-07", Keys.ENTER)
    browser.wait(lambda: names(browser) == [f"task-{number:03}" for number in range(79, 69, -1)])
    assert len(browser.all(".timeline li")) == 10
    browser.find("#tasks thead th:nth-child(2) a").click()
    browser.wait(lambda: names(browser)[0] == "task-077")
    assert browser.find("#tasks th[aria-sort]").text.startswith("Execution")
    assert len(browser.all("#tasks tr[data-counts=superseded]")) == 1 and len(browser.all(".timeline .hatched")) == 1
    browser.find("#tasks thead th[aria-sort] a").click()
    browser.wait(lambda: names(browser)[0] == "task-079")
    browser.find("#tasks input[name=find]").clear()
    browser.find("#tasks input[name=find]").send_keys("nothing", Keys.ENTER)
    browser.wait(lambda: "No task matches." in browser.text("#tasks tbody"))
    # The page is the same at its address.
    browser.open(f"{url}/jobs/{job}?find=odd&order=newest").wait_live()
    assert names(browser) == ["Odd"]


def test_all_executions_are_drawn_over_time(browser, ledger, url):
    job = ledger.create("overview")
    ledger.append(job, *[progress(f"task-{number:03}", "tiles", total=1) for number in range(50)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    # The table draws each of so few tasks.
    assert not browser.find("#timeline").is_displayed() and len(browser.all(".timeline li")) == 50
    ledger.append(job, progress("task-050", "tiles", total=1))
    browser.wait(lambda: browser.find("#timeline").is_displayed())

    def layers():
        return browser.run("return [...document.querySelectorAll('#timeline path.layer')].map((layer) => layer.dataset.outcome)")

    assert layers() == ["running"] and not browser.all("#timeline .strip")
    ledger.append(job, failed("task-000", "broken"), progress("task-001", "tiles", done=1), start("task-001", 2))
    browser.wait(lambda: layers() == ["running", "failed", "superseded"])
    assert browser.find("#timeline .strip rect").is_displayed()
    # The hatching is that of the pattern.
    assert browser.run("return document.querySelector('#timeline .plot > [fill=\"url(#hatch-all)\"]') !== null")
    end = browser.find("#timeline figcaption .right time").get_attribute("datetime")
    ledger.append(job, start("task-002", 2))
    browser.wait(lambda: browser.find("#timeline figcaption .right time").get_attribute("datetime") > end)
    browser.find("[data-count=failed] a").click()
    browser.wait(lambda: names(browser) == ["task-000"])
    browser.find("[data-count=running] a").click()
    browser.wait(lambda: len(names(browser)) == 50)
    assert browser.violations() == []


def test_a_running_execution_shows_how_long_it_has_been_running_and_silent(browser, ledger, url):
    job = ledger.create("running", tags={"ledger.lease": "1"})
    ledger.append(job, start("t", 1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.wait(lambda: browser.all("#tasks .silence"))
    words = browser.text("#tasks tbody tr td:nth-child(3)")
    assert words.startswith("running ") and ", silent " in words, words
    shown = browser.text("#tasks .age")
    browser.wait(lambda: browser.text("#tasks .age") != shown)


def test_the_page_of_a_task_is_live(browser, ledger, url):
    name = "a/b?c=d&e #1"
    job = ledger.create("one task")
    ledger.append(job, progress(name, "tiles", total=2, done=1), progress("other", "tiles", total=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.find("#tasks tbody th a").click()
    browser.wait_live()
    assert browser.text("h1") == name and "/task?name=" in browser.driver.current_url
    ledger.append(job, start(name, 2), progress("other", "tiles", done=1))
    browser.wait(lambda: len(browser.all("#tasks tbody tr")) == 2)
    browser.wait(lambda: len(browser.all("#events tbody tr")) == 2)
    browser.wait(lambda: "attempt 2" in browser.text("#head .figures"))
    ledger.append(job, failed(name, "broken", attempt=2))
    browser.wait(lambda: browser.text("#head .state") == "failed" and "broken" in browser.text("#head .newest"))
    browser.find("#events tbody tr:last-child td:first-child a").click()
    browser.wait(lambda: browser.state() == "past")
    assert browser.text("h1") == name and len(browser.all("#tasks tbody tr")) == 1


def test_links_ids_and_commands_are_copied(browser, trouble, url):
    browser.command("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    browser.open(f"{url}/jobs/{trouble}").wait_live()
    expected = [f"{url}/jobs/{trouble}", trouble, f"progress-ledger watch {trouble}"]
    for button, text in zip(browser.all("#facts button.copy"), expected):
        button.click()
        browser.wait(lambda: button.text == "Copied")
        read = browser.driver.execute_async_script("navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))")
        assert read == text


def test_what_is_shown_can_be_saved(browser, trouble, url):
    browser.open(f"{url}/jobs/{trouble}?state=failed").wait_live()
    csv, data = [link.get_attribute("href") for link in browser.all("#tasks .exports a")]
    rows = browser.driver.execute_async_script("fetch(arguments[0]).then((response) => response.text()).then(arguments[1])", csv)
    assert rows.count("\r\n") == 5 and "\"KeyError: 'a'\nline 2\"" in rows
    found = browser.driver.execute_async_script("fetch(arguments[0]).then((response) => response.text()).then(arguments[1])", data)
    assert [task["task"] for task in json.loads(found)["tasks"]] == [f"tile-{number}" for number in range(2, 6)]
    # The link does not change the page.
    assert browser.find("#tasks .exports a").get_attribute("download") is not None


def test_in_the_past_the_slider_stays_in_sight(browser, ledger, url):
    job = ledger.create("far")
    ledger.append(job, *[progress(f"task-{number:03}", "tiles", total=1) for number in range(60)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    height = browser.run("return innerHeight")
    browser.run("scrollTo(0, 0)")
    assert browser.run("return document.querySelector('#moment').getBoundingClientRect().top") > height
    browser.open(f"{url}/jobs/{job}?at_sequence=9")
    browser.wait(lambda: browser.state() == "past")
    for position in [0, 400]:
        browser.run("scrollTo(0, arguments[0])", position)
        assert 0 < browser.run("return document.querySelector('#moment').getBoundingClientRect().bottom") <= height


@pytest.mark.parametrize("dark", [False, True])
def test_pages_fit_every_window_and_are_accessible(browsers, ledger, trouble, url, dark):
    empty = ledger.create("empty")
    many = ledger.create("many")
    ledger.append(many, *[progress(f"task {number}", f"an indicator with a rather long label, number {number}", total=10**12, done=number * 10**10)
                          for number in range(60)])
    browser = browsers(dark=dark)
    for size in SIZES:
        browser.resize(*size)
        for path in [f"/jobs/{empty}", f"/jobs/{many}", f"/jobs/{trouble}?indicator=tiles", f"/jobs/{trouble}/task?name=tile-1",
                     f"/jobs/{trouble}?at_sequence=6"]:
            browser.open(url + path)
            browser.wait(lambda: browser.state() in ("live", "past"))
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), (path, size)
            assert browser.violations() == [], (path, size)
