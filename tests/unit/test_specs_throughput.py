"""Published runs against the result files, typed from them by hand."""

import collections
import doctest

import pytest

from gpu_utils import specs
from gpu_utils.specs import throughput

ROWS = specs.mlperf()


def test_the_docstrings_run():
    assert doctest.testmod(throughput).failed == 0


@pytest.mark.parametrize(
    ("key", "gpus", "tokens_per_s", "dtype", "how", "submitter"),
    [
        # summary_results.json of each round; the v4.1 files list fp16 for NVIDIA's systems, whose
        # configurations set use_fp8.
        (("v4.1", "llama2-70b", "offline", "h100-sxm5-80gb"),
         8, 24528.3, "fp8", "configs", "HPE"),
        (("v4.1", "llama2-70b", "offline", "mi300x"), 1, 3062.72, "fp8", "listed", "AMD"),
        (("v5.1", "llama2-70b", "server", "h200-sxm-141gb"),
         8, 34193.8, "fp8", "listed", "ASUSTeK"),
        (("v5.1", "llama2-70b", "offline", "b200-sxm"), 8, 102909.0, "fp4", "listed", "Lenovo"),
        (("v6.0", "llama2-70b", "interactive", "gb300"), 72, 814128.0, "fp4", "listed", "NVIDIA"),
        (("v6.0", "llama2-70b", "offline", "mi355x"), 8, 103480.0, "fp4", "listed", "AMD"),
    ],
)  # fmt: skip
def test_golden_rows(key, gpus, tokens_per_s, dtype, how, submitter):
    [row] = [r for r in ROWS if (r.round, r.model, r.scenario, r.part) == key]
    assert (row.gpus, row.tokens_per_s, row.dtype) == (gpus, tokens_per_s, dtype)
    assert (row.dtype_from, row.submitter) == (how, submitter)
    assert row.tokens_per_s_per_gpu == tokens_per_s / gpus
    assert row.source.trust == "primary"


def test_each_row_is_unique_comparable_and_of_a_part_that_calculates_in_its_precision():
    groups = collections.Counter((row.round, row.model, row.scenario) for row in ROWS)
    assert min(groups.values()) >= 2
    assert len({(row.round, row.model, row.scenario, row.part) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row.spec.peak(row.dtype) > 0
        assert row.scenario in ("offline", "server", "interactive")
        assert row.software in ("TensorRT", "vLLM", None)
        assert row.location.startswith("closed/")
    # The folder's name says what ran, where it says so.
    assert all(("_TRT" in row.location) == (row.software == "TensorRT") for row in ROWS)


def test_served_runs_are_pairs_on_equally_many_gpus():
    runs = specs.served()
    assert len(runs) == 40
    for h100, h200 in zip(runs[::2], runs[1::2], strict=True):
        assert (h100.part, h200.part) == ("h100-sxm5-80gb", "h200-sxm-141gb")
        assert h100.gpus == h200.gpus
    # The page's table of Llama 3.1 8B: "128/4096 | 18,027 | 14,325", H200 first.
    [long] = [r for r in runs if r.model.endswith("8b") and r.output_tokens == 4096][1:]
    assert (long.part, long.tokens_per_s) == ("h200-sxm-141gb", 18027)


def test_files_of_a_single_user_are_as_large_as_stated():
    # GiB as the page prints them: 14.96 x 2^30 = 16.063e9, 4.58 x 2^30 = 4.918e9.
    sizes = {run.weights: run.weight_bytes for run in specs.single_user()}
    assert {w: round(n / 2**30, 2) for w, n in sizes.items()} == {"F16": 14.96, "Q4_K_M": 4.58}
    assert {run.part for run in specs.single_user()} <= set(specs.names())
