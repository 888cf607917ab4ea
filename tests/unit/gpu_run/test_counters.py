"""What ncu counted: its table read, and counted bytes beside it."""

import doctest

import pytest

from gpu_utils._dev.gpu import counters as gpu_counters
from tests.unit.gpu_run.ncu_table import COUNT, L2, MIB, NAMES, UNITS, row, table


def test_counters_by_case_in_base_units():
    found = gpu_counters.parse(table(
        row(0, "copy_kernel", "268,435,456", "219,000,000", "178,400", "1,755,000,000.5"),
        row(2, "axpby_kernel", "536870912", "n/a", "270,000", "1.7e9"),
    ))  # fmt: skip
    assert set(found) == {0, 2}
    (copy,) = found[0]
    assert copy["dram__bytes_read.sum"] == 268_435_456
    assert copy["gpu__time_duration.sum"] == pytest.approx(178.4e-6)
    assert copy["sm__cycles_elapsed.avg.per_second"] == 1_755_000_000.5
    assert "dram__bytes_write.sum" not in found[2][0]  # n/a is unknown, and no zero


@pytest.mark.parametrize(
    ("cell", "unit", "value"),
    [
        ("268.435456", "Mbyte", 268_435_456.0),  # ncu's prefixes are decimal
        ("1.5", "Gbyte", 1.5e9),
        ("1", "Kbyte", 1000.0),
        ("3.35", "Tbyte/second", 3.35e12),
        ("3.35", "byte/ns", 3.35e9),
        ("178.4", "us", 178.4e-6),
        ("178.4", "usecond", 178.4e-6),
        ("2", "msecond", 2e-3),
        ("1.755", "Ghz", 1.755e9),
        ("1.755", "cycle/nsecond", 1.755e9),
        ("8,388,608", "sector", 8_388_608.0),
        ("97.5", "%", 97.5),
        ("", "byte", None),
        ("n/a", "byte", None),
    ],
)
def test_units(cell, unit, value):
    assert gpu_counters._base(cell, unit) == (value if value is None else pytest.approx(value))


def test_kernels_outside_every_range_belong_to_no_case():
    stranger = list(row(0, "fill_kernel", "1", "1", "1", "1"))
    stranger[11] = ""
    assert gpu_counters.parse(table(stranger)) == {}


def test_case_12_is_not_case_1():
    assert set(gpu_counters.parse(table(row(12, "k", "1", "1", "1", "1")))) == {12}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no table"),
        (["==ERROR== something"], "no table"),
        (['"a","b"', '"c","d"'], "no table"),
        (table(names=NAMES[:11] + NAMES[12:], units=UNITS[1:]), "no column of NVTX ranges"),
    ],
)
def test_no_table(lines, message):
    with pytest.raises(gpu_counters.NcuError, match=message):
        gpu_counters.parse(lines)


def test_several_kernels_are_summed_and_of_a_rate_the_longest_counts():
    rate = "sm__cycles_elapsed.avg.per_second"
    kernels = [
        {"dram__bytes_read.sum": 100.0, "gpu__time_duration.sum": 3e-6, rate: 1.7e9},
        {"dram__bytes_read.sum": 50.0, "gpu__time_duration.sum": 1e-6, rate: 1.1e9},
    ]
    assert gpu_counters.total(kernels) == {
        "dram__bytes_read.sum": 150.0,
        "gpu__time_duration.sum": pytest.approx(4e-6),
        rate: 1.7e9,
    }


def test_doctests():
    assert doctest.testmod(gpu_counters).failed == 0


# Counted bytes beside them. COUNT is 268,435,456 each way; 3 % of it is 8,053,063.


@pytest.mark.parametrize(
    ("read", "written", "state"),
    [
        (COUNT, COUNT, "agrees"),
        (COUNT + 8_000_000, COUNT, "agrees"),
        (COUNT - 8_000_000, COUNT, "agrees"),
        (COUNT + 8_100_000, COUNT, "differs"),
        (COUNT - 8_100_000, COUNT, "differs"),
        (2 * COUNT, COUNT, "differs"),  # it reads twice
        (COUNT, COUNT - L2, "agrees"),  # the last 50 MiB stay in the L2
        (COUNT, COUNT - L2 - 1, "differs"),
        (COUNT, COUNT + 8_000_000, "agrees"),
        (COUNT, COUNT + 8_100_000, "differs"),
        (COUNT, 0, "differs"),
    ],
)
def test_the_rule_for_a_stream(read, written, state):
    counters = {"dram__bytes_read.sum": read, "dram__bytes_write.sum": written}
    found = gpu_counters.compare(COUNT, COUNT, counters, L2)
    assert found.state == state
    assert bool(found.said) is (state == "differs")
    assert found.reads == read / COUNT


def test_the_newer_names_of_the_counters():
    counters = {"dram__bytes_op_read.sum": COUNT, "dram__bytes_op_write.sum": COUNT}
    assert gpu_counters.compare(COUNT, COUNT, counters, L2).state == "agrees"


def test_what_fits_four_times_into_the_l2_proves_nothing():
    counters = {"dram__bytes_read.sum": 0.0, "dram__bytes_write.sum": 0.0}
    found = gpu_counters.compare(100 * MIB, 100 * MIB - 1, counters, L2)
    assert (found.state, found.said) == (
        "too small", "moves 2.1e+08 bytes; 4 L2 sizes are 2.1e+08"
    )  # fmt: skip


def test_a_sum_writes_next_to_nothing():
    counters = {"dram__bytes_read.sum": COUNT, "dram__bytes_write.sum": 0.0}
    found = gpu_counters.compare(COUNT, 0, counters, L2)
    assert (found.state, found.writes) == ("agrees", None)
