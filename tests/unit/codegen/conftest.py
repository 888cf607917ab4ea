"""The tests of the compiler lens share one empty cache, so that each kernel compiles once."""

import pytest

from gpu_utils.codegen import cache


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(autouse=True)
def _cache(monkeypatch, shared_cache):
    monkeypatch.setattr(cache, "_warned", set())  # each test is a process of its own
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(shared_cache))
