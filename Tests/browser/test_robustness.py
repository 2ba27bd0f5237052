"""Pages stay right when tabs are hidden, clocks are wrong, connections are few, and parts change under the pointer."""

from support import Proxy, progress, start

# A viewer's clock that is ten minutes ahead.
WRONG_CLOCK = """
const RealDate = Date, skew = 600_000;
Date = class extends RealDate {
  constructor(...parts) { if (parts.length === 0) super(RealDate.now() + skew); else super(...parts); }
  static now() { return RealDate.now() + skew; }
};
"""

# Lets a test advance the clock from which all ages are computed.
ADJUSTABLE_TIME = """
window.elapsed = 0;
const realNow = performance.now.bind(performance);
performance.now = () => realNow() + window.elapsed;
"""

# Makes pages read their own streams, as browsers without shared workers do.
UNSHARED = "delete window.SharedWorker;"

# Replaces the stream with one that a test writes.
SCRIPTED_STREAM = UNSHARED + """
const realFetch = fetch;
window.fetch = (url, options) => {
  if (!String(url).endsWith("/watch")) return realFetch(url, options);
  const body = new ReadableStream({
    start(stream) {
      window.send = (name, data) => stream.enqueue(new TextEncoder().encode(`event: ${name}\\ndata: ${data}\\n\\n`));
    },
  });
  return Promise.resolve(new Response(body));
};
"""

# Fails the first request for the table of executions.
FAILING_TABLE = """
const realFetch = fetch;
window.failures = 0;
window.fetch = (url, options) => {
  if (!String(url).includes("part=tasks") || window.failures > 0) return realFetch(url, options);
  window.failures += 1;
  return Promise.resolve(new Response("", { status: 503 }));
};
"""


def test_tables_are_fresh_when_a_tab_returns_after_its_job_has_ended(browser, ledger, url):
    job = ledger.create("hidden")
    ledger.append(job, progress("t", "tiles", total=2, done=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.hide()
    ledger.append(job, start("late", 1), progress("late", "tiles", done=1))
    ledger.finish(job)
    # The hidden page still notices the end, for its title and icon.
    browser.wait(lambda: "state=completed" in browser.find("link[rel=icon]").get_attribute("href"), 25)
    assert browser.text("#events tbody tr:first-child td:nth-child(3)") == "progress"
    browser.reveal()
    browser.wait(lambda: browser.text("#events tbody tr:first-child td:nth-child(3)") == "job finished")
    browser.wait(lambda: len(browser.all("#tasks tbody tr")) == 2)
    browser.wait(lambda: browser.state() == "ended")


def test_a_table_that_could_not_be_fetched_is_fetched_again(browser, ledger, url):
    browser.expected = ["503"]
    browser.before_load(FAILING_TABLE)
    job = ledger.create("busy")
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, progress("only", "tiles", total=2, done=1))
    browser.wait(lambda: browser.text("#tasks tbody th") == "only")
    assert browser.run("return window.failures") == 1


def test_ages_do_not_depend_on_the_viewers_clock(browser, ledger, url):
    browser.before_load(WRONG_CLOCK)
    job = ledger.create("clock")
    ledger.append(job, progress("t", "tiles", total=10, done=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.wait(lambda: "last event" in browser.text("#connection"))
    ledger.append(job, progress("t", "tiles", done=1))
    browser.wait(lambda: browser.indicator("tiles")["done"] == "2")
    assert browser.indicator("tiles")["status"] == "moving"
    assert browser.text("#connection .words").removeprefix("live · last event ") in [f"{n}\u202fs ago" for n in range(6)]
    assert browser.text("#head .elapsed") in [f"{n}\u202fs" for n in range(15)]
    browser.open(url).wait_live()
    elapsed = f"tr[data-job='{job}'] .elapsed"
    browser.wait(lambda: browser.text(elapsed) not in (None, ""))
    assert browser.text(elapsed) in [f"{n}\u202fs" for n in range(30)]


def test_a_silent_execution_is_shown_without_any_event_and_a_heartbeat_ends_it(browser, ledger, url):
    job = ledger.create("silent", tags={"ledger.lease": "2"})
    ledger.append(job, start("t", 1), progress("t", "tiles", total=100))
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert not browser.find("#stalls").is_displayed()
    browser.wait(lambda: browser.find("#stalls").is_displayed())
    assert browser.text("#stalls .silent strong") == "1 execution is silent"
    assert browser.text("#stalls li bdi") == "t"
    browser.wait(lambda: browser.text("#tasks tbody tr .silence").startswith("silent "))
    assert browser.text("[data-count=silent] dd") == "1"
    shown = browser.text("#stalls li .silence")
    # The time goes on.
    browser.wait(lambda: browser.text("#stalls li .silence") != shown)
    browser.open(url).wait_live()
    browser.wait(lambda: browser.text(f"tr[data-job='{job}'] .silent") == "1 silent")
    ledger.append(job, start("t", 1))
    browser.wait(lambda: browser.text(f"tr[data-job='{job}'] .silent") == "")
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.wait(lambda: browser.find("#stalls").is_displayed())
    ledger.append(job, start("t", 1))
    browser.wait(lambda: not browser.find("#stalls").is_displayed())


def test_a_viewer_ten_minutes_ahead_sees_no_stall_and_no_silence(browser, ledger, url):
    browser.before_load(WRONG_CLOCK)
    job = ledger.create("ahead")
    for _ in range(5):
        ledger.append(job, progress("t", "tiles", total=2, done=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, progress("t", "tiles", done=1))
    browser.wait(lambda: browser.indicator("tiles")["done"] == "6")
    # Two rounds of the page's clock.
    elapsed = browser.text("#head .elapsed")
    browser.wait(lambda: browser.text("#head .elapsed") != elapsed)
    assert browser.indicator("tiles")["status"] == "moving"
    assert not browser.find("#stalls").is_displayed()
    assert not browser.find("#head .silence").is_displayed()
    assert [row.is_displayed() for row in browser.all("#tasks .silence")] == []


def test_time_without_a_connection_is_not_shown_as_silence(browser, ledger, url):
    browser.before_load(ADJUSTABLE_TIME)
    browser.expected = ["Failed to load resource"]
    proxy = Proxy(url)
    try:
        job = ledger.create("unknown silence")
        ledger.append(job, progress("t", "tiles", total=100, done=1))
        browser.open(f"{proxy.url}/jobs/{job}").wait_live()
        proxy.cut()
        browser.wait(lambda: browser.state() == "lost")
        browser.run("window.elapsed = 305_000")
        browser.wait(lambda: "5\u202fmin ago" in browser.text("#connection"))
        assert browser.indicator("tiles")["status"] == "moving"
        assert not browser.find("#head .silence").is_displayed()
    finally:
        browser.open("about:blank")
        proxy.close()


def test_seven_visible_windows_share_one_stream_of_jobs_and_one_of_a_list(browser, ledger, url):
    proxy = Proxy(url)
    try:
        jobs = [ledger.create(f"window {number}") for number in range(7)]
        windows = []
        for path in [*(f"/jobs/{job}" for job in jobs), "/"]:
            if windows:
                browser.driver.switch_to.new_window("window")
            windows.append(browser.driver.current_window_handle)
            browser.open(proxy.url + path)
            assert browser.run("return document.hidden") is False
        for job in jobs:
            ledger.append(job, progress("only", "tiles", total=2, done=1))
        for window in windows[:7]:
            browser.driver.switch_to.window(window)
            browser.wait(lambda: browser.indicator("tiles") and browser.indicator("tiles")["done"] == "1")
            browser.wait(lambda: browser.text("#tasks tbody th") == "only")
            assert browser.state() == "live" and "every" not in browser.text("#connection .words")
        # The policy of the pages permits the worker, and the worker has a policy of its own.
        policies = browser.driver.execute_async_script("""
            const policy = async (address) => (await fetch(address)).headers.get("content-security-policy");
            Promise.all([policy(location.href), policy("/pages/streams-worker.js")]).then(arguments[0]);
        """)
        assert "script-src 'self';" in policies[0] and "connect-src 'self'" in policies[1], policies
        browser.driver.switch_to.window(windows[7])
        browser.wait(lambda: browser.text(f"tr[data-job='{jobs[6]}'] .tasks") == "0\u2009/\u20091")
        browser.wait(lambda: proxy.open_streams() == 2)
        # The stream goes on after the window that opened it was closed.
        browser.driver.switch_to.window(windows[0])
        browser.driver.close()
        for job, window in zip(jobs[1:], windows[1:7]):
            browser.driver.switch_to.window(window)
            ledger.append(job, progress("only", "tiles", done=1))
            browser.wait(lambda: browser.indicator("tiles")["done"] == "2")
        # A page that opens another job joins the stream, and one that sees the past leaves it.
        browser.open(f"{proxy.url}/jobs/{jobs[0]}").wait_live()
        assert browser.indicator("tiles")["done"] == "1"
        ledger.append(jobs[0], progress("only", "tiles", done=1))
        browser.wait(lambda: browser.indicator("tiles")["done"] == "2")
        assert proxy.open_streams() <= 3
        browser.wait(lambda: proxy.open_streams() == 2)
    finally:
        for window in windows[1:]:
            browser.driver.switch_to.window(window)
            browser.open("about:blank")
        proxy.close()


def test_a_shared_stream_recovers_in_all_windows(browser, ledger, url):
    proxy = Proxy(url)
    browser.expected = ["Failed to load resource", "ERR_"]
    try:
        jobs = [ledger.create(f"shared {number}") for number in range(2)]
        windows = []
        for job in jobs:
            if windows:
                browser.driver.switch_to.new_window("window")
            windows.append(browser.driver.current_window_handle)
            browser.open(f"{proxy.url}/jobs/{job}").wait_live()
        proxy.cut()
        for window in windows:
            browser.driver.switch_to.window(window)
            browser.wait(lambda: browser.state() == "lost")
        for job in jobs:
            ledger.append(job, progress("t", "tiles", total=2, done=1))
        proxy.restore()
        for window in windows:
            browser.driver.switch_to.window(window)
            browser.wait(lambda: browser.state() == "live", 40)
            browser.wait(lambda: browser.indicator("tiles") and browser.indicator("tiles")["done"] == "1")
    finally:
        for window in windows:
            browser.driver.switch_to.window(window)
            browser.open("about:blank")
        proxy.close()


def test_seven_visible_windows_without_shared_workers_are_all_live_and_can_fetch_tables(browser, ledger, url):
    jobs = [ledger.create(f"window {number}") for number in range(7)]
    windows = []
    for job in jobs:
        if windows:
            browser.driver.switch_to.new_window("window")
        browser.before_load(UNSHARED)
        windows.append(browser.driver.current_window_handle)
        browser.open(f"{url}/jobs/{job}")
        assert browser.run("return document.hidden") is False
    for job in jobs:
        ledger.append(job, progress("only", "tiles", total=2, done=1))
    for window in windows:
        browser.driver.switch_to.window(window)
        browser.wait(lambda: browser.indicator("tiles") and browser.indicator("tiles")["done"] == "1")
        browser.wait(lambda: browser.text("#tasks tbody th") == "only")
        assert browser.state() == "live"
    streams = []
    for window in windows:
        browser.driver.switch_to.window(window)
        streams.append("every" not in browser.text("#connection .words"))
    assert 1 <= streams.count(True) <= 2
    # A window that is closed gives its stream to another one.
    browser.driver.switch_to.window(windows[streams.index(True)])
    browser.driver.close()
    browser.driver.switch_to.window(windows[streams.index(False)])

    def others_stream():
        count = 0
        for index, window in enumerate(windows):
            if index != streams.index(True):
                browser.driver.switch_to.window(window)
                count += "every" not in browser.text("#connection .words")
        return count == streams.count(True)

    browser.wait(others_stream)


def test_a_list_behind_a_buffering_proxy_polls(browser, ledger, url):
    proxy = Proxy(url)
    proxy.holds_events = True
    browser.expected = ["Failed to load resource"]
    try:
        ledger.create("buffered list")
        browser.open(f"{proxy.url}/?search=buffered")
        browser.wait(lambda: browser.state() == "live")
        job = ledger.create("buffered list again")
        row = f"tr[data-job='{job}']"
        browser.wait(lambda: browser.text(f"{row} .state") == "running")
        ledger.finish(job)
        browser.wait(lambda: browser.text(f"{row} .state") == "completed")
    finally:
        browser.open("about:blank")
        proxy.close()


def test_a_click_during_an_update_of_its_table_is_not_lost(browser, ledger, url):
    job = ledger.create("clicked")
    ledger.append(job, *[progress(f"task-{number:03}", "tiles", total=1) for number in range(60)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    x, y = browser.center("#tasks a[rel=next]")
    browser.mouse("mousePressed", x, y)
    for number in range(3):
        ledger.append(job, progress(f"task-{number:03}", "tiles", done=1))
        browser.wait(lambda: browser.text("#moment .sequence") == str(62 + number))
    # Longer than the interval between two requests for a table.
    browser.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    browser.mouse("mouseReleased", x, y)
    browser.wait(lambda: browser.text("#tasks tbody th") == "task-009")


def test_a_click_on_a_row_reaches_it_although_new_rows_arrive(browser, ledger, url):
    job = ledger.create("rows")
    ledger.append(job, progress("t", "tiles", total=10))
    browser.open(f"{url}/jobs/{job}").wait_live()
    x, y = browser.center("#events tbody tr:first-child a")
    browser.mouse("mousePressed", x, y)
    ledger.append(job, progress("t", "tiles", done=1), progress("t", "tiles", done=1))
    browser.wait(lambda: browser.text("#moment .sequence") == "4")
    browser.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    browser.mouse("mouseReleased", x, y)
    browser.wait(lambda: browser.driver.current_url.endswith("at_sequence=2"))


def test_focus_and_selected_text_survive_an_update(browser, ledger, url):
    job = ledger.create("selected")
    ledger.append(job, *[progress(f"task-{number:03}", "tiles", total=1) for number in range(60)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.run("""
        document.querySelector("#tasks a[rel=next]").focus();
        getSelection().selectAllChildren(document.querySelector("#events tbody tr:first-child td:nth-child(4)"));
        window.row = document.querySelector("#events tbody tr:first-child");
    """)
    ledger.append(job, progress("task-059", "tiles", done=1))
    browser.wait(lambda: browser.text("#events tbody tr:first-child td:first-child") == "62")
    browser.wait(lambda: "+1 done" in browser.text("#tasks tbody tr:first-child"))
    assert browser.run("return document.activeElement.rel") == "next"
    assert browser.run("return getSelection().toString()") == "task-059"
    assert browser.run("return window.row.isConnected && window.row === document.querySelector('#events tbody tr:nth-child(2)')")


def test_a_snapshot_with_a_lower_sequence_is_shown(browser, ledger, url):
    job = ledger.create("failover")
    ledger.append(job, progress("t", "tiles", total=10, done=1), progress("t", "tiles", done=4))
    browser.before_load(SCRIPTED_STREAM)
    browser.open(f"{url}/jobs/{job}")
    browser.wait(lambda: browser.run("return window.send !== undefined"))

    def send(at_sequence):
        snapshot = ledger.call(f"/v1/jobs/{job}/progress?at_sequence={at_sequence}")
        snapshot["ledger_sequence"] = at_sequence
        browser.run("window.send('snapshot', JSON.stringify(arguments[0]))", snapshot)

    send(3)
    browser.wait(lambda: browser.indicator("tiles")["done"] == "5" and browser.state() == "live")
    send(2)
    browser.wait(lambda: browser.indicator("tiles")["done"] == "1")
    assert browser.text("#moment .sequence") == "2"
    assert browser.find("#at").get_attribute("max") == "2"
    browser.wait(lambda: "went back from event 3 to 2" in browser.text("#connection"), 20)


def test_scripts_and_server_hide_the_same_characters(browser, ledger, url):
    edges = [0x00, 0x1F, 0x7F, 0x9F, 0xAD, 0x61C, 0x200B, 0x200F, 0x2028, 0x202E, 0x2060, 0x2064, 0x2066, 0x2069, 0x206F,
             0xFEFF, 0xFFF9, 0xFFFD, 0xFFFF, 0xE0000, 0xE007F]
    points = sorted({point + step for point in edges for step in (-1, 0, 1)} - {-1, 0})
    labels = ["x".join(map(chr, points[start:start + 40])) for start in range(0, len(points), 40)]
    job = ledger.create("invisible")
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, *[progress("t", label, total=1) for label in labels])
    browser.wait(lambda: len(browser.all(".indicator")) == len(labels))
    by_script = [browser.indicator(label)["label"] for label in labels]
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert [browser.indicator(label)["label"] for label in labels] == by_script
    for point in (0x01, 0x9F, 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xFFFF, 0xE007F):
        assert f"\\u{{{point:X}}}" in "".join(by_script)


def test_a_choice_made_without_a_connection_is_shown_when_it_is_back(browser, ledger, url):
    proxy = Proxy(url)
    browser.expected = ["Failed to load resource"]
    try:
        job = ledger.create("choice")
        ledger.append(job, progress("t", "tiles", total=10, done=1), progress("t", "tiles", done=4))
        # The page shows the past, so no stream notices that the connection is lost.
        browser.open(f"{proxy.url}/jobs/{job}?at_sequence=3")
        browser.wait(lambda: browser.state() == "past")
        proxy.cut()
        browser.find("#moment .now").click()
        browser.wait(lambda: "no connection" in browser.text("#connection"))
        proxy.restore()
        browser.wait(lambda: browser.state() == "live" and browser.text("#moment strong") == "Now")
    finally:
        browser.open("about:blank")
        proxy.close()


def test_text_in_a_filter_survives_an_update_of_its_table(browser, ledger, url):
    job = ledger.create("typing")
    ledger.append(job, progress("t", "tiles", total=10))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.find("#events input[name=task]").send_keys("half a na")
    browser.run("document.activeElement.blur()")
    ledger.append(job, progress("t", "tiles", done=1))
    browser.wait(lambda: browser.text("#events tbody tr:first-child td:first-child") == "3")
    assert browser.find("#events input[name=task]").get_attribute("value") == "half a na"


def test_a_stream_that_falls_silent_is_replaced_by_polling(browser, ledger, url):
    # Timers run ten times as fast, so that 40 seconds of silence take four.
    browser.before_load(UNSHARED + "const after = setTimeout; window.setTimeout = (body, time, ...rest) => after(body, time / 10, ...rest);")
    browser.expected = ["Failed to load resource"]
    proxy = Proxy(url)
    try:
        job = ledger.create("silent stream")
        ledger.append(job, progress("t", "tiles", total=10, done=1))
        browser.open(f"{proxy.url}/jobs/{job}").wait_live()
        proxy.holds_events = True
        ledger.append(job, progress("t", "tiles", done=1))
        browser.wait(lambda: browser.indicator("tiles")["done"] == "2", 30)
        assert browser.state() == "live"
    finally:
        browser.open("about:blank")
        proxy.close()


def test_tasks_without_an_end_are_abandoned_when_their_job_has_ended(browser, ledger, url):
    job = ledger.create("abandoned")
    ledger.append(job, start("t", 1), progress("t", "tiles", total=2, done=1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert browser.text("[data-count=running] dd") == "1"
    assert not browser.find("[data-count=abandoned]").is_displayed()
    ledger.finish(job)

    def is_shown():
        return (browser.text("[data-count=running] dd"), browser.text("[data-count=abandoned] dd"),
                browser.text("#tasks .outcome")) == ("0", "1", "abandoned")

    browser.wait(is_shown)
    assert browser.find("[data-count=abandoned]").is_displayed()
    # The server renders the same.
    browser.open(f"{url}/jobs/{job}").wait_live()
    assert is_shown()
