"""What all cases together show, each told once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import make_card

from glocalseg.data.acquire.examine.case import Examined, Facts, Loss
from glocalseg.data.acquire.examine.summary import gather, summarise
from glocalseg.data.readers.base import Case, Note

CARD = make_card(loss_limit=0.1)


def one(
    volume: str, *, values: dict[int, int] | None = None, losses: dict[str, Any] | None = None, **fields: Any
) -> Examined:
    case = Case(volume, volume, Path(f"{volume}.nii.gz"), Path(f"{volume}_gt.nii.gz"))
    facts = Facts((9, 9, 9), (1, 1, 1), "RAS", {1: 5, 2: 5} if values is None else values)
    whole = {name: Loss(*areas) for name, areas in (losses or {}).items()}
    return Examined(case, **{"image": f"i{volume}", "label": f"l{volume}", "facts": facts, "losses": whole, **fields})


def told(*examined: Examined, **changes: Any) -> tuple[list[str], list[str]]:
    problems, notes = summarise(make_card(**{"loss_limit": 0.1, **changes}), examined)
    assert not any("\n" in str(line) for line in [*problems, *notes])
    return [str(p) for p in problems], [str(n) for n in notes]


def test_sound_cases_need_no_word() -> None:
    assert told(*(one(v, losses={"one": (100, 99.5, 99.5), "two": (100, 101, 101)}) for v in "abc")) == ([], [])
    assert told(Examined(Case("a", "a", Path("a"), None)), one("b")) == ([], [])


def test_an_image_twice_is_a_problem_and_a_label_twice_a_note() -> None:
    problems, notes = told(one("a"), one("b", image="ia"), one("c", label="la"))
    assert problems == ["b.nii.gz: expected an image of its own, found the same voxels as a.nii.gz"]
    assert notes == ["c_gt.nii.gz: the same label as a_gt.nii.gz, of another image"]
    assert told(one("a", values={}, label="x"), one("b", values={}, label="x"), one("c"))[1] == [
        "tiny: 2 volumes have no label of any structure: a, b"
    ]


def test_a_structure_in_no_volume_is_a_problem() -> None:
    problems, _ = told(one("a", values={1: 3}), one("b", values={1: 4}))
    assert problems == ["tiny: expected structure 'two' (value 2) in one volume or more, found none in 2 labels"]
    many = {"label_values": {5: 1, 7: 2, 9: 2}}
    assert "'two' (value 7 or 9)" in told(one("a", values={5: 1}), **many)[0][0]
    assert told(one("a", values={5: 1}), one("b", values={9: 1}), **many)[0] == []
    assert told(one("a", values={1: 3}), one("b", facts=None))[0] == []  # its label could not be read


def test_a_structure_that_some_volumes_lack_is_told() -> None:
    assert told(one("a"), one("b", values={1: 9}), one("c", values={}))[1] == [
        "tiny: one volume has no label of any structure: c",
        "tiny: 'two' is in 1 of the 2 volumes with labels, and in those without it is background: not in b",
    ]


def test_volumes_without_any_structure_are_named() -> None:
    assert told(one("a"), one("b", values={}))[1] == ["tiny: one volume has no label of any structure: b"]
    assert told(one("a"), one("b", values={421: 9}), stray_values=[421])[1][0].endswith("structure: b")
    (text,) = told(one("x"), *(one(f"v{i:02d}", values={}) for i in range(12)))[1]
    assert text.endswith("v08, v09 and 2 more")


def test_a_padding_that_no_volume_has_is_told() -> None:
    assert told(one("a"), one("b"), padding=-3024)[1] == ["tiny: padding: -3024 is the intensity of no voxel of any image"]
    assert told(one("a"), one("b", padded=True), padding=-3024)[1] == []


def test_small_losses_are_told_with_both_parts() -> None:
    losses = {"one": (100, 98, 95), "two": (100, 100, 99.5)}
    problems, notes = told(one("a", losses=losses), one("b", losses={"two": (100, 100, 100)}))
    assert problems == []
    assert notes == [
        "tiny: 'one' loses 5.0% (2.0% by resampling, then 3.1% cut off by the frame)",
        "tiny: the frame cuts 'one' in 1 of 1 volumes: 3.1% of a",
    ]


def test_large_losses_are_problems_up_to_a_limit_that_the_card_may_raise() -> None:
    cases = [one("a", losses={"one": (100, 100, 20)}), one("b", losses={"one": (100, 100, 80)})]
    problems, notes = told(*cases)
    assert problems == [
        "tiny: expected at most 10.0% of 'one' lost on the frame, found 50.0% (0.0% by resampling, then 50.0% cut off by the "
        "frame) (frame: 16 x 16 pixels of 0.5 x 0.5 mm; loss_limit in the card may be raised)"
    ]
    assert notes == []
    problems, notes = told(*cases, loss_limit=0.8)
    assert problems == []
    assert notes[1] == "tiny: the frame cuts 'one' in 2 of 2 volumes: 80.0% of a, 20.0% of b"


def test_a_single_volume_may_not_lose_too_much_either() -> None:
    cases = [one(f"v{i}", losses={"one": (100, 100, 100)}) for i in range(20)]
    problems, notes = told(*cases, *(one(f"w{i}", losses={"one": (100, 100, 85 - 2 * i)}) for i in range(4)))
    assert problems == [
        "tiny: expected at most 10.0% of 'one' cut off by the frame, in every volume, found more in 4 of 24: 21.0% of w3, 19.0% "
        "of w2, 17.0% of w1, ... (frame: 16 x 16 pixels of 0.5 x 0.5 mm; loss_limit in the card may be raised)"
    ]
    assert notes == ["tiny: 'one' loses 3.0% (0.0% by resampling, then 3.0% cut off by the frame)"]


@pytest.mark.parametrize(("loss", "by"), [((4, 0, 0), "resampling"), ((4, 4, 0), "the frame")])
def test_a_structure_that_vanishes_from_a_volume_is_told(loss: tuple[float, ...], by: str) -> None:
    _, notes = told(one("a", losses={"one": loss}), one("b", losses={"one": (1000, 1000, 1000)}))
    assert f"tiny: nothing of 'one' is left by {by} in 1 of 2 volumes: a" in notes


def test_what_resampling_takes_from_one_volume_no_other_gives_back() -> None:
    """Half of the volumes with next to nothing left and half with twice as much: no loss in the sum."""
    thin = [one(f"v{i}", losses={"one": (1296, 2 if i % 2 else 2590, 2 if i % 2 else 2590)}) for i in range(8)]
    problems, notes = told(*thin)
    assert problems == [
        "tiny: expected at most 10.0% of 'one' lost by resampling where it loses, found 49.9%, made up for by what other volumes "
        "gain: 99.8% of v1, 99.8% of v3, 99.8% of v5, ... (frame: 16 x 16 pixels of 0.5 x 0.5 mm; loss_limit in the card may "
        "be raised)"
    ]
    assert notes == []
    assert told(*thin, loss_limit=0.5)[0] == [
        "tiny: expected half of 'one' or more left by resampling, found less in 4 of 8 volumes: 99.8% of v1, 99.8% of v3, 99.8% "
        "of v5, ... lost (frame: 16 x 16 pixels of 0.5 x 0.5 mm; loss_limit in the card may be raised)"
    ]
    assert told(*thin, loss_limit=1)[0] == []


def test_what_resampling_takes_from_a_single_volume() -> None:
    sound = [one(f"v{i:02d}", losses={"one": (1000, 1010, 1010)}) for i in range(19)]
    problems, notes = told(*sound, one("w", losses={"one": (100, 80, 80)}))  # 10 pixels wide: may be chance
    assert problems == []
    assert notes == ["tiny: resampling loses more than 10.0% of 'one' in 1 of 20 volumes: 20.0% of w"]
    problems, notes = told(*sound, one("w", losses={"one": (100, 40, 40)}))  # of 400 pixels more than half: no chance
    assert len(problems) == 1
    assert "found less in 1 of 20 volumes: 60.0% of w lost" in problems[0]
    assert notes == []


def test_a_few_pixels_may_vanish_from_few_volumes_and_not_from_many() -> None:
    sound = [one(f"v{i:02d}", losses={"one": (1000, 1000, 1000)}) for i in range(18)]
    gone = [one(f"w{i}", losses={"one": (2, 0, 0)}) for i in range(3)]  # 8 pixels of the frame
    assert told(*sound, gone[0]) == (
        [],
        [
            "tiny: resampling loses more than 10.0% of 'one' in 1 of 19 volumes: 100.0% of w0",
            "tiny: nothing of 'one' is left by resampling in 1 of 19 volumes: w0",
        ],
    )
    problems, _ = told(*sound, *gone)
    assert len(problems) == 1
    assert (
        "half of 'one' or more left by resampling, found less in 3 of 21 volumes: 100.0% of w0, 100.0% of w1" in problems[0]
    )


def test_losses_and_gains_by_chance_need_no_word() -> None:
    areas = [(1000, 1000 + d, 1000 + d) for d in (-90, 80, -60, 50, -20, 45)]
    assert told(*(one(f"v{i}", losses={"one": a}) for i, a in enumerate(areas))) == ([], [])


def test_notes_that_differ_in_numbers_alone_are_one() -> None:
    notes = [
        Note("a", "1.5% of its voxels hold -1024"),
        Note("b", "its lengths are in metres"),
        Note("c", "2.5% of its voxels hold -1024"),
        Note("d", "its lengths are in metres"),
        Note("e", "alone"),
    ]
    assert [str(n) for n in gather(notes)] == [
        "a and one more file: 1.5% of its voxels hold -1024 (numbers of the first)",
        "b and one more file: its lengths are in metres",
        "e: alone",
    ]


def test_notes_of_one_file_stay_apart() -> None:
    """Structures may be called s1 and s2."""
    notes = [Note("heart", "'s1' loses 2.0%"), Note("heart", "'s2' loses 3.0%"), Note("lung", "'s1' loses 4.0%")]
    assert [str(n) for n in gather(notes)] == [
        "heart and one more file: 's1' loses 2.0% (numbers of the first)",
        "heart: 's2' loses 3.0%",
    ]
