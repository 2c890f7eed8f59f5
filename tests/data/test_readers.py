"""What each reader finds: the cases of every layout, and a line for everything that is not as the layout has it."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

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
    scan_of,
    write_acdc,
    write_list,
    write_msd,
)

from glocalseg.data.images.volumes import load_image, load_label, map_labels
from glocalseg.data.readers.base import ReaderError
from glocalseg.records.code import closure

CASES = ["case_01", "case_02", "case_03"]


def _said(card: Any, root: Path) -> list[str]:
    """Everything that stops, without the folder's path."""
    return [str(p).replace(f"{root}/", "") for p in scan_of(card, root).problems]


def _noted(card: Any, root: Path) -> list[str]:
    return [str(n).replace(f"{root}/", "") for n in scan_of(card, root).notes]


# ---------------------------------------------------------------- the decathlon


def test_msd_finds_the_listed_cases_and_no_shadow_files(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    cases = cases_of(make_card(), tmp_path)
    assert [(c.volume, c.subject) for c in cases] == [(n, n) for n in CASES]
    assert cases[0].image == tmp_path / "imagesTr/case_01.nii.gz"
    assert cases[0].label == tmp_path / "labelsTr/case_01.nii.gz"
    assert _noted(make_card(), tmp_path) == [f"{tmp_path}: 3 files that are hidden are not used, such as ._case_01.nii.gz"]


def test_msd_reads_the_channel_of_the_card(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES, channels=2)
    for channel in (0, 1):
        card = make_card(channel=channel)
        voxels = load_image(card.reading, cases_of(card, tmp_path)[0].image).voxels
        np.testing.assert_array_equal(voxels, image_voxels(0, (*SHAPE, 2))[..., channel])


def test_a_channel_that_the_list_does_not_have_is_an_error(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES, channels=2)
    write_list(tmp_path, CASES, modality={"0": "T2", "1": "ADC"})
    assert _said(make_card(channel=1), tmp_path) == []
    expected = "dataset.json: expected channel 2, which the card asks for (counted from 0), found 2: T2, ADC"
    assert _said(make_card(channel=2), tmp_path) == [expected]
    write_list(tmp_path, CASES, channel_names={"0": "T2"})
    assert "found 1: T2" in _said(make_card(channel=1), tmp_path)[0]


def test_msd_notices_a_leftover_and_a_missing_file(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "imagesTr/case_09.nii.gz", image_voxels(9))
    expected = "imagesTr/case_09.nii.gz: expected a file of a case that dataset.json lists, found one not listed"
    assert _said(make_card(), tmp_path) == [expected]
    assert _said(make_card(ignore=["imagesTr/case_09.nii.gz"]), tmp_path) == []
    (tmp_path / "imagesTr/case_09.nii.gz").unlink()
    (tmp_path / "labelsTr/case_02.nii.gz").unlink()
    for labels in ("all", "some"):
        expected = "labelsTr/case_02.nii.gz: expected a file, which dataset.json lists, found no such file"
        assert _said(make_card(labels=labels), tmp_path) == [expected]
    save(tmp_path / "labelsTr/case_02.nii", label_voxels())
    assert "found no such file (case_02.nii is there)" in _said(make_card(), tmp_path)[0]


def test_a_listed_case_that_the_card_ignores_is_none(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    scan = scan_of(make_card(ignore=["*/case_02*"]), tmp_path)
    assert ([c.volume for c in scan.cases], scan.problems) == (["case_01", "case_03"], [])
    scan = scan_of(make_card(ignore=["labelsTr/case_02.nii.gz"], labels="some"), tmp_path)
    assert [(c.volume, c.label is None) for c in scan.cases] == [("case_01", False), ("case_02", True), ("case_03", False)]
    assert scan.problems == []


def test_the_listed_labels_win_over_the_folder_of_the_usual_name(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    for name in CASES:
        save(tmp_path / f"labelsTr2/{name}.nii.gz", label_voxels((2,)))
    write_list(tmp_path, CASES, labels_folder="labelsTr2")
    assert {c.label.parent.name for c in cases_of(make_card(), tmp_path)} == {"labelsTr2"}
    assert "labelsTr: 3 files that no case uses, such as case_01.nii.gz" in _noted(make_card(), tmp_path)
    (said,) = _said(make_card(reader={"kind": "msd", "labels": "labelsTr"}), tmp_path)
    assert "expected labels in 'labelsTr', as the card's reader says, found 3 elsewhere" in said


@pytest.mark.parametrize("where", ["absolute", "linked", "backslashes", "dots"])
def test_paths_of_the_list_are_used_however_they_are_written(tmp_path: Path, where: str) -> None:
    root = tmp_path / "data"
    write_msd(root, CASES)
    (tmp_path / "link").symlink_to(root)
    before = {"absolute": f"{root}/", "linked": f"{root}/", "backslashes": ".\\", "dots": "./x/../"}[where]
    pairs = [{k: f"{before}{d}/{n}.nii.gz" for k, d in (("image", "imagesTr"), ("label", "labelsTr"))} for n in CASES]
    if where == "backslashes":
        pairs = [{k: v.replace("/", "\\") for k, v in pair.items()} for pair in pairs]
    (root / "dataset.json").write_text(json.dumps({"training": pairs}), encoding="utf-8")
    top = tmp_path / "link" if where == "linked" else root
    cases = cases_of(make_card(), top)
    assert [c.image for c in cases] == [top / f"imagesTr/{n}.nii.gz" for n in CASES]


@pytest.mark.parametrize("before", ["/elsewhere/", "../other/", "C:\\data\\", "x/../../"])
def test_paths_that_lead_out_are_one_line(tmp_path: Path, before: str) -> None:
    write_msd(tmp_path, CASES)
    pairs = [{k: f"{before}{d}/{n}.nii.gz" for k, d in (("image", "imagesTr"), ("label", "labelsTr"))} for n in CASES]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": pairs}), encoding="utf-8")
    said = [line for line in _said(make_card(), tmp_path) if "dataset.json" in line]
    found = repr(f"{before}imagesTr/case_01.nii.gz")
    assert said == [f"dataset.json: expected paths of files in its folder, found 6 that lead out of it, such as {found}"]


def test_a_listed_pair_is_a_case_whatever_its_files_are_called(tmp_path: Path) -> None:
    for name in CASES:
        save(tmp_path / f"imagesTr/{name}_0000.nii.gz", image_voxels(1))
        save(tmp_path / f"labelsTr/{name}.nii.gz", label_voxels())
        save(tmp_path / f"imagesTs/{name}9_0000.nii.gz", image_voxels(2))
    write_list(tmp_path, CASES, ending="_0000", test=[{"image": f"./imagesTs/{n}9_0000.nii.gz"} for n in CASES])
    assert [(c.volume, c.image.name) for c in cases_of(make_card(), tmp_path)] == [(n, f"{n}_0000.nii.gz") for n in CASES]
    card = make_card(labels="some", reader={"kind": "msd", "image_ending": "_0000"})
    assert [c.volume for c in cases_of(card, tmp_path)] == [n + more for n in CASES for more in ("", "9")]


def test_several_files_a_case_are_one_line(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    pairs = [{"image": [f"a/{n}_0000.nii.gz", f"a/{n}_0001.nii.gz"], "label": f"labelsTr/{n}.nii.gz"} for n in CASES]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": pairs}), encoding="utf-8")
    (said,) = _said(make_card(), tmp_path)
    assert said == (
        "dataset.json: expected one file an image and a label each in every entry of 'training'; channels are the fourth "
        "dimension of one file here, found others in 3 of 3 entries, first entry 1: 2 files"
    )
    single = [{"image": [f"imagesTr/{n}.nii.gz"], "label": [f"labelsTr/{n}.nii.gz"]} for n in CASES]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": single}), encoding="utf-8")
    assert len(cases_of(make_card(), tmp_path)) == 3


PAIR = {"image": "imagesTr/case_01.nii.gz", "label": "labelsTr/case_01.nii.gz"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file"),
        ("{", "JSONDecodeError"),
        ("[]", "list in place of keys and values"),
        ("3", "int in place"),
        ("[" * 100_000, "RecursionError"),
        ('{"training": ' + "[" * 100_000, "RecursionError"),
        (json.dumps({"training": []}), "no entry under 'training'"),
        (json.dumps({"training": {"image": "x"}}), "dict under 'training'"),
        (json.dumps({"training": [{"image": "x"}]}), "others in 1 of 1 entries, first entry 1: {'image': 'x'}"),
        (json.dumps({"training": [PAIR, 3, None]}), "others in 2 of 3 entries, first entry 2: 3"),
        (json.dumps({"training": [{**PAIR, "label": 7}]}), "others in 1 of 1"),
        (json.dumps({"training": [{**PAIR, "label": ""}]}), "1 that lead nowhere, such as ''"),
        (json.dumps({"training": [{**PAIR, "label": "a\0b.nii"}]}), "1 that lead nowhere, such as 'a\\x00b.nii'"),
        (json.dumps({"training": [{**PAIR, "label": "x" * 5000 + ".nii"}]}), "no such file"),
        (json.dumps({"training": [{**PAIR, "label": "labelsTr/case_01.mha"}]}), "1 that are of no NIfTI file"),
        (json.dumps({"training": [PAIR, PAIR]}), "1 listed more than once, such as 'imagesTr/case_01.nii.gz'"),
        (json.dumps({"training": [PAIR], "test": 3}), "under 'test', found 3"),
        (json.dumps({"training": [PAIR], "test": [["a", "b"]]}), "under 'test', found ['a', 'b']"),
        (json.dumps({"numTraining": 3, "file_ending": ".nii.gz"}), "reader 'folders' with image_ending: _0000"),
    ],
)
def test_a_list_that_is_none_is_a_line(tmp_path: Path, text: str | None, said: str) -> None:
    write_msd(tmp_path, CASES)
    (tmp_path / "dataset.json").unlink()
    if text is not None:
        (tmp_path / "dataset.json").write_text(text, encoding="utf-8")
    found = _said(make_card(), tmp_path)
    assert [line for line in found if said in line], found
    assert all(len(line.splitlines()) == 1 for line in found)


def test_a_list_in_other_words_is_read(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    text = (tmp_path / "dataset.json").read_text(encoding="utf-8")
    (tmp_path / "dataset.json").write_text(text.replace("{", '{"x": NaN, "name": "Höhle", ', 1), encoding="utf-8-sig")
    assert len(cases_of(make_card(), tmp_path)) == 3
    (tmp_path / "dataset.json").write_bytes(text.replace("Tiny", "Höhle").encode("latin-1"))
    assert "UnicodeDecodeError" in _said(make_card(), tmp_path)[0]


def test_a_wrong_number_of_listed_cases_is_told(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    write_list(tmp_path, CASES, numTraining=4, numTest=0, test=[])
    assert "dataset.json: its numTraining is 4, and it lists 3" in _noted(make_card(), tmp_path)
    assert not [note for note in _noted(make_card(), tmp_path) if "numTest" in note]


def test_one_file_of_two_cases_is_named(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    pairs = [PAIR, {**PAIR, "label": "labelsTr/case_02.nii.gz"}, {**PAIR, "image": "imagesTr/case_03.nii.gz"}]
    (tmp_path / "dataset.json").write_text(json.dumps({"training": pairs}), encoding="utf-8")
    said = "\n".join(_said(make_card(), tmp_path))
    assert "imagesTr/case_01.nii.gz: expected a file of one case ('case_01'), found it in another ('case_02')" in said
    assert "imagesTr/case_03.nii.gz: expected each case once, one image of 'case_01'" in said


def test_images_without_a_label_are_used_if_the_card_says_so(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    for name in ("case_11", "case_12"):
        save(tmp_path / f"imagesTs/{name}.nii.gz", image_voxels(5))
    listed = [f"./imagesTs/{n}.nii.gz" for n in ("case_11", "case_12")]
    for test in (listed, [], None):  # where none is listed, what lies there
        write_list(tmp_path, CASES, test=test)
        assert [(c.volume, c.label is None) for c in cases_of(make_card(labels="some"), tmp_path)] == [
            *((n, False) for n in CASES),
            ("case_11", True),
            ("case_12", True),
        ]
        assert [c.volume for c in cases_of(make_card(), tmp_path)] == CASES
        said = "2 volumes without a label are not used ('labels: some' uses them): case_11.nii.gz, case_12.nii.gz"
        assert f"imagesTs: {said}" in _noted(make_card(), tmp_path)
    save(tmp_path / "imagesTs/case_13.nii.gz", image_voxels(6))
    write_list(tmp_path, CASES, test=listed)
    (said,) = _said(make_card(labels="some"), tmp_path)
    assert said.startswith("imagesTs/case_13.nii.gz: expected a file that a case uses")
    assert "imagesTs: one file that no case uses: case_13.nii.gz" in _noted(make_card(), tmp_path)


def test_who_is_shown_by_volumes_that_are_not_used_need_not_be_told(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    save(tmp_path / "imagesTs/other.nii.gz", image_voxels(5))
    write_list(tmp_path, CASES, test=["imagesTs/other.nii.gz", "imagesTs/away.nii.gz"])
    assert _said(make_card(), tmp_path) == []
    assert [line.split(":")[0] for line in _said(make_card(labels="some"), tmp_path)] == ["away", "other"]


# ---------------------------------------------------------------- subjects


TABLE: dict[str, Any] = {"subject": {"table": "subjects.tsv"}}


@pytest.mark.parametrize(
    "content",
    [
        b"volume\tsubject\ncase_01\tanna\ncase_02\tanna\ncase_03\tben\n",
        b"case_01\tanna\ncase_02\tanna\ncase_03\tben",
        b"\xef\xbb\xbfvolume\tsubject\r\ncase_01\tanna\r\ncase_02\tanna \r\n\r\ncase_03\tben\r\n",
        b"subject\tvolume\nanna\tcase_01\nanna\tcase_02\nben\tcase_03\n",
        b"# who is who\nVolume\tSubject\tage\ncase_01.nii.gz\tanna\t3\ncase_02\tanna\ncase_03\tben\t4\n",
        b"VOLUME\tage\tsex\tSUBJECT\ncase_01\t61\tf\tanna\ncase_02\t63\tf\tanna\ncase_03\t61\tm\tben\n",
        b"subject\tsite\tvolume\nanna\t1\tcase_01\nanna\t2\tcase_02\nben\t1\tcase_03\n",
        b"scan\tsubject\ncase_01\tanna\ncase_02\tanna\ncase_03\tben\n",
        b"case_01\tanna\t\ncase_02\tanna\t\t\ncase_03\tben\n",
    ],
)
def test_subjects_come_from_a_table(tmp_path: Path, content: bytes) -> None:
    write_msd(tmp_path, CASES)
    (tmp_path / "subjects.tsv").write_bytes(content)
    assert [c.subject for c in cases_of(make_card(**TABLE), tmp_path)] == ["anna", "anna", "ben"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "expected the table that gives each volume's subject, found no such file"),
        ("volume\tsubject\ncase_01\n", "found the row 'case_01'"),
        ("volume,subject\ncase_01,a\n", "found the row 'volume,subject' (commas, where tabs are needed)"),
        ("case_01\ta\ncase_01\tb\n", "found volume 'case_01' on two rows"),
        ("case_01\ta\ncase_02\t \n", "found the row ['case_02', ''], a cell of which is empty"),
        ("case_01\tJürgen\n".encode("latin-1"), "found text that is not UTF-8 (byte 9)"),
        ("case_01\ta\ncase_02\tb\n", "subjects.tsv: expected a row for volume 'case_03', found none"),
        ("", "expected a row for volume 'case_01'"),
        (
            "volume\tage\ncase_01\t61\ncase_02\t63\n",
            "found the headings 'volume', 'age', where volume and subject are needed",
        ),
        ("case\tage\ncase_01\t61\ncase_02\t63\n", "found the headings 'case', 'age', where volume and subject"),
        ("volume\tage\tperson\ncase_01\t61\ta\n", "found the headings 'volume', 'age', 'person', where volume and subject"),
        (
            "volume\tsubject\tsubject\ncase_01\ta\tb\n",
            "found the headings 'volume', 'subject', 'subject', where volume and subject",
        ),
        (
            "case_01\t61\ta\ncase_02\t63\ta\n",
            "found 3 columns without the headings volume and subject, such as 'case_01', '61', 'a'",
        ),
        ("volume\tage\tsubject\ncase_01\t61\n", "found the row ['case_01', '61'], a cell of which is empty"),
    ],
)
def test_a_broken_table_is_a_clear_problem(tmp_path: Path, content: str | bytes | None, said: str) -> None:
    write_msd(tmp_path, CASES)
    if content is not None:
        (tmp_path / "subjects.tsv").write_bytes(content.encode() if isinstance(content, str) else content)
    problems = _said(make_card(**TABLE), tmp_path)
    assert said in problems[0]
    assert len(problems) == (3 if content == "" else 1)


def test_rows_and_subjects_that_look_wrong_are_told(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES)
    rows = ["case_01\tAnna", "case_02\tanna", "case_03\tben", "case_04\tben", "case_05\tben"]
    (tmp_path / "subjects.tsv").write_text("\n".join(rows), encoding="utf-8")
    notes = _noted(make_card(**TABLE), tmp_path)
    assert "subjects.tsv: 2 rows are of volumes that are not there, such as 'case_04'" in notes
    assert "imagesTr/case_01.nii.gz: 'Anna' and 'anna' are taken for two subjects" in notes


def test_a_name_that_gives_no_subject_is_named(tmp_path: Path) -> None:
    write_msd(tmp_path, [*CASES, "other"])
    with pytest.raises(ReaderError, match="other: expected a name that matches"):
        cases_of(make_card(), tmp_path)


# ---------------------------------------------------------------- two folders


def _folders(**options: Any) -> dict[str, Any]:
    return {"reader": {"kind": "folders", "images": "t1", "labels": "masks", **options}, "subject": {"pattern": "(.+)"}}


def _write_folders(root: Path, names: list[str], *, image: str = "", label: str = "") -> None:
    for i, name in enumerate(names):
        save(root / f"t1/{name}{image}.nii.gz", image_voxels(i))
        save(root / f"masks/{name}{label}.nii.gz", label_voxels())


def test_folders_pair_by_name_whatever_the_ending(tmp_path: Path) -> None:
    save(tmp_path / "t1/case_01.nii", image_voxels(1))
    save(tmp_path / "masks/case_01.nii.gz", label_voxels())
    (tmp_path / "t1/notes.txt").write_text("not a volume", encoding="utf-8")
    (case,) = cases_of(make_card(**_folders()), tmp_path)
    np.testing.assert_array_equal(load_image(make_card().reading, case.image).voxels, image_voxels(1))


def test_endings_in_other_letters_are_read(tmp_path: Path) -> None:
    _write_folders(tmp_path, ["a", "b"])
    (tmp_path / "t1/a.nii.gz").rename(tmp_path / "t1/a.NII.GZ")
    save(tmp_path / "b.nii", label_voxels())
    (tmp_path / "masks/b.nii.gz").unlink()
    (tmp_path / "b.nii").rename(tmp_path / "masks/b.Nii")
    cases = cases_of(make_card(**_folders()), tmp_path)
    assert [(c.volume, c.image.name, c.label.name) for c in cases] == [
        ("a", "a.NII.GZ", "a.nii.gz"),
        ("b", "b.nii.gz", "b.Nii"),
    ]
    for case in cases:
        assert load_image(make_card().reading, case.image).voxels.shape == SHAPE
        assert load_label(make_card().reading, case.label).values.shape == SHAPE


def test_folders_names_the_folder_that_is_missing(tmp_path: Path) -> None:
    save(tmp_path / "t1/case_01.nii", image_voxels(1))
    with pytest.raises(ReaderError, match="masks: expected a folder"):
        cases_of(make_card(**_folders()), tmp_path)


def test_images_without_a_label_are_volumes_without_one(tmp_path: Path) -> None:
    _write_folders(tmp_path, ["a", "b"])
    (tmp_path / "masks/b.nii.gz").unlink()
    cases = scan_of(make_card(**_folders(), labels="some"), tmp_path).cases
    assert [(c.volume, c.label is None) for c in cases] == [("a", False), ("b", True)]
    missing = scan_of(make_card(**_folders()), tmp_path).cases[1].label  # which verification then misses
    assert missing == tmp_path / "masks/b.nii.gz"
    (tmp_path / "t1/a.nii.gz").unlink()
    for labels in ("all", "some"):  # a label without an image is a case whose image is missing
        assert scan_of(make_card(**_folders(), labels=labels), tmp_path).cases[0].image == tmp_path / "t1/a.nii.gz"


@pytest.mark.parametrize(("option", "endings"), [("image_ending", ("_0000", "")), ("label_ending", ("", "_seg"))])
def test_names_with_endings_are_one_line_that_says_how(tmp_path: Path, option: str, endings: tuple[str, str]) -> None:
    _write_folders(tmp_path, ["a", "b", "c"], image=endings[0], label=endings[1])
    ending = "".join(endings)
    (said,) = _said(make_card(**_folders()), tmp_path)
    assert said.endswith(
        f"expected the same names in t1 and masks, found names that end in '{ending}' (the card's reader: {option}: {ending})"
    )
    cases = cases_of(make_card(**_folders(**{option: ending})), tmp_path)
    assert [c.volume for c in cases] == ["a", "b", "c"]
    save(tmp_path / "t1/d_0001.nii.gz", image_voxels(9))
    said = "\n".join(_said(make_card(**_folders(**{option: ending})), tmp_path))
    assert ("d_0001.nii.gz: expected a file that a case uses" in said) == (option == "image_ending")


def test_both_endings_may_lie_in_one_folder(tmp_path: Path) -> None:
    for name in CASES:
        save(tmp_path / f"{name}.nii.gz", image_voxels(1))
        save(tmp_path / f"{name}_seg.nii.gz", label_voxels())
    card = make_card(reader={"kind": "folders", "images": ".", "labels": ".", "label_ending": "_seg"})
    assert [(c.volume, c.label.name) for c in cases_of(card, tmp_path)] == [(n, f"{n}_seg.nii.gz") for n in CASES]


@pytest.mark.parametrize("reader", ["acdc", "mmwhs", "folders", "msd"])
def test_an_empty_folder_is_no_data_set(tmp_path: Path, reader: str) -> None:
    with pytest.raises(ReaderError, match="expected"):
        cases_of(make_card(reader=reader), tmp_path)
    with pytest.raises(ReaderError, match=r"away: expected the data's folder, found no such folder$"):
        cases_of(make_card(reader=reader), tmp_path / "away")


# ---------------------------------------------------------------- names


def _one_case(root: Path, name: str, labels: str | None = None) -> None:
    _write_folders(root, ["plain"])
    save(root / "t1/x.nii.gz", image_voxels(3))
    save(root / "masks/x.nii.gz", label_voxels())
    (root / "t1/x.nii.gz").rename(root / f"t1/{name}.nii.gz")
    (root / "masks/x.nii.gz").rename(root / f"masks/{labels or name}.nii.gz")


@pytest.mark.parametrize(
    "name", ["file", "NA", "with space", "Höhle", "a{b}", "50%", "-rf", "a,b", "a'b\"c", "x" * 190, "001"]
)
def test_any_name_that_can_be_printed_works(tmp_path: Path, name: str) -> None:
    _one_case(tmp_path, name)
    assert {c.volume for c in cases_of(make_card(**_folders()), tmp_path)} == {"plain", name}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a\nb", "found 'a\\nb'"),
        ("a\x1b[31mb", "found 'a\\x1b[31mb'"),
        (" a", "found ' a'"),
        ("a ", "found 'a '"),
        ("x" * 230, "expected a name of at most 200 bytes, as its volume is to have one, found 230"),
        (os.fsdecode(b"a\xff"), "expected a name in UTF-8, as its volume is to have one, found bytes that are not"),
    ],
)
def test_a_name_that_cannot_be_used_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    _one_case(tmp_path, name)
    card = make_card(**{**_folders(), "subject": {"pattern": "(?s)(.)"}})
    problems = _said(card, tmp_path)
    assert said in problems[0]
    assert all(line.isprintable() and line.encode() for line in problems)
    assert [c.volume for c in scan_of(card, tmp_path).cases] == ["plain"]


def test_letters_composed_in_two_ways_are_one_name(tmp_path: Path) -> None:
    one, two = unicodedata.normalize("NFC", "Höhle"), unicodedata.normalize("NFD", "Höhle")
    _one_case(tmp_path, one, two)
    assert [c.volume for c in cases_of(make_card(**_folders()), tmp_path)] == [one, "plain"]
    save(tmp_path / f"t1/{two}.nii.gz", image_voxels(5))
    assert "expected each case once, one image of 'Höhle'" in _said(make_card(**_folders()), tmp_path)[0]


def test_a_listed_name_is_found_however_its_letters_are_composed(tmp_path: Path) -> None:
    one, two = unicodedata.normalize("NFC", "Höhle"), unicodedata.normalize("NFD", "Höhle")
    write_msd(tmp_path, [two])
    write_list(tmp_path, [one])
    assert [c.volume for c in cases_of(make_card(subject={"pattern": "(.+)"}), tmp_path)] == [one]


# ---------------------------------------------------------------- ACDC


ACDC: dict[str, Any] = {"subject": {"pattern": r"^(patient\d{3})_"}, "reader": "acdc"}


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
    note = f"{tmp_path}: 6 files that reader 'acdc' knows and leaves, such as patient001_4d.nii.gz"
    assert _noted(make_card(**ACDC), tmp_path) == [note]  # of each patient: its series, image and label of the other phase


def test_acdc_notices_a_patient_without_its_frames(tmp_path: Path) -> None:
    write_acdc(tmp_path, {"patient001": (1, 12), "patient002": (1, 9), "patient003": (1, 9), "patient004": (1, 9)})
    (tmp_path / "training/patient001/Info.cfg").write_text("ES: 12\n", encoding="utf-8")
    (tmp_path / "training/patient002/Info.cfg").unlink()
    write_acdc(tmp_path / "copy", {"patient003": (1, 9)})
    (tmp_path / "training/patient004/patient004_frame01.nii.gz").rename(
        tmp_path / "training/patient004/patient004_frame02.nii.gz"
    )
    said = "\n".join(_said(make_card(**ACDC), tmp_path))
    assert "a line 'ED: <frame number>'" in said
    assert "patient002: expected Info.cfg" in said
    assert "patient003: expected each patient once" in said
    assert "patient004_frame02.nii.gz: expected a file that a case uses" in said
    assert len(said.splitlines()) == 4


def test_acdc_patients_without_a_label_and_in_a_linked_folder(tmp_path: Path) -> None:
    write_acdc(tmp_path / "disk", {"patient001": (1, 12), "patient002": (1, 9)})
    (tmp_path / "disk/training/patient002/patient002_frame01_gt.nii.gz").unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/all").symlink_to(tmp_path / "disk/training")
    (tmp_path / "data/all/again").symlink_to(tmp_path / "data")  # a circle
    cases = cases_of(make_card(**ACDC, labels="some"), tmp_path / "data")
    assert [(c.volume, c.label is None) for c in cases] == [("patient001_ED", False), ("patient002_ED", True)]


# ---------------------------------------------------------------- MM-WHS


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
    card = mmwhs_card()
    classes, unknown = map_labels(card.preparation, load_label(card.reading, case.label).values)
    assert classes[0, 0].tolist() == [1, 2, 3, 4]
    assert classes[0, 1].tolist() == [5, 6, 7, 0]
    assert (np.count_nonzero(classes), unknown) == (7, [])
    assert "1 files" not in "".join(_noted(card, tmp_path))
    assert f"{tmp_path}: one file that reader 'mmwhs' knows and leaves: ct_train_1001_image.nii.gz" in _noted(card, tmp_path)


def test_mmwhs_has_volumes_without_a_label(tmp_path: Path) -> None:
    for name in ("mr_train_1001_image", "mr_train_1002_image", "mr_test_2001_image"):
        save(tmp_path / f"{name}.nii.gz", image_voxels(1))
    for name in ("mr_train_1001_label", "ct_test_2001_label"):
        save(tmp_path / f"{name}.nii.gz", label_voxels((205,), np.int16))
    rule = {"pattern": r"^mr_(?:train|test)_(\d{4})$"}
    cases = cases_of(mmwhs_card(labels="some", subject=rule), tmp_path)
    assert [(c.volume, c.subject, c.label is None) for c in cases] == [
        ("mr_test_2001", "2001", True),
        ("mr_train_1001", "1001", False),
        ("mr_train_1002", "1002", True),
    ]
    assert [c.volume for c in cases_of(mmwhs_card(), tmp_path)] == ["mr_train_1001", "mr_train_1002"]


def test_mmwhs_names_the_file_that_is_missing_and_the_one_that_is_there_twice(tmp_path: Path) -> None:
    save(tmp_path / "a/mr_train_1001_label.nii.gz", label_voxels((205,), np.int16))
    (case,) = cases_of(mmwhs_card(), tmp_path)
    assert case.image == tmp_path / "a/mr_train_1001_image.nii.gz"
    assert not case.image.exists()
    save(tmp_path / "b/mr_train_1001_label.nii.gz", label_voxels((205,), np.int16))
    with pytest.raises(ReaderError, match=r"b/mr_train_1001_label\.nii\.gz: expected each case once"):
        cases_of(mmwhs_card(), tmp_path)


# ---------------------------------------------------------------- what they import


def test_a_reader_brings_only_the_base_into_a_content_key() -> None:
    for name in ("acdc", "folders", "mmwhs", "msd"):
        found = {m.removeprefix("glocalseg.data.") for m in closure(f"glocalseg.data.readers.{name}") if ".data." in m}
        files = {"files", *(f"files.{one}" for one in ("listing", "names", "table", "unused"))}
        kinds = {"glocalseg.config", "glocalseg.config.kinds"}
        assert found <= {"kinds", "readers", "readers.base", f"readers.{name}", *files, *kinds}


def test_how_data_is_read_comes_into_no_key_of_what_opens_a_store() -> None:
    for name in ("slices.store", "slices.partition", "slices.geometry_torch", "splits.lists"):
        found = {m for m in closure(f"glocalseg.data.{name}") if m.startswith("glocalseg.data.")}
        assert not {m for m in found if m.split(".")[2] not in ("slices", "splits")}, name
    assert "glocalseg.data.slices.partition" not in closure("glocalseg.data.slices.prepare")
    assert not {m for m in closure("glocalseg.data.slices.prepare") if "acquire" in m or m.endswith((".card", ".reading"))}
