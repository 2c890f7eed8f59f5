"""Sealed folders notice an edited byte, and a removed record comes back only to what was sealed."""

from __future__ import annotations

from pathlib import Path

import pytest

from glocalseg.records.sealed import FAILURE, CorruptedError, open_sealed, restore, seal


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(bytes(range(64)))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.csv").write_text("step,loss\n1,0.5\n", encoding="utf-8")
    (tmp_path / "resume.json").write_text("{}", encoding="utf-8")
    record = tmp_path / "run.json"
    seal(record, {"name": "x"})
    return record


def test_a_sealed_folder_opens(sealed: Path) -> None:
    payload = open_sealed(sealed)
    assert payload["name"] == "x"
    assert sorted(payload["files"]) == ["deep/log.csv", "weights.bin"]
    assert not (sealed.parent / "resume.json").exists()


@pytest.mark.parametrize("name", ["weights.bin", "deep/log.csv"])
def test_an_edited_byte_is_an_error_that_names_the_file(sealed: Path, name: str) -> None:
    path = sealed.parent / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptedError, match=name.replace(".", r"\.")):
        open_sealed(sealed)


def test_a_missing_file_and_a_torn_record_are_named(sealed: Path) -> None:
    (sealed.parent / "weights.bin").unlink()
    with pytest.raises(CorruptedError, match=r"weights\.bin: expected a file"):
        open_sealed(sealed)
    sealed.write_text(sealed.read_text(encoding="utf-8")[:-9], encoding="utf-8")
    with pytest.raises(CorruptedError, match=r"run\.json: expected JSON"):
        open_sealed(sealed)


# ---------------------------------------------------------------- records that come back


def finished_folder(folder: Path) -> Path:
    """A finished folder of one file."""
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"abc")
    seal(folder / "run.json", {"job": 1})
    return folder / "run.json"


def test_a_removed_record_comes_back_with_the_same_bytes(tmp_path: Path) -> None:
    record = finished_folder(tmp_path / "run")
    before = record.read_bytes()
    record.unlink()
    assert restore(record)
    assert record.read_bytes() == before
    assert restore(record)  # a record that is there stays


@pytest.mark.parametrize("damage", ["edited", "lost", "twin"])
def test_a_record_does_not_come_back_to_a_changed_folder(tmp_path: Path, damage: str) -> None:
    record = finished_folder(tmp_path / "run")
    record.unlink()
    if damage == "edited":
        (record.parent / "weights.bin").write_bytes(b"abd")
    elif damage == "lost":
        (record.parent / "weights.bin").unlink()
    else:
        (record.parent / ".run.json").write_text("{", encoding="utf-8")
    assert not restore(record)
    assert not record.exists()


def test_an_unfinished_folder_has_nothing_to_come_back(tmp_path: Path) -> None:
    assert not restore(tmp_path / "run.json")


def test_sealing_removes_the_note_of_an_earlier_failure_and_counts_no_twin(tmp_path: Path) -> None:
    (tmp_path / FAILURE).write_text("{}", encoding="utf-8")
    (tmp_path / "a").write_text("a", encoding="utf-8")
    for _ in range(2):
        seal(tmp_path / "run.json", {})
        assert list(open_sealed(tmp_path / "run.json")["files"]) == ["a"]
    assert not (tmp_path / FAILURE).exists()
