"""Bringing bought-in weights to this machine: downloaded, or taken from where a person put them; checked, and sealed.

``data/weights/<name>/fetched.json`` was written last and holds the sha256 of the file beside it. A fetch that is killed leaves
``resume...``, from which the next one goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlparse

from safetensors import SafetensorError, safe_open

from glocalseg.config.lines import one_line, shortened
from glocalseg.data.acquire.shared import FetchError, Retry, require_space
from glocalseg.records.digest import sha256_file
from glocalseg.records.sealed import RESUME, seal
from glocalseg.weights.card import WeightsCard
from glocalseg.weights.lock import known_sha256, lock_of, write_weights_lock

Check = Callable[[Path], None]


def fetch_weights(
    card: WeightsCard, record: Path, *, cards: Path, incoming: Path, check: Check, retry: Retry | None = None
) -> bool:
    """Make the file and, last, its record; whether the lock file was written, which is so at the first fetch of all.

    Args:
        record: ``data/weights/<name>/fetched.json``.
        cards: folder of the card and of its lock file.
        incoming: folder into which a person may put the file, ``data/incoming/weights/<name>``; it is asked before the url.
        check: raises ConfigError for a file that is no checkpoint of the card's model: it is then neither kept nor locked.
        retry: how patiently a download is repeated.

    Raises:
        FetchError: nothing to fetch from, a download that fails, another file than the one that is known, or none of weights.
        ConfigError: of ``check``, or if the lock file cannot be read.
    """
    folder = record.parent
    folder.mkdir(parents=True, exist_ok=True)
    known = known_sha256(card, cards)
    part = folder / f"{RESUME}-{card.source.file_name}"
    origin = _bring(card, part, incoming, retry)
    try:
        _require_tensors(part, origin)
        found = sha256_file(part)
        if known is not None and found != known:
            raise FetchError(f"{origin}: expected sha256 {known}, as {_knows(card, cards)}, found {found}")
        check(part)
    except Exception:
        part.unlink()  # the next fetch begins anew
        raise
    size = part.stat().st_size
    part.rename(folder / card.source.file_name)
    if known is None:
        write_weights_lock(card, cards, sha256=found, size=size)
    seal(record, {"weights": card.name, "model": card.model, "licence": card.licence, "from": origin})
    return known is None


def check_weights_source(card: WeightsCard, *, incoming: Path, timeout: float = 10.0) -> None:
    """Look whether this machine could fetch the file, without fetching it. Raises FetchError.

    Args:
        incoming: as ``fetch_weights``.
        timeout: seconds for the server to answer; any answer will do.
    """
    import requests

    if (incoming / card.source.file_name).is_file():
        return
    url = _url(card, incoming)
    try:
        requests.head(url, timeout=timeout, allow_redirects=True)
    except requests.RequestException as error:
        raise FetchError(
            f"{card.name}: expected an answer from {urlparse(url).netloc}, found {type(error).__name__}: the weights are not "
            f"here yet, and this machine does not reach their server. Put {card.source.file_name} into the folder {incoming}"
        ) from None


def _bring(card: WeightsCard, part: Path, incoming: Path, retry: Retry | None) -> str:
    """Copy or download the file to ``part``; where it came from."""
    own = incoming / card.source.file_name
    if own.is_file():
        require_space(part.parent, own.stat().st_size, own.name)
        shutil.copyfile(own, part)
        return own.as_posix()
    from glocalseg.data.acquire.download import download  # and requests with it, which no plan needs

    url = _url(card, incoming)
    download(url, part, size=None, retry=retry)
    return url


def _url(card: WeightsCard, incoming: Path) -> str:
    """The address of the file; where it has none, the error says what a person does."""
    if card.source.url is not None:
        return card.source.url
    steps = "".join(f"\n  {i}. {step}" for i, step in enumerate(card.source.steps, 1))
    raise FetchError(
        f"{incoming}: expected {card.source.file_name} of {card.title}, found no such file. A person has to get it (licence: "
        f"{card.licence}):{steps}\n  Put it into the folder {incoming} and start again"
    )


def _knows(card: WeightsCard, cards: Path) -> str:
    if card.sha256 is not None:
        return f"the card {card.name!r} says"
    lock = lock_of(card.name, cards)
    return f"{lock.name} says (if the weights are meant to have changed: delete {lock})"


def _require_tensors(path: Path, origin: str) -> None:
    """Raise FetchError if a file holds no tensors: what a server sends in place of a file must not be taken on trust."""
    try:
        with safe_open(path, framework="numpy") as tensors:
            if not list(tensors.keys()):
                raise ValueError("no tensor in it")
    except (OSError, SafetensorError, ValueError) as error:
        said = one_line(shortened(f"{type(error).__name__}: {error}"))
        raise FetchError(
            f"{origin}: expected weights as safetensors, found {path.stat().st_size} bytes that are none: {said}"
        ) from None
