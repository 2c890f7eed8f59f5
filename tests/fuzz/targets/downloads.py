"""Downloads from a server that cuts, lies and sends other things, and mirrors: refused, or the files of the card's archive.

The server on the loopback interface writes its answers itself, because no library writes what a broken one does.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import socket
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from corruptions import Rng, corrupted, pick, spoiled_json
from worker import WrongError

from glocalseg.data.acquire import download
from glocalseg.data.acquire.fetch import check_source, dataset_root, fetch
from glocalseg.data.acquire.shared import FetchError, Retry
from glocalseg.data.cards.card import Card
from glocalseg.records.sealed import open_sealed
from targets.nifti import card

Files = dict[str, bytes]
Headers = list[tuple[str, str]]
NAME = "set.tar"
ATTEMPTS = 6
STALL = 0.3  # seconds without a byte after which a download is given up, a minute otherwise
# what a patient download gets over: nothing that another try may not mend
PASSING = ("sound", "cut", "reset", "stall", "503", "429", "no length", "no range", "bad chunk")
LASTING = (  # or may: half of a header can say another size
    "cut in the header",
    "garbage",
    "404",
    "403",
    "500 for ever",
    "other bytes",
    "longer",
    "shorter",
    "short and lies",
    "long and lies",
    "odd length",
    "odd range",
    "another start",
    "gzip",
    "says gzip",
    "redirect",
    "loop",
    "odd redirect",
    "odd reason",
    "many headers",
    "long header",
    "odd header",
    "page",
    "nothing",
    "416",
    "206 for all",
    "100s",
    "204",
    "another ETag",
    "endless",
)
REDIRECTS = (
    "/elsewhere",
    "http://[",
    "http://",
    "file:///etc/passwd",
    "ftp://127.0.0.1/x",
    "//",
    "?",
    "",
    "http://127.0.0.1:1/x",
    "\xff\xfe",
    "http://127.0.0.1:99999/x",
    "http://.x.invalid./",
    "javascript:1",
    "/" + "x" * 20_000,
    "http://user:pass@127.0.0.1:1/x",
    "http:///x",
)
MIRRORS = (
    "http://[",
    "http://",
    "http://127.0.0.1:1",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:x",
    "ftp://127.0.0.1/x",
    "file://",
    "file:///",
    "file:///nowhere",
    "",
    " ",
    "/nowhere",
    "\0",
    "nowhere\nelse",
    "x" * 5000,
    "~",
    "http://\u540d.invalid",
    "HTTP://127.0.0.1:1",
    "https://127.0.0.1:1",
    "http://127.0.0.1:1/%zz",
    "//server/share",
    "C:\\data",
)
LENGTHS = ("-1", "0", "1", "abc", "1e9", "999999999999999999999999", "\u00b2", "", "12, 12", "0x10", " 5")
RANGES = (
    "bytes",
    "bytes 0-1",
    "bytes 5-1/10",
    "bytes */*",
    "bytes a-b/c",
    "",
    "items 0-1/2",
    "bytes -1-5/10",
    "bytes 0-9/" + "9" * 30,
)


@dataclass
class Server:
    """What is served at present: ``faults`` one answer after the other, the last of them again and again."""

    content: bytes
    port: int = 0
    faults: Sequence[str] = ()
    rng: Rng = field(default_factory=lambda: np.random.default_rng(0))
    answered: int = 0


@dataclass(frozen=True)
class Base:
    """The server, the archive and its files."""

    server: Server
    archive: bytes
    files: Files


@dataclass
class Answer:
    """One answer; it is cut after so many bytes, if any, and then the connection is closed, reset or left open."""

    body: bytes
    status: str = "200 OK"
    headers: Headers = field(default_factory=list)
    cut: int | None = None
    end: str = "close"
    repeat: int = 1  # how often the body is sent

    def set(self, name: str, value: str | None) -> None:
        self.headers = [(n, v) for n, v in self.headers if n != name] + ([(name, value)] if value is not None else [])


def prepare(folder: Path) -> Base:
    rng = np.random.default_rng(0)
    files = {name: rng.bytes(size) for name, size in (("set/a.bin", 90_000), ("set/deep/b.bin", 5000), ("set/c.txt", 0))}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    download.TIMEOUT = (2.0, STALL)
    server = Server(out.getvalue())
    listening = socket.create_server(("127.0.0.1", 0), backlog=50)
    server.port = listening.getsockname()[1]
    threading.Thread(target=_serve, args=(listening, server), daemon=True).start()
    return Base(server, out.getvalue(), files)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    url = f"http://127.0.0.1:{base.server.port}/{NAME}"
    source: dict[str, Any] = {"kind": "archive", "url": url}
    source["sha256"] = hashlib.sha256(base.archive).hexdigest()
    if rng.random() < 0.3:
        del source["sha256"]
        source["md5"] = hashlib.md5(base.archive).hexdigest()
    if rng.random() < 0.6:
        source["size"] = len(base.archive)
    used = card(source=source)
    if rng.random() < 0.25:
        return _mirrored(rng, base, folder, used)
    faults = [pick(rng, PASSING) for _ in range(int(rng.integers(3)))]
    faults += [pick(rng, LASTING)] if rng.random() < 0.7 else []
    faults += ["sound"] if rng.random() < 0.6 else []
    if faults and faults[-1] == "endless" and "size" not in source:
        faults.append("sound")  # otherwise it ends when the disk is full
    left = _left_behind(rng, base, folder) if rng.random() < 0.3 else ""
    certain = not left and all(fault in PASSING for fault in faults) and (not faults or faults[-1] == "sound")
    drawn = int(rng.integers(2**32))

    def check() -> str:
        base.server.faults, base.server.answered, base.server.rng = faults, 0, np.random.default_rng(drawn)
        try:
            return _fetched(base, folder, used, None)
        except FetchError as error:
            if certain:
                raise WrongError(f"given up, though nothing lasts: {error}") from None
            raise

    return f"{', '.join(faults) or 'sound'}{left and f', {left}'}", check


def _fetched(base: Base, folder: Path, used: Card, mirror: str | None) -> str:
    raw = folder / "raw"
    incoming = folder / "incoming"
    check_source(used, mirror=mirror, incoming=incoming, timeout=STALL)
    fetch(used, raw, mirror=mirror, incoming=incoming, retry=Retry(ATTEMPTS, 0.0))
    root = dataset_root(used, raw, incoming)
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    if found != base.files:
        raise WrongError(f"expected {sorted(base.files)}, found {sorted(found)}")
    sealed = open_sealed(raw / "fetched.json")["files"]
    if len(sealed) != len(found) or (left := [p.name for p in raw.iterdir() if "resume" in p.name]):
        raise WrongError(f"a record of {sorted(sealed)}, left behind: {left}")
    return "the archive's files"


def _left_behind(rng: Rng, base: Base, folder: Path) -> str:
    """What an earlier call left: the beginning of the file or something else, and a note of what it is the beginning of."""
    raw = folder / "raw"
    raw.mkdir()
    what, data = pick(
        rng, (("a beginning", base.archive[:30_000]), ("all of it", base.archive), corrupted(rng, base.archive))
    )
    (raw / f"resume-{NAME}").write_bytes(data)
    note, state = spoiled_json(rng, {"validator": '"one"'})
    if rng.random() < 0.7:
        (raw / f"resume-{NAME}.json").write_bytes(state)
    return f"left behind: {what}, {note}"


def _mirrored(rng: Rng, base: Base, folder: Path, used: Card) -> tuple[str, Callable[[], str]]:
    """A folder or an address in place of the card's own."""
    place = folder / pick(rng, ("mirror", "a mirror", "m%20x", "\u540d"))
    place.mkdir()
    mirror, what, data = str(place), "sound", base.archive
    how = pick(rng, ("sound", "damaged", "damaged", "gone", "folder", "odd", "odd"))
    if how == "damaged":
        what, data = corrupted(rng, data)
    if how == "folder":
        (place / NAME).mkdir()
    elif how != "gone":
        (place / NAME).write_bytes(data)
    if how == "odd":
        mirror = what = pick(rng, MIRRORS)
    elif rng.random() < 0.3:
        mirror = place.as_uri()
    return f"mirror: {how}: {what[:40]!r}", lambda: _fetched(base, folder, used, mirror)


# ---------------------------------------------------------------- the server


def _serve(listening: socket.socket, server: Server) -> None:
    while True:
        connection, _ = listening.accept()
        threading.Thread(target=_connected, args=(connection, server), daemon=True).start()


def _connected(connection: socket.socket, server: Server) -> None:
    try:
        with connection:
            asked = b""
            while b"\r\n\r\n" not in asked and (piece := connection.recv(1 << 16)):
                asked += piece
            lines = asked.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            if lines[0].startswith("HEAD"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                return
            fault = server.faults[min(server.answered, len(server.faults) - 1)] if server.faults else "sound"
            server.answered += 1
            _send(connection, _spoilt(server, fault, _sound(server, headers)))
    except OSError:  # the other side had enough
        return


def _sound(server: Server, asked: dict[str, str]) -> Answer:
    """What a good server answers."""
    whole = len(server.content)
    start = 0
    if "range" in asked and asked.get("if-range", '"one"') == '"one"':
        start = int(asked["range"].removeprefix("bytes=").removesuffix("-"))
    if start >= whole:
        return Answer(b"", "416 Range Not Satisfiable", [("Content-Range", f"bytes */{whole}"), ("Content-Length", "0")])
    answer = Answer(server.content[start:], headers=[("ETag", '"one"'), ("Content-Length", str(whole - start))])
    if start:
        answer.status = "206 Partial Content"
        answer.set("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
    return answer


def _spoilt(server: Server, fault: str, answer: Answer) -> Answer:
    rng, whole = server.rng, len(server.content)
    size = len(answer.body)
    match fault:
        case "cut":
            answer.cut = int(rng.integers(1, size + 1)) if size else None
        case "cut in the header":
            answer.cut = -int(rng.integers(1, 60))
        case "reset" | "stall":
            answer.cut, answer.end = int(rng.integers(size + 1)), fault
        case "503" | "429" | "404" | "403" | "204":
            answer = Answer(b"no", f"{fault} No", [("Content-Length", "2")])
        case "500 for ever":
            answer = Answer(b"no", "500 No", [("Content-Length", "2")])
            server.faults = [fault]
        case "no length":
            answer.set("Content-Length", None)
        case "no range":
            answer = Answer(server.content, headers=[("Content-Length", str(whole))])
        case "garbage":
            answer = Answer(b"", pick(rng, ("", "abc", "-1 x", "99999 x", "200", "\0 OK", "2\u00b20 OK")))
        case "bad chunk":
            answer.body = pick(rng, (b"zz\r\nabc", b"5\r\nab", b"-1\r\n", b"ffffffffff\r\nabc", b"", b"5\r\nabcde"))
            answer.set("Content-Length", None)
            answer.set("Transfer-Encoding", "chunked")
        case "other bytes" | "longer" | "shorter" | "page" | "nothing":
            answer = Answer(_others(rng, server.content, fault))
            answer.set("Content-Length", str(len(answer.body)))
        case "short and lies" | "long and lies":
            answer.body = answer.body[: size // 2] if fault.startswith("short") else answer.body + bytes(5000)
        case "odd length":
            answer.set("Content-Length", pick(rng, LENGTHS))
        case "odd range":
            answer.status = "206 Partial Content"
            answer.set("Content-Range", pick(rng, RANGES))
        case "another start":
            start = int(rng.integers(1, whole))
            answer = Answer(server.content[start:], "206 Partial Content")
            answer.headers = [("Content-Range", f"bytes {start}-{whole - 1}/{whole}")]
        case "206 for all":
            answer = Answer(server.content, "206 Partial Content", [("Content-Range", f"bytes 0-{whole - 1}/{whole}")])
        case "gzip" | "says gzip":
            answer.body = gzip.compress(answer.body, 1) if fault == "gzip" else answer.body
            answer.headers = [("Content-Encoding", "gzip"), ("Content-Length", str(len(answer.body)))]
        case "redirect":
            answer = Answer(b"", "302 Found", [("Location", "/elsewhere"), ("Content-Length", "0")])
        case "loop":
            answer = Answer(b"", "302 Found", [("Location", f"/{NAME}"), ("Content-Length", "0")])
            server.faults = [fault]
        case "odd redirect":
            answer = Answer(b"", "302 Found", [("Location", pick(rng, REDIRECTS)), ("Content-Length", "0")])
        case "odd reason":
            answer = Answer(
                b"", f"{pick(rng, (404, 410, 503))} {pick(rng, ('x' * 30_000, chr(27) + '[31m', chr(0xA0), ''))}"
            )
        case "many headers":
            answer.headers += [(f"X-{i}", "x") for i in range(200)]
        case "long header":
            answer.headers += [("X", "x" * 100_000)]
        case "odd header":
            answer.headers += [
                pick(rng, (("", ""), ("ETag", "\xff\x00"), ("ETag", '"\xe9\x80"'), ("\x00", "x"), (" folded", "x")))
            ]
        case "416":
            answer = Answer(b"", "416 No", [("Content-Range", pick(rng, (f"bytes */{whole}", "bytes */5", "*", "")))])
        case "100s":
            answer.status = "100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 " + answer.status
        case "another ETag":
            answer.set("ETag", pick(rng, ('"two"', 'W/"one"', "", "x" * 2000, '"')))
            answer.cut = size // 2
        case "endless":
            answer.set("Content-Length", None)
            answer.repeat = 100
    return answer


def _others(rng: Rng, content: bytes, fault: str) -> bytes:
    if fault == "other bytes":
        at = int(rng.integers(len(content)))
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    return {
        "longer": content + bytes(512),
        "shorter": content[:-512],
        "page": b"<html>not found</html>",
        "nothing": b"",
    }[fault]


def _send(connection: socket.socket, answer: Answer) -> None:
    head = f"HTTP/1.1 {answer.status}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    data = head.encode("latin-1", "replace") + b"Connection: close\r\n\r\n"
    length = len(data)
    data += answer.body
    if answer.cut is not None:  # below zero: in the header
        data = data[: length + answer.cut]
    connection.sendall(data)
    for _ in range(answer.repeat - 1):
        connection.sendall(answer.body)
    if answer.end == "stall":
        time.sleep(2 * STALL)
    if answer.end == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
