"""A person logs in with a token, sees what it permits, and logs out; a share link shows one job."""

import urllib.request

import pytest

from support import Ledger, log_in, progress, serving, wait_for_refusal


@pytest.fixture(scope="module")
def guarded():
    """A server with two jobs of different teams, which requires a token; yields its URL, that of its pages, and the jobs."""
    with serving(arguments=["--base-path", "/tools/ledger"]) as url:
        ledger = Ledger(url)
        jobs = {}
        for team in ["a", "b"]:
            jobs[team] = ledger.create(f"job of {team}", tags={"team": team})
            ledger.append(jobs[team], progress("t", "tiles", total=10, done=4))
        url.create_token("admin", "--scope", "admin")
        wait_for_refusal(url)
        yield url, f"{url}/tools/ledger", jobs


def test_login_and_logout(browsers, guarded):
    url, site, jobs = guarded
    browser = browsers()
    browser.expected = ["401"]
    browser.open(f"{site}/jobs/{jobs['a']}?indicator=tiles")
    assert "/login?next=" in browser.driver.current_url
    log_in(browser, "pl_wrong")
    browser.wait(lambda: "no such token" in browser.text("#login-error"))
    browser.find("#login input").clear()
    log_in(browser, url.create_token("reader", "--scope", "read", "--tag", "team=a"))
    # The page of before the login, below the base path, and live.
    browser.wait(lambda: browser.driver.current_url.endswith(f"/jobs/{jobs['a']}?indicator=tiles"))
    browser.wait(lambda: (browser.text("#connection .words") or "").startswith("live"))
    browser.open(f"{site}/")
    assert browser.text("#list").count("job of a") == 1
    assert "job of b" not in browser.text("#list")
    # The cookie is not readable by scripts, and other jobs do not exist.
    assert browser.run("return document.cookie") == ""
    browser.expected.append("404")
    browser.open(f"{site}/jobs/{jobs['b']}")
    assert "No such job" in browser.text("h1")
    browser.open(f"{site}/")
    browser.find("#log-out").click()
    browser.wait(lambda: "/login" in browser.driver.current_url)
    browser.open(f"{site}/")
    assert "/login?next=" in browser.driver.current_url


def test_a_page_of_another_site_cannot_be_the_next_one(browsers, guarded):
    url, site, _ = guarded
    token = url.create_token("careless reader", "--scope", "read")
    for target in ["https://evil.example/", "//evil.example/", "/other", "../../other", "javascript:alert(1)"]:
        browser = browsers()
        browser.open(f"{site}/login?next={urllib.request.quote(target, safe='')}")
        log_in(browser, token)
        browser.wait(lambda: "job of a" in (browser.text("#list") or ""))
        assert browser.driver.current_url == f"{site}/"


@pytest.mark.parametrize("logged_in", [False, True])
def test_share_link(browsers, guarded, logged_in):
    url, site, jobs = guarded
    browser = browsers()
    browser.expected = ["404", "401"]
    if logged_in:
        # A login that does not permit the shared job.
        browser.open(f"{site}/login")
        log_in(browser, url.create_token("team b", "--scope", "read", "--tag", "team=b"))
        browser.wait(lambda: "job of b" in (browser.text("#list") or ""))
    share = url.create_token(f"share {logged_in}", "--scope", "read", "--job", jobs["a"], "--expires", "1h")
    browser.open(f"{site}/jobs/{jobs['a']}#share={share}")
    browser.wait(lambda: (browser.text("#connection .words") or "").startswith("live"))
    assert "job of a" in browser.text("h1")
    assert "share" not in browser.driver.current_url and share not in browser.run("return location.href")
    # Only that job: the list does not exist for the link, but stays for the login.
    browser.open(f"{site}/")
    if logged_in:
        assert "job of b" in browser.text("#list") and "job of a" not in browser.text("#list")
    else:
        assert "/login" in browser.driver.current_url
