"""Every file that looks like data is used by a case, or named."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import cases_of, image_voxels, label_voxels, make_card, mmwhs_card, save, scan_of, write_acdc, write_msd

from glocalseg.data.files.names import left_out, looks_like_data, nifti_stem
from glocalseg.data.files.unused import look

FOLDERS: dict[str, Any] = {"reader": {"kind": "folders", "images": "t1", "labels": "masks"}, "subject": {"pattern": "(.+)"}}
USED = "expected a file that a case uses (those that none is to use are named by the card's ignore)"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two folders with three cases."""
    for i, name in enumerate("abc"):
        save(tmp_path / f"t1/{name}.nii.gz", image_voxels(i))
        save(tmp_path / f"masks/{name}.nii.gz", label_voxels())
    return tmp_path


def _scan(root: Path, **changes: Any) -> tuple[list[str], list[str]]:
    scan = scan_of(make_card(**{**FOLDERS, **changes}), root)
    assert [c.volume for c in scan.cases][:1] == ["a"]
    return tuple([str(x).replace(f"{root}/", "") for x in found] for found in (scan.problems, scan.notes))  # type: ignore[return-value]


@pytest.mark.parametrize(
    "name",
    [
        "d.mha", "d.mhd", "d.raw", "d.nrrd", "D.NRRD", "d.seg.nrrd", "d.nhdr", "d.hdr", "d.img", "d.IMG", "d.dcm", "d.mgz",
        "d.npy", "d.npz", "d.tif", "d.nii.gz.gz", "d.nii.bz2", "d.nii.zip", "d.nii.xz", "d.nii.gz.part", "d.nii (1).gz",
        "d.nii.bak", "d.nii~", "d.nii.gz.crdownload", "d.tar", "more.zip", "d.h5",
    ],
)  # fmt: skip
def test_a_file_that_is_not_read_is_named_where_cases_lie(root: Path, name: str) -> None:
    (root / "t1" / name).write_bytes(b"anything")
    found = (
        "one that none does by reader 'folders'" if name.endswith(".nii.gz") else "one that is not called .nii.gz or .nii"
    )
    assert _scan(root) == ([f"t1/{name}: {USED}, found {found}"], [])
    for pattern in (name, f"t1/{name}", "t1/d*" if name[0] in "dD" else "t1/m*", "./t1/*.*[!a-c].nothing"):
        problems, notes = _scan(root, ignore=[pattern.replace("t1/d*", f"t1/{name[0]}*")])
        assert (problems == []) == (not pattern.endswith("nothing"))
        assert notes == []


@pytest.mark.parametrize(
    "name", ["README.md", "a.json", "a.nii.gz.md5", "a.nii.gz.sha256", "list.csv", "a.nii.txt", "LICENSE"]
)
def test_what_does_not_look_like_data_is_not_named(root: Path, name: str) -> None:
    (root / "t1" / name).write_text("text", encoding="utf-8")
    assert _scan(root) == ([], [])


def test_a_file_without_an_ending_is_named_if_it_begins_as_a_volume(root: Path) -> None:
    (root / "t1/d").write_bytes(gzip.compress(b"volume"))
    (root / "t1/IM0001").write_bytes(bytes(128) + b"DICM")
    (root / "t1/whole").write_bytes(bytes(344) + b"n+1\0" + bytes(9))
    (root / "t1/notes").write_text("nothing", encoding="utf-8")
    problems, _ = _scan(root)
    assert [line.split(":")[0] for line in problems] == ["t1/IM0001", "t1/d", "t1/whole"]


def test_two_files_of_one_case_are_named_by_every_reader(tmp_path: Path) -> None:
    acdc = make_card(reader="acdc", subject={"pattern": "^(patient001)"})
    for card, folder, name in (
        (make_card(**FOLDERS), "masks", "a"),
        (make_card(), "labelsTr", "case_01"),
        (acdc, "training/patient001", "patient001_frame01_gt"),
        (mmwhs_card(), "sub", "mr_train_1001_label"),
    ):
        root = tmp_path / card.reader.kind
        if card.reader.kind == "msd":
            write_msd(root, ["case_01"])
        elif card.reader.kind == "acdc":
            write_acdc(root, {"patient001": (1, 2)})
        else:
            save(root / folder / f"{name}.nii.gz", label_voxels())
            image = root / "t1/a.nii.gz" if folder == "masks" else root / "sub/mr_train_1001_image.nii.gz"
            save(image, image_voxels(1))
        assert len(cases_of(card, root)) == 1
        save(root / folder / f"{name}.nii", label_voxels((2,)))
        for new in (f"{name}.nii", f"{name}.NII.GZ", f"{name}.Nii"):
            last = root / folder / new
            (problem,) = scan_of(card, root).problems
            assert f"{name}." in problem.file, problem
            if card.reader.kind != "msd":
                assert problem.expected.startswith("each case once, one label of"), problem
            other = next(
                p for p in last.parent.iterdir() if p.name not in (f"{name}.nii.gz",) and p.name.startswith(f"{name}.")
            )
            again = make_card(**{**card.model_dump(), "ignore": [other.name]})
            (case,) = cases_of(again, root)  # which of them is meant the card may say
            assert case.label == root / folder / f"{name}.nii.gz"
            other.rename(
                root / folder / {f"{name}.nii": f"{name}.NII.GZ", f"{name}.NII.GZ": f"{name}.Nii"}.get(other.name, "x.nii")
            )
            if other.name == f"{name}.Nii":
                break


def test_names_that_differ_in_letter_case_alone_are_one_name_on_other_disks(root: Path) -> None:
    save(root / "t1/A.nii.gz", image_voxels(9))
    save(root / "masks/A.nii.gz", label_voxels())
    problems, _ = _scan_any(root)
    assert problems == [
        f"{folder}/a.nii.gz: expected each case once, one {what} of 'A' (also {root}/{folder}/A.nii.gz), "
        "found a name that differs in letter case alone"
        for folder, what in (("t1", "image"), ("masks", "label"))
    ]


def _scan_any(root: Path, **changes: Any) -> tuple[list[str], list[str]]:
    scan = scan_of(make_card(**{**FOLDERS, **changes}), root)
    return tuple([str(x).removeprefix(f"{root}/") for x in found] for found in (scan.problems, scan.notes))  # type: ignore[return-value]


def test_links_to_nothing_and_folders_called_like_files_are_lines(root: Path) -> None:
    (root / "t1/d.nii.gz").symlink_to(root / "gone.nii.gz")
    save(root / "masks/d.nii.gz/d.nii", label_voxels())
    problems, notes = _scan(root)
    assert problems == [
        "masks/d.nii.gz: expected a file, by its name (card: ignore), found a folder",
        "t1/d.nii.gz: expected a file, by its name (card: ignore), found a link to nothing (gone.nii.gz)",
    ]
    assert notes == ["masks/d.nii.gz: one file that no case uses: d.nii"]


def test_files_elsewhere_are_a_note_a_folder(root: Path) -> None:
    for i in range(3):
        save(root / f"other/imagesTs/{i}.nii.gz", image_voxels(i))
    save(root / "whole.nii.gz", image_voxels(4))
    (root / "data.zip").write_bytes(b"PK")
    assert _scan(root) == (
        [],
        [
            f"{root}: 2 files that no case uses, such as data.zip",
            "other/imagesTs: 3 files that no case uses, such as 0.nii.gz",
        ],
    )
    assert _scan(root, ignore=["other", "*.zip", "whole.*"]) == ([], [])
    for i in range(20):
        save(root / f"patient{i:02d}/t2.nii.gz", image_voxels(i))
    _, notes = _scan(root)
    assert len(notes) == 11
    assert notes[-1] == f"{root}: 12 files that no case uses, in 12 more folders, such as t2.nii.gz"


def test_many_files_of_one_folder_do_not_fill_the_screen(root: Path) -> None:
    for i in range(30):
        (root / f"t1/{i:02d}.dcm").write_bytes(b"x")
    problems, _ = _scan(root)
    assert len(problems) == 21
    assert problems[-1] == "t1: expected files that cases use, beside those 20, found 10 more that none does"


def test_shadows_are_one_note(root: Path) -> None:
    for name in (
        "t1/._a.nii.gz",
        "t1/.b.nii",
        "masks/._a.nii.gz",
        "__MACOSX/t1/._a.nii.gz",
        "t1/.DS_Store",
        ".git/objects/x.gz",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"shadow")
    shadows = f"{root}: 3 files that are hidden are not used, such as ._a.nii.gz"
    assert _scan(root) == ([], ["__MACOSX: what macOS adds to archives, 1 file, of which nothing is used", shadows])


def test_what_macos_adds_is_one_note_with_its_files(root: Path) -> None:
    for name in ("._readme", "t1/._a.nii.gz", "t1/._b.nii.gz", "t1/d.nii.gz"):
        (root / "__MACOSX" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "__MACOSX" / name).write_bytes(b"resources")
    text = "__MACOSX: what macOS adds to archives, 4 files, of which nothing is used"
    assert _scan(root) == ([], [f"{text}; one file looks like data all the same: d.nii.gz"])
    assert _scan(root, ignore=["__MACOSX"]) == ([], [])


def test_a_linked_folder_is_the_folder(root: Path) -> None:
    (root / "again").symlink_to(root / "t1")
    (root / "circle").symlink_to(root)
    assert _scan(root) == ([], [])
    (root / "t1/d.mha").write_bytes(b"x")
    problems, notes = _scan(root)
    assert (len(problems), notes) == (1, [])


def test_a_tree_has_every_file_once_in_order(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a/3", "c", "b.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a/up").symlink_to(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in look(tmp_path).files] == ["b.txt", "c", "a/3", "b/1", "b/2"]


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("*.mha", ["x/a.mha", "a.mha"]),
        ("x", ["x/a.mha", "x/y/b.nii"]),
        ("x/", ["x/a.mha", "x/y/b.nii"]),
        ("./x/*.mha", ["x/a.mha"]),
        ("b.nii", ["x/y/b.nii"]),
        ("x/y", ["x/y/b.nii"]),
        ("y", []),
        ("*", ["x/a.mha", "a.mha", "x/y/b.nii"]),
        ("?.m[hx]a", ["x/a.mha", "a.mha"]),
        ("[", []),
    ],
)
def test_patterns_are_of_names_or_of_paths(tmp_path: Path, pattern: str, matched: list[str]) -> None:
    ignored = left_out(tmp_path, [pattern])
    assert [n for n in ("x/a.mha", "a.mha", "x/y/b.nii") if ignored(tmp_path / n)] == matched


def test_stems_and_names() -> None:
    named = {
        "a.nii.gz": "a",
        "A.NII": "A",
        "a.b.Nii.Gz": "a.b",
        ".a.nii": None,
        ".nii.gz": None,
        "a.gz": None,
        "a.nii.txt": None,
    }
    assert {name: nifti_stem(Path(name)) for name in named} == named
    assert not looks_like_data("a.imgs")
    assert looks_like_data("x.Nii.gz_old")


NAMES = """
import sys
from pathlib import Path
from glocalseg.data.files.names import left_out, nifti_stem
folder = Path(sys.argv[1])
(path,) = folder.iterdir()
print(ascii([nifti_stem(path), nifti_stem(Path("plain.nii")), left_out(folder, ["H\\u00f6h*"])(path)]))
"""


@pytest.mark.parametrize("utf8", ["0", "1"])
def test_names_are_utf8_whatever_the_locale(tmp_path: Path, utf8: str) -> None:
    (tmp_path / "Höhle.nii.gz").write_bytes(b"")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONCOERCECLOCALE": "0"}
    call = [sys.executable, "-c", NAMES, str(tmp_path)]
    done = subprocess.run(call, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == ascii(["Höhle", "plain", True])
