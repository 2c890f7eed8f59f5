"""One file over the network: streamed, resumed after a broken connection, retried with growing pauses."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import requests
from urllib3.exceptions import HTTPError

from glocalseg.config.lines import one_line
from glocalseg.data.acquire.shared import FetchError, Retry, require_space
from glocalseg.records.files import write_json
from glocalseg.records.progress import Progress

BLOCK = 1 << 20
TIMEOUT = (10.0, 60.0)  # seconds to connect, and between two pieces of data
NUMBER = "[0-9]{1,18}"  # of bytes: int takes other alphabets' digits for numbers as well
SHOWN = 200  # letters of what a server says
RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Again(Exception):
    """A failure that another try may mend."""


def download(url: str, target: Path, *, size: int | None, space: float = 1.0, retry: Retry | None = None) -> None:
    """Bring ``url`` to ``target``; what an earlier call left there is continued.

    Args:
        target: the file; beside it lies ``<target>.json`` with what tells a changed file (ETag or date) until it is done.
        size: bytes, where known: a server that promises another number is refused before anything is transferred.
        space: free disk space that is needed at least, as a multiple of the file's size.

    Raises:
        FetchError: the server refuses, promises another size, keeps breaking off, or the disk is too small.
    """
    retry = retry or Retry()
    failed = 0
    while True:
        before = _length(target)
        if size is not None and before == size:
            break
        try:
            _attempt(url, target, size, space)
            break
        except _Again as error:
            failed = 1 if _length(target) > before else failed + 1
            if failed >= retry.attempts:
                raise FetchError(
                    f"{url}: expected a download, found {error}, {failed} times in a row. {_length(target)} bytes are kept: "
                    "start again to go on from there"
                ) from None
            time.sleep(retry.pause * 2 ** (failed - 1))
    _state(target).unlink(missing_ok=True)


def forget(target: Path) -> None:
    """Remove a downloaded or half-downloaded file."""
    target.unlink(missing_ok=True)
    _state(target).unlink(missing_ok=True)


def _attempt(url: str, target: Path, size: int | None, space: float) -> None:
    have = _length(target)
    headers = {"Accept-Encoding": "identity"}  # ranges count the bytes of the file, not of a compressed transfer
    if have:
        headers["Range"] = f"bytes={have}-"
        if known := _validator(target):
            headers["If-Range"] = known
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            _receive(response, url, target, have, size, space)
    except (requests.RequestException, HTTPError, ValueError) as error:  # the last: of an address that a server sends us to
        raise _Again(_reason(error)) from None


def _receive(response: requests.Response, url: str, target: Path, have: int, size: int | None, space: float) -> None:
    status = response.status_code
    if status == 416:  # nothing comes after what lies here: it is all, or longer than the file, or another file's beginning
        if have and response.headers.get("Content-Range", "").strip() == f"bytes */{have}":
            return
        forget(target)
        raise _Again("a server that has nothing after what was kept")
    if status in RETRIED:
        raise _Again(f"HTTP {_status(response)}")
    if status not in (200, 206):
        raise FetchError(f"{url}: expected HTTP 200 or 206, found {_status(response)}")
    start, total = _extent(response)
    if start not in (0, have):
        forget(target)
        raise _Again(f"a range from byte {start} where {have} was asked for")
    if size is not None and total is not None and total != size:
        raise FetchError(f"{url}: expected {size} bytes, as the card says, found a file of {total} bytes on the server")
    if total is not None:
        require_space(target.parent, int(total * space) - start, f"{target.name} and its contents")
    _remember(target, response)
    _copy(response, url, target, start, total, most=size)
    whole = total if total is not None else size
    if whole is not None and _length(target) != whole:
        raise _Again(f"an end after {_length(target)} of {whole} bytes")


def _copy(response: requests.Response, url: str, target: Path, start: int, total: int | None, *, most: int | None) -> None:
    label = url.rsplit("/", 1)[-1]
    with Progress(label, total, "B", done=start) as progress, target.open("r+b" if start else "wb") as f:
        f.seek(start)
        f.truncate()
        for block in response.raw.stream(BLOCK, decode_content=False):
            try:
                f.write(block)
            except OSError as error:
                raise FetchError(f"{target}: expected to write {label}, found {error.strerror}") from None
            progress.add(len(block))
            if total is None:  # nobody knows how much comes
                require_space(target.parent, 0, label)
            if most is not None and f.tell() > most:
                raise FetchError(f"{url}: expected {most} bytes, as the card says, found a server that sends more")


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """First byte that the answer holds, and the size of the whole file, if the server tells it."""
    if response.status_code == 206:
        match = re.fullmatch(rf"bytes ({NUMBER})-{NUMBER}/({NUMBER}|\*)", response.headers.get("Content-Range", "").strip())
        if match is None:
            raise _Again("a partial answer that does not say which part it is")
        return int(match[1]), None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if re.fullmatch(NUMBER, length) else None


def _state(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _validator(target: Path) -> str | None:
    try:
        found = json.loads(_state(target).read_text(encoding="utf-8"))["validator"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, str) and found.isascii() and found.isprintable() else None


def _remember(target: Path, response: requests.Response) -> None:
    tag = response.headers.get("ETag", "")
    strong = tag if tag.startswith('"') else None  # a weak tag may not be used with If-Range
    write_json(_state(target), {"validator": strong or response.headers.get("Last-Modified")})


def _length(target: Path) -> int:
    return target.stat().st_size if target.is_file() else 0


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(str(error)[:SHOWN])}"


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {one_line((response.reason or '')[:SHOWN])}".strip()
