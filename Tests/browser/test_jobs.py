"""The list of jobs, the wall of running jobs, and the reference."""

import os
import subprocess

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select
from support import PHONE, SMALL_PHONE, WIDE, Ledger, binary, progress, serving

HOUR = 3_600_000


@pytest.fixture(scope="module")
def own_url():
    """A ledger whose jobs these tests alone create."""
    with serving() as url:
        yield url


@pytest.fixture(scope="module")
def own(own_url):
    return Ledger(own_url)


def names(browser):
    """The names of the listed jobs, read at once: the list may be updated at any time."""
    return browser.run("return [...document.querySelectorAll('table.jobs tbody th > a:first-child')].map((row) => row.textContent)")


def tiles(browser):
    """The names and urgencies of the tiles, in order."""
    return browser.run("""
        return [...document.querySelectorAll(".tile")].map((tile) => `${tile.querySelector("h2 a").textContent} ${tile.dataset.urgency}`);
    """)


def counts(browser):
    return browser.run("""
        return Object.fromEntries([...document.querySelectorAll(".states a[data-state]")]
          .map((link) => [link.dataset.state, link.querySelector("b")?.textContent]));
    """)


def test_an_empty_ledger_shows_how_to_report_until_a_job_appears(browser, own, own_url, tmp_path):
    browser.open(f"{own_url}/").wait_live()
    assert "No jobs yet" in browser.text("#list")
    assert not browser.find("form.filters").is_displayed()
    assert browser.violations() == []
    # The commands of the page, exactly as they are shown.
    script = browser.text("#list pre code")
    assert f"PROGRESS_LEDGER_URL={own_url}\n" in script
    (tmp_path / "progress-ledger").symlink_to(os.path.abspath(binary()))
    subprocess.run(["sh", "-e", "-c", script], check=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, timeout=60)
    browser.wait(lambda: names(browser) == ["tiles"])
    browser.wait(lambda: browser.text(".percent") == "10\u202f%")
    assert browser.find("form.filters").is_displayed()
    assert counts(browser) == {"running": "1", "completed": "0", "failed": "0", "canceled": "0"}


def test_the_python_sample_of_an_empty_ledger_is_complete(browser):
    with serving() as url:
        browser.open(f"{url}/").wait_live()
        sample = browser.run("return document.querySelectorAll('#list pre code')[1].textContent")
        compile(sample, "sample", "exec")
        assert f'Client("{url}")' in sample
        browser.open("about:blank")


def test_states_are_chosen_and_counted_live(browser, own, own_url):
    running, ends = own.create("state a"), own.create("state b")
    browser.open(f"{own_url}/?search=state").wait_live()
    browser.wait(lambda: counts(browser) == {"running": "2", "completed": "0", "failed": "0", "canceled": "0"})
    own.finish(ends, "failed")
    browser.wait(lambda: counts(browser) == {"running": "1", "completed": "0", "failed": "1", "canceled": "0"})
    browser.find(".states a[data-state=running]").click()
    browser.wait(lambda: "state=running" in browser.driver.current_url)
    browser.wait_live()
    assert names(browser) == ["state a"]
    browser.find(".states a[data-state=failed]").click()
    browser.wait(lambda: "state=failed" in browser.driver.current_url)
    browser.wait_live()
    assert names(browser) == ["state b", "state a"]
    # Both are followed: one of them leaves the list.
    own.finish(running)
    browser.wait(lambda: names(browser) == ["state b"])
    browser.find(".states a[data-state=failed]").click()
    browser.wait(lambda: "state=failed" not in browser.driver.current_url)


def test_newer_pages_follow_older_ones_and_stay_live(browser, own, own_url):
    for number in range(55):
        own.create(f"page {number}")
    browser.open(f"{own_url}/?search=page").wait_live()
    browser.find("a[rel=next]").click()
    browser.wait(lambda: names(browser) == [f"page {number}" for number in range(4, -1, -1)])
    browser.find("a[rel=prev]").click()
    browser.wait(lambda: names(browser) == [f"page {number}" for number in range(54, 4, -1)])
    assert "cursor" not in browser.driver.current_url
    browser.wait_live()
    own.create("page 55")
    browser.wait(lambda: names(browser)[0] == "page 55")
    # Oldest first: the second page is the last one, and grows at its end.
    Select(browser.find("select[name=sort]")).select_by_value("oldest")
    browser.wait(lambda: names(browser)[:1] == ["page 0"])
    browser.find("a[rel=next]").click()
    browser.wait(lambda: names(browser) == [f"page {number}" for number in range(50, 56)])
    browser.wait_live()
    own.create("page 56")
    browser.wait(lambda: names(browser)[-1] == "page 56")


def test_an_order_by_progress_follows_the_jobs(browser, own, own_url):
    first, second = own.create("sorted a"), own.create("sorted b")
    own.append(first, progress("t", total=10, done=5))
    own.append(second, progress("t", total=10, done=7))
    browser.open(f"{own_url}/?search=sorted&sort=progress").wait_live()
    assert names(browser) == ["sorted a", "sorted b"]
    own.append(first, progress("t", done=4))
    browser.wait(lambda: names(browser) == ["sorted b", "sorted a"], 20)


def test_ages_come_from_the_servers_clock_and_times_from_the_viewers_zone(browsers, own, own_url):
    browser = browsers()
    job = own.create("clock")
    own.append(job, progress("t", total=10, done=5))
    browser.command("Emulation.setTimezoneOverride", timezoneId="Asia/Kabul")
    # The viewer's clock is a day late.
    browser.before_load(f"const real = Date.now; Date.now = () => real() - 24 * {HOUR};")
    browser.open(f"{own_url}/?search=clock").wait_live()
    row = f'tr[data-job="{job}"]'
    browser.wait(lambda: browser.text(f"{row} time.ago").endswith("ago"))
    age = browser.text(f"{row} time.ago")
    assert age.split("\u202f")[1] in ("s ago", "min ago"), age
    title = browser.find(f"{row} time.minute").get_attribute("title")
    assert "+04:30" in title and title.endswith("Z")
    utc = browser.find(f"{row} time.minute").get_attribute("datetime")
    minutes = (int(utc[11:13]) * 60 + int(utc[14:16]) + 270) % 1440
    assert browser.text(f"{row} .since time.minute") == f"{minutes // 60:02}:{minutes % 60:02}"
    assert browser.text("#zone") == "times are in Asia/Kabul (+04:30)"


def test_the_wall_puts_problems_first_and_keeps_what_failed(browser):
    with serving() as url:
        ledger = Ledger(url)
        browser.open(f"{url}/wall").wait_live()
        assert "No job is running." in browser.text("#list")
        plain = ledger.create("plain")
        late = ledger.create("late", tags={"ledger.deadline": "2020-01-01T00:00:00Z"})
        for job in (plain, late):
            ledger.append(job, progress("t", total=10, done=5))
        browser.wait(lambda: tiles(browser) == ["late late", "plain running"])
        failing = ledger.create("failing <b>", key="k")
        ledger.append(failing, progress("t", total=10, done=1), {
            "type": "execution_finished", "task": "t", "attempt": 1, "outcome": "failed", "message": "disk full"})
        browser.wait(lambda: tiles(browser) == ["late late", "failing <b> failing", "plain running"])
        tile = f'.tile[data-job="{failing}"]'
        assert browser.text(f"{tile} .failures") == "1 failed" and browser.text(f"{tile} .job-key") == "k"
        assert "1 with failed tasks" in browser.text(".sums")
        ledger.append(plain, progress("t", done=2))
        browser.wait(lambda: browser.text(f'.tile[data-job="{plain}"] .percent') == "70\u202f%")
        ledger.append(failing, {"type": "job_finished", "outcome": "failed", "message": "gave up"})
        ledger.finish(plain)
        browser.wait(lambda: tiles(browser) == ["late late"])
        browser.wait(lambda: "gave up" in (browser.text(".ended") or ""))
        for size in (WIDE, PHONE):
            browser.resize(*size)
            assert browser.violations() == []
            assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        browser.find(".ended a").click()
        browser.wait(lambda: browser.driver.current_url.endswith(failing))
        browser.open("about:blank")


@pytest.mark.parametrize("dark", [False, True])
def test_the_reference_is_readable_and_accessible(browsers, own_url, dark):
    browser = browsers(dark=dark)
    for size in (WIDE, SMALL_PHONE):
        browser.resize(*size)
        browser.open(f"{own_url}/docs")
        assert browser.violations() == []
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        hosts = browser.run("return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).origin)")
        assert set(hosts) <= {own_url}
    targets = browser.run("""
        return [...document.querySelectorAll(".docs a[href^='#']")].map((link) => link.getAttribute("href").slice(1))
          .filter((id) => document.getElementById(id) === null);
    """)
    assert targets == []
    browser.find(".contents a[href='#appendEvents']").click()
    assert browser.find("#appendEvents").is_displayed()
    assert "EventsRequest" in browser.text("#appendEvents")


def test_the_list_is_usable_without_scripts(browsers, own, own_url):
    own.create("plain page")
    browser = browsers(scripts=False)
    browser.open(f"{own_url}/?search=plain")
    assert "UTC" in browser.find("#zone").text
    browser.find("select[name=sort]").find_element(By.CSS_SELECTOR, "[value=name]").click()
    browser.find("form.filters button").click()
    assert "sort=name" in browser.driver.current_url
    assert "plain page" in browser.find("table.jobs").text
