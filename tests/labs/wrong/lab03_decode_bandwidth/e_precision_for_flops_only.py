"""e/correct: a narrower type credits FLOP/s, and bytes stay."""

import math

PREDICTORS = ("bandwidth", "bandwidth per weight byte", "FLOP/s", "capacity")


def figure(predictor, row):
    if predictor not in PREDICTORS:
        raise ValueError(f"unknown predictor {predictor!r}")
    if predictor == "FLOP/s":
        return row.spec.peak(row.dtype)
    if predictor == "capacity":
        return float(row.spec.require("memory_bytes"))
    bandwidth = row.spec.require("memory_bandwidth_bytes_per_s")
    if predictor == "bandwidth":
        return bandwidth
    return bandwidth


def pairs(rows):
    return [
        (one, other)
        for place, one in enumerate(rows)
        for other in rows[place + 1 :]
        if (one.round, one.model, one.scenario) == (other.round, other.model, other.scenario)
    ]


def typical_error(compared, predictor):
    if not compared:
        raise ValueError("compared must not be empty")
    squares = []
    for one, other in compared:
        measured = other.tokens_per_s_per_gpu / one.tokens_per_s_per_gpu
        predicted = figure(predictor, other) / figure(predictor, one)
        squares.append(math.log(measured / predicted) ** 2)
    return math.exp(math.sqrt(sum(squares) / len(squares)))
