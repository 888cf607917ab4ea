"""The card as HTML: sound, readable in every theme, folded."""

import re

import pytest

from tests.unit.card.kernels import PAGES, Reader


@pytest.mark.parametrize("name", PAGES)
def test_html_is_sound_and_takes_its_colours_from_the_theme(name, tmp_path):
    page = PAGES[name]()
    seen = Reader(page)
    assert not seen.tags & {"script", "style", "img", "svg"}
    names = {key for key, _ in seen.attributes}
    assert names <= {"class", "role", "aria-label", "title", "style", "scope"}
    styles = ";".join(value for key, value in seen.attributes if key == "style")
    fixed = set(re.findall(r"#[0-9a-fA-F]{3,8}", re.sub(r"var\([^)]*\)", "", styles)))
    assert fixed <= {"#0072B2", "#D55E00", "#009E73", "#767676"}
    assert not re.search(r"\bblack|\bwhite(?!-space)|rgb|hsl|#(000|fff)", styles, re.IGNORECASE)
    assert "/tmp" not in page._repr_html_()
    assert "/home" not in page._repr_html_()


def test_html_says_in_words_what_it_says_in_colours():
    seen = Reader(PAGES["stopped"]())
    labels = [value for key, value in seen.attributes if key == "aria-label"]
    assert labels[:5] == ["kernel card of past_the_end", "failed", "unknown", "reached", "unknown"]


def test_html_escapes_source_and_names():
    seen = Reader(PAGES["escaped"]())
    assert "x = tl.load(x_ptr + offs, mask=offs < n)  # <b>&\"'" in seen.text
    assert "<relu> & 'co'" in seen.text


def test_html_folds_all_but_five_lines():
    page = PAGES["whole"]()
    unfolded = re.sub(r"<details.*?</details>", "", page._repr_html_())
    assert unfolded.count('role="listitem"') == 4
    seen = Reader(page)
    for title in ("By tensor", "By source line", "By target", "By part", "What is assumed"):
        assert title in seen.text
    for text in ("LDG.E.128", "buffer_load_dwordx4", "227 KiB", "14.7 ns", "B200", "whitepaper"):
        assert text in seen.text
