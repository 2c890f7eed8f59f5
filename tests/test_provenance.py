"""Content keys, the closure of imports, and sealed folders that notice an edited byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glocalseg import provenance
from glocalseg.records.code import closure
from glocalseg.records.digest import content_key, digest
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import FAILURE, CorruptedError, open_sealed, restore, seal

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_key_depends_on_values_and_not_on_their_order(parts: dict[str, object]) -> None:
    backwards = dict(reversed(list(parts.items())))
    assert content_key(backwards) == content_key(parts)
    assert content_key(json.loads(json.dumps(parts))) == content_key(parts)
    assert len(content_key(parts)) == provenance.KEY_DIGITS


@given(st.dictionaries(st.text(), VALUES, min_size=1, max_size=5), st.data())
def test_a_key_depends_on_every_value(parts: dict[str, object], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(parts)))
    assert content_key({**parts, name: ["changed", parts[name]]}) != content_key(parts)


def test_what_is_no_number_has_no_digest() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"a": float("nan")})


def test_the_closure_holds_what_is_imported_and_nothing_else() -> None:
    found = closure("glocalseg.stages.finetune")
    assert {"glocalseg.stages.finetune", "glocalseg.stages.common", "glocalseg.data.slices.store"} <= found
    assert not any(name.startswith(("glocalseg.report", "glocalseg.methods.pretraining.encoder.g")) for name in found)
    assert not found & provenance.NOT_SCIENCE


def test_no_phase_knows_snakemake_the_environment_or_the_working_directory() -> None:
    source = Path(provenance.__file__).parent
    words = ("snakemake.", "os.environ", "os.getenv", "Path.cwd", "os.getcwd", "import snakemake")
    offenders = [(p.name, w) for p in source.rglob("*.py") for w in words if w in p.read_text()]
    assert offenders == []


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    (tmp_path / "weights.bin").write_bytes(bytes(range(64)))
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "log.csv").write_text("step,loss\n1,0.5\n")
    (tmp_path / "resume.json").write_text("{}")
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
    sealed.write_text(sealed.read_text()[:-9])
    with pytest.raises(CorruptedError, match=r"run\.json: expected JSON"):
        open_sealed(sealed)


def test_a_failed_write_keeps_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_atomic(path, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(provenance.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json"]


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
        (record.parent / ".run.json").write_text("{")
    assert not restore(record)
    assert not record.exists()


def test_an_unfinished_folder_has_nothing_to_come_back(tmp_path: Path) -> None:
    assert not restore(tmp_path / "run.json")


def test_sealing_removes_the_note_of_an_earlier_failure_and_counts_no_twin(tmp_path: Path) -> None:
    (tmp_path / FAILURE).write_text("{}")
    (tmp_path / "a").write_text("a")
    for _ in range(2):
        seal(tmp_path / "run.json", {})
        assert list(open_sealed(tmp_path / "run.json")["files"]) == ["a"]
    assert not (tmp_path / FAILURE).exists()
