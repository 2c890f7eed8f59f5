"""Sources and readers are found by their file: adding one adds a kind, and nothing lists them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nifti_layouts import make_card

from glocalseg.config.kinds import kinds, load_kind
from glocalseg.config.model import ConfigError, keyed, parse
from glocalseg.data.acquire import sources
from glocalseg.data.acquire.fetch import check_source, dataset_root, fetch
from glocalseg.data.cards.card import Card, load_card
from glocalseg.data.cards.reading import Preparation, Reading
from glocalseg.data.readers.base import Reader

from glocalseg.data import readers  # isort: skip

CARDS = Path(__file__).parents[2] / "config" / "datasets"
SOURCE = '''
"""A tape that somebody puts in."""
from pathlib import Path
from glocalseg.data.acquire.sources.base import Source

class Tape(Source):
    number: int

    @property
    def identity(self):
        return f"tape {self.number}"

    @property
    def origin(self):
        return str(self.number)

    def check(self, wanted, *, timeout):
        pass

    def bring(self, wanted, raw):
        (raw / "files").mkdir(exist_ok=True)
        (raw / "files" / "content").write_text(f"{wanted.name} {self.number}", encoding="utf-8")
        return {"tape": self.number}

    def folder(self, raw, incoming):
        return raw / "files"

    def facts(self):
        return (("Tape", str(self.number)),)
'''


def test_the_kinds_are_the_files() -> None:
    assert kinds("glocalseg.data.readers") == ["acdc", "folders", "mmwhs", "msd"]
    assert kinds("glocalseg.data.acquire.sources") == ["archive", "folder", "generated", "registration"]


def test_a_source_is_a_file(further: Path, tmp_path: Path) -> None:
    (further / "tape.py").write_text(SOURCE, encoding="utf-8")
    card = make_card(source={"kind": "tape", "number": 7})
    raw, incoming = tmp_path / "raw", tmp_path / "incoming"
    check_source(card, incoming=incoming)
    fetch(card, raw, incoming=incoming)
    assert (dataset_root(card, raw, incoming) / "content").read_text(encoding="utf-8") == "tiny 7"
    record = json.loads((raw / "fetched.json").read_text(encoding="utf-8"))
    assert (record["dataset"], record["tape"], list(record["files"])) == ("tiny", 7, ["files/content"])
    assert (card.source.identity, card.source.origin, card.source.facts()) == ("tape 7", "7", (("Tape", "7"),))
    assert Card.model_validate(card.model_dump(mode="json")) == card


def test_the_base_is_no_kind_and_a_file_without_a_class_is_an_error(further: Path) -> None:
    with pytest.raises(ConfigError, match=r"reader: expected one of .*, found 'base'"):
        _parse({"reader": "base"})
    with pytest.raises(ConfigError, match=r"reader\.kind: expected one of .*, found '\.\.acquire\.fetch'"):
        _parse({"reader": {"kind": "..acquire.fetch"}})
    (further / "empty.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(TypeError, match=r"empty\.py: expected one class that derives from Reader, found 0"):
        load_kind("glocalseg.data.readers", "empty", Reader)


@pytest.mark.parametrize("wrong", [3, None, [], {}, {"path": "x"}])
def test_what_names_no_kind_is_one_line(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"^tiny\.yaml: source: expected a kind, or kind and options, found [^\n]*$"):
        _parse({"source": wrong})


def test_a_class_has_the_kind_of_its_file() -> None:
    folders = load_kind("glocalseg.data.readers", "folders", Reader)
    assert folders().kind == "folders"
    with pytest.raises(ValueError, match="expected kind 'folders'"):
        folders(kind="msd")


def _parse(change: dict[str, object]) -> Card:
    return parse(Card, {**make_card().model_dump(mode="json"), **change}, "tiny.yaml")


# ---------------------------------------------------------------- cards


@pytest.mark.parametrize("path", sorted(CARDS.glob("*.yaml")), ids=lambda p: p.stem)
def test_a_card_survives_being_written_and_read(path: Path) -> None:
    card = load_card(path)
    assert Card.model_validate(card.model_dump(mode="json")) == card
    assert Reading.model_validate(card.reading.model_dump(mode="json")) == card.reading
    assert Preparation.model_validate(card.preparation.model_dump(mode="json")) == card.preparation
    assert (type(card.reading), type(card.preparation)) == (Reading, Preparation)


def test_prose_source_and_splits_are_no_part_of_reading_and_preparation() -> None:
    first, rule = make_card(), {"kind": "rule", "test": 1, "validation": 1, "seed": 9}
    other = make_card(
        name="other",
        title="Other",
        subjects=4,
        volumes=5,
        licence="x",
        citation=["x"],
        modality="CT",
        splits=rule,
        loss_limit=1,
    )
    for part, fields, changes in (
        ("reading", Reading.model_fields, (
            {"reader": "folders"}, {"reader": {"kind": "msd", "labels": "x"}}, {"subject": {"table": "x"}}, {"channel": 1},
            {"labels": "some"}, {"header": "sform"}, {"ignore": ["x"]},
        )),
        ("preparation", Preparation.model_fields, (
            {"structures": {1: "one", 2: "2"}}, {"label_values": {0: 0, 1: 2}}, {"stray_values": [9]}, {"slice_axis": "I"},
            {"frame": {"spacing": [1, 2], "size": [16, 16]}}, {"percentiles": [2, 99]}, {"window": [0, 1]}, {"padding": -1},
            {"bias_correction": True},
        )),
    ):  # fmt: skip
        assert keyed(getattr(first, part)) == keyed(getattr(other, part))
        for change in changes:
            assert keyed(getattr(make_card(**change), part)) != keyed(getattr(first, part)), change
        assert {name for change in changes for name in change} == set(fields)  # one more belongs into the list above


def test_the_schema_for_editors_knows_every_kind() -> None:
    fields = Card.model_json_schema()["properties"]
    for field, folder in (("reader", readers), ("source", sources)):
        names, *options = fields[field]["anyOf"]
        assert names["enum"] == [option["properties"]["kind"]["const"] for option in options] == kinds(folder.__name__)


LIGHT = """
import sys
from pathlib import Path
from glocalseg.data.cards.card import load_card
for path in sorted(Path(sys.argv[1]).glob("*.yaml")):
    card = load_card(path)
    card.source.identity, card.source.origin, card.source.facts(), card.source.folder(Path("raw"), Path("incoming"))
from glocalseg.data.acquire import fetch, lock
print(*sorted({"torch", "nibabel", "requests", "scipy", "pandas", "SimpleITK"} & set(sys.modules)))
"""


def test_a_card_is_parsed_without_heavy_imports() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, str(CARDS)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
