"""The roofline's numbers, words and picture, against arithmetic done by hand."""

import doctest
import itertools
import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from gpu_utils import specs, traffic, viz
from gpu_utils.quantities import Label
from gpu_utils.roofline import OpCost, copy_cost, matmul_cost, mlp_cost, softmax_cost
from gpu_utils.specs import GPUSpec, UnknownPartError
from gpu_utils.viz import (
    Point,
    roofline,
    roofline_axes,
    roofline_lines,
    roofline_plot,
    roofline_points,
)

THREE = ("h100", "mi300x", "rtx 4090")
CUBE = Point.of("cube", matmul_cost(3000, 3000, 3000))  # 1000 FLOP/byte in 16 bits
HERE = GPUSpec(
    id="here",
    name="this machine",
    peak_flops_per_s={"fp32": 200e9},
    memory_bandwidth_bytes_per_s=10e9,
)


def element(picture):
    return ET.fromstring(picture.svg)


def all_of(picture, tag):
    return element(picture).iter(f"{{http://www.w3.org/2000/svg}}{tag}")


def words(picture):
    return [node.text for node in all_of(picture, "text")]


def rings(picture):
    """Centres of what a point can reach."""
    found = [node for node in all_of(picture, "circle") if node.get("fill") == "none"]
    return [(float(node.get("cx")), float(node.get("cy"))) for node in found]


@pytest.mark.parametrize("module", [viz, roofline_axes, roofline_plot, roofline_points])
def test_the_docstrings_run(module):
    assert doctest.testmod(module).failed == 0


class TestNumbers:
    @pytest.mark.parametrize(
        ("part", "ridge"),
        [
            ("h100", 989.4 / 3.35),  # 295.3
            ("mi300x", 1307.4 / 5.3),  # 246.7
            ("rtx 4090", 165.2 / 1.008),  # 163.9
        ],
    )
    def test_ridges_of_the_data_sheets(self, part, ridge):
        [roof] = roofline_points.roofs([part], "bf16")
        assert roof.ridge.value == pytest.approx(ridge, rel=1e-12)
        assert (roof.peak.label, roof.ridge.label) == (Label.CITED, Label.MODELLED)

    def test_one_operation_flips_sides_between_parts(self):
        # [512, 1024] @ [1024, 512]: 2^29 FLOP, (2^19 + 2^19 + 2^18) * 2 bytes: 204.8 FLOP/byte,
        # between the ridges of the RTX 4090 and the MI300X.
        point = Point.of("middle", matmul_cost(512, 512, 1024))
        assert point.intensity.value == pytest.approx(204.8)
        found = roofline([point], THREE).answers
        assert [each.limiter for each in found] == ["memory", "memory", "compute"]
        h100, _, rtx = found
        assert h100.attainable.value == pytest.approx(204.8 * 3.35e12)
        assert h100.share.value == pytest.approx(204.8 * 3.35 / 989.4)
        assert h100.least.value == pytest.approx(2.5 * 2**20 / 3.35e12)
        assert (rtx.attainable.value, rtx.share.value) == (pytest.approx(165.2e12), 1)

    def test_a_time_becomes_a_share_of_the_roof(self):
        # 1000 FLOP/byte is compute-bound on an H100: 54e9 / 989.4e12 s = 54.6 µs, half of which
        # is reached in twice the time.
        timed = Point.of("timed", matmul_cost(3000, 3000, 3000), time_s=2 * 54e9 / 989.4e12,
                         part="H100 SXM")  # fmt: skip
        [answer] = roofline([timed], THREE).answers
        assert answer.roof.spec.id == "h100-sxm5-80gb"
        assert answer.share.value == pytest.approx(0.5)
        assert answer.reached.value == pytest.approx(989.4e12 / 2)
        assert (answer.share.label, answer.reached.label) == (Label.MEASURED, Label.MEASURED)

    def test_an_operation_on_the_plain_cores_has_their_roof(self):
        # 62.5 FLOP/byte is below the bf16 ridge, and above that of the plain cores: 66.9 / 3.35.
        point = Point("much exp", flops=62.5e6, bytes=1e6, dtype="fp32")
        [answer] = roofline([point], ["h100"], "bf16").answers
        assert (answer.limiter, answer.attainable.value) == ("compute", pytest.approx(66.9e12))

    def test_what_was_measured_is_never_called_cited(self):
        point = Point("mine", 1e9, 1e9, dtype="fp32", time_s=0.2, part="here")
        picture = roofline([point], [HERE, "h100"], "fp32")
        own, h100 = str(picture).splitlines()[1:3]
        assert own == (
            "this machine: peak ≈ 200 GFLOP/s MEASURED, memory ≈ 10.0 GB/s MEASURED, "
            "ridge ≈ 20.0 FLOP/byte MEASURED"
        )
        assert "MEASURED" not in h100
        assert str(picture).splitlines()[-1] == (
            "- this machine: memory-bound (ridge ≈ 20.0 FLOP/byte), reaches ≈ 5.00 GFLOP/s "
            "MEASURED, ≈ 50.0 % of the ≈ 10.0 GFLOP/s that its fp32 roof allows"
        )


class TestPoint:
    def test_of_a_counted_kernel(self):
        rows = {"dots": 0, "dot_flops": 0, "peak_bytes": 0, "launches": (), "by_line": {}}
        moved = traffic.Traffic(
            load_bytes=8000, store_bytes=4000, unique_load_bytes=4000, unique_store_bytes=4000,
            flops=5000, by_tensor={}, **rows,
            eager_ops=(traffic.EagerOp("add", "compute", 1000, 1000, ""),),
        )  # fmt: skip
        point = Point.of("softmax", moved)
        # Distinct bytes of the kernels and all of torch's: 8000 + 2000; asked for: 12000 + 2000.
        assert (point.flops, point.bytes, point.asked_bytes) == (5000, 10_000, 14_000)
        assert (point.dtype, point.label) == ("fp32", Label.COUNTED)
        text = str(roofline([point], ["h100"]))
        assert "softmax: 0.500 FLOP/byte COUNTED; asks for 1.40x its distinct bytes" in text

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"flops": -1, "bytes": 1}, "not negative"),
            ({"flops": math.inf, "bytes": 1}, "finite"),
            ({"flops": 0, "bytes": 0}, "neither calculates nor moves"),
            ({"flops": 1, "bytes": 1, "time_s": 0, "part": "h100"}, "above 0 s"),
            ({"flops": 1, "bytes": 1, "time_s": math.nan, "part": "h100"}, "above 0 s"),
            ({"flops": 1, "bytes": 1, "time_s": 1.0}, "give both"),
            ({"flops": 1, "bytes": 1, "part": "h100"}, "give both"),
        ],
    )
    def test_refuses_what_is_no_point(self, given, says):
        with pytest.raises(ValueError, match=says):
            Point("it", **given)

    @pytest.mark.parametrize(
        ("cost", "cause"),
        [
            (OpCost(1e9, 1e9), "still in a cache"),  # memory-bound
            (OpCost(1e15, 1e9), "faster type than bf16"),  # compute-bound
        ],
    )
    def test_what_beats_its_roof_is_refused_with_the_likely_cause(self, cost, cause):
        least = max(cost.bytes / 3.35e12, cost.flops / 989.4e12)
        point = Point.of("too fast", cost, time_s=least / 2, part="h100")
        with pytest.raises(ValueError, match=cause) as refused:
            roofline([point], THREE)
        assert "≈ 200 % of what H100 SXM5 80GB allows" in str(refused.value)
        # A clock's swing is no reason to refuse.
        roofline([Point.of("swing", cost, time_s=least / 1.04, part="h100")], THREE)

    def test_a_time_needs_its_part_in_the_picture(self):
        point = Point("it", 1, 1, time_s=1.0, part="l4")
        with pytest.raises(ValueError, match="add it to parts"):
            roofline([point], THREE)
        with pytest.raises(UnknownPartError):
            roofline([], ["h1000"])


class TestPicture:
    def test_a_point_stands_where_the_axes_say(self):
        # x: 0.1 to 10 k FLOP/byte on 86 to 586, 100 a decade: 1000 is at 86 + 4 * 100.
        # y: 0.1 * 3.35e12 rounds down to 10^11.5, 989.4e12 up to 10^15.5: 90 a decade, from
        # 34 + 17 + 360 = 411 upward: 411 - 90 * (log10(989.4e12) - 11.5) = 411 - 314.58.
        assert rings(roofline([CUBE], ["h100"])) == [(486.0, 96.4)]

    def test_the_ridge_stands_where_the_axes_say(self):
        # 295.34: 86 + 100 * (2.47033 + 1) = 433.0; the slope begins at 0.1 FLOP/byte, at
        # 411 - 90 * (log10(3.35e11) - 11.5) = 408.7.
        svg = roofline([CUBE], ["h100"]).svg
        assert 'd="M86.0 408.7L433.0 96.4" stroke="#0072B2"' in svg
        assert 'd="M433.0 96.4H586.0" stroke="#D55E00"' in svg
        assert 'd="M433.0 96.4V411.0"' in svg  # the drop line

    def test_a_memory_bound_point_stands_on_the_slope(self):
        # 1 FLOP/byte: 186 across, 3.35e12 up: 411 - 90 * (12.52504 - 11.5) = 318.7.
        assert rings(roofline([Point("one", 1e6, 1e6)], ["h100"])) == [(186.0, 318.7)]

    def test_a_timed_point_hangs_below_its_own_roof_only(self):
        timed = Point("timed", 1e12, 1e9, time_s=1e-2, part="h100")  # 1e14 FLOP/s
        picture = roofline([timed], THREE)
        assert len(rings(picture)) == 1
        [dot] = [node for node in all_of(picture, "circle") if node.get("fill") != "none"]
        # Three parts: 0.1 * 1.008e12 gives 10^11; 1307.4e12 gives 10^15.5: 80 a decade, 3 of them.
        assert (float(dot.get("cx")), float(dot.get("cy"))) == (486.0, 411 - 80 * 3)
        assert "≈ 10.1 %" in words(picture)  # 100 of 989.4

    def test_shows_nothing_that_the_text_does_not_say(self):
        picture = roofline([CUBE, Point.of("mlp", mlp_cost(16, 4096, 16384))], THREE)
        labelled = [text for text in words(picture) if re.search("[A-Z]{5}$", text)]
        assert len(labelled) == 3 * 3 + 2
        for text in labelled:
            assert text in str(picture)
        assert element(picture).get("aria-label").split() == str(picture).split()
        assert element(picture).get("role") == "img"

    def test_parts_differ_without_colour(self):
        names = specs.names()[:7]
        picture = roofline([], names)
        roofs = [node for node in all_of(picture, "path") if node.get("stroke") == "#0072B2"]
        assert len({node.get("stroke-dasharray") for node in roofs}) == len(names)
        markers = [node for node in all_of(picture, "path") if "translate" in str(node.attrib)]
        assert len({node.get("d") for node in markers}) == len(names)

    def test_more_parts_than_can_be_told_apart_are_refused(self):
        with pytest.raises(ValueError, match="tells 8 parts apart, and 9 were given"):
            roofline([], ["h100"] * 9)

    @pytest.mark.parametrize("count", [0, 1, 3, 7])
    def test_names_of_parts_and_points_do_not_touch(self, count):
        points = [Point.of(f"mlp {b}", mlp_cost(2**b, 4096, 16384)) for b in range(count)]
        picture = roofline(points, specs.names()[:count])
        rows = {}
        for node in all_of(picture, "text"):
            if node.get("transform") is None:
                side = "key" if float(node.get("x")) > 600 else "else"
                rows.setdefault(side, []).append(float(node.get("y")))
        key = sorted(rows.get("key", []))
        assert len(key) == 4 * count
        assert all(b - a > 11 for a, b in itertools.pairwise(key))
        height = float(element(picture).get("viewBox").split()[3])
        assert all(0 < y < height for row in rows.values() for y in row)

    def test_an_unknown_figure_is_named_and_not_drawn(self):
        picture = roofline([CUBE], ["b200", "h100", "rtx 4090"], "fp4")
        assert len([n for n in all_of(picture, "path") if n.get("stroke") == "#0072B2"]) == 1
        assert words(picture).count("no fp4 peak of it is known") == 2
        assert "H100 SXM5 80GB: not drawn, no fp4 peak of it is known" in str(picture)
        assert "- GeForce RTX 4090: no fp4 peak of it is known" in str(picture)
        empty = GPUSpec(id="e", name="empty", peak_flops_per_s={"fp32": 1e12})
        assert "no memory bandwidth of it is known" in str(roofline([CUBE], [empty], "fp32"))

    def test_what_a_log_axis_cannot_hold_is_named_and_not_drawn(self):
        picture = roofline([Point.of("copy", copy_cost(10**9)), Point("still", 1, 0)], ["h100"])
        assert rings(picture) == []
        assert str(picture).splitlines()[2:] == [
            "copy: 0 FLOP/byte MODELLED, nothing but bytes to move; not drawn",
            # 8e9 bytes / 3.35e12
            "- H100 SXM5 80GB: memory-bound (ridge 295 FLOP/byte), at least 2.39 ms MODELLED",
            "still: moves nothing, so it is compute-bound; not drawn",
        ]

    def test_no_part_and_no_point_is_a_picture_too(self):
        assert str(roofline([], [])) == "roofline of bf16"
        assert rings(roofline([CUBE], [])) == []

    @pytest.mark.parametrize("intensity", [0.5, 50, 5000])
    def test_a_long_name_stays_in_the_picture(self, intensity):
        point = Point("a name of seventy characters, as long calls with three sizes have it", 1e9,
                      1e9 / intensity)  # fmt: skip
        [name] = [n for n in all_of(roofline([point]), "text") if "seventy" in n.text]
        # 7.2 is the mean width of a character in DejaVu Sans at 12 pixels.
        assert 0 <= float(name.get("x")) <= 820.1 - 7.2 * len(name.text)

    @pytest.mark.parametrize("cost", [softmax_cost(1, 1), matmul_cost(2**16, 2**16, 2**16, "fp4")])
    def test_the_axes_grow_for_what_is_far_out(self, cost):
        for x, y in rings(roofline([Point.of("far", cost), Point("low", 1, 5000)], THREE)):
            assert 86 <= x <= 586
            assert 0 < y < 480

    def test_names_cannot_break_the_picture(self):
        picture = roofline([Point('<b>"&amp;\n', 1e9, 1e7)], ["h100"])
        assert any('<b>"&amp;' in text for text in words(picture))

    def test_is_the_same_in_every_process(self):
        code = "from gpu_utils import viz; print(viz.roofline([viz.Point('a', 1e9, 1e7)]).svg)"
        pictures = {
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout
            for _ in range(2)
        }
        assert pictures == {roofline([Point("a", 1e9, 1e7)]).svg + "\n"}

    def test_only_a_measured_picture_is_marked_as_varying(self):
        timed = Point("timed", 1e12, 1e9, time_s=1e-1, part="h100")
        kinds = [
            element(roofline(points, parts, "fp32")).get("class")
            for points, parts in [([CUBE], THREE), ([timed], THREE), ([], [HERE]), ([], [])]
        ]
        assert kinds == ["modelled", "measured", "measured", "modelled"]


def test_words_as_html_carry_badges():
    picture = roofline([CUBE], ["h100"])
    shown = roofline_lines.drawn(picture.lines)
    assert shown.count('class="label"') == 2  # the intensity's and the attainable's
    plain = re.sub(r"<[^>]+>", "", shown.replace("</div>", "\n"))
    assert plain == "".join(
        roofline_lines.text(line).removeprefix("- ") + "\n" for line in picture.lines
    )
