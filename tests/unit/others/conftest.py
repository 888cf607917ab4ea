"""Nobody's cache of compiled kernels is read or filled."""

import pytest


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RIDGE_CACHE_DIR", str(tmp_path))
