"""Each kernel of these tests is compiled once; a GPU that times as it is told."""

import importlib

import pytest

from gpu_utils import bench
from tests.unit.card.kernels import Gpu


@pytest.fixture(scope="package", autouse=True)
def _cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RIDGE_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture
def gpu(monkeypatch):
    timed = importlib.import_module("gpu_utils.card.timed")
    monkeypatch.setattr(timed, "_on_gpu", lambda call: True)
    monkeypatch.setattr(bench, "measure", lambda fn, *args, **kwargs: Gpu.timing)
