"""A card drafted from what lies in a folder: every figure against data of which it is known."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from nifti_layouts import save
from numpy.typing import NDArray

from glocalseg.data.acquire.fetch import dataset_root, fetch
from glocalseg.data.acquire.verify import verify
from glocalseg.data.cards.card import Card
from glocalseg.data.draft.guessed.frame import SIZES, propose_frame
from glocalseg.data.draft.guessed.values import structures_of
from glocalseg.data.draft.layout import DraftError, listed
from glocalseg.data.draft.make import Draft, draft_card, split_counts, unpacked
from glocalseg.data.draft.subjects import guess_subjects
from glocalseg.data.draft.write import card_text
from glocalseg.data.files.cases import require_cases
from glocalseg.data.phantom.generate import generate
from glocalseg.data.slices.prepare import prepare
from glocalseg.data.slices.store import open_store
from glocalseg.data.splits.lists import split_spec, volumes_of
from glocalseg.networks.levels import roomy_levels, unet_levels

THICK = np.diag([1.5, 1.5, 8.0, 1.0])
SHAPE = (32, 32, 8)


def _draft(root: Path, *, workers: int = 1) -> tuple[Draft, str, Card]:
    draft = draft_card("mine", root, source={"kind": "folder", "path": str(root)}, workers=workers)
    text = card_text(draft)
    return draft, text, draft.card(text)


def _ring(seed: int, values: tuple[int, int] = (1, 2)) -> NDArray[np.int16]:
    """A ring around a core, somewhere near the middle, in all slices but the first and the last."""
    cx, cy = np.random.default_rng(seed).uniform(13, 19, 2)
    x, y, _ = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    far = np.hypot(x - cx, y - cy)
    label = np.zeros(SHAPE, np.int16)
    label[far < 8], label[far < 4] = values
    label[..., [0, -1]] = 0
    return label


def _image(label: NDArray[Any], seed: int = 0) -> NDArray[np.float32]:
    noise = np.random.default_rng(100 + seed).normal(100, 10, label.shape)
    return (noise + 60 * (label > 0)).astype(np.float32)


def _write(root: Path, names: list[str], images: str = "ct", labels: str = "masks", bare: tuple[str, ...] = ()) -> None:
    for i, name in enumerate(names):
        label = _ring(i)
        save(root / images / f"{name}.nii.gz", _image(label, i), THICK)
        if name not in bare:
            save(root / labels / f"{name}.nii.gz", label, THICK)


def _list(root: Path, names: list[str], **more: Any) -> None:
    pairs = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    (root / "dataset.json").write_text(json.dumps({"training": pairs, **more}), encoding="utf-8")


NAMES = [f"case{i:02d}" for i in range(7)]

# ---------------------------------------------------------------- layouts


def test_two_folders_of_any_name_and_depth(tmp_path: Path) -> None:
    _write(tmp_path / "wrapped/in this", NAMES, "the scans", "ground truth")
    (tmp_path / "wrapped/readme.txt").write_text("nothing")
    draft, _, card = _draft(tmp_path)
    assert draft.layout.root == tmp_path / "wrapped/in this"
    assert card.reader.model_dump(exclude_defaults=True) == {
        "kind": "folders",
        "images": "the scans",
        "labels": "ground truth",
    }
    assert card.source.model_dump() == {"kind": "folder", "path": str(tmp_path / "wrapped/in this")}
    assert (card.subjects, card.volumes, card.labels) == (7, 7, "all")


def test_what_is_in_the_files_tells_labels_from_images(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, images="labels", labels="images")
    _, _, card = _draft(tmp_path)
    assert card.reader.model_dump(exclude_defaults=True) == {"kind": "folders", "images": "labels", "labels": "images"}


def test_a_list_of_cases_goes_before_folders(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "imagesTr", "labelsTr")
    assert _draft(tmp_path)[2].reader.kind == "folders"
    _list(
        tmp_path,
        NAMES,
        name="Rings",
        modality={"0": "MRI"},
        licence="CC0",
        labels={"0": "background", "1": "ring", "2": "core"},
    )
    _, text, card = _draft(tmp_path)
    assert card.reader.kind == "msd"
    assert (card.title, card.modality, card.licence, card.structures) == ("Rings", "MRI", "CC0", {1: "ring", 2: "core"})
    assert "label_values" not in text


def test_a_list_of_a_few_of_the_cases_does_not(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "imagesTr", "labelsTr")
    _list(tmp_path, NAMES[:1])
    assert _draft(tmp_path)[2].reader.kind == "folders"


def test_mmwhs(tmp_path: Path) -> None:
    for i in range(4):
        label = _ring(i, (205, 420))
        for kind, voxels in (("image", _image(label, i)), ("label", label)):
            save(tmp_path / f"mr_train/mr_train_10{i:02d}_{kind}.nii.gz", voxels, THICK)
    _, _, card = _draft(tmp_path)
    assert (card.reader.kind, card.subjects, card.label_values) == ("mmwhs", 4, {0: 0, 205: 1, 420: 2})


@pytest.mark.parametrize(
    ("images", "labels", "image_ending", "label_ending"),
    [
        ("all", "all", "", "_seg"),
        ("all", "all", "_img", "_mask"),
        ("all", "all", "-t1", ".label"),
        ("all", "all", "img", "gt"),
        ("img", "msk", "_img", "_mask"),
        ("img", "msk", "", "_manual_seg"),
        ("imagesTr", "labelsTr", "_0000", ""),
        ("a/images", "b", "_0000", "_label"),
        (".", "masks", "", "_mask"),
        (".", ".", "", "_seg"),
    ],
)
def test_endings_of_names_are_found(tmp_path: Path, images: str, labels: str, image_ending: str, label_ending: str) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i)
        save(tmp_path / images / f"{name}{image_ending}.nii.gz", _image(label, i), THICK)
        if name != "case06":
            save(tmp_path / labels / f"{name}{label_ending}.nii.gz", label, THICK)
    draft, text, card = _draft(tmp_path)
    options = card.reader.model_dump()
    assert draft.layout.root / options["images"] == tmp_path / images
    assert draft.layout.root / options["labels"] == tmp_path / labels
    assert (options["kind"], options["image_ending"], options["label_ending"]) == ("folders", image_ending, label_ending)
    assert (card.volumes, card.labels, draft.layout.pairs, draft.layout.others) == (7, "some", 6, [])
    assert "ignore" not in yaml.safe_load(text)
    assert [case.volume for case in draft.layout.cases] == NAMES
    assert verify(card, draft.layout.root).problems == []


def test_names_without_endings_go_before_names_with_one(tmp_path: Path) -> None:
    _write(tmp_path, [f"{name}_img" for name in NAMES])
    assert set(_draft(tmp_path)[2].reader.model_dump(exclude_defaults=True)) == {"kind", "images", "labels"}


def test_other_channels_of_a_volume_are_left_out_by_name(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        for end, seed in (("_0000", i), ("_0001", 50 + i), ("_0002[x]", 70 + i)):
            save(tmp_path / f"imagesTr/{name}{end}.nii.gz", _image(_ring(i), seed), THICK)
        save(tmp_path / f"labelsTr/{name}.nii.gz", _ring(i), THICK)
    draft, text, card = _draft(tmp_path)
    assert card.reader.model_dump(exclude_defaults=True) == {"kind": "folders", "image_ending": "_0000"}
    assert card.ignore == ["*_0001.nii*", "*_0002[[]x].nii*"]
    assert "7 files *_0001.nii*" in text
    assert len(draft.layout.others) == 2
    assert draft.layout.others[0].endswith("images in imagesTr that end in _0001, labels in labelsTr")
    assert verify(card, draft.layout.root).problems == []


def test_an_image_of_few_whole_numbers_is_no_label(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i)
        image = np.clip(_image(label, i), 0, 255).astype(np.uint8)
        image[0, 0, 0] = 0
        save(tmp_path / f"{name}.nii.gz", image, THICK)
        save(tmp_path / f"{name}_seg.nii.gz", label.astype(np.uint8), THICK)
    assert _draft(tmp_path)[2].reader.model_dump()["label_ending"] == "_seg"


def test_no_layout_is_one_line_with_what_is_there(tmp_path: Path) -> None:
    for i in range(3):
        save(tmp_path / f"imagesTr/c{i}_0000.nii.gz", _image(_ring(i)), THICK)
        save(tmp_path / f"labelsTr/label_c{i}.nii.gz", _ring(i), THICK)
    (tmp_path / "x.dcm").write_bytes(b"")
    with pytest.raises(DraftError) as caught:
        _draft(tmp_path)
    said = str(caught.value)
    assert "\n" not in said
    for part in (
        "acdc: ",
        "folders: Two folders",
        "3 .nii.gz in imagesTr",
        "3 .nii.gz in labelsTr",
        "1 .dcm in .",
        "'c0_0000'",
    ):
        assert part in said
    (tmp_path / "empty").mkdir()
    with pytest.raises(DraftError, match=r"empty: expected a layout .*, found no file"):
        _draft(tmp_path / "empty")


@pytest.mark.parametrize(
    ("image", "label", "said"),
    [
        ("image", "label", "the case's name before each (case00_image.nii.gz), or add the reader"),
        ("seg", "vol", "the case's name before each (case00_seg.nii.gz), or add the reader"),
        ("{name}", "{name}_seg", "put all files into one folder, where their names tell which belong together"),
        ("img/{name}", "msk/{name}", "expected a layout of one of the readers"),
    ],
)
@pytest.mark.parametrize("cases", [4, 20])
def test_a_folder_for_each_case_is_one_line_that_says_what_to_do(
    tmp_path: Path, image: str, label: str, said: str, cases: int
) -> None:
    for i in range(cases):
        name = f"case{i:02d}"
        voxels = _ring(i)
        save(tmp_path / name / f"{image.format(name=name)}.nii.gz", _image(voxels, i), THICK)
        save(tmp_path / name / f"{label.format(name=name)}.nii.gz", voxels, THICK)
    with pytest.raises(DraftError) as caught:
        _draft(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_few_subjects_with_labels_is_one_line(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, bare=tuple(NAMES[2:]))
    with pytest.raises(DraftError, match=r"3 subjects or more .*7 volumes, 2 labels.*found 2"):
        _draft(tmp_path)


# ---------------------------------------------------------------- subjects


@pytest.mark.parametrize(
    ("volumes", "subjects"),
    [
        (["a_L", "a_R", "b_L", "b_R", "c_L"], 3),
        (["left_p1", "right_p1", "left_p2", "right_p2", "left_p3"], 3),
        (["p1_ED", "p1_ES", "p2_ED", "p2_ES", "p3_ED", "p3_ES"], 3),
        (["sub-1_ses-1", "sub-1_ses-2", "sub-2_ses-1", "sub-3_ses-1"], 3),
        (["x_t1", "x_t2", "y_t1", "z_t1", "w"], 4),
        (["x_pre", "x_post", "y_pre", "z_pre"], 3),
        (["x_20190304", "x_20200101", "y_20181224", "z_20181224"], 3),
        (["p01_01", "p01_02", "p02_01", "p02_02", "p03_01", "p03_02"], 3),
        (["p01a", "p01b", "p02a", "p02b", "p03a", "p03b"], 3),
        (["case_1", "case_2", "case_3", "case_4"], 4),  # a word and a number
        (["siteA_01", "siteA_02", "siteB_01", "siteB_02", "siteC_01", "siteC_02"], 6),  # places have no number of their own
        (["p1_001", "p1_002", "p2_003", "p2_004", "p3_005", "p3_006"], 6),  # numbers that go on are those of volumes
        (["Müller, A.", "{b}", "c d"], 3),
        ([f"{year}_{k:03d}" for year in range(2019, 2023) for k in range(4)], 16),  # years are no people
        ([f"site{s}_{k:02d}" for s in range(5) for k in range(5)], 25),  # nor are places
        ([f"Hospital-{s}_{k:02d}" for s in range(5) for k in range(5)], 25),
        ([f"center_{s}-{k}" for s in range(5) for k in range(5)], 25),
        ([f"fold{s}_{k}" for s in range(5) for k in range(5)], 25),
        ([f"{split}_{k}" for split in ("train1", "train2", "test1", "val1") for k in range(3)], 12),
        ([f"2019-0{m}_{k:02d}" for m in range(1, 6) for k in range(5)], 25),
        ([f"2019030{d}_{k}" for d in range(1, 6) for k in range(5)], 25),
        ([f"site{s}_scan{k}" for s in range(5) for k in range(5)], 25),
        ([f"{year}_t{k}" for year in (2018, 2019, 2020) for k in (1, 2, 3)], 9),
        ([f"site{s}_p{p}_{k}" for s in range(3) for p in range(2) for k in (1, 2)], 6),  # people of a place are
        ([f"2019_{p}_{side}" for p in range(100, 104) for side in "LR"], 4),
        ([f"2019_{p:02d}_{side}" for p in range(1, 21) for side in "LR"], 20),  # no months
        ([f"sethe{p}_{k}" for p in range(3) for k in (1, 2)], 3),
    ],
)
def test_subjects_are_told_from_names(tmp_path: Path, volumes: list[str], subjects: int) -> None:
    found = guess_subjects(volumes, tmp_path)
    assert found.count == subjects
    assert found.told == (subjects < len(volumes))


def test_a_group_that_is_taken_for_a_person_is_named(tmp_path: Path) -> None:
    found = guess_subjects(["p01_01", "p01_02", "p02_01", "p02_02", "p03_01", "p03_02"], tmp_path)
    assert found.why.endswith("'p01' is taken for one person")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("volume\tage\tsubject\n", "table"),
        ("Subject\tage\tVOLUME\n", "table"),
        ("", "pattern"),
        ("volume\tage\tperson\n", "pattern"),
        ("what\tever\tsubject\n", "pattern"),
    ],
)
def test_a_table_is_proposed_by_its_headings(tmp_path: Path, head: str, kind: str) -> None:
    """Of seven people, two of them scanned twice at ages that others have too."""
    people = [
        ("c1", 61, "a"),
        ("c2", 61, "b"),
        ("c3", 63, "a"),
        ("c4", 64, "d"),
        ("c5", 65, "e"),
        ("c6", 64, "f"),
        ("c7", 66, "g"),
    ]
    order = [2, 1, 0] if head.startswith("Subject") else [0, 1, 2]
    rows = "".join("\t".join(str(row[i]) for i in order) + "\n" for row in people)
    (tmp_path / "info.tsv").write_text(head + rows, encoding="utf-8")
    found = guess_subjects([volume for volume, _, _ in people], tmp_path)
    assert list(found.rule) == [kind]
    assert found.count == (6 if kind == "table" else 7)
    assert found.of == {volume: person if kind == "table" else volume for volume, _, person in people}


@pytest.mark.parametrize(
    ("head", "proposed"), [("", True), ("volume\tsubject\n", True), ("case\tage\n", False), ("w1\tage\n", False)]
)
def test_two_columns_under_other_headings_are_no_subjects(tmp_path: Path, head: str, proposed: bool) -> None:
    rows = "c1\t60\nc2\t61\nc3\t60\nc4\t63\n"
    (tmp_path / "info.tsv").write_text(head + rows, encoding="utf-8")
    assert guess_subjects(["c1", "c2", "c3", "c4"], tmp_path).count == (3 if proposed else 4)


def test_a_name_with_a_line_end_has_a_subject(tmp_path: Path) -> None:
    assert guess_subjects(["a_1", "b\n2", "c_3"], tmp_path).of == {name: name for name in ("a_1", "b\n2", "c_3")}


def test_a_list_that_nests_without_end_is_none(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("[" * 100_000, encoding="utf-8")
    assert listed(tmp_path) == {}


def test_a_table_goes_before_names(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    rows = "".join(f"{name}\tperson_{i // 2}\n" for i, name in enumerate(NAMES))
    (tmp_path / "people.tsv").write_text(f"volume\tsubject\n{rows}", encoding="utf-8")
    (tmp_path / "others.tsv").write_text("a\tb\n", encoding="utf-8")
    draft, _, card = _draft(tmp_path)
    assert (card.subject.table, card.subjects, draft.subjects.sizes()) == ("people.tsv", 4, {1: 1, 2: 3})


def test_names_that_say_nothing_are_warned_of(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    _, text, card = _draft(tmp_path)
    assert card.subject.pattern == r"^(case\d+)$"
    assert "test scores are too good" in text


@pytest.mark.parametrize(("labelled", "test", "validation"), [(3, 1, 1), (4, 2, 1), (7, 2, 1), (40, 10, 4), (170, 42, 17)])
def test_shares_of_the_split(labelled: int, test: int, validation: int) -> None:
    splits = split_counts(labelled)
    assert (splits.test, splits.validation) == (test, validation)


# ---------------------------------------------------------------- axis and frame


def _tube(seed: int) -> NDArray[np.int16]:
    """A bent tube along A in voxels of 1 mm, as a hippocampus lies: where it lies and how it bends differs by subject."""
    rng = np.random.default_rng(seed)
    shape = (36, 50, 36)
    x, y, z = np.meshgrid(*map(np.arange, shape), indexing="ij")
    along = (y - 25) / 20.0
    cx = 18 + rng.uniform(-4, 4) + rng.uniform(-4, 4) * along + rng.uniform(-4, 4) * along**2
    cz = 18 + rng.uniform(-4, 4) + rng.uniform(-4, 4) * along + rng.uniform(-4, 4) * along**2
    inside = np.hypot(x - cx, z - cz) < 5.5 * np.sqrt(np.clip(1 - along**2, 0, 1))
    return (inside * np.where(along > 0.1, 1, 2)).astype(np.int16)


def test_the_axis_along_which_subjects_agree(tmp_path: Path) -> None:
    for i in range(8):
        affine = np.eye(4)
        label = _tube(i)
        if i % 2:  # stored otherwise: what is measured goes by the header
            label, affine = label.transpose(2, 0, 1)[::-1], np.zeros((4, 4))
            affine[2, 0], affine[0, 1], affine[1, 2], affine[3, 3] = -1, 1, 1, 1
        save(tmp_path / f"images/h{i}.nii.gz", _image(label, i), affine)
        save(tmp_path / f"labels/h{i}.nii.gz", label, affine)
    draft, text, card = _draft(tmp_path)
    assert card.slice_axis == "A"
    overlap = {a.axis: a.overlap for a in draft.axis.along}
    assert overlap["A"] > 1.2 * max(overlap["R"], overlap["S"])
    assert f"{overlap['A']:.2f}" in text
    assert draft.axis.pairs == 28
    assert "stored as IRA (4), RAS (4)" in " ".join(text.split("\n# "))


def test_thick_slices_decide_the_axis(tmp_path: Path) -> None:
    generate(tmp_path, 6, seed=1, matrix=48)
    draft, text, card = _draft(tmp_path)
    assert (card.reader.model_dump()["phases"], card.subjects, card.volumes) == (["ED", "ES"], 6, 12)
    assert card.slice_axis == "S"
    best = max(draft.axis.along, key=lambda a: a.score)
    assert best.axis == "S"  # measured, too
    thick = draft.axis.along[2]
    assert f"{thick.spacing / min(thick.in_plane):.1f} times as far apart along S" in text
    assert draft.layout.root == tmp_path / "training"


def _with_labels_at(tmp_path: Path, corner: int, spacing: float, shape: int = 64) -> Draft:
    for i in range(4):
        label = np.zeros((shape, shape, 6), np.int16)
        label[shape // 2, shape // 2 - 2 : shape // 2 + 2, 1:5] = 1
        if i == 2:
            label[corner, shape // 2, 3] = 1  # one voxel of one volume lies far out
        save(tmp_path / f"images/c{i}.nii.gz", _image(label, i), np.diag([spacing, spacing, 8, 1]))
        save(tmp_path / f"labels/c{i}.nii.gz", label, np.diag([spacing, spacing, 8, 1]))
    return _draft(tmp_path)[0]


def test_the_frame_holds_every_label_with_a_margin(tmp_path: Path) -> None:
    proposal = _with_labels_at(tmp_path, corner=62, spacing=1.5).frame
    assert proposal.needed == pytest.approx(2 * (63 - 32) * 1.5)  # the voxel's outer side, twice
    assert (proposal.chosen.spacing, proposal.chosen.size, proposal.chosen.cut) == (1.5, 96, 0)
    smaller = next(c for c in proposal.others if (c.spacing, c.size) == (1.5, 48))
    assert smaller.volumes == 1
    assert smaller.cut == pytest.approx(1 / (4 * 16 + 1))
    assert smaller.worst == ("structure 1", pytest.approx(1 / (4 * 16 + 1)))


@pytest.mark.parametrize("size", SIZES)
def test_proposed_sizes_never_shrink_the_network(size: int) -> None:
    assert unet_levels((size, size), 6) == roomy_levels((size, size), 6)


def test_huge_slices_get_coarser_pixels(tmp_path: Path) -> None:
    proposal = _with_labels_at(tmp_path, corner=0, spacing=0.5, shape=384).frame
    assert proposal.coarser
    assert proposal.chosen.size == 256
    assert 192 * 1.05 <= proposal.chosen.side < 206


def test_without_labels_the_whole_slice_is_needed() -> None:
    from glocalseg.data.draft.measured.volume import Measured
    from glocalseg.data.readers.base import Case

    one = Measured(Case("v", "s", Path("v"), None), size=(40, 50, 9), spacing=(1.0, 1.0, 5.0))
    assert propose_frame([one], "S", {}, {}).needed == 50


def test_what_is_proposed_loses_nothing_but_by_resampling(tmp_path: Path) -> None:
    generate(tmp_path, 5, seed=3, matrix=48)
    draft, _, card = _draft(tmp_path)
    found = verify(card, draft.layout.root)
    assert found.problems == []
    losses = [loss for e in found.examined for loss in e.losses.values()]
    assert len(losses) == 5 * 2 * 3
    assert all(loss.framed == loss.resampled > 0 for loss in losses)


# ---------------------------------------------------------------- values and intensities


def test_values_that_are_not_counted_from_one_and_a_stray(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i, (205, 420))
        if i == 3:
            label[0, 0, 3] = 421
        save(tmp_path / f"images/{name}.nii", _image(label, i), THICK)
        save(tmp_path / f"labels/{name}.nii", label, THICK)
    draft, text, card = _draft(tmp_path)
    assert card.label_values == {0: 0, 205: 1, 420: 2}
    assert card.stray_values == [421]
    assert "421 is in so few volumes and voxels" in text
    ring = sum(int((_ring(i) == 1).sum()) for i in range(7))
    assert (draft.structures.found[0].volumes, draft.structures.found[0].voxels) == (7, ring)
    assert verify(card, draft.layout.root).problems == []


def test_a_value_of_many_voxels_or_with_a_name_is_no_stray(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i)
        if i == 3:
            label[0:9, 0:9, 3] = 3
            label[0, 31, 3] = 4
        save(tmp_path / f"imagesTr/{name}.nii.gz", _image(label, i), THICK)
        save(tmp_path / f"labelsTr/{name}.nii.gz", label, THICK)
    draft, _, card = _draft(tmp_path)
    assert (card.structures, card.stray_values) == ({1: "structure 1", 2: "structure 2", 3: "structure 3"}, [4])
    assert card.label_values == {}  # 4 comes after the classes
    named = {"labels": {"background": 0, "ring": 1, "core": 2, "blob": 3, "dot": 4, "wisp": 5}}  # as nnU-Net writes them
    found = structures_of(draft.measured, named)
    assert (found.names, found.strays, found.missing) == ({1: "ring", 2: "core", 3: "blob", 4: "dot"}, [], ["wisp"])


def test_names_that_are_given_twice_are_not_taken(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "imagesTr", "labelsTr")
    _list(tmp_path, NAMES, labels={"1": "kidney", "2": "kidney"})
    assert _draft(tmp_path)[2].structures == {1: "structure 1", 2: "structure 2"}


def test_padding_is_found_and_left_out(tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(32), np.arange(32), indexing="ij")
    outside = np.hypot(x - 15.5, y - 15.5) > 15
    for i, name in enumerate(NAMES):
        label = _ring(i)
        voxels = np.round(_image(label, i) - 100).astype(np.int16)
        voxels[~outside & (y < 3)] = -1000
        voxels[2, 16, 4], voxels[3, 16, 4] = 900, -1010
        voxels[outside] = -3024
        save(tmp_path / f"images/{name}.nii.gz", voxels, THICK)
        save(tmp_path / f"labels/{name}.nii.gz", label, THICK)
    draft, text, card = _draft(tmp_path)
    assert (card.padding, card.modality) == (-3024, "CT")
    assert draft.intensities.window is not None
    assert draft.intensities.window == pytest.approx((10, 110), abs=10)  # labels hold 60 and noise of 10
    assert f"# window: [{draft.intensities.window[0]:g}, {draft.intensities.window[1]:g}]" in text
    assert verify(card, draft.layout.root).problems == []


def test_zero_around_an_organ_is_no_padding(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i)
        save(tmp_path / f"images/{name}.nii.gz", np.where(label > 0, _image(label, i) + 500, 0), THICK)
        save(tmp_path / f"labels/{name}.nii.gz", label, THICK)
    _, _, card = _draft(tmp_path)
    assert (card.padding, card.modality) == (None, "MR")


def test_channels_are_counted_and_the_first_is_read(tmp_path: Path) -> None:
    for i, name in enumerate(NAMES):
        label = _ring(i)
        save(tmp_path / f"imagesTr/{name}.nii.gz", np.stack([_image(label, i), 0 * _image(label)], axis=-1), THICK)
        save(tmp_path / f"labelsTr/{name}.nii.gz", label, THICK)
    _list(tmp_path, NAMES, modality={"0": "T2", "1": "ADC"})
    draft, text, card = _draft(tmp_path)
    assert (card.channel, card.modality) == (0, "T2, ADC")
    assert "images with 2 channels, 0: T2, 1: ADC" in text
    assert verify(card, draft.layout.root).problems == []


# ---------------------------------------------------------------- the card as a whole


def test_the_text_depends_on_nothing_but_the_data(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    assert _draft(tmp_path)[1] == _draft(tmp_path)[1] == _draft(tmp_path, workers=2)[1]


def test_what_names_hold_is_data_and_no_yaml(tmp_path: Path) -> None:
    names = ["'a: {b}", "#1, [x]", "Müller \\d+", "- no", "ŁÓDŹ & co"]
    _write(tmp_path, names, "ima: ges", "#labels", bare=("- no",))
    _list(tmp_path, [], name='say "x": {y} #z', labels={"1": "a, {b}", "2": "no"})
    draft, text, card = _draft(tmp_path)
    assert card.reader.model_dump(exclude_defaults=True) == {"kind": "folders", "images": "ima: ges", "labels": "#labels"}
    assert (card.title, card.structures) == (
        'say "x": {y} #z',
        {1: "a {b}", 2: "no"},
    )  # no comma, which a table could not hold
    assert yaml.safe_load(text)["labels"] == "some"
    assert verify(card, draft.layout.root).problems == []


def test_broken_files_are_told_and_stop_nothing(tmp_path: Path) -> None:
    _write(tmp_path, NAMES)
    (tmp_path / "ct/case00.nii.gz").write_bytes(b"<html>")
    save(tmp_path / "masks/case01.nii.gz", np.zeros((5, 5, 5), np.uint8), THICK)
    (tmp_path / "ct/case02.nii.gz").unlink()
    draft, _, card = _draft(tmp_path)
    said = "\n".join(map(str, draft.problems))
    assert len(draft.problems) == 3
    for part in ("case00.nii.gz", "case01.nii.gz: expected shape (32, 32, 8)", "case02.nii.gz: expected an image"):
        assert part in said
    assert card.frame.size == (32, 32)


def _store(draft: Draft, card: Card, tmp_path: Path, mirror: Path | None = None) -> Any:
    """The slice store that a card leads to, from its source on."""
    raw, incoming = tmp_path / "raw", tmp_path / "incoming"
    fetch(card, raw, mirror=str(mirror) if mirror else None, incoming=incoming)
    root = dataset_root(card, raw, incoming)
    assert verify(card, root).problems == []
    record = tmp_path / "slices/manifest.json"
    prepare(card.reading, card.preparation, require_cases(card.reading, root), record, payload={}, workers=1)
    return open_store(record)


def test_an_archive_becomes_slices(tmp_path: Path) -> None:
    _write(tmp_path / "Task99", NAMES, "imagesTr", "labelsTr")
    _list(tmp_path / "Task99", NAMES)
    (tmp_path / "mirror").mkdir()
    archive = tmp_path / "mirror/Task99.tar"
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "Task99", "Task99")
    (tmp_path / "unpacked").mkdir()
    source = unpacked(archive, tmp_path / "unpacked")
    draft = draft_card("mine", tmp_path / "unpacked", source=source, workers=1)
    card = draft.card(card_text(draft))
    assert card.source.model_dump()["root"] == "Task99"
    store = _store(draft, card, tmp_path, tmp_path / "mirror")
    assert store.images.shape == (7 * 8, 32, 32)


def test_volumes_without_labels_are_for_pretraining_alone(tmp_path: Path) -> None:
    _write(tmp_path / "data", NAMES, bare=("case05", "case06"))
    draft, text, card = _draft(tmp_path / "data")
    assert (card.labels, card.subjects, card.volumes) == ("some", 7, 7)
    assert "2 volumes have no label (case05, case06)" in text
    assert (draft.splits.labelled, draft.splits.test, draft.splits.validation) == (5, 2, 1)
    store = _store(draft, card, tmp_path)
    lists = volumes_of(
        split_spec(card.splits, ["pretrain", "train"], 1, 1), store.volumes[["volume", "subject", "labelled"]]
    )
    assert {"case05", "case06"} <= set(lists.pretrain)
    assert not {"case05", "case06"} & set(lists.train)


def test_mixed_orientations_give_the_same_card_but_for_how_they_are_stored(tmp_path: Path) -> None:
    for folder in ("as_one", "mixed"):
        for i, name in enumerate(NAMES):
            label = _ring(i)
            for kind, voxels in (("images", _image(label, i)), ("labels", label)):
                image = nib.Nifti1Image(voxels, THICK)
                if folder == "mixed" and i % 2:
                    turn = nib.orientations.axcodes2ornt("PIR")
                    image = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(THICK), turn))
                path = tmp_path / folder / kind / f"{name}.nii.gz"
                path.parent.mkdir(parents=True, exist_ok=True)
                nib.save(image, path)
    (one, _, card), (mixed, _, other) = _draft(tmp_path / "as_one"), _draft(tmp_path / "mixed")
    assert card.preparation == other.preparation
    assert one.axis == mixed.axis


def test_further_folders_of_labels_are_named(tmp_path: Path) -> None:
    _write(tmp_path, NAMES, "images", "rater A")
    for i in range(3):
        save(tmp_path / f"rater B/{NAMES[i]}.nii.gz", _ring(i + 50), THICK)
    draft, text, card = _draft(tmp_path)
    assert card.reader.model_dump()["labels"] == "rater A"
    assert draft.layout.others == [f"{tmp_path}: images in images, labels in rater B"]
    assert "# Not used: .: images in images, labels in rater B" in text
