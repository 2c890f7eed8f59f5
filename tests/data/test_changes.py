"""Data that changed after it was verified is named, volume by volume; what did not change is not read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import image_voxels, label_voxels, make_card, save, write_acdc, write_list, write_msd

from glocalseg.data.acquire.lock.changes import compare, stat
from glocalseg.data.acquire.verify import accept, verify
from glocalseg.data.cards.card import Card
from glocalseg.data.images import volumes

CASES = ["case_01", "case_02", "case_03"]
IMAGE, LABEL = "imagesTr/case_02.nii.gz", "labelsTr/case_02.nii.gz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_msd(tmp_path / "data", CASES)
    (tmp_path / "data/subjects.tsv").write_text("case_01\ta\ncase_02\tb\ncase_03\tc\n", encoding="utf-8")
    return tmp_path / "data"


def verified(card: Card, root: Path) -> dict[str, Any]:
    record = root.parent / "verified.json"
    accept(verify(card, root), record=record, lock=None, code="x")
    content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    return content


def said(card: Card, root: Path, content: dict[str, Any]) -> list[str]:
    known = {volume: tuple(content) for volume, content in content["contents"].items()}
    found = compare(card, root, known, content["stats"], "what was verified")  # type: ignore[arg-type]
    return [str(p).replace(f"{root}/", "") for p in found.problems]


def test_data_that_is_what_it_was_is_not_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = make_card()
    content = verified(card, root)
    read: list[Path] = []
    for name in ("load_image", "load_label"):
        load = getattr(volumes, name)
        monkeypatch.setattr(volumes, name, lambda reading, path, load=load: (read.append(path), load(reading, path))[1])
    assert said(card, root, content) == []
    assert read == []
    os.utime(root / IMAGE)
    assert said(card, root, content) == []
    assert read == [root / IMAGE]


def _edit(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        voxels = image_voxels(1) if name == IMAGE else label_voxels()
        voxels[0, 0, 0] += 1
        save(root / name, voxels)

    return change


def _remove(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / LABEL).unlink()
    write_list(root, ["case_01", "case_03"])


def _add(root: Path) -> None:
    save(root / "imagesTr/case_04.nii.gz", image_voxels(4))
    save(root / "labelsTr/case_04.nii.gz", label_voxels())
    write_list(root, [*CASES, "case_04"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_edit(IMAGE), [f"{IMAGE}: expected the contents of what was verified, found others"]),
        (_edit(LABEL), [f"{LABEL}: expected the contents of what was verified, found others"]),
        (_remove, ["case_02: expected a volume of that name, as in what was verified, found none"]),
        (_add, ["imagesTr/case_04.nii.gz: expected only the volumes of what was verified, found one more"]),
    ],
)
def test_each_change_is_one_line(root: Path, change: Callable[[Path], None], expected: list[str]) -> None:
    card = make_card()
    content = verified(card, root)
    change(root)
    assert said(card, root, content) == expected


def test_a_corrected_table_is_named_by_its_volumes(root: Path) -> None:
    card = make_card(subject={"table": "subjects.tsv"})
    content = verified(card, root)
    (root / "subjects.tsv").write_text("# corrected\ncase_01\ta\ncase_02\tc\ncase_03\tc\n", encoding="utf-8")
    assert said(card, root, content) == ["case_02: expected subject 'b', as in what was verified, found 'c'"]


def test_another_frame_in_a_patients_file_is_named(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_acdc(root, {f"patient00{k}": (1, 12) for k in range(1, 5)})
    card = make_card(reader="acdc", subjects=4, subject={"pattern": r"^(patient\d+)"})
    content = verified(card, root)
    info = root / "training/patient001/Info.cfg"
    info.write_text(info.read_text(encoding="utf-8").replace("ED: 1\n", "ED: 12\n"), encoding="utf-8")
    assert said(card, root, content) != []


def test_a_label_that_came_or_went_is_named(root: Path) -> None:
    card = make_card(reader="folders", labels="some")
    (root / LABEL).rename(root / "later.nii.gz")
    content = verified(card, root)
    (root / "later.nii.gz").rename(root / LABEL)
    assert said(card, root, content) == [f"case_02: expected no label, as in what was verified, found {LABEL}"]
    content = verified(card, root)
    (root / LABEL).unlink()
    assert said(card, root, content) == ["case_02: expected a label, as in what was verified, found none"]


def test_a_file_that_is_broken_now_is_named(root: Path) -> None:
    card = make_card()
    content = verified(card, root)
    (root / IMAGE).write_bytes(b"nothing")
    (line,) = said(card, root, content)
    assert line.startswith(f"{IMAGE}: expected")
    assert len(line.splitlines()) == 1


def test_what_was_never_read_here_is_read_once_and_what_is_right_is_remembered(root: Path) -> None:
    card = make_card()
    content = verified(card, root)
    known = {volume: tuple(content) for volume, content in content["contents"].items()}
    counted: list[int] = []

    def told(files: int) -> Callable[[], None]:
        counted.append(files)
        return lambda: counted.append(-1)

    first = compare(card, root, known, {}, "it", told=told)  # type: ignore[arg-type]
    assert (first.problems, first.stats) == ([], content["stats"])
    assert counted == [6, *[-1] * 6]
    _edit(LABEL)(root)
    for _ in range(2):  # what is wrong is read, and named, until it is mended
        counted.clear()
        (problem,) = (found := compare(card, root, known, first.stats, "it", told=told)).problems  # type: ignore[arg-type]
        assert str(problem) == f"{root / LABEL}: expected the contents of it, found others"
        assert counted == [1, -1]
        assert found.stats == {path: at for path, at in first.stats.items() if not path.endswith(LABEL)}
    counted.clear()
    assert compare(card, root, known, {**first.stats, str(root / LABEL): stat(root / LABEL)}, "it", told=told).problems == []  # type: ignore[arg-type]
    assert counted == []


def test_files_of_a_volume_that_is_not_known_are_not_remembered(root: Path) -> None:
    card = make_card()
    content = verified(card, root)
    known = {volume: tuple(content) for volume, content in content["contents"].items()}
    _add(root)
    found = compare(card, root, known, {}, "it")  # type: ignore[arg-type]
    assert len(found.problems) == 1
    assert not [path for path in found.stats if "case_04" in path]


def test_a_machine_without_the_data_has_nothing_to_compare(root: Path) -> None:
    card = make_card()
    content = verified(card, root)
    assert said(card, root.parent / "elsewhere", content) == []
