"""What dataset.json says of label values, against the card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import make_card, scan_of, write_list, write_msd

from glocalseg.data.acquire.listed import compare_with_list
from glocalseg.data.acquire.verify import verify

CASES = ["case_01", "case_02", "case_03"]
UNKNOWN = "it lists label values that the card neither maps nor calls stray: "
OTHERS = "its names of label values are others: "


@pytest.mark.parametrize(
    ("labels", "card", "said"),
    [
        ({"0": "background", "1": "One", "2": "two"}, {}, []),
        ({"background": 0, "one": 1, "two": 2}, {}, []),  # as nnU-Net writes it
        ({"0": "background", "1": "left_lung"}, {"structures": {1: "Left lung"}}, []),
        (
            {"0": "background", "1": "two", "2": "one"},
            {},
            [f"{OTHERS}1 is 'two', and 'one' in the card; 2 is 'one', and 'two' in the card"],
        ),
        ({"1": "one", "2": "two", "3": "three", "4": "four"}, {"stray_values": [4]}, [f"{UNKNOWN}3 (three)"]),
        ({"5": "left", "6": "right", "7": "two"}, {"label_values": {5: 1, 6: 1, 7: 2}}, []),  # two values of one class
        ({"1": "liver"}, {"label_values": {10: 1, 20: 2}}, [f"{UNKNOWN}1 (liver)"]),
        (None, {}, []),
        ("liver", {}, []),
        ({"1": 2.5, "x": None, "y": True, "region": [1, 2]}, {}, []),
    ],
)
def test_names_and_values_of_the_list_are_compared(
    tmp_path: Path, labels: Any, card: dict[str, Any], said: list[str]
) -> None:
    write_msd(tmp_path, CASES)
    write_list(tmp_path, CASES, labels=labels)
    made = make_card(**card)
    notes = [str(note) for note in compare_with_list(made, scan_of(made, tmp_path).said)]
    assert notes == [f"{tmp_path / 'dataset.json'}: {text}" for text in said]
    if said:
        assert set(said) <= {note.text for note in verify(made, tmp_path).notes}


def test_a_layout_without_a_list_says_nothing(tmp_path: Path) -> None:
    card = make_card(reader="folders")
    assert list(compare_with_list(card, scan_of(card, tmp_path).said)) == []
