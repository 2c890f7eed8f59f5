"""What dataset.json says of label values and channels, against the card and the files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import image_voxels, make_card, save, scan_of, write_list, write_msd

from glocalseg.data.acquire.listed import compare_channels, compare_with_list
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
            {"1": "left", "2": "right"},
            {},
            [f"{OTHERS}1 is 'left', and 'one' in the card; 2 is 'right', and 'two' in the card"],
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
    problems, told = compare_with_list(made, scan_of(made, tmp_path).said)
    assert problems == []
    notes = [str(note) for note in told]
    assert notes == [f"{tmp_path / 'dataset.json'}: {text}" for text in said]
    if said:
        assert set(said) <= {note.text for note in verify(made, tmp_path).notes}


def test_a_layout_without_a_list_says_nothing(tmp_path: Path) -> None:
    card = make_card(reader="folders")
    assert compare_with_list(card, scan_of(card, tmp_path).said) == ([], [])
    assert compare_channels(card, None, {Path("a"): 1, Path("b"): 1}) == ([], [])


@pytest.mark.parametrize(
    ("labels", "card", "found", "said"),
    [
        (
            {"0": "background", "1": "two", "2": "One"},
            {},
            "'one' at 2, where the card has it at 1; 'two' at 1, where the card has it at 2",
            [],
        ),
        ({"one": 2, "liver": 1}, {}, "'one' at 2, where the card has it at 1", ["1 is 'liver', and 'one' in the card"]),
        ({"1": "ONE", "20": "two"}, {"label_values": {10: 1, 20: 2}}, "'one' at 1, where the card has it at 10", None),
        ({"5": "one", "7": "two"}, {"label_values": {5: 1, 6: 1, 7: 2}}, None, []),
    ],
)
def test_structures_of_other_values_are_a_problem(
    tmp_path: Path, labels: Any, card: dict[str, Any], found: str | None, said: list[str] | None
) -> None:
    write_msd(tmp_path, CASES)
    write_list(tmp_path, CASES, labels=labels)
    problems, notes = compare_with_list(make_card(**card), scan_of(make_card(**card), tmp_path).said)
    expected = f"{tmp_path / 'dataset.json'}: expected the values that the card gives to structures of these names, found "
    assert [str(p) for p in problems] == ([expected + found] if found else [])
    if said is not None:
        assert [note.text.removeprefix(OTHERS) for note in notes] == said
    assert set(problems) <= set(verify(make_card(**card), tmp_path).problems)


# ---------------------------------------------------------------- channels


def test_a_series_among_volumes_is_told(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "imagesTr/case_02.nii.gz", image_voxels(1, (6, 5, 4, 3)))
    found = verify(make_card(), tmp_path)
    assert found.problems == []
    assert [n.text for n in found.notes if "channel" in n.text] == [
        "1 of 3 images have several channels, such as case_02.nii.gz, others not as many (images by channels: 2 of 1, 1 of 3): "
        "channel 0 is taken of each"
    ]


def test_series_alike_are_told_where_no_list_says_so(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES, channels=2)
    assert "all images have 2 channels, of which channel 0 is taken" in [n.text for n in verify(make_card(), tmp_path).notes]
    write_list(tmp_path, CASES, modality={"0": "T2", "1": "ADC"})
    found = verify(make_card(), tmp_path)
    assert [line for line in map(str, [*found.problems, *found.notes]) if "channel" in line] == []


@pytest.mark.parametrize(("key", "files"), [("modality", 1), ("channel_names", 1), ("modality", 3)])
def test_channels_that_the_files_do_not_have_are_a_problem(tmp_path: Path, key: str, files: int) -> None:
    write_msd(tmp_path, CASES, channels=files)
    write_list(tmp_path, CASES, **{key: {"0": "T2", "1": "ADC"}})
    (problem,) = verify(make_card(), tmp_path).problems
    assert problem.file == str(tmp_path / "dataset.json")
    assert problem.expected == "images of 2 channels (T2, ADC), as it says, in the files"
    assert problem.found == f"{files} in 3 of 3 images, such as case_01.nii.gz"
