"""Pages fit narrow windows and paper."""

from support import SMALL_PHONE, WIDE, progress

WIDTHS_WITH_TABLES = [1024, 961, 960, 768, 700]


def test_large_numbers_fit_a_narrow_page(browser, ledger, url):
    most = 2**53 - 1
    job = ledger.create("large")
    ledger.append(job, progress("t", "units of a long name", total=most, done=most - 1), progress("t", "over", total=1, done=most))
    browser.resize(*SMALL_PHONE)
    for path in [f"/jobs/{job}", "/"]:
        browser.open(url + path).wait_live()
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), path
        outside = browser.run("""
            return [...document.querySelectorAll("main *")].filter((element) => !element.closest(".wide, .hidden, svg"))
              .filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML);
        """)
        assert outside == [], path


def test_tables_of_a_narrow_page_need_no_scrolling_sideways(browser, ledger, url):
    job = ledger.create("narrow")
    ledger.append(job, progress("a task", "tiles", total=1_000, done=400), progress("other", "layers", total=5, done=1))
    ledger.append(job, {"type": "execution_finished", "task": "a task", "attempt": 1, "outcome": "failed",
                        "message": "CUDA out of memory: tried to allocate 2.00 GiB (GPU 0)", "link": "https://logs.example/" + "x" * 80})
    ledger.append(job, {"type": "execution_started", "task": "a task", "attempt": 2}, progress("a task", "tiles", attempt=2, done=1))
    paths = [f"/jobs/{job}?indicator=tiles", f"/jobs/{job}/task?name=a%20task", "/docs"]
    # Wide windows have columns, narrow ones have blocks.
    for width, path in [(width, path) for width in [*WIDTHS_WITH_TABLES, SMALL_PHONE[0]] for path in paths]:
        browser.resize(width, SMALL_PHONE[1])
        browser.open(url + path)
        hidden = browser.run("""
            return [...document.querySelectorAll(".wide")].filter((part) => part.scrollWidth > part.clientWidth)
              .map((part) => part.getAttribute("aria-label"));
        """)
        assert hidden == [], (width, path)
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth"), (width, path)
    # Executions are still sorted by their titles, and each number of an explanation has its name.
    browser.open(f"{url}/jobs/{job}?indicator=tiles").wait_live()
    assert browser.find("#tasks thead a").is_displayed()
    assert browser.run("""
        const [cell] = document.querySelectorAll("#explanation td[data-name=superseded]");
        return getComputedStyle(cell, "::before").content;
    """) != "none"


def test_the_columns_of_the_references_contents_begin_at_one_height(browser, url):
    browser.resize(768, 1000)
    browser.open(url + "/docs")
    tops = browser.run("""
        const columns = new Map();
        for (const part of document.querySelectorAll(".contents > *")) {
          const { left, top } = part.getBoundingClientRect();
          columns.set(Math.round(left), Math.min(columns.get(Math.round(left)) ?? Infinity, Math.round(top)));
        }
        return [...columns.values()];
    """)
    assert len(tops) == 2 and len(set(tops)) == 1, tops


def test_reports_in_tables_keep_their_words_in_lines(browser, ledger, url):
    job = ledger.create("words")
    ledger.append(job, progress("a task", "tiles", total=1_000, done=400), progress("a task", "layers", total=5, done=1), {
        "type": "execution_finished", "task": "a task", "attempt": 1, "outcome": "failed", "message": "out of memory " * 10})
    for width in [700, 768, 900, 1440]:
        browser.resize(width, 900)
        browser.open(f"{url}/jobs/{job}").wait_live()
        lines = browser.run("""
            return [...document.querySelectorAll("#tasks .reported, #events .reported")].map((report) => {
              const range = document.createRange();
              range.selectNodeContents(report);
              return new Set([...range.getClientRects()].map((box) => Math.round(box.top / 8))).size;
            });
        """)
        assert max(lines) <= 2, (width, lines)


def test_silent_executions_fit_the_list_of_jobs(browser, ledger, url):
    job = ledger.create("silent", tags={"ledger.lease": "1"})
    for number in range(12):
        ledger.append(job, progress(f"t{number}", "tiles", total=10, done=1))

    def is_shown():
        browser.open(url + "/").wait_live()
        return "12 silent" in browser.find(f'[data-job="{job}"]').text

    browser.wait(is_shown)
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")


def test_more_silent_executions_than_are_counted_are_a_lower_bound(browser, ledger, url):
    job = ledger.create("lost machines", tags={"ledger.lease": "1"})
    ledger.append(job, *[progress(f"t{number}", "tiles", total=10, done=1) for number in range(513)])

    def shown_in(path):
        browser.open(url + path).wait_live()
        return browser.text(f"[data-job='{job}'] .silent")

    for path in ["/", "/wall"]:
        browser.wait(lambda: shown_in(path) == "512+ silent")
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.wait(lambda: browser.text("#stalls .silent strong") == "512+ executions are silent")
    # The page as it was sent, and as it is kept up to date.
    assert browser.text("[data-count=silent] dd") == "512+"
    ledger.append(job, progress("t0", "tiles", done=1))
    browser.wait(lambda: browser.text("#moment .sequence") == "515")
    browser.wait(lambda: browser.text("[data-count=silent] dd") in ("511+", "512+"))


def test_the_numbers_of_tasks_stay_in_their_column(browser, ledger, url):
    job = ledger.create("many tasks")
    row = f"tr[data-job='{job}']"
    ledger.append(job, *[progress(f"t{number}", "tiles", total=1) for number in range(3)])
    for width in [900, 1024, 1440]:
        browser.resize(width, 900)
        browser.open(url + "/").wait_live()
        over = browser.run("""
            const cell = document.querySelector(arguments[0]).querySelector(".tasks");
            cell.textContent = "100\u202f000\u2009/\u2009100\u202f000";
            return cell.scrollWidth - cell.clientWidth;
        """, row)
        assert over <= 0, width


def test_the_texts_of_the_chart_cover_neither_its_lines_nor_each_other(browser, ledger, url):
    job = ledger.create("covered")
    ledger.append(job, progress("t", "tiles", total=123_456_789_012, done=1), progress("t", "tiles", done=123_456_789_011))
    for size in [SMALL_PHONE, WIDE]:
        browser.resize(*size)
        browser.open(f"{url}/jobs/{job}").wait_live()
        values, times, plot = browser.run("""
            const box = (element) => { const { left, right, top, bottom } = element.getBoundingClientRect(); return { left, right, top, bottom }; };
            const boxes = (selector) => [...document.querySelectorAll(selector)].map(box).filter(({ left, right }) => right > left);
            return [boxes("#chart .values text"), boxes("#chart .times text"), box(document.querySelector("#chart .plot"))];
        """)
        assert len(values) >= 3
        assert all(text["right"] <= plot["left"] + 1 and text["left"] >= 0 for text in values), values
        assert all(text["top"] >= plot["bottom"] - 1 for text in times), times
        assert all(left["right"] <= right["left"] for left, right in zip(times, times[1:])), times
        assert all(lower["top"] >= higher["bottom"] for lower, higher in zip(values, values[1:])), values


def test_a_printed_page_is_complete_and_without_controls(browser, ledger, url):
    job = ledger.create("printed " + "x" * 100)
    ledger.append(job, progress("a task of a long name " * 4, "tiles", total=10, done=5), progress("t", "n" * 100, done=2**53 - 1))
    browser.open(f"{url}/jobs/{job}").wait_live()
    browser.resize(720, 1000)  # A4 at 96 pixels per inch, with margins.
    browser.command("Emulation.setEmulatedMedia", media="print")
    for path in [f"/jobs/{job}", "/"]:
        browser.open(url + path).wait_live()
        controls = browser.all("form, .pages, #connection .words, .exports, button.copy")
        assert controls, path
        for control in controls:
            assert not control.is_displayed(), control.get_attribute("outerHTML")
        cut = browser.run("""
            return [...document.querySelectorAll("main *")].filter((element) => !element.closest(".hidden, svg"))
              .filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.outerHTML);
        """)
        assert cut == [], path
        # The paper shows when it was printed, and not that it is live.
        browser.run("dispatchEvent(new Event('beforeprint'))")
        assert browser.run("return getComputedStyle(document.querySelector('#connection'), '::after').content").startswith('"as of 20')


def test_names_of_jobs_keep_their_words_in_a_window_of_any_width(browser, ledger, url):
    job = ledger.create("nightly tiles")
    ledger.append(job, progress("t", "tiles", total=10, done=4))
    browser.open(url + "/").wait_live()
    # At 52rem and below, each job is a block of its own.
    for width in range(700, 1300, 40):
        browser.resize(width, 700)
        lines = browser.run("""
            const name = document.querySelector(`tr[data-job="${arguments[0]}"] th a`);
            return name.getClientRects().length;
        """, job)
        assert lines <= 2, width
