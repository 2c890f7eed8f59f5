"""A further data set is a card and no code: the cards of docs/adding-a-dataset.md, from file to slice store."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from nifti_layouts import image_voxels, label_voxels, make_card, save, write_msd

from glocalseg.config.model import ConfigError, keyed
from glocalseg.data.acquire.fetch import dataset_root, fetch
from glocalseg.data.acquire.verify import accept, verify
from glocalseg.data.cards.card import Card, load_card
from glocalseg.data.draft.layout import find_layout
from glocalseg.data.files.cases import require_cases
from glocalseg.data.readers.acdc import Acdc
from glocalseg.data.readers.folders import Folders
from glocalseg.data.readers.msd import Msd
from glocalseg.data.slices.prepare import prepare
from glocalseg.data.slices.store import open_store
from glocalseg.data.splits.lists import split_spec, volumes_of
from glocalseg.records.digest import sha256_file

FRAME = {"spacing": [0.5, 0.5], "size": [16, 16]}
GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-dataset.md"


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def _documented(name: str) -> dict[str, Any]:
    """The card of that name as the guide shows it."""
    blocks = [yaml.safe_load(b) for b in _blocks("yaml")]
    return next(b for b in blocks if b["name"] == name)


def _write_card(folder: Path, content: dict[str, Any]) -> Card:
    path = folder / "cards" / f"{content['name']}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return load_card(path)


def _run(card: Card, tmp_path: Path, mirror: str | None = None) -> Path:
    raw, incoming = tmp_path / "raw", tmp_path / "incoming"
    fetch(card, raw, mirror=mirror, incoming=incoming)
    root = dataset_root(card, raw, incoming)
    lock = tmp_path / "cards" / f"{card.name}.lock.json"
    accept(verify(card, root, lock=lock), record=raw / "verified.json", lock=lock, code="")
    record = tmp_path / "slices/manifest.json"
    prepare(card.reading, card.preparation, require_cases(card.reading, root), record, payload={}, workers=1)
    return record


def test_a_card_makes_a_data_set_of_two_folders(tmp_path: Path) -> None:
    content = _documented("spleen")
    for i in range(1, 5):
        save(tmp_path / f"data/ct/spleen_{i}_a.nii.gz", image_voxels(i))
        save(tmp_path / f"data/masks/spleen_{i}_a.nii.gz", label_voxels((1,)))
    save(tmp_path / "data/ct/spleen_1_b.nii.gz", image_voxels(9))  # a second volume of a subject
    save(tmp_path / "data/masks/spleen_1_b.nii.gz", label_voxels((1,)))
    content |= {"subjects": 4, "source": {"kind": "folder", "path": str(tmp_path / "data")}}
    content["splits"] |= {"test": 1, "validation": 1}
    content["frame"] = FRAME
    card = _write_card(tmp_path, content)
    store = open_store(_run(card, tmp_path))
    assert store.images.shape == (5 * 4, 16, 16)
    assert set(np.unique(store.labels)) == {0, 1}
    assert sorted(store.volumes["subject"].unique()) == [f"spleen_{i}" for i in range(1, 5)]
    assert (tmp_path / "cards/spleen.lock.json").is_file()
    split = volumes_of(split_spec(card.splits, ["train"], 1, 1), store.volumes[["volume", "subject", "labelled"]])
    assert len(split.train) == 1


def test_a_card_makes_a_data_set_in_msd_layout(tmp_path: Path) -> None:
    content = _documented("heart")
    write_msd(tmp_path / "Task02_Heart", [f"la_{i:03d}" for i in range(1, 5)])
    for path in (tmp_path / "Task02_Heart/labelsTr").glob("*.nii.gz"):
        save(path, label_voxels((1,)))
    (tmp_path / "mirror").mkdir()
    with tarfile.open(tmp_path / "mirror/Task02_Heart.tar", "w") as tar:
        tar.add(tmp_path / "Task02_Heart", "Task02_Heart")
    content["source"] |= {"md5": None, "sha256": sha256_file(tmp_path / "mirror/Task02_Heart.tar")}
    content["splits"] |= {"test": 1, "validation": 1}
    content |= {"subjects": 4, "frame": FRAME}
    card = _write_card(tmp_path, content)
    store = open_store(_run(card, tmp_path, mirror=str(tmp_path / "mirror")))
    assert store.images.shape == (4 * 4, 16, 16)
    assert list(store.volumes["volume"]) == [f"la_{i:03d}" for i in range(1, 5)]
    assert (tmp_path / "cards/heart.lock.json").is_file()


def test_another_layout_is_the_file_that_the_guide_shows(further: Path, tmp_path: Path) -> None:
    (block,) = _blocks("python")
    (further / "nested.py").write_text(block, encoding="utf-8")
    for i in range(1, 5):
        save(tmp_path / f"data/spleen_{i}_a/t2.nii.gz", image_voxels(i))
        save(tmp_path / f"data/spleen_{i}_a/label.nii.gz", label_voxels((1,)))
    content = _documented("spleen") | {"subjects": 4, "source": {"kind": "folder", "path": str(tmp_path / "data")}}
    content |= {"reader": {"kind": "nested", "image": "t2.nii.gz"}, "frame": FRAME}
    card = _write_card(tmp_path, content)
    assert keyed(card.reading)["reader"] == {"kind": "nested", "image": "t2.nii.gz", "label": "label.nii.gz"}
    assert list(open_store(_run(card, tmp_path)).volumes["volume"]) == [f"spleen_{i}_a" for i in range(1, 5)]
    assert _write_card(tmp_path, content | {"reader": "nested"}).reader == _write_card(
        tmp_path, content | {"reader": {"kind": "nested"}}
    ).reader  # fmt: skip
    (tmp_path / "data/notes").mkdir()
    assert [str(p) for p in verify(card, tmp_path / "data").problems] == [
        f"{tmp_path / 'data/notes'}: expected an image t2.nii.gz, found none"
    ]
    with pytest.raises(ConfigError, match="expected one of acdc, folders, mmwhs, msd, nested, found 'nestled'"):
        _write_card(tmp_path, content | {"reader": "nestled"})
    for i in range(1, 5):
        (tmp_path / f"data/spleen_{i}_a/t2.nii.gz").rename(tmp_path / f"data/spleen_{i}_a/image.nii.gz")
    found = find_layout(tmp_path)  # as `make card` does
    assert (found.reader.kind, found.root, found.pairs) == ("nested", tmp_path / "data", 4)


@pytest.mark.parametrize("name", ["spleen", "heart"])
def test_the_cards_of_the_guide_are_valid_as_they_stand(tmp_path: Path, name: str) -> None:
    assert _write_card(tmp_path, _documented(name)).name == name


def test_what_the_guide_calls_defaults_are_the_defaults() -> None:
    card = make_card()
    assert (card.percentiles, card.bias_correction, card.channel) == ((1.0, 99.0), False, 0)
    assert (card.labels, card.header, card.loss_limit, card.window) == ("all", "agree", 0.1, None)
    assert (Acdc().phases, Folders().images, Folders().labels) == (["ED"], "imagesTr", "labelsTr")
    assert (Msd().images, Msd().labels) == (None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reader": "dicom"}, "reader: expected one of acdc, folders, mmwhs, msd, found 'dicom'"),
        ({"reader": {"kind": "dicom"}}, "reader.kind: expected one of acdc, folders, mmwhs, msd, found 'dicom'"),
        ({"reader": {"kind": "folders", "phases": ["ED"]}}, r"reader\.phases: .*unknown key"),
        ({"reader": {"kind": "acdc", "phases": ["EX"]}}, r"reader\.phases\.0: .*'ED' or 'ES'.*'EX'"),
        ({"source": {"kind": "ftp"}}, "source.kind: expected one of archive, folder, generated, registration, found 'ftp'"),
        ({"source": {"kind": "folder", "paths": "x", "path": "x"}}, r"source\.paths: .*unknown key"),
        ({"structures": {1: "kidney", 2: "kidney"}}, r"structures: .*different names.*\['kidney'\] more than once"),
        ({"subject": {"pattern": "^(spleen"}}, r"subject\.pattern: .*expected a regular expression, .*unterminated"),
        ({"subject": {"pattern": "^spleen"}}, r"subject\.pattern: .*a group in parentheses"),
        ({"percentiles": [1, 200]}, "percentiles: .*between 0 and 100"),
        ({"percentiles": [99, 1]}, "percentiles: .*must rise"),
        ({"percentiles": [-1, 99]}, "percentiles: .*between 0 and 100"),
        ({"partitions": 4}, "partitions: .*unknown key"),
        ({"slice_axes": "S"}, r"slice_axes: .*unknown key"),
        ({"structures": {1: "a", 3: "b"}}, "without gaps"),
        ({"subject": {}}, "subject: .*one of pattern, table and card_table"),
        ({"source": {"kind": "archive", "url": "https://example.org/a.tar"}}, "sha256, or md5"),
        ({"source": {"kind": "archive", "md5": "0" * 32}}, "file name"),
        ({"name": "other"}, "name: "),
    ],
)
def test_a_mistake_in_a_card_is_one_line_with_file_and_key(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "spleen.yaml"
    path.write_text(yaml.safe_dump(_documented("spleen") | change), encoding="utf-8")
    with pytest.raises(ConfigError, match=said) as caught:
        load_card(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
