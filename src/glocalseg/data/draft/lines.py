"""Lines of YAML and of comments, for a card that a person goes on with."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

WIDTH = 124
NAMED = 5
PLAIN = re.compile(r"[A-Za-z/](?:[\w./ -]*[\w./-])?", re.ASCII)  # needs no quotes in YAML
RESERVED = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # unless it is one of these


def comment(said: str) -> Iterator[str]:
    """Lines with a # that are not too long."""
    for paragraph in said.split("\n"):
        line = "#"
        for word in paragraph.split(" "):
            if len(line) + 1 + len(word) > WIDTH and line != "#":
                yield line
                line = "#"
            line += f" {word}"
        yield line


def table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        yield "#   " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def mapping(key: str, values: dict[int, Any], written: Callable[[Any], str]) -> Iterator[str]:
    line = f"{key}: {{{', '.join(f'{k}: {written(v)}' for k, v in values.items())}}}"
    if len(line) <= WIDTH:
        yield line
        return
    yield f"{key}:"
    yield from (f"  {k}: {written(v)}" for k, v in values.items())


def flow(options: dict[str, Any]) -> str:
    written = {k: f"[{', '.join(v)}]" if isinstance(v, list) else scalar(v) for k, v in options.items()}
    return "{" + ", ".join(f"{k}: {v}" for k, v in written.items()) + "}"


def scalar(value: Any) -> str:
    """As YAML reads it back: a plain word, or a string with quotes."""
    if not isinstance(value, str):
        return "null" if value is None else str(value)
    plain = PLAIN.fullmatch(value) and value.lower() not in RESERVED
    return value if plain else json.dumps(value, ensure_ascii=False)


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def text(value: Any) -> str:
    return " ".join(str(value).split()) if isinstance(value, str | int | float) else ""


def some(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(" ".join(name.split()) for name in names[:NAMED]) + more


def number(value: float) -> str:
    """Three digits, no exponent."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{digits}f}" if abs(value) >= 1e-4 or not value else f"{value:.3g}"


def numbers(values: list[int]) -> str:
    return ", ".join(map(str, values))
