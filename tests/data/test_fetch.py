"""Fetching against a real server on the loopback interface that breaks off, ignores ranges, or changes its file."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import types
import zipfile
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from nifti_layouts import cases_of, make_card, write_acdc, write_msd

from glocalseg.data.acquire import download as download_module
from glocalseg.data.acquire.download import download
from glocalseg.data.acquire.fetch import check_source, dataset_root, fetch
from glocalseg.data.acquire.shared import FetchError, Retry
from glocalseg.data.cards.card import Card
from glocalseg.records.sealed import CorruptedError, open_sealed
from loopback import Server

Usage = namedtuple("Usage", "total used free")
QUICK = Retry(attempts=3, pause=0.0)


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    write_msd(tmp_path / "src/Task99_Tiny", ["case_01", "case_02", "case_03"])
    (tmp_path / "src/Task99_Tiny/padding").write_bytes(bytes(range(256)) * 200)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(tmp_path / "src/Task99_Tiny", "Task99_Tiny")
    return buffer.getvalue()


def _card(content: bytes, url: str | None, **changes: Any) -> Card:
    source = {
        "kind": "archive",
        "url": f"{url}/data/tiny.tar" if url else None,
        "file": "tiny.tar",
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "root": "Task99_Tiny",
    }
    return make_card(source={**source, **changes})


def _fetch(card: Card, tmp_path: Path, **options: Any) -> Path:
    raw = tmp_path / "raw"
    fetch(card, raw, incoming=tmp_path / "incoming", retry=QUICK, **options)
    return raw


def _left(raw: Path) -> set[str]:
    return {p.name for p in raw.iterdir() if p.name != ".fetched.json"}  # the record's twin


def test_an_archive_becomes_a_sealed_folder(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    card = _card(archive, server.url)
    raw = _fetch(card, tmp_path)
    assert _left(raw) == {"files", "fetched.json"}
    cases = cases_of(card, dataset_root(card, raw, tmp_path / "incoming"))
    assert [c.volume for c in cases] == ["case_01", "case_02", "case_03"]
    record = open_sealed(raw / "fetched.json")
    assert record["source"]["sha256"] == hashlib.sha256(archive).hexdigest()
    assert record["from"] == f"{server.url}/data/tiny.tar"
    cases[0].image.write_bytes(b"x")
    with pytest.raises(CorruptedError, match="case_01"):
        open_sealed(raw / "fetched.json")


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.break_after = archive, [20_000, 30_000]
    _fetch(_card(archive, server.url), tmp_path)
    assert server.sent_ranges() == [None, "bytes=20000-", "bytes=50000-"]
    assert server.requests[1]["If-Range"] == '"one"'


def test_a_server_without_ranges_is_read_from_the_start(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.break_after, server.ranges = archive, [20_000], False
    raw = _fetch(_card(archive, server.url), tmp_path)
    assert server.sent_ranges() == [None, "bytes=20000-"]
    assert _left(raw) == {"files", "fetched.json"}


def test_a_break_that_the_server_hides_is_caught_by_the_size(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.break_after, server.length = archive, [20_000], False
    open_sealed(_fetch(_card(archive, server.url), tmp_path) / "fetched.json")
    assert server.sent_ranges() == [None, "bytes=20000-"]


def test_a_file_that_changed_between_two_tries_is_read_from_the_start(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    server.content, server.break_after = b"older" + archive[5:], [20_000]

    def swap() -> None:
        if len(server.requests) == 2:
            server.content, server.etag = archive, '"two"'

    server.on_request = swap
    _fetch(_card(archive, server.url), tmp_path)
    assert server.sent_ranges() == [None, "bytes=20000-"]


def test_a_changed_file_without_etag_is_caught_by_its_checksum(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.break_after, server.etag = b"older" + archive[5:], [20_000], None

    def swap() -> None:
        if len(server.requests) == 2:
            server.content = archive

    server.on_request = swap
    card = _card(archive, server.url)
    with pytest.raises(FetchError, match="expected sha256"):
        _fetch(card, tmp_path)
    _fetch(card, tmp_path)  # what was wrong is gone: the next fetch starts anew
    assert server.sent_ranges() == [None, "bytes=20000-", None]


def test_a_leftover_longer_than_the_file_is_dropped(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/resume-tiny.tar").write_bytes(b"x" * (len(archive) + 7))
    _fetch(_card(archive, server.url), tmp_path)
    assert server.sent_ranges() == [f"bytes={len(archive) + 7}-", None]


def test_a_whole_file_that_was_left_is_not_downloaded_again(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/resume-tiny.tar").write_bytes(archive)
    raw = _fetch(_card(archive, server.url, size=None), tmp_path)
    assert server.sent_ranges() == [f"bytes={len(archive)}-"]
    assert _left(raw) == {"files", "fetched.json"}


def test_a_server_that_does_not_say_how_long_the_file_is_is_asked_again(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    server.content, server.said_length = archive, False
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/resume-tiny.tar").write_bytes(archive)
    _fetch(_card(archive, server.url, size=None), tmp_path)
    assert server.sent_ranges() == [f"bytes={len(archive)}-", None]


def test_a_whole_file_of_another_content_is_removed_and_the_next_fetch_starts_anew(
    server: Server, archive: bytes, tmp_path: Path
) -> None:
    server.content = archive
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw/resume-tiny.tar").write_bytes(b"x" * len(archive))
    card = _card(archive, server.url, size=None)
    with pytest.raises(FetchError, match="the file was removed, the next fetch starts anew"):
        _fetch(card, tmp_path)
    assert _left(tmp_path / "raw") == set()
    _fetch(card, tmp_path)
    assert server.sent_ranges() == [f"bytes={len(archive)}-", None]


def test_a_server_that_sends_without_end_is_stopped(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.length = archive * 20, False
    with pytest.raises(FetchError, match=f"expected {len(archive)} bytes, as the card says, found a server that sends more"):
        _fetch(_card(archive, server.url), tmp_path)


def test_passing_failures_are_tried_again(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.statuses = archive, [503, 429]
    _fetch(_card(archive, server.url), tmp_path)
    assert len(server.requests) == 3


def test_it_gives_up_and_says_how_to_go_on(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content, server.break_after, server.statuses = archive, [20_000], []

    def fail_later() -> None:
        if len(server.requests) > 1:
            server.statuses = [503]

    server.on_request = fail_later
    card = _card(archive, server.url)
    with pytest.raises(FetchError, match=r"HTTP 503.*3 times in a row. 20000 bytes are kept"):
        _fetch(card, tmp_path)
    assert _left(tmp_path / "raw") == {"resume-tiny.tar", "resume-tiny.tar.json"}
    server.on_request = None
    server.statuses = []
    raw = _fetch(card, tmp_path)
    assert server.sent_ranges()[-1] == "bytes=20000-"
    assert _left(raw) == {"files", "fetched.json"}


def test_a_refusal_is_not_tried_again(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.statuses = [404]
    with pytest.raises(FetchError, match="expected HTTP 200 or 206, found 404"):
        _fetch(_card(archive, server.url), tmp_path)
    assert len(server.requests) == 1


def test_what_a_server_says_is_one_line_that_ends(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.statuses, server.reason = [404], "\x1b[31m" + "x" * 5000
    with pytest.raises(FetchError) as caught:
        _fetch(_card(archive, server.url), tmp_path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("length", ["\u00b2", "9" * 5000, "-1"])
def test_a_length_that_is_no_number_is_not_believed(server: Server, archive: bytes, tmp_path: Path, length: str) -> None:
    server.content, server.length, server.headers = archive, False, {"Content-Length": length}
    open_sealed(_fetch(_card(archive, server.url), tmp_path) / "fetched.json")


def test_an_address_that_is_none_ends_in_one_line(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"mirror: expected a folder or url, found 'http://\[/[^\n]*$"):
        _fetch(_card(archive, None), tmp_path, mirror="http://[")
    with pytest.raises(FetchError, match=r"mirror: expected a folder or url, found '\\x00'$"):
        _fetch(_card(archive, None), tmp_path, mirror="\0")


@pytest.mark.parametrize("note", ["[" * 100_000, '{"validator": "\u540d"}', '{"validator": "a\\nb"}', "\0"])
def test_a_damaged_note_of_a_download_is_left_out(server: Server, archive: bytes, tmp_path: Path, note: str) -> None:
    server.content = archive
    (tmp_path / "x.tar").write_bytes(archive[:1000])
    (tmp_path / "x.tar.json").write_text(note, encoding="utf-8")
    download(f"{server.url}/x.tar", tmp_path / "x.tar", size=None, retry=QUICK)
    assert (tmp_path / "x.tar").read_bytes() == archive


def test_a_file_of_unknown_size_leaves_room_on_the_disk(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.length = archive, False
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1, 1, 1000))
    with pytest.raises(FetchError, match=r"of free disk space for x\.tar, found 0\.00 GB"):
        download(f"{server.url}/x.tar", tmp_path / "x.tar", size=None, retry=QUICK)


def test_no_server_is_a_clear_error(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9/data/tiny\.tar: expected a download"):
        _fetch(_card(archive, "http://127.0.0.1:9"), tmp_path)


def test_a_wrong_size_on_the_server_is_refused_before_the_transfer(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    card = _card(archive, server.url, size=len(archive) + 1)
    with pytest.raises(FetchError, match=f"expected {len(archive) + 1} bytes.*found a file of {len(archive)}"):
        _fetch(card, tmp_path)
    assert _left(tmp_path / "raw") == set()


def test_a_wrong_checksum_is_named_and_the_file_removed(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    with pytest.raises(FetchError, match=f"expected sha256 {'0' * 64}, found {hashlib.sha256(archive).hexdigest()}"):
        _fetch(_card(archive, server.url, sha256="0" * 64), tmp_path)
    assert _left(tmp_path / "raw") == set()


def test_md5_is_checked_where_the_publisher_gives_only_that(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    good = hashlib.md5(archive).hexdigest()
    with pytest.raises(FetchError, match=f"expected md5 {'0' * 32}, found {good}"):
        _fetch(_card(archive, server.url, sha256=None, md5="0" * 32, size=None), tmp_path)
    with pytest.raises(FetchError, match="expected md5"):
        _fetch(_card(archive, server.url, md5="0" * 32), tmp_path)  # where both are given, both count
    _fetch(_card(archive, server.url, sha256=None, md5=good, size=None), tmp_path)


def test_a_full_disk_is_noticed_before_the_network_is_used(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = archive
    free = 2 * len(archive) + (64 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, free - 1))
    with pytest.raises(FetchError, match=r"raw: expected .* GB of free disk space for tiny\.tar"):
        _fetch(_card(archive, server.url), tmp_path)
    assert server.requests == []
    with pytest.raises(FetchError, match="free disk space"):  # the card gives no size: the server's counts
        _fetch(_card(archive, server.url, size=None), tmp_path)
    assert _left(tmp_path / "raw") == set()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, free))
    _fetch(_card(archive, server.url), tmp_path)


def test_a_disk_that_fills_while_writing_is_not_tried_again(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content = archive
    real = Path.open

    def full(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        opened = real(self, mode, *args, **options)
        if "w" in mode and self.name == "x.tar":

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *_: Any) -> None:
                    opened.close()

                def seek(self, _: int) -> None: ...

                def truncate(self) -> None: ...

                def write(self, _: bytes) -> int:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            return Full()
        return opened

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(FetchError, match="No space left on device"):
        download(f"{server.url}/x.tar", tmp_path / "x.tar", size=None, retry=QUICK)
    assert len(server.requests) == 1


def test_a_mirror_by_url_is_asked_for_the_file_name(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    card = _card(archive, "http://127.0.0.1:9")
    _fetch(card, tmp_path, mirror=f"{server.url}/mirror/")
    assert [r["path"] for r in server.requests] == ["/mirror/tiny.tar"]


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_mirror_folder_is_verified_and_never_copied(
    archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    mirror = tmp_path / "a mirror"
    mirror.mkdir()
    (mirror / "tiny.tar").write_bytes(archive)
    monkeypatch.setattr(download_module.requests, "get", lambda *_, **__: pytest.fail("used the network"))
    address = prefix + (str(mirror).replace(" ", "%20") if prefix else str(mirror))
    with pytest.raises(FetchError, match=r"expected sha256 .* the file was left as it is"):
        _fetch(_card(archive, None, sha256="1" * 64), tmp_path, mirror=address)
    with pytest.raises(FetchError, match=r"expected 5 bytes, found"):
        _fetch(_card(archive, None, size=5), tmp_path, mirror=address)
    raw = _fetch(_card(archive, None), tmp_path, mirror=address)
    assert (mirror / "tiny.tar").read_bytes() == archive
    assert _left(raw) == {"files", "fetched.json"}
    assert not list(raw.rglob("*.tar"))


def test_a_mirror_without_the_archive_is_named(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"nowhere/tiny\.tar: expected the archive of 'tiny' in the mirror"):
        _fetch(_card(archive, None), tmp_path, mirror=str(tmp_path / "nowhere"))


def test_an_archive_without_address_asks_for_a_mirror(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"(?s)mirror: <url or folder>.*1\. Ask the publisher"):
        _fetch(_card(archive, None, steps=["Ask the publisher"]), tmp_path)


def test_a_zip_archive_is_fetched_too(server: Server, archive: bytes, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for path in sorted((tmp_path / "src").rglob("*")):
            z.write(path, path.relative_to(tmp_path / "src"))
    server.content = buffer.getvalue()
    card = _card(server.content, server.url)
    raw = _fetch(card, tmp_path)
    assert len(cases_of(card, dataset_root(card, raw, tmp_path))) == 3


def test_a_missing_root_folder_is_named_and_leaves_nothing_half_done(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    with pytest.raises(FetchError, match=r"expected a folder 'Task98' inside, found Task99_Tiny/$"):
        _fetch(_card(archive, server.url, root="Task98"), tmp_path)
    for root, meant in (("task99_tiny", "Task99_Tiny"), ("imagesTr", "Task99_Tiny/imagesTr")):
        with pytest.raises(FetchError, match=rf"expected a folder '{root}' inside, found Task99_Tiny/ \(root: {meant}\?\)$"):
            _fetch(_card(archive, server.url, root=root), tmp_path)
    assert not (tmp_path / "raw/files").exists()
    assert not (tmp_path / "raw/.files.part").exists()


@pytest.mark.parametrize("root", ["..", "a/../../b", "/etc", "C:\\data"])
def test_a_root_that_leads_out_of_the_archive_is_no_root(archive: bytes, root: str) -> None:
    with pytest.raises(ValueError, match="root must be a folder inside the archive"):
        _card(archive, "http://127.0.0.1:9", root=root)


def test_leftovers_of_a_killed_unpacking_do_no_harm(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.content = archive
    card = _card(archive, server.url)
    (tmp_path / "raw/.files.part/Task99_Tiny").mkdir(parents=True)
    (tmp_path / "raw/.files.part/Task99_Tiny/half").write_text("half", encoding="utf-8")
    raw = _fetch(card, tmp_path)
    assert not (raw / "files/Task99_Tiny/half").exists()
    (raw / "fetched.json").unlink()  # killed after the rename, before the record: nothing is fetched again
    _fetch(card, tmp_path)
    assert len(server.requests) == 1
    open_sealed(raw / "fetched.json")


KILLED = """
import sys
from pathlib import Path
from glocalseg.data.acquire.download import download
download(sys.argv[1], Path(sys.argv[2]), size=int(sys.argv[3]))
"""


def test_a_killed_download_goes_on_where_it_was(
    server: Server, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.content, server.pause = archive * 40, 0.002
    card = _card(server.content, server.url)
    partial = tmp_path / "raw/resume-tiny.tar"
    partial.parent.mkdir()
    arguments = [sys.executable, "-c", KILLED, f"{server.url}/data/tiny.tar", str(partial), str(len(server.content))]
    child = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (partial.is_file() and partial.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    kept = partial.stat().st_size
    assert 0 < kept < len(server.content)
    server.pause = 0.0
    _fetch(card, tmp_path)
    assert server.sent_ranges() == [None, f"bytes={kept}-"]


def test_progress_is_lines_where_there_is_no_terminal(
    server: Server, archive: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content = archive
    _fetch(_card(archive, server.url), tmp_path)
    said = capsys.readouterr().err
    assert "tiny.tar: 0.1 of 0.1 MB (100%)" in said
    assert "\r" not in said


# ---------------------------------------------------------------- other sources


def _registration(**changes: Any) -> Card:
    source = {"kind": "registration", "url": "https://example.org", "steps": ["Sign the form", "Unpack it"]}
    return make_card(source=source, reader="acdc", subject={"pattern": r"^(patient\d{3})_"}, **changes)


def test_registration_says_the_steps_and_the_folder(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    for found in ("nothing", "acdc.zip, not unpacked", "1 other files"):
        with pytest.raises(FetchError) as caught:
            _fetch(_registration(), tmp_path)
        said = str(caught.value)
        assert f"found {found}" in said
        assert "1. Sign the form\n  2. Unpack it" in said
        assert f"Put it into the folder {incoming}" in said
        assert "https://example.org" in said
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir()
        (incoming / ("acdc.zip" if found == "nothing" else "notes.txt")).write_text("x", encoding="utf-8")
    assert not (tmp_path / "raw/fetched.json").exists()


def test_registration_data_is_used_where_it_lies(tmp_path: Path) -> None:
    incoming = tmp_path / "incoming"
    write_acdc(incoming, {"patient001": (1, 12)})
    card = _registration()
    raw = _fetch(card, tmp_path)
    assert dataset_root(card, raw, incoming) == incoming
    assert json.loads((raw / "fetched.json").read_text(encoding="utf-8"))["folder"] == incoming.as_posix()
    assert open_sealed(raw / "fetched.json")["files"] == {}


def test_a_folder_source_must_exist(tmp_path: Path) -> None:
    card = make_card(source={"kind": "folder", "path": str(tmp_path / "mine")})
    with pytest.raises(FetchError, match="mine: expected the folder of data set 'tiny'"):
        _fetch(card, tmp_path)
    (tmp_path / "mine").mkdir()
    raw = _fetch(card, tmp_path)
    assert dataset_root(card, raw, tmp_path) == tmp_path / "mine"


def test_generated_data_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The generator itself has tests of its own: here it is one that fails the first time, halfway."""
    calls: list[tuple[int, int, int]] = []

    def generate(root: Path, subjects: int, *, seed: int, matrix: int) -> None:
        calls.append((subjects, seed, matrix))
        (root / "first").write_text("first", encoding="utf-8")
        if len(calls) == 1:
            raise RuntimeError("halfway")
        write_acdc(root, {"patient001": (1, 12)})

    module = types.ModuleType("glocalseg.data.phantom.generate")
    module.generate = generate  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "glocalseg.data.phantom.generate", module)
    source = {"kind": "generated", "generator": "phantom", "subjects": 4, "seed": 1}
    card = make_card(source=source, reader="acdc", subject={"pattern": r"^(patient\d{3})_"})
    with pytest.raises(RuntimeError, match="halfway"):
        _fetch(card, tmp_path)
    assert _left(tmp_path / "raw") == set()
    raw = _fetch(card, tmp_path)
    assert _left(raw) == {"files", "fetched.json"}
    assert len(cases_of(card, dataset_root(card, raw, tmp_path / "incoming"))) == 1
    assert calls == [(4, 1, 80), (4, 1, 80)]
    assert "files/training/patient001/Info.cfg" in open_sealed(raw / "fetched.json")["files"]


# ---------------------------------------------------------------- whether it could be fetched


def test_any_answer_of_the_server_will_do(server: Server, archive: bytes, tmp_path: Path) -> None:
    server.statuses = [404]
    check_source(_card(archive, server.url), incoming=tmp_path)
    assert len(server.requests) <= 1


def test_a_server_out_of_reach_is_named_with_the_way_out(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"expected an answer from 127\.0\.0\.1:9, found ConnectionError.*--until fetch"):
        check_source(_card(archive, "http://127.0.0.1:9/a.tar"), incoming=tmp_path)


def test_data_that_a_person_brings_is_looked_for(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="A person has to get this data"):
        check_source(_registration(), incoming=tmp_path / "incoming")
    with pytest.raises(FetchError, match="found no such file"):
        check_source(_card(archive, None, file="a.tar"), mirror=str(tmp_path), incoming=tmp_path)
