"""Live pages follow their job, show a lost connection, and recover."""

import json

from support import Proxy, progress, start


def test_both_pages_follow_the_demonstration_to_its_end(browsers, ledger, url):
    jobs = browsers().open(f"{url}/").wait_live()

    def listed():
        # At once, because the list may change at any time.
        return jobs.run("return [...document.querySelectorAll('tr[data-job]')].map((row) => row.dataset.job)")

    earlier = listed()
    demo = ledger.demo("--speed", "2")
    new = jobs.wait(lambda: next((job for job in listed() if job not in earlier), None))
    # The chart appears with the first units, and only then can the page stand still.
    jobs.wait(lambda: ledger.call(f"/v1/jobs/{new}")["progress"])
    page = browsers().open(f"{url}/jobs/{new}").wait_live()
    page.run("""
        window.seen = { overall: [], title: [], icon: [], notes: [], shifts: [], stalls: [] };
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.seen.shifts.push([entry.startTime, entry.value]);
        }).observe({ type: "layout-shift", buffered: true });
        const record = () => {
          const add = (list, value) => { if (list.at(-1) !== value) list.push(value); };
          add(window.seen.overall, document.querySelector("#head .overall").textContent);
          add(window.seen.title, document.title);
          add(window.seen.icon, document.querySelector("link[rel=icon]").getAttribute("href"));
          for (const row of document.querySelectorAll(".indicator .note.fell")) add(window.seen.notes, row.textContent);
        };
        new MutationObserver(() => window.seen.stalls.push(performance.now()))
          .observe(document.querySelector("#stalls"), { attributeFilter: ["hidden"] });
        record();
        new MutationObserver(record).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
    """)
    page.wait(lambda: page.state() == "ended", 60)
    assert json.loads(demo.communicate(timeout=60)[0])["state"] == "completed"
    page.wait(lambda: page.text("#chain strong") == "✓ Verified")
    seen = page.run("return window.seen")
    assert len(seen["overall"]) >= 4 and seen["overall"][-1] == "100\u202f%", seen
    assert all(value != "100\u202f%" for value in seen["overall"][:-1]), seen
    assert seen["title"][-1] == "100% demo – progress ledger" and len(seen["title"]) >= 4
    assert seen["icon"][-1] == "/pages/icon.svg?state=completed&percent=100"
    assert any("restarted, attempt 2" in note for note in seen["notes"]), seen["notes"]
    # On a busy machine the demonstration may stall, and the page rightly says so above its bars.
    shift = sum(value for time, value in seen["shifts"] if not any(0 <= time - stall < 500 for stall in seen["stalls"]))
    assert shift < 0.1, seen
    row = f'tr[data-job="{new}"]'
    jobs.wait(lambda: jobs.text(f"{row} .state") == "completed")
    assert jobs.text(f"{row} .percent") == "100\u202f%"
    # The tables are live as well.
    assert page.wait(lambda: "job finished" in page.text("#events tbody tr:first-child"))
    assert page.wait(lambda: len(page.all("#tasks tr[data-counts=superseded]")) == 3)


def test_the_awaited_work_follows_the_estimate(browser, ledger, url):
    hostile = "<b>render</b>\u202e"
    job = ledger.create("awaited")

    def grounds():
        return browser.text("#head .grounds")

    def markup():
        return browser.run("return document.querySelector('#head .grounds').innerHTML")

    def is_as_rendered():
        """Whether a new page has the same line."""
        shown = markup()
        browser.open(f"{url}/jobs/{job}").wait_live()
        return markup() == shown

    browser.open(f"{url}/jobs/{job}").wait_live()
    assert grounds() == "no estimate: nothing is done yet"
    ledger.append(job, progress("a", total=10, done=2))
    browser.wait(lambda: grounds() == "waits for default: a")
    assert is_as_rendered()
    ledger.append(job, progress("a", done=8), progress("b", hostile, total=100_000, done=1))
    browser.wait(lambda: grounds() == "waits for <b>render</b>\\u{202E}: b")
    assert is_as_rendered()
    ledger.finish(job)
    browser.wait(lambda: grounds() == "")


def test_each_status_looks_different(browser, ledger, url):
    job = ledger.create("statuses")
    ledger.append(
        job, progress("t", "empty"), progress("t", "unknown", done=5), progress("t", "waiting", total=8),
        progress("t", "moving", total=8, done=4), progress("t", "complete", total=8, done=8),
        progress("t", "over", total=8, done=9), progress("t", "fraction", total=1000, done=999))
    browser.open(f"{url}/jobs/{job}").wait_live()
    looks = {}
    for label in ["empty", "unknown", "waiting", "moving", "complete", "over"]:
        shown = browser.indicator(label)
        assert shown["status"] == label
        assert shown["role"] == "progressbar"
        # A bar without a total has no value for screen readers.
        assert (shown["now"] is None) == (label in ("empty", "unknown")), shown
        looks[label] = browser.run(
            """
            const bar = document.querySelector(`[data-status="${arguments[0]}"] .bar`), style = getComputedStyle(bar);
            return [style.backgroundImage, style.borderTopStyle, style.outlineStyle, bar.querySelector(".fill").getAttribute("width"),
              getComputedStyle(bar.querySelector(".fill")).fill].join(" ");
            """, label)
    assert len(set(looks.values())) == len(looks), looks
    assert browser.indicator("over")["note"] == "1 more than declared"
    assert browser.indicator("over")["percent"] == "112\u202f%"
    assert browser.indicator("fraction")["percent"] == "99\u202f%"
    # The order is that of the snapshot.
    order = [row.get_attribute("data-label") for row in browser.all(".indicator")]
    assert order == ["empty", "unknown", "waiting", "moving", "complete", "over", "fraction"]
    ledger.append(job, progress("t", "moving", total=100))
    browser.wait(lambda: browser.indicator("moving")["note"] == "total +100")


def test_a_lost_connection_is_shown_and_recovers_without_a_gap(browser, ledger, url):
    proxy = Proxy(url)
    # The browser reports failed connections itself.
    browser.expected = ["Failed to load resource"]
    try:
        job = ledger.create("proxied")
        ledger.append(job, progress("t", "tiles", total=10, done=1))
        browser.open(f"{proxy.url}/jobs/{job}").wait_live()
        assert browser.indicator("tiles")["done"] == "1"
        proxy.cut()
        browser.wait(lambda: browser.state() == "lost")
        assert "connection lost" in browser.text("#connection")
        assert "ago" in browser.text("#connection")
        assert browser.run("return document.body.classList.contains('lost')")
        ledger.append(job, progress("t", "tiles", done=3))
        ledger.append(job, start("t", 2))
        assert browser.indicator("tiles")["done"] == "1"
        proxy.restore()
        browser.wait(lambda: browser.state() == "live", 40)
        browser.wait(lambda: browser.indicator("tiles") is None)
        ledger.append(job, progress("t", "tiles", attempt=2, total=10, done=7))
        browser.wait(lambda: browser.indicator("tiles") and browser.indicator("tiles")["done"] == "7")
    finally:
        proxy.close()


def test_a_job_page_behind_a_buffering_proxy_polls(browser, ledger, url):
    proxy = Proxy(url)
    proxy.holds_events = True
    browser.expected = ["Failed to load resource"]
    try:
        job = ledger.create("buffered")
        browser.open(f"{proxy.url}/jobs/{job}")
        browser.wait(lambda: browser.state() == "live")
        ledger.append(job, progress("t", "tiles", total=10, done=3))
        browser.wait(lambda: browser.indicator("tiles") and browser.indicator("tiles")["done"] == "3")
        ledger.append(job, progress("t", "tiles", done=1))
        browser.wait(lambda: browser.indicator("tiles")["done"] == "4", 5)
        ledger.finish(job)
        browser.wait(lambda: browser.state() == "ended", 5)
    finally:
        browser.open("about:blank")
        proxy.close()


def test_large_numbers_stay_exact(browser, ledger, url):
    job = ledger.create("large")
    most = 2**53 - 1
    ledger.append(job, *[progress("t", "units", total=most, done=most - 1) for _ in range(3)])
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, progress("t", "units", done=1))
    exact = f"{3 * (most - 1) + 1:,}".replace(",", "\u202f")
    browser.wait(lambda: browser.indicator("units")["done"] == exact)
    assert browser.indicator("units")["percent"] == "99\u202f%"
