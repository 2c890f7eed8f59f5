"""Digests of values and files, and the keys made of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY_DIGITS = 10
STAMP = "digest"


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_key(parts: Mapping[str, Any]) -> str:
    """The first ten hex digits of the digest of everything that a folder's content depends on."""
    return digest(dict(parts))[:KEY_DIGITS]


def stamped(payload: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON-able mapping as JSON gives it back, and under ``digest`` what tells whether it is still this one."""
    content: dict[str, Any] = json.loads(json.dumps({name: value for name, value in payload.items() if name != STAMP}))
    return {**content, STAMP: _stamp(content)}


def is_stamped(payload: Mapping[str, Any]) -> bool:
    """Whether a mapping is as ``stamped`` gave it."""
    return bool(payload.get(STAMP) == _stamp({name: value for name, value in payload.items() if name != STAMP}))


def _stamp(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()  # nan, too, which no key may hold


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()
