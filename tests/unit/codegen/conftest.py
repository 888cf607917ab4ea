"""The tests of the compiler lens share one empty cache, so that each kernel compiles once."""

import pytest


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, shared_cache):
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(shared_cache))
