import pytest

from support import Browser, Ledger, serving


@pytest.fixture(scope="session")
def url():
    with serving() as url:
        yield url


@pytest.fixture(scope="session")
def ledger(url):
    return Ledger(url)


@pytest.fixture
def browsers():
    """Makes browsers and closes them afterwards; the console must not contain errors except those a test expects."""
    made = []

    def make(**options):
        made.append(Browser(**options))
        return made[-1]

    yield make
    errors = [error for browser in made for error in browser.errors()]
    for browser in made:
        browser.close()
    assert errors == []


@pytest.fixture
def browser(browsers):
    return browsers()
