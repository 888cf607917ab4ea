"""A card as JSON: the same card again, or an error."""

import json

import pytest

from gpu_utils import card
from tests.unit.card.kernels import PAGES, X, bare, double


@pytest.mark.parametrize("name", PAGES)
def test_json_round_trip(name):
    page = PAGES[name]()
    again = card.Card.from_json(page.to_json())
    assert again == page
    assert again._repr_html_() == page._repr_html_()
    assert json.loads(page.to_json())["schema"] == 2


def test_save(tmp_path):
    page = bare(double, X)
    page.save(tmp_path / "double.json")
    assert card.Card.from_json((tmp_path / "double.json").read_text("utf-8")) == page


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 1}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="no kernel card of schema 2"):
        card.Card.from_json(text)
