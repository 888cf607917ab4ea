"""How many tokens a second others got from real parts: MLPerf's rows, and two smaller tables."""

import csv
import dataclasses
import functools
import importlib.resources
import tomllib
from typing import Any, Literal

from gpu_utils.specs.model import GPUSpec, Source
from gpu_utils.specs.table import get, source

__all__ = ["MLPerfResult", "Served", "SingleUser", "mlperf", "served", "single_user"]

Scenario = Literal["offline", "server", "interactive"]

_FOLDER = importlib.resources.files(__package__)


@dataclasses.dataclass(frozen=True, repr=False)
class MLPerfResult:
    """One published row: the best per GPU for its round, model, scenario and part.

    Many requests are under way at once in all three scenarios. In "offline" all are there from the
    start; in "server" they come one by one and have a limit for the first token and for each
    further one; "interactive" has a tighter limit.

    Args:
        round: The round of submissions: "v4.1", "v5.1" or "v6.0".
        model: Such as "llama2-70b".
        scenario: As above.
        part: The id of the part, as `specs.get` takes it.
        gpus: How many of them the system has; the rate is of all.
        tokens_per_s: Tokens generated a second, as published.
        dtype: The precision of the weights.
        dtype_from: "listed" in the result file, or read from the submitted "configs".
        software: "TensorRT" or "vLLM" where the system's name says so, else None.
        submitter: Who ran it.
        location: The folder of the results repository.
        source: The repository.
    """

    round: str
    model: str
    scenario: Scenario
    part: str
    gpus: int
    tokens_per_s: float
    dtype: str
    dtype_from: Literal["listed", "configs"]
    software: str | None
    submitter: str
    location: str
    source: Source

    def __repr__(self) -> str:
        return (
            f"<{self.round} {self.model} {self.scenario}: {self.part} in {self.dtype}, "
            f"{self.tokens_per_s:g} tokens/s of {self.gpus}>"
        )

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """The rate of one GPU of the system."""
        return self.tokens_per_s / self.gpus

    @property
    def spec(self) -> GPUSpec:
        """The part's figures."""
        return get(self.part)


@dataclasses.dataclass(frozen=True)
class Served:
    """One mix of prompt and answer lengths, all requests sent at once.

    Args:
        model: Such as "llama 3.1 8b".
        part: The id of the part.
        gpus: How many carry the model; the rate is of all.
        input_tokens, output_tokens: Of each request.
        tokens_per_s: Tokens generated a second; those of the prompts are not counted.
        source: Who published it.
    """

    model: str
    part: str
    gpus: int
    input_tokens: int
    output_tokens: int
    tokens_per_s: float
    source: Source


@dataclasses.dataclass(frozen=True)
class SingleUser:
    """One user on one GPU: tokens generated one after the other.

    Args:
        model: Such as "llama 3 8b".
        part: The id of the part.
        weights: The file's format: "F16", or "Q4_K_M" of about 4.9 bits a weight.
        weight_bytes: The file's size.
        tokens_per_s: Tokens generated a second.
        source: Who published it.
    """

    model: str
    part: str
    weights: str
    weight_bytes: int
    tokens_per_s: float
    source: Source


@functools.cache
def mlperf() -> tuple[MLPerfResult, ...]:
    """The rows of MLPerf Inference, closed division, on which the course tries its claims.

    How they were chosen stands in throughput.toml.

    >>> rows = mlperf()
    >>> len(rows), sorted({row.round for row in rows})
    (123, ['v4.1', 'v5.1', 'v6.0'])
    >>> [round(r.tokens_per_s_per_gpu) for r in rows
    ...  if (r.round, r.model, r.scenario, r.part) == ("v4.1", "llama2-70b", "offline", "mi300x")]
    [3063]
    """
    sources = _tables()["mlperf"]
    lines = (_FOLDER / "mlperf.csv").read_text(encoding="utf-8").splitlines()
    return tuple(_result(row, sources[row["round"]]) for row in csv.DictReader(lines))


def _result(row: dict[str, Any], key: str) -> MLPerfResult:
    values = {
        "gpus": int(row["gpus"]),
        "tokens_per_s": float(row["tokens_per_s"]),
        "software": row["software"] or None,
        "source": source(key),
    }
    return MLPerfResult(**row | values)


@functools.cache
def served() -> tuple[Served, ...]:
    """Llama 3.1 at ten mixes of prompt and answer, on as many H100 as H200, weights in fp8.

    >>> [run.tokens_per_s for run in served() if run.input_tokens == 20000]
    [1351, 1804, 345, 505]
    """
    table = _tables()["served"]
    origin = source(table.pop("source"))
    return tuple(
        Served(model, part, rows["gpus"], given, made, rate, origin)
        for model, rows in table.items()
        for given, made, *rates in rows["runs"]
        for part, rate in zip(("h100-sxm5-80gb", "h200-sxm-141gb"), rates, strict=True)
    )


@functools.cache
def single_user() -> tuple[SingleUser, ...]:
    """Llama 3 8B for one user on five parts, in 16 bits and in fewer than 5.

    >>> [run.tokens_per_s for run in single_user() if run.part == "rtx-4090"]
    [54.34, 127.74]
    """
    table = _tables()["single_user"]
    origin = source(table["source"])
    return tuple(SingleUser(table["model"], **run, source=origin) for run in table["runs"])


def _tables() -> dict[str, Any]:
    return tomllib.loads((_FOLDER / "throughput.toml").read_text(encoding="utf-8"))
