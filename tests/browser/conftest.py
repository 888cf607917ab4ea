"""One JupyterLab and one Chromium for all browser tests, on a copy of the course."""

import os
import shutil
from pathlib import Path

import pytest

from gpu_utils._dev import suite

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A `jupyterlab.Browser` on `ridge lab`; skips where there is none to drive."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("no Chromium on PATH: install Debian's chromium, or say CHROMIUM=/path/to/it")

    from tests.browser import jupyterlab

    course = tmp_path_factory.mktemp("course") / "ridgepoint"
    shutil.copytree(suite.ROOT, course, ignore=shutil.ignore_patterns(*suite.NOT_COURSE))
    with (
        jupyterlab.serve(course, tmp_path_factory.mktemp("home")) as server,
        api.sync_playwright() as playwright,
        jupyterlab.launch(playwright, program, server) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def _no_trouble(browser):
    """No test ends with an error in the page or its console, or with a request to elsewhere."""
    yield
    troubles, browser.troubles[:] = list(browser.troubles), []
    assert not troubles, "\n".join(troubles)


@pytest.fixture
def shots(tmp_path):
    """Where pictures go: $RIDGE_SHOTS, to look at them, or a folder that is forgotten."""
    folder = Path(os.environ.get("RIDGE_SHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
