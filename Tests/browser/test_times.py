"""Times on all pages: in the viewer's time zone with scripts, in UTC without."""

import datetime
import zoneinfo

import pytest
from support import progress, start

ZONE = zoneinfo.ZoneInfo("Asia/Kathmandu")  # UTC+05:45, without summer time.
UTC = datetime.timezone.utc
MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def texts(moment, now, zone, form):
    """The text of a time in a time zone; a time shows its day if that is not the present one."""
    time, present = (value.astimezone(zone) for value in (moment, now))
    clock = f"{time:%H:%M:%S}" if form == "second" else f"{time:%H:%M}"
    return clock if time.date() == present.date() else f"{time.day} {MONTHS[time.month - 1]} {clock}"


@pytest.fixture(scope="module")
def job(ledger):
    """A job with each kind of time: failed, stalled, retried, and with a deadline that it misses."""
    job = ledger.create("times", tags={"ledger.deadline": "2020-01-01T00:00:00Z", "ledger.lease": "1"})
    ledger.append(job, start("silent", 1), progress("silent", "tiles", total=100, done=1))
    for number in range(60):
        ledger.append(job, start(f"task {number}", 1), progress(f"task {number}", "tiles", done=1))
    ledger.append(job, {"type": "execution_finished", "task": "task 1", "attempt": 1, "outcome": "failed", "message": "full"})
    ledger.append(job, start("task 2", 2), progress("task 2", "tiles", attempt=2, done=1))
    return job


def paths(job):
    return ["/?search=times", "/wall", f"/jobs/{job}?indicator=tiles", f"/jobs/{job}?at_sequence=100", f"/jobs/{job}?order=started",
            f"/jobs/{job}/task?name=task%202", "/notifications"]


def shown(browser):
    """The times of the page: class, moment, text and title."""
    return browser.run("""
        return [...document.querySelectorAll("time")].map((time) => [time.className, time.dateTime, time.textContent, time.title]);
    """)


def test_each_page_shows_times_in_the_viewers_zone_and_names_it(browser, ledger, job, url):
    browser.command("Emulation.setTimezoneOverride", timezoneId=str(ZONE))
    kinds = set()
    for path in paths(job):
        browser.open(url + path)
        browser.wait(lambda: browser.text("#zone").startswith("times are in Asia/"))
        assert browser.text("#zone").endswith(" (+05:45)"), path
        if path != "/notifications":
            browser.wait(lambda: browser.state() in ("live", "past"))
        now = datetime.datetime.now(UTC)
        for kind, moment, text, title in shown(browser):
            assert title.endswith(f"+05:45 · {moment}"), (path, title)
            kinds.add(kind)
            if kind == "ago" or moment.startswith("2020"):
                continue
            assert text == texts(datetime.datetime.fromisoformat(moment), now, ZONE, kind), (path, moment)
        assert "UTC" not in browser.text("main"), path
    assert kinds == {"ago", "minute", "second"}


def test_a_part_that_is_fetched_later_shows_the_same_times(browser, ledger, job, url):
    browser.command("Emulation.setTimezoneOverride", timezoneId=str(ZONE))
    browser.open(f"{url}/jobs/{job}").wait_live()
    ledger.append(job, progress("task 3", "later", total=2, done=1))
    browser.wait(lambda: "later" in browser.text("#events tbody tr") and "UTC" not in browser.text("main"))
    time = browser.find("#events tbody time")
    utc = datetime.datetime.fromisoformat(time.get_attribute("datetime"))
    assert time.text == texts(utc, datetime.datetime.now(UTC), ZONE, "second")
    # The connection and the paper show the same zone.
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run("return document.querySelector('#connection').dataset.printed").endswith(" +05:45")


def test_titles_and_axes_of_figures_are_in_the_viewers_zone(browser, job, url):
    browser.command("Emulation.setTimezoneOverride", timezoneId=str(ZONE))
    browser.open(f"{url}/jobs/{job}").wait_live()
    hour = datetime.datetime.now(UTC).astimezone(ZONE)
    near = {f"{hour - datetime.timedelta(minutes=minutes):%H:%M}" for minutes in range(3)}
    for selector in ["#timeline .hint title", "#tasks g.execution title"]:
        text = browser.text(selector)
        assert text.split(" from ")[1][:5] in near and "UTC" not in text, text
    for selector in ["#chart .times", "#timeline .times", "#tasks .times"]:
        ticks = browser.run("""
            const [axis] = [document.querySelector(arguments[0])];
            const ticks = [...axis.querySelectorAll("text:not(.now)")].map((text) => [text.textContent, parseFloat(text.getAttribute("x"))]);
            return [Date.parse(axis.dataset.from), Date.parse(axis.dataset.to), ticks];
        """, selector)
        begin, end, labels = ticks
        for label, x in labels:
            if ":" not in label:
                continue  # Midnight.
            moment = datetime.datetime.fromtimestamp((begin + (end - begin) * x / 100) / 1_000, ZONE)
            difference = abs((moment.replace(tzinfo=None) - datetime.datetime.combine(
                moment.date(), datetime.time.fromisoformat(label))).total_seconds())
            assert difference <= (end - begin) / 1_000 * 0.002 + 1, (selector, label, moment)
    # The lines of the grid are at the texts.
    lines, labels = browser.run("""
        const at = (selector, name) => [...document.querySelectorAll(selector)].map((element) => element.getAttribute(name));
        return [at("#tasks .lines line", "x1"), at("#tasks .timeline > .times text", "x")];
    """)
    assert lines == labels


@pytest.mark.parametrize("zone, begin, end, expected", [
    ("UTC", "2026-01-01T22:13:20Z", "2026-01-02T03:46:40Z", ["2 Jan", "02:00"]),
    ("Asia/Kathmandu", "2026-01-01T22:13:20Z", "2026-01-02T03:46:40Z", ["04:00", "06:00", "08:00"]),
    ("America/Los_Angeles", "2026-01-01T00:00:00Z", "2026-01-11T00:00:00Z", ["1 Jan", "3 Jan", "5 Jan", "7 Jan", "9 Jan"]),
    # The clock is put forward at 02:00, and back at 03:00.
    ("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T03:30:00Z", ["29 Mar", "01:00", "03:00", "04:00", "05:00"]),
    ("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z", ["25 Oct", "01:00", "02:00", "03:00", "04:00"]),
    ("Europe/Berlin", "2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", ["25 Oct", "26 Oct", "27 Oct"]),
])
def test_the_ticks_of_an_axis_are_round_in_the_viewers_zone(browser, url, zone, begin, end, expected):
    browser.command("Emulation.setTimezoneOverride", timezoneId=zone)
    browser.open(f"{url}/docs")
    made = browser.driver.execute_async_script("""
        const [begin, end, done] = arguments;
        import("/pages/axes.js").then((axes) => done(axes.ticks(Date.parse(begin), Date.parse(end))));
    """, begin, end)
    assert [tick["text"] for tick in made] == expected
    for tick in made:
        local = datetime.datetime.fromtimestamp(tick["at"] / 1_000, zoneinfo.ZoneInfo(zone))
        assert tick["text"] in (f"{local:%H:%M}", f"{local.day} {MONTHS[local.month - 1]}")


def test_pages_without_scripts_show_utc_and_say_so(browsers, job, url):
    browser = browsers(scripts=False)
    browser.command("Emulation.setTimezoneOverride", timezoneId=str(ZONE))
    for path in paths(job):
        browser.open(url + path)
        assert browser.find("#zone").text == "all times are UTC", path
        for time in browser.all("time:not(.ago)"):
            moment = time.get_attribute("datetime")
            clock = moment[11:19] if time.get_attribute("class") == "second" else moment[11:16]
            assert time.get_attribute("textContent").removesuffix(" UTC").endswith(clock), (path, moment)
