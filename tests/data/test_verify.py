"""A data set as a whole: everything that is wrong with it at once, and what is left of a verification. One case: test_examine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import image_voxels, label_voxels, make_card, save, write_acdc, write_list, write_msd

from glocalseg.data.acquire.examine.case import examine
from glocalseg.data.acquire.lock.changes import compare, stat
from glocalseg.data.acquire.verify import Verified, VerifyError, accept, verify
from glocalseg.data.cards.card import Card
from glocalseg.data.slices.pieces import PIECES, piece_name
from glocalseg.records.digest import sha256_file

CASES = ["case_01", "case_02", "case_03"]
IMAGE, LABEL = "imagesTr/case_02.nii.gz", "labelsTr/case_02.nii.gz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_msd(tmp_path / "data", CASES)
    return tmp_path / "data"


def problems(card: Card, root: Path, **more: Any) -> list[str]:
    """What is wrong, without the folder of the test."""
    return [str(p).replace(f"{root}/", "") for p in verify(card, root, **more).problems]


def spoil(root: Path) -> None:
    """An image with a voxel that is no number, a label with a value that nobody named, a case that is not listed."""
    voxels = image_voxels(1)
    voxels[0, 0, 0] = np.nan
    save(root / IMAGE, voxels)
    save(root / "labelsTr/case_01.nii.gz", label_voxels((1, 9)))
    save(root / "imagesTr/unknown.nii.gz", image_voxels(8))


def test_sound_data_has_no_problem(root: Path) -> None:
    found = verify(make_card(), root)
    assert found.problems == []
    assert list(found.cases) == CASES


def test_all_problems_are_listed_in_one_go_and_nothing_is_left_of_them(root: Path, tmp_path: Path) -> None:
    spoil(root)
    record, lock = tmp_path / "raw/verified.json", tmp_path / "tiny.lock.json"
    found = verify(make_card(subjects=4, volumes=5), root, lock=lock, pieces=tmp_path / PIECES)
    with pytest.raises(VerifyError, match="tiny: 5 problems") as caught:
        accept(found, record=record, lock=lock, code="x")
    said = str(caught.value)
    parts = (
        "finite voxels",
        "found 9 (4 voxels)",
        "unknown.nii.gz: expected",
        "4 subjects, as the card says, found 3",
        "5 volumes",
    )
    for part in parts:
        assert part in said
    assert len(said.splitlines()) == 6
    assert not record.exists()
    assert not lock.exists()


def test_the_traits_of_hippocampus_are_fine(root: Path) -> None:
    """Scales that differ by a million, float labels that are whole, two volumes of one subject."""
    write_msd(root, [*CASES, "case_04"])
    save(root / "imagesTr/case_01.nii.gz", image_voxels(0) * 1e6)
    save(root / "labelsTr/case_01.nii.gz", label_voxels((1, 2), np.float32))
    (root / "subjects.tsv").write_text("volume\tsubject\ncase_01\ta\ncase_02\ta\ncase_03\tb\ncase_04\tc\n", encoding="utf-8")
    card = make_card(subject={"table": "subjects.tsv"}, subjects=3)
    assert problems(card, root) == []
    (root / "subjects.tsv").write_text("volume\tsubject\ncase_01\ta\ncase_02\ta\ncase_03\tb\ncase_04\tb\n", encoding="utf-8")
    assert problems(card, root) == [f"{root}: expected 3 subjects, as the card says, found 2"]


def test_the_same_voxels_under_another_scaling_are_a_duplicate(root: Path) -> None:
    whole = np.arange(120, dtype=np.int16).reshape(6, 5, 4)
    save(root / "imagesTr/case_01.nii.gz", whole)
    save(root / IMAGE, whole.astype(np.float32))
    assert problems(make_card(), root) == [
        f"{IMAGE}: expected an image of its own, found the same voxels as imagesTr/case_01.nii.gz"
    ]


def test_split_lists_name_only_subjects_that_are_there(root: Path) -> None:
    draw = {"train": ["case_01"], "validation": ["case_02"]}
    lists = {"kind": "lists", "pretrain": ["case_01"], "test": ["case_33"], "budgets": {1: [draw]}, "all": draw}
    (problem,) = problems(make_card(splits=lists), root)
    assert problem.endswith("found none of case_33")


def test_processes_do_not_change_the_result(root: Path, tmp_path: Path) -> None:
    spoil(root)
    one, two = (verify(make_card(), root, workers=n, pieces=tmp_path / str(n)) for n in (1, 2))
    assert one == two
    assert one.problems
    assert [p.read_bytes() for p in sorted((tmp_path / "1").iterdir())] == [
        p.read_bytes() for p in sorted((tmp_path / "2").iterdir())
    ]


def test_wrong_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    write_acdc(tmp_path, {"patient001": (1, 12)})
    assert any("dataset.json: expected the decathlon's list" in said for said in problems(make_card(), tmp_path))


def test_volumes_without_labels_are_counted_and_their_images_looked_at(root: Path) -> None:
    (root / LABEL).unlink()
    write_list(root, ["case_01", "case_03"], test=[f"./{IMAGE}"])
    card = make_card(labels="some")
    found = verify(card, root)
    assert found.problems == []
    assert [case.label is not None for case in found.cases.values()] == [True, False, True]
    assert found.facts["labelled"].tolist() == [True, False, True]
    save(root / IMAGE, np.full((6, 5, 4), 3, np.float32))
    assert "not constant" in problems(card, root)[0]


# ---------------------------------------------------------------- the record


def verified(root: Path, folder: Path, card: Card | None = None) -> tuple[Verified, dict[str, Any]]:
    found = verify(card or make_card(), root, pieces=folder / PIECES)
    accept(found, record=folder / "verified.json", lock=folder / "tiny.lock.json", code="of this code")
    return found, json.loads((folder / "verified.json").read_text(encoding="utf-8"))


def test_the_record_holds_what_later_steps_need_to_know(root: Path, tmp_path: Path) -> None:
    found, content = verified(root, tmp_path / "raw")
    assert (content["dataset"], content["subjects"], content["volumes"], content["labelled"]) == ("tiny", 3, 3, 3)
    assert content["notes"] == [str(note) for note in found.notes] != []
    assert content["contents"] == {v: ["case_0" + v[-1], c.image, c.label] for v, c in found.cases.items()}
    assert content["stats"] == {
        str(p): stat(p) for kind in ("imagesTr", "labelsTr") for p in (root / kind).glob("c*.nii.gz")
    }
    assert content["code"] == "of this code"
    pieces = tmp_path / "raw" / PIECES
    assert content["pieces"] == {piece_name(v): sha256_file(pieces / piece_name(v)) for v in CASES}
    assert content["losses"]["one"] == {"native": 12.0, "resampled": 12.0, "framed": 12.0}


@pytest.mark.parametrize("name", [IMAGE, LABEL])
def test_a_file_that_is_replaced_while_it_is_verified_is_named(
    root: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_and_replaced(*arguments: Any) -> Any:
        found = examine(*arguments)
        if found.case.volume == "case_02":
            save(root / name, image_voxels(50) if name == IMAGE else label_voxels((2, 1, 2)))
        return found

    monkeypatch.setattr("glocalseg.data.acquire.verify.examine", read_and_replaced)
    assert problems(make_card(), root) == [
        f"{name}: expected a file that stays as it is while it is verified, found one that was changed or replaced meanwhile"
    ]


def test_a_label_that_is_replaced_before_the_record_is_written_is_another_file(root: Path, tmp_path: Path) -> None:
    found, lock = verify(make_card(), root), tmp_path / "tiny.lock.json"
    save(root / LABEL, label_voxels((2, 1, 2)))
    accept(found, record=tmp_path / "verified.json", lock=lock, code="x")
    record = json.loads((tmp_path / "verified.json").read_text(encoding="utf-8"))
    known = {volume: tuple(content) for volume, content in record["contents"].items()}
    assert [p.file for p in compare(make_card(), root, known, record["stats"], "the lock").problems] == [str(root / LABEL)]


# ---------------------------------------------------------------- facts while there are problems


def test_what_is_known_of_volumes_with_problems_is_among_the_facts(root: Path) -> None:
    (root / LABEL).write_bytes(b"broken")
    found = verify(make_card(), root)
    table = found.facts
    assert found.complete
    assert table["volume"].tolist() == CASES
    assert table["slices"].tolist() == [4, 4, 4]
    assert table["voxels_1"].isna().tolist() == [False, True, False]
    (root / IMAGE).write_bytes(b"broken")
    assert verify(make_card(), root).facts["slices"].isna().tolist() == [False, True, False]
    assert verify(make_card(), root).facts["labelled"].all()


def test_who_is_in_which_list_is_not_known_while_cases_are_not(root: Path) -> None:
    assert verify(make_card(), root).complete
    assert not verify(make_card(volumes=4), root).complete
    save(root / "imagesTr/unknown.nii.gz", image_voxels(8))
    assert not verify(make_card(), root).complete
    (root / "dataset.json").unlink()
    assert verify(make_card(), root).facts.empty


def test_pieces_of_an_interrupted_verification_are_written_anew(root: Path, tmp_path: Path) -> None:
    _, undisturbed = verified(root, tmp_path / "undisturbed")
    pieces = tmp_path / "raw" / PIECES
    pieces.mkdir(parents=True)
    (pieces / piece_name("case_01")).write_bytes(b"half a pie")
    (pieces / piece_name("case_99")).write_bytes(b"of a volume that was here")
    (pieces / "x.npz.tmp").write_bytes(b"")
    _, content = verified(root, tmp_path / "raw")
    assert content["pieces"] == undisturbed["pieces"]
    assert sorted(p.name for p in pieces.iterdir()) == sorted(content["pieces"])
