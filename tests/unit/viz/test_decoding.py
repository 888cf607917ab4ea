"""Decoding drawn and explored: the numbers by hand, the words, and what is refused."""

import doctest
import re

import pytest

from gpu_utils import specs
from gpu_utils.specs import GPUSpec
from gpu_utils.viz import decode_plot, decoding, explore_decoding, roofline_lines

PART = GPUSpec(
    id="round", name="a round part", memory_bytes=100_000_000_000,
    memory_bandwidth_bytes_per_s=1e12, peak_flops_per_s={"bf16": 1e14},
)  # fmt: skip


def said(**given):
    return str(decoding(**given)).splitlines()


def test_the_docstrings_run():
    assert doctest.testmod(decode_plot).failed == 0


def test_numbers_by_hand():
    # Llama 3.1 8B in bf16: 7,504,658,432 x 2 B read at 1e12 B/s are 15.009 ms; a cache of 1000
    # tokens is 131,072,000 B, 0.131 ms: 66.05 tokens/s. Weights take 16.06 of 90 GB: 564 caches.
    [picture] = decoding("Llama 3.1 8B", [PART], gpus=1, context=1000).answers
    assert picture.largest == 564
    assert picture.step(1).tokens_per_s == pytest.approx(1 / 0.01514039, rel=1e-5)
    assert picture.step(565) is None
    # 2 x 7.5047e9 FLOP x 564 / 1e14 = 84.65 ms, and 564 caches are 73.9 ms.
    assert picture.step(564).weights.limiter == "compute"
    assert picture.step(564).time_s == pytest.approx(0.084653 + 0.073925, rel=1e-4)


def test_capacity_ends_a_line_where_bandwidth_still_leads():
    # 2 x 72 GB - 137.95 GB leave 6.0 GB for caches of 1.342 GB: 4. Of 2 x 172.8 GB: 154.
    lines = said()
    assert lines[1] == "H100 SXM5 80GB: at most 4 sequences fit"
    assert lines[4] == "Instinct MI300X: at most 154 sequences fit"
    # 5.3 / 3.35 = 1.58
    assert lines[-2].endswith("1.58x at batch 1, 1.58x at batch 4, the largest that fits both")


def test_reached_products_end_the_lead():
    # Published: 794 TFLOP/s on an H100, 668 on an MI300X: 0.84 where arithmetic is all there is.
    lead = said(model="Llama 3.1 8B", gpus=1, context=128, ceilings="reached")[-2]
    assert re.search(r"1\.58x at batch 1, below 1 from batch \d+ on, 0\.\d+x at batch \d+", lead)
    paper = said(model="Llama 3.1 8B", gpus=1, context=128)[-2]
    assert "below 1" not in paper


def test_what_is_unknown_or_does_not_fit_is_named_and_not_drawn():
    lines = said(dtype="fp8", ceilings="reached")
    assert lines[-1] == ("Instinct MI300X: not drawn, no fp8 matrix product of it was published")
    assert said(dtype="fp4")[1] == "H100 SXM5 80GB: not drawn, no fp4 peak of it is known"
    assert said(gpus=1)[1] == "H100 SXM5 80GB: not drawn, the weights and one cache do not fit"
    mute = GPUSpec(id="mute", name="mute", peak_flops_per_s={"bf16": 1e12})
    assert said(parts=[mute])[1] == "mute: not drawn, its memory_bytes is unknown"
    assert "mute: its memory_bytes is unknown</text>" in decoding(parts=[mute]).svg


def test_a_batch_that_does_not_fit_has_no_ring():
    assert decoding(batch=4).svg.count("<circle") == 2
    assert decoding(batch=5).svg.count("<circle") == 1
    assert "- batch 5: does not fit" in said(batch=5)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"model": "GPT"}, "unknown model 'GPT': expected one of Llama 3.1 8B, Llama 2 70B"),
        ({"dtype": "fp5"}, "unknown dtype 'fp5'"),
        ({"ceilings": "best"}, "unknown ceilings 'best': expected one of data sheet, reached"),
        ({"gpus": 0}, "gpus must be a whole number of at least 1, got 0"),
        ({"batch": 1.5}, "batch must be a whole number of at least 1, got 1.5"),
        ({"context": -1}, "context must be a whole number of at least 1, got -1"),
        ({"parts": ["h100"] * 7}, "room for 6 parts, not 7"),
    ],
)
@pytest.mark.parametrize("draw", [decoding, explore_decoding])
def test_says_what_it_can_be_told(draw, given, says):
    with pytest.raises(ValueError, match=says):
        draw(**given)


def test_the_explorer_shows_what_the_plain_function_draws():
    explorer = explore_decoding(batch=4)
    plain = decoding(batch=4)
    picture, answer, _ = explorer.widget.children[-3:]
    assert repr(explorer) == str(plain)
    assert (picture.value, answer.value) == (plain.svg, roofline_lines.drawn(plain.lines))
    explorer.controls["gpus"].value = 8
    explorer.controls["ceilings"].value = "reached"
    assert repr(explorer) == str(decoding(batch=4, gpus=8, ceilings="reached"))
    for name in ("gpus", "batch", "context"):
        assert explorer.controls[name].tooltip.startswith(f"{name}: ")


def test_every_model_and_every_part_can_be_drawn():
    for part in specs.names():
        assert decoding(parts=["h100", part], gpus=64, context=128).svg
