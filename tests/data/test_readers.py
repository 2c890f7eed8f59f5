from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from nifti_layouts import (
    SHAPE,
    cases_of,
    image_voxels,
    label_voxels,
    make_card,
    mmwhs_card,
    save,
    write_acdc,
    write_msd,
)

from glocalseg.data.readers.base import ReaderError
from glocalseg.data.volumes import load_volume
from glocalseg.records.code import closure

CASES = ["case_01", "case_02", "case_03"]


def test_msd_finds_the_listed_cases_and_no_shadow_files(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    cases = cases_of(make_card(), tmp_path)
    assert [(c.volume, c.subject) for c in cases] == [(n, n) for n in CASES]
    assert cases[0].image == tmp_path / "imagesTr/case_01.nii.gz"
    assert cases[0].label == tmp_path / "labelsTr/case_01.nii.gz"


def test_msd_reads_the_channel_of_the_card(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES, channels=2)
    for channel in (0, 1):
        card = make_card(channel=channel)
        volume = load_volume(card, cases_of(card, tmp_path)[0])
        np.testing.assert_array_equal(volume.image, image_voxels(0, (*SHAPE, 2))[..., channel])
        assert volume.image.dtype == np.float32
    with pytest.raises(ReaderError, match=r"channel 2.*2 channels"):
        load_volume(make_card(channel=2), cases_of(make_card(), tmp_path)[0])


def test_a_channel_of_a_three_dimensional_image_is_an_error(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    with pytest.raises(ReaderError, match="channel 1"):
        load_volume(make_card(channel=1), cases_of(make_card(), tmp_path)[0])


def test_msd_notices_a_leftover_and_a_missing_file(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "imagesTr/case_09.nii.gz", image_voxels(9))
    with pytest.raises(ReaderError, match=r"case_09.*dataset\.json"):
        cases_of(make_card(), tmp_path)
    (tmp_path / "imagesTr/case_09.nii.gz").unlink()
    (tmp_path / "labelsTr/case_02.nii.gz").unlink()
    case = cases_of(make_card(), tmp_path)[1]
    assert case.volume == "case_02"
    with pytest.raises(ReaderError, match=r"case_02\.nii\.gz.*no such file"):
        load_volume(make_card(), case)


@pytest.mark.parametrize("text", [None, "{", "[]", json.dumps({"training": [{"image": "x"}]})])
def test_msd_needs_its_list(tmp_path: Path, text: str | None) -> None:
    write_msd(tmp_path, CASES)
    (tmp_path / "dataset.json").unlink()
    if text is not None:
        (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    with pytest.raises(ReaderError, match=r"dataset\.json: expected"):
        cases_of(make_card(), tmp_path)


def test_subjects_come_from_a_table(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    card = make_card(subject={"table": "subjects.tsv"})
    (tmp_path / "subjects.tsv").write_text("volume\tsubject\ncase_01\tanna\ncase_02\tanna\ncase_03\tben\n", encoding="utf-8")
    assert [c.subject for c in cases_of(card, tmp_path)] == ["anna", "anna", "ben"]
    (tmp_path / "subjects.tsv").write_text(
        "case_01\tanna\ncase_02\tanna\n", encoding="utf-8"
    )  # no heading; one volume has no row
    with pytest.raises(ReaderError, match="row for volume 'case_03'"):
        cases_of(card, tmp_path)


@pytest.mark.parametrize("text", ["volume\tsubject\ncase_01\n", "case_01\ta\ncase_01\tb\n"])
def test_a_broken_table_is_one_clear_problem(tmp_path: Path, text: str) -> None:
    write_msd(tmp_path, CASES)
    (tmp_path / "subjects.tsv").write_text(text, encoding="utf-8")
    with pytest.raises(ReaderError, match="expected two columns") as caught:
        cases_of(make_card(subject={"table": "subjects.tsv"}), tmp_path)
    assert len(caught.value.problems) == 1


def test_a_missing_table_is_one_clear_problem(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    with pytest.raises(ReaderError, match=r"subjects\.tsv: expected .* no such file") as caught:
        cases_of(make_card(subject={"table": "subjects.tsv"}), tmp_path)
    assert len(caught.value.problems) == 1


def test_a_name_that_gives_no_subject_is_named(tmp_path: Path) -> None:
    write_msd(tmp_path, [*CASES, "other"])
    with pytest.raises(ReaderError, match="other: expected a name that matches"):
        cases_of(make_card(), tmp_path)


def test_folders_pair_by_name_whatever_the_ending(tmp_path: Path) -> None:
    save(tmp_path / "t1/case_01.nii", image_voxels(1))
    save(tmp_path / "masks/case_01.nii.gz", label_voxels())
    (tmp_path / "t1/notes.txt").write_text("not a volume", encoding="utf-8")
    card = make_card(reader={"kind": "folders", "images": "t1", "labels": "masks"})
    (case,) = cases_of(card, tmp_path)
    volume = load_volume(card, case)
    np.testing.assert_array_equal(volume.image, image_voxels(1))
    np.testing.assert_array_equal(volume.label, label_voxels())
    np.testing.assert_array_equal(volume.affine, np.diag([1.0, 1.0, 2.0, 1.0]))


def test_folders_names_the_folder_that_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "t1/case_01.nii", image_voxels(1))
    with pytest.raises(ReaderError, match="masks: expected a folder"):
        cases_of(make_card(reader={"kind": "folders", "images": "t1", "labels": "masks"}), tmp_path)


def test_an_empty_folder_is_no_data_set(tmp_path: Path) -> None:
    for reader in ("acdc", "mmwhs"):
        with pytest.raises(ReaderError, match="expected cases"):
            cases_of(make_card(reader=reader), tmp_path)


ACDC = {"subject": {"pattern": r"^(patient\d{3})_"}, "reader": "acdc"}


def test_acdc_takes_the_frames_that_info_cfg_names(tmp_path: Path) -> None:
    write_acdc(tmp_path, {"patient001": (1, 12), "patient090": (11, 4)})
    ed = cases_of(make_card(**ACDC), tmp_path)
    assert [(c.volume, c.subject, c.image.name) for c in ed] == [
        ("patient001_ED", "patient001", "patient001_frame01.nii.gz"),
        ("patient090_ED", "patient090", "patient090_frame11.nii.gz"),  # frame04 is its end-systole
    ]
    assert ed[1].label.name == "patient090_frame11_gt.nii.gz"
    both = cases_of(make_card(**{**ACDC, "reader": {"kind": "acdc", "phases": ["ED", "ES"]}}), tmp_path)
    assert [c.volume for c in both] == ["patient001_ED", "patient001_ES", "patient090_ED", "patient090_ES"]
    assert both[3].image.name == "patient090_frame04.nii.gz"


def test_acdc_notices_a_patient_without_its_frames(tmp_path: Path) -> None:
    write_acdc(tmp_path, {"patient001": (1, 12), "patient002": (1, 9), "patient003": (1, 9)})
    (tmp_path / "training/patient001/Info.cfg").write_text("ES: 12\n", encoding="utf-8")
    (tmp_path / "training/patient002/Info.cfg").unlink()
    write_acdc(tmp_path / "copy", {"patient003": (1, 9)})
    with pytest.raises(ReaderError) as caught:
        cases_of(make_card(**ACDC), tmp_path)
    said = str(caught.value)
    assert "a line 'ED: <frame number>'" in said
    assert "patient002: expected Info.cfg" in said
    assert "patient003: expected each patient once" in said
    assert len(caught.value.problems) == 3


def test_mmwhs_maps_labels_and_stray_values(tmp_path: Path) -> None:
    label = np.zeros(SHAPE, np.int16)
    label[0, 0, :] = [205, 420, 500, 550]
    label[0, 1, :] = [600, 820, 850, 421]
    save(tmp_path / "mr_train/mr_train_1001_image.nii.gz", image_voxels(1).astype(np.int16))
    save(tmp_path / "mr_train/mr_train_1001_label.nii.gz", label)
    save(tmp_path / "ct_train/ct_train_1001_image.nii.gz", image_voxels(2))
    (tmp_path / "mr_train/._mr_train_1001_image.nii.gz").write_bytes(b"shadow")
    (case,) = cases_of(mmwhs_card(), tmp_path)
    assert (case.volume, case.subject) == ("mr_train_1001", "1001")
    volume = load_volume(mmwhs_card(), case)
    assert volume.label[0, 0].tolist() == [1, 2, 3, 4]
    assert volume.label[0, 1].tolist() == [5, 6, 7, 0]
    assert np.count_nonzero(volume.label) == 7


def test_a_label_value_that_the_card_does_not_know_is_an_error(tmp_path: Path) -> None:
    save(tmp_path / "mr_train_1001_image.nii.gz", image_voxels(1))
    save(tmp_path / "mr_train_1001_label.nii.gz", label_voxels((205, 422), np.int16))
    (case,) = cases_of(mmwhs_card(), tmp_path)
    with pytest.raises(ReaderError, match=r"also \[422\.0\]"):
        load_volume(mmwhs_card(), case)


def test_mmwhs_names_the_file_that_is_missing_and_the_one_that_is_there_twice(tmp_path: Path) -> None:
    save(tmp_path / "a/mr_train_1001_label.nii.gz", label_voxels((205,), np.int16))
    (case,) = cases_of(mmwhs_card(), tmp_path)
    assert case.image == tmp_path / "a/mr_train_1001_image.nii.gz"
    assert not case.image.exists()
    save(tmp_path / "b/mr_train_1001_label.nii.gz", label_voxels((205,), np.int16))
    with pytest.raises(ReaderError, match="each file once"):
        cases_of(mmwhs_card(), tmp_path)


def test_whole_float_labels_are_classes_and_others_are_not(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "labelsTr/case_01.nii.gz", label_voxels((1, 2), np.float32))
    card = make_card()
    case = cases_of(card, tmp_path)[0]
    volume = load_volume(card, case)
    assert volume.label.dtype == np.uint8
    np.testing.assert_array_equal(volume.label, label_voxels((1, 2)))
    save(case.label, label_voxels((1, 0.5), np.float32))
    with pytest.raises(ReaderError, match=r"also \[0\.5\]"):
        load_volume(card, case)


def test_shapes_that_differ_are_an_error(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "labelsTr/case_01.nii.gz", np.zeros((6, 5, 3), np.uint8))
    with pytest.raises(ReaderError, match=r"shape \(6, 5, 4\).*\(6, 5, 3\)"):
        load_volume(make_card(), cases_of(make_card(), tmp_path)[0])


def test_colours_and_complex_numbers_are_no_intensities(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    colours = np.zeros(SHAPE, np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    for voxels in (colours, image_voxels(0).astype(np.complex64)):
        save(tmp_path / "imagesTr/case_01.nii.gz", voxels)
        with pytest.raises(ReaderError, match="whole or real numbers"):
            load_volume(make_card(), cases_of(make_card(), tmp_path)[0])


def test_a_reader_brings_only_the_base_into_a_content_key() -> None:
    for name in ("acdc", "folders", "mmwhs", "msd"):
        base = {"glocalseg.data", "glocalseg.data.readers", "glocalseg.data.readers.base"}
        assert closure(f"glocalseg.data.readers.{name}") <= {*base, f"glocalseg.data.readers.{name}"}


def test_how_data_is_read_comes_into_no_key_of_what_opens_a_store() -> None:
    for name in ("slices.store", "slices.partition", "slices.geometry_torch", "splits"):
        found = {m for m in closure(f"glocalseg.data.{name}") if m.startswith("glocalseg.data.")}
        assert not {m for m in found if m.split(".")[2] not in ("slices", "splits")}, name
    assert "glocalseg.data.slices.partition" not in closure("glocalseg.data.slices.prepare")
    assert not {m for m in closure("glocalseg.data.slices.prepare") if "acquire" in m or m.endswith((".card", ".reading"))}
