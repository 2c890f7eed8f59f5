"""The lock file of bought-in weights: what stands for the bytes that came with the first fetch.

It lies beside the card and is kept in git. The first file is taken on trust, because publishers of weights seldom give a
checksum; from then on every machine has the same one, or is told that it has not.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from glocalseg.config.model import ConfigError
from glocalseg.records.files import write_json
from glocalseg.weights.card import WeightsCard

SHOWN = 200  # letters of another error in a message
SHA256 = re.compile(r"[0-9a-f]{64}")


def lock_of(name: str, folder: Path) -> Path:
    """Where the lock file of weights lies: beside their card."""
    return folder / f"{name}.lock.json"


def known_sha256(card: WeightsCard, folder: Path) -> str | None:
    """The sha256 that the file must have: the card's, else the lock file's; None before the first fetch.

    Args:
        folder: of card and lock file.

    Raises:
        ConfigError: if the lock file cannot be read.
    """
    if card.sha256 is not None:
        return card.sha256
    path = lock_of(card.name, folder)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        if not isinstance(found, str) or not SHA256.fullmatch(found):
            raise ValueError(f"sha256: {found!r}")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{path}: expected JSON with 'sha256', as the first fetch writes it, found {type(error).__name__}: "
            f"{str(error)[:SHOWN]}"
        ) from None
    return found


def write_weights_lock(card: WeightsCard, folder: Path, *, sha256: str, size: int) -> None:
    """Note what came with the first fetch."""
    write_json(lock_of(card.name, folder), {"file": card.source.file_name, "size": size, "sha256": sha256})
