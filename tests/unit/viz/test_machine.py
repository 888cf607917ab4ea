"""The picture of a machine says the same in its drawing and in its text, and from cited figures."""

import pytest

from gpu_utils import specs, viz


def test_the_picture_holds_the_cited_sizes():
    # H100 SXM: 132 SMs, 228 KiB of shared memory each, 50 MiB of L2, 80 GB at 3.35 TB/s.
    drawing = viz.machine(specs.get("h100 sxm"))
    for words in ("132 CITED", "228 KiB CITED", "50.0 MiB CITED", "80.0 GB CITED", "3.35 TB/s"):
        assert words in repr(drawing)
        assert words in drawing._repr_html_()


def test_it_has_a_name_for_those_who_do_not_see_it_and_no_colour_of_its_own_for_text():
    svg = viz.machine(specs.get("h100"))._repr_html_()
    assert 'role="img"' in svg
    assert "aria-label=" in svg
    assert 'fill="var(--jp-ui-font-color1' in svg


def test_another_vendors_part_is_refused():
    with pytest.raises(ValueError, match="MI300X is built differently"):
        viz.machine(specs.get("mi300x"))
