"""A run on an H100, and the four stages of it as they end when all is well."""

import datetime
import json

import pytest

from gpu_utils import recordings
from gpu_utils._dev.gpu import report as gpu_report
from gpu_utils.bench import Ceilings
from gpu_utils.parity import Fingerprint
from tests.unit.gpu_run.ncu_table import COUNT
from tests.unit.gpu_run.recorded import a_recording


@pytest.fixture
def run():
    ceilings = Ceilings(4e12, 3e12, {"fp32": 5e13}, "fp32", (), "cuda: NVIDIA H100", 0.1)
    here = Fingerprint({"gpu.name": "NVIDIA H100 80GB HBM3"}, {})
    return recordings.Run(datetime.date(2026, 11, 24), "make gpu", here, ceilings)


@pytest.fixture
def stages(run):
    rung = {
        "rung": "fast",
        "state": "passed",
        "message": "",
        "evidence": ["≈ 0.99x clone MEASURED"],
    }
    task = {"unit": "lab00", "task": "a", "title": "copy", "state": "passed", "rungs": [rung]}
    counted = {
        "unit": "lab00", "function": "copy", "arguments": {"x": 1}, "requested": [COUNT, COUNT],
        "counters": {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 2.2e8},
        "state": "agrees", "said": "", "reads": 1.0, "writes": 2.2e8 / COUNT,
    }  # fmt: skip
    document = json.loads(recordings.dump(run, [a_recording(run), a_recording(run, "axpby")]))
    return [
        gpu_report.Stage(
            "machine", "done", "", 20.0, {"run": json.loads(recordings.dump(run, []))}
        ),
        gpu_report.Stage("rungs", "done", "", 30.0, {"tasks": [task]}),
        gpu_report.Stage("counters", "done", "", 40.0, {"cases": [counted]}),
        gpu_report.Stage("peers", "done", "", 50.0, {"document": document, "failed": {}}),
    ]
