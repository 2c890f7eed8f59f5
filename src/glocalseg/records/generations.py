"""Which codes are known to give the same bits: a committed table, safe by default.

``generations.json`` maps, for each entry (``pretrain/gd``, ``finetune/mixup``, ``data``, ...), the digest of a code to its
generation. An unknown digest is a generation of its own, so new code means new keys. ``make same-bits`` runs the code of the last
commit and the present one side by side and, only where every bit is equal, enters the present digest under the old generation.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from glocalseg.records.files import write_json

TABLE = Path(__file__).with_name("generations.json")
Table = dict[str, dict[str, str]]


def generation(entry: str, code: str) -> str:
    """The generation of an entry's code: what stands for the code in keys."""
    return load().get(entry, {}).get(code, code)


@cache
def load() -> Table:
    """The committed table."""
    table: Table = json.loads(TABLE.read_text(encoding="utf-8"))
    return table


def enter(entry: str, *, code: str, same_as: str, table: Path = TABLE) -> None:
    """Note that ``code`` gives the same bits as the code ``same_as``."""
    known: Table = json.loads(table.read_text(encoding="utf-8"))
    own = known.setdefault(entry, {})
    own[code] = own.get(same_as, same_as)
    write_json(table, {name: dict(sorted(rows.items())) for name, rows in sorted(known.items())})
    load.cache_clear()
