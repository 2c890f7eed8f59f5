from __future__ import annotations

import io
import shutil
import stat
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

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
