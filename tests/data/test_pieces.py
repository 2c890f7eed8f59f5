"""What verification prepared: the slice store made of it is the one that is made of the files, to the bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import SHAPE, cases_of, image_voxels, label_voxels, make_card, save, write_list, write_msd

from glocalseg.data.acquire.verify import accept, verify
from glocalseg.data.cards.card import Card
from glocalseg.data.slices import prepare as module
from glocalseg.data.slices.pieces import PIECES, Pieces, piece_name, read_piece
from glocalseg.data.slices.prepare import PrepareError, prepare

CASES = ["case_01", "case_02", "case_03", "case_04"]
WAYS: list[dict[str, Any]] = [
    {},
    {"labels": "some", "slice_axis": "P", "frame": {"spacing": [0.4, 0.45], "size": [16, 24]}},
    {"window": [60, 140], "padding": 0.0},
    {"label_values": {1: 2, 2: 1}, "percentiles": [5, 90]},
    {"bias_correction": True},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four volumes, the last one stored turned and padded, in files of several types."""
    root = tmp_path / "data"
    write_msd(root, CASES)
    save(root / "imagesTr/case_02.nii.gz", image_voxels(1).astype(np.int16))
    save(root / "labelsTr/case_02.nii.gz", label_voxels(dtype=np.float32))
    affine = np.array([[0, -1.0, 0, 3], [1.0, 0, 0, 2], [0, 0, -2.0, 1], [0, 0, 0, 1]])
    voxels = image_voxels(4)
    voxels[:2] = 0
    for folder, array in (("imagesTr", voxels), ("labelsTr", label_voxels())):
        save(root / folder / "case_04.nii.gz", array, affine)
    return root


def some(root: Path) -> None:
    """Take a label away."""
    (root / "labelsTr/case_03.nii.gz").unlink()
    write_list(root, [n for n in CASES if n != "case_03"], test=["./imagesTr/case_03.nii.gz"])


def verified(card: Card, root: Path, *, workers: int = 1) -> dict[str, Any]:
    raw = root.parent / "raw"
    found = verify(card, root, pieces=raw / PIECES, workers=workers)
    assert found.problems == []
    accept(found, record=raw / "verified.json", lock=None, code="x")
    content: dict[str, Any] = json.loads((raw / "verified.json").read_text(encoding="utf-8"))
    return content


def store(card: Card, root: Path, name: str, content: dict[str, Any] | None = None, *, workers: int = 1) -> dict[str, str]:
    """A slice store made of files or, with what was verified, of pieces: the sha256 of each of its files but the record."""
    record = root.parent / name / "manifest.json"
    pieces = Pieces(root.parent / "raw" / PIECES, content["pieces"]) if content else None
    contents = {volume: tuple(known[1:]) for volume, known in content["contents"].items()} if content else None
    cases = cases_of(card, root)
    prepare(card.reading, card.preparation, cases, record, payload={}, workers=workers, contents=contents, pieces=pieces)  # type: ignore[arg-type]
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in record.parent.iterdir() if p != record}


@pytest.mark.parametrize("changes", WAYS, ids=[",".join(way) or "usual" for way in WAYS])
def test_a_store_of_pieces_is_the_store_of_files_to_the_bit(root: Path, changes: dict[str, Any]) -> None:
    card = make_card(subjects=4, loss_limit=1.0, **changes)
    if "labels" in changes:
        some(root)
    of_files = store(card, root, "files")
    assert len(of_files) >= 4
    for workers in (1, 2):
        content = verified(card, root, workers=workers)
        assert bool(content["pieces"]) != card.preparation.bias_correction  # which takes minutes: left to preparation
        assert store(card, root, f"pieces{workers}", content, workers=workers) == of_files


def test_files_are_not_read_again_where_there_are_pieces(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_card(subjects=4)
    content = verified(card, root)
    read: list[str] = []
    whole = module.prepare_volume
    monkeypatch.setattr(
        module, "prepare_volume", lambda *a, **k: (read.append(a[2].volume), whole(*a, **k))[1]
    )  # the third argument is the case
    store(card, root, "first", content)
    assert read == []
    pieces = root.parent / "raw" / PIECES
    (pieces / piece_name("case_01")).unlink()
    damaged = bytearray((pieces / piece_name("case_03")).read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (pieces / piece_name("case_03")).write_bytes(damaged)
    assert store(card, root, "second", content) == store(card, root, "of files")
    assert read[:2] == ["case_01", "case_03"]


def test_where_a_piece_is_missing_the_file_must_be_the_one_that_was_verified(root: Path) -> None:
    card = make_card(subjects=4)
    content = verified(card, root)
    (root.parent / "raw" / PIECES / piece_name("case_01")).unlink()
    save(root / "labelsTr/case_01.nii.gz", label_voxels((2, 1)))
    with pytest.raises(PrepareError, match=r"case_01: expected the contents that were verified, found others in .*case_01"):
        store(card, root, "store", content)


def test_volumes_may_be_called_anything(tmp_path: Path) -> None:
    names = ["a/b", "..", "Ä" * 200, "file", "", "A", "a"]
    assert len({piece_name(name) for name in names}) == len(names)
    assert all(name.isascii() and "/" not in name and len(name) < 30 for name in map(piece_name, names))


def test_a_piece_that_nobody_knows_is_none(root: Path) -> None:
    card = make_card(subjects=4)
    content = verified(card, root)
    folder, case = root.parent / "raw" / PIECES, cases_of(card, root)[0]
    piece = read_piece(Pieces(folder, content["pieces"]), case)
    assert piece is not None
    assert piece.native_label.shape == (SHAPE[2], *SHAPE[:2])
    assert read_piece(Pieces(folder, {}), case) is None
