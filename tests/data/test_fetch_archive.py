"""Archives that are not trusted: each is unpacked as it is meant, or ends in one line with nothing written outside."""

from __future__ import annotations

import gzip
import io
import random
import re
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from glocalseg.data.acquire.shared import FetchError
from glocalseg.data.acquire.unpack import unpack

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def _tar(path: Path, *extra: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in ("set/a.txt", "set/deep/b.txt"):
            info = _member(name)
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name.encode()))
        for info in extra:
            tar.addfile(info)
    return path


def _files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text(encoding="utf-8") for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_archives_are_unpacked(tmp_path: Path, target: Path, mode: str) -> None:
    unpack(_tar(tmp_path / "x", mode=mode), target)
    assert _files(target) == {"set/a.txt": "set/a.txt", "set/deep/b.txt": "set/deep/b.txt"}


def test_zip_archives_are_unpacked(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.mkdir("set")
        z.writestr("set/a.txt", "text" * 1000)
    unpack(tmp_path / "x.zip", target)
    assert _files(target) == {"set/a.txt": "text" * 1000}


def test_modes_of_the_archive_are_not_taken_over(tmp_path: Path, target: Path) -> None:
    info = _member("set/tool")
    info.mode = 0o6755
    unpack(_tar(tmp_path / "x.tar", info), target)
    assert not (target / "set/tool").stat().st_mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (_member("../out.txt"), "lead out of"),
        (_member("set/../../out.txt"), "lead out of"),
        (_member("..\\out.txt"), "lead out of"),
        (_member("/etc/out.txt"), "an absolute path"),
        (_member("C:\\out.txt"), "an absolute path"),
        (_member("set/link", tarfile.SYMTYPE, "/etc/passwd"), "a link to '/etc/passwd'"),
        (_member("set/link", tarfile.SYMTYPE, "a.txt"), "a link to 'a.txt'"),
        (_member("set/link", tarfile.LNKTYPE, "set/a.txt"), "a link to 'set/a.txt'"),
        (_member("set/dev", tarfile.CHRTYPE), "a device"),
        (_member("set/dev", tarfile.BLKTYPE), "a device"),
        (_member("set/dev", tarfile.FIFOTYPE), "a device"),
    ],
)
def test_dangerous_tar_members_are_refused_before_anything_is_written(
    tmp_path: Path, target: Path, info: tarfile.TarInfo, said: str
) -> None:
    with pytest.raises(FetchError) as caught:
        unpack(_tar(tmp_path / "x.tar", info), target)
    assert f"member {info.name!r}" in str(caught.value)
    assert said in str(caught.value)
    assert list(target.iterdir()) == []
    assert {p.name for p in tmp_path.iterdir()} == {"x.tar", "target"}


@pytest.mark.parametrize(
    ("name", "mode", "said"),
    [
        ("../out.txt", stat.S_IFREG, "lead out of"),
        ("/out.txt", stat.S_IFREG, "an absolute path"),
        ("set/link", stat.S_IFLNK, "a link"),
        ("set/dev", stat.S_IFCHR, "a device"),
    ],
)
def test_dangerous_zip_members_are_refused(tmp_path: Path, target: Path, name: str, mode: int, said: str) -> None:
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o644) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("good.txt", "good")
        z.writestr(info, "target")
    with pytest.raises(FetchError, match=said):
        unpack(tmp_path / "x.zip", target)
    assert list(target.iterdir()) == []


def test_an_encrypted_member_is_refused(tmp_path: Path, target: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("a.txt", "text")
    raw = bytearray((tmp_path / "x.zip").read_bytes())
    raw[raw.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.zip").write_bytes(bytes(raw))
    with pytest.raises(FetchError, match="an encrypted file"):
        unpack(tmp_path / "x.zip", target)


def test_broken_archives_are_named(tmp_path: Path, target: Path) -> None:
    whole = _tar(tmp_path / "x.tgz", mode="w:gz").read_bytes()
    (tmp_path / "cut.tgz").write_bytes(whole[:-30])
    (tmp_path / "page.tar").write_text("<html>not found</html>", encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as z:
        z.writestr("a.txt", "text that is stored")
    raw = (tmp_path / "x.zip").read_bytes().replace(b"stored", b"changed"[:6])
    (tmp_path / "bad.zip").write_bytes(raw)
    for name, said in (("cut.tgz", "read to its end"), ("page.tar", "a tar or zip"), ("bad.zip", "CRC")):
        with pytest.raises(FetchError, match=said) as caught:
            unpack(tmp_path / name, target)
        assert name in str(caught.value)


def test_contents_that_do_not_fit_the_disk_are_not_begun(
    tmp_path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _tar(tmp_path / "x.tar")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 10**9, 1000))
    with pytest.raises(FetchError, match="free disk space"):
        unpack(archive, target)
    assert list(target.iterdir()) == []


# ---------------------------------------------------------------- formats


def _bytes_of_tar(members: list[tuple[str, bytes]], **options: Any) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, **{"mode": "w", "format": tarfile.PAX_FORMAT, **options}) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def _bytes_of_zip(members: list[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members:
            z.writestr(name, content)
    return buffer.getvalue()


def _unpack(content: bytes, target: Path) -> dict[str, str]:
    archive = target.parent / "archive"
    archive.write_bytes(content)
    unpack(archive, target)
    return _files(target)


def _refusal(content: bytes, target: Path) -> str:
    with pytest.raises(FetchError) as caught:
        _unpack(content, target)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    assert said.startswith(f"{target.parent / 'archive'}: ")
    return said


def test_a_tar_that_ends_in_a_zip_file_is_a_tar(target: Path) -> None:
    inner = _bytes_of_zip([("[Content_Types].xml", b"<x/>")])
    content = _bytes_of_tar([("set/a.txt", b"a"), ("set/patients.xlsx", inner)])
    archive = target.parent / "archive"
    archive.write_bytes(content)
    unpack(archive, target)
    assert (target / "set/a.txt").read_bytes() == b"a"
    assert (target / "set/patients.xlsx").read_bytes() == inner


def test_a_zip_that_begins_with_a_program_is_a_zip(target: Path) -> None:
    assert _unpack(b"#!/bin/sh\n" + _bytes_of_zip([("a", b"1")]), target) == {"a": "1"}


def test_a_zip_with_backslashes_has_folders(target: Path) -> None:
    assert _unpack(_bytes_of_zip([("set\\a\\", b""), ("set\\b.txt", b"1")]), target) == {"set/b.txt": "1"}
    assert (target / "set/a").is_dir()


def test_what_macos_adds_is_left_out(target: Path) -> None:
    members = [("__MACOSX/set/._a", b"x"), ("set/._a", b"x"), ("set/a", b"1"), ("set/._A", b"y"), ("._set", b"z")]
    assert _unpack(_bytes_of_tar(members), target) == {"set/a": "1"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"\x28\xb5\x2f\xfd" + bytes(99), "a zstd file"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "a 7z archive"),
        (b"Rar!\x1a\x07" + bytes(99), "a rar archive"),
        (b"\n<!DOCTYPE html>", "a page of HTML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a pointer of git LFS"),
        (gzip.compress(b"text"), "a gzip file of something else"),
        (_bytes_of_zip([("a", b"1")])[:-20], "a zip archive without its end"),
        (bytes(10240), "expected files in the archive, found none"),
        (_bytes_of_zip([]), "expected files in the archive, found none"),
    ],
    ids=["empty", "zstd", "7z", "rar", "html", "lfs", "gzip", "zip without end", "tar of nothing", "zip of nothing"],
)
def test_what_is_no_archive_is_called_what_it_is(target: Path, content: bytes, said: str) -> None:
    assert said in _refusal(content, target)


# ---------------------------------------------------------------- damaged, and hostile


SPARSE = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x"}
FIVE = [(f"set/{i}", bytes([i]) * 600) for i in range(5)]  # three blocks each in a tar: a header and two of content


def _header(**fields: Any) -> bytes:
    info = tarfile.TarInfo("set/x")
    for name, value in fields.items():
        setattr(info, name, value)
    return info.tobuf(format=tarfile.PAX_FORMAT)


def test_a_tar_does_not_end_at_a_damaged_header(target: Path) -> None:
    """Which tar readers take for its end: the rest would be missing without a word."""
    whole = _bytes_of_tar(FIVE)
    damaged = bytearray(whole)
    damaged[2 * 1536 + 3] ^= 0xFF
    assert "a damaged header (bad checksum)" in _refusal(bytes(damaged), target)
    for end in (2 * 1536 + 100, 2 * 1536 + 700):
        assert "read to its end" in _refusal(whole[:end], target)
        assert "read to its end" in _refusal(gzip.compress(whole[:end]), target)


def test_a_tar_that_ends_between_two_members_is_cut_off(target: Path) -> None:
    whole = _bytes_of_tar(FIVE)
    assert "an end of the file before that of the archive" in _refusal(whole[: 2 * 1536], target)
    zeros = bytearray(whole)
    zeros[2 * 1536 : 2 * 1536 + 512] = bytes(512)  # over a header: one block of zeros is no end
    assert "expected 1024 zeros after the archive's last file" in _refusal(bytes(zeros), target)


def test_the_checksum_of_a_gzip_file_is_looked_at(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes behind the archive's end, where readers of tar files stop."""
    packed = bytearray(gzip.compress(_bytes_of_tar(FIVE)))
    packed[-8] ^= 1
    assert "CRC check failed" in _refusal(bytes(packed), target)
    shutil.rmtree(target)
    target.mkdir()
    monkeypatch.setattr("glocalseg.data.acquire.unpack.GIGABYTE", 1 << 20)
    assert "found 0.0 GB more" in _refusal(gzip.compress(_bytes_of_tar(FIVE) + bytes(1 << 21)), target)


def test_a_name_in_an_error_is_short(target: Path) -> None:
    assert len(_refusal(_bytes_of_tar([("x" * 5000, b"1")]), target)) < 500


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (gzip.compress(_header(type=tarfile.XHDTYPE, size=3 << 30) + bytes(1 << 20)), "a gzip file of something else"),
        (gzip.compress(_bytes_of_tar(FIVE)[:7680] + _header(type=tarfile.XHDTYPE, size=3 << 30)), "of 3221225472 bytes"),
        (gzip.compress(_header(size=50 << 30) + bytes(1 << 20)), "found more than 1.1 GB of them"),
        (_bytes_of_zip([(str(i), bytes(1 << 27)) for i in range(9)]), "found more than 1.1 GB of them"),
        (_header(pax_headers={"size": "-5"}) + bytes(1024), "found -5 bytes"),
        (_header(pax_headers={"path": "a\0b"}) + bytes(1024), "a name that no file can have"),
        (_header(size=512, pax_headers=SPARSE) + b"x" * 512, "read to its end"),
        (_bytes_of_tar([("caf\udce9", b"1")], format=tarfile.GNU_FORMAT), "a name that is not UTF-8"),
        (_bytes_of_tar([(".", b"1")]), "a name that no file can have"),
        (_bytes_of_tar([("x" * 300, b"1")]), "a name of more than 255 bytes"),
        (_bytes_of_tar([("a/" * 50 + "b", b"1")]), "more than 40 folders in each other"),
        (_bytes_of_tar([("set/a", b"1"), ("./set/a", b"2")]), "member './set/a': expected a path of its own"),
        (_bytes_of_tar([("set/a", b"1"), ("Set/A", b"2")]), "found that of 'set/a'"),
        (_bytes_of_tar([("H\u00f6he", b"1"), ("Ho\u0308he", b"2")]), "found that of 'H\u00f6he'"),
        (_bytes_of_zip([("a", b"1"), ("a/b", b"2")]), "member 'a/b': expected a path of its own"),
        (_bytes_of_zip([("a/b", b"1"), ("a", b"2")]), "member 'a': expected a path of its own"),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_one_line(target: Path, content: bytes, said: str) -> None:
    assert said in _refusal(content, target)
    assert list(target.iterdir()) == []


@pytest.mark.parametrize(("size", "said"), [(1000, "Bad CRC-32"), (200_000, "expected 200000 bytes.*found 100000")])
def test_a_member_that_is_not_as_large_as_it_says_is_stopped(target: Path, size: int, said: str) -> None:
    raw = bytearray(_bytes_of_zip([("a", bytes(100_000))]))
    at = raw.index(b"PK\x01\x02") + 24
    raw[at : at + 4] = size.to_bytes(4, "little")
    assert re.search(said, _refusal(bytes(raw), target))


def test_too_many_members_are_refused(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glocalseg.data.acquire.unpack.MEMBERS", 4)
    assert "found more than 4" in _refusal(_bytes_of_tar(FIVE), target)
    assert len(_unpack(_bytes_of_tar(FIVE[:4]), target)) == 4


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
def test_flipped_bytes_end_in_a_line_or_in_files(tmp_path: Path, mode: str) -> None:
    numbers = random.Random(mode)
    members = [(f"set/{i}", numbers.randbytes(300) + bytes(300)) for i in range(5)]
    whole = _bytes_of_zip(members) if mode == "zip" else _bytes_of_tar(members, mode=mode)
    said = []
    for k in range(60):
        raw = bytearray(whole)
        for _ in range(numbers.choice([1, 2, 20])):
            raw[numbers.randrange(len(raw))] ^= 1 << numbers.randrange(8)
        del raw[numbers.randrange(len(raw)) if k % 5 == 0 else len(raw) :]
        (tmp_path / "archive").write_bytes(raw)
        target = tmp_path / f"{k}"
        target.mkdir()
        try:
            unpack(tmp_path / "archive", target)
        except FetchError as error:
            said.append(str(error))
    assert len(said) > 10
    assert all(len(line.splitlines()) == 1 for line in said)
