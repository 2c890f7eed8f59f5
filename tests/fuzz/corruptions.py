"""What can become of a file: bits flipped, ends cut off, values replaced, trees of JSON and YAML turned over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 255, 256, 65536, -(2**31), 2**31, 2**63, 2**64, 10**12, 10**30, 10**400,
    0.5, -0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"),
    "", " ", "0", "1", "1e5", "nan", "None", "null", "true", "50%", "0%", "1000%", "2020-01-01",
    ".", "..", "/", "../..", "../../etc/passwd", "/etc/passwd", "C:\\x", "a/b", "a\0b",
    "\x1b[31m", "\u202e", "\u00e9", "e\u0301", "\u540d\u524d", "\U0001f9e0", "x" * 300, "x" * 100_000, "line\nline", "tab\ttab",
    "{braces}", "%s%n", "*", "(", "(a+)+$",
    [], {}, [[]], [None], {"": None}, {"a": {"a": {"a": 1}}}, [0] * 1000, [1, 2], [1.5, 1.5], ["a", "a"],
)  # fmt: skip


def pick(rng: Rng, options: Any) -> Any:
    """One of a sequence."""
    return options[int(rng.integers(len(options)))]


def flipped(rng: Rng, data: bytes, *, first: int = 0, last: int | None = None) -> bytes:
    """One to eight bits flipped between two places."""
    out = bytearray(data)
    end = min(len(out), last if last is not None else len(out))
    for _ in range(int(pick(rng, (1, 1, 1, 2, 3, 8)))):
        if first < end:
            out[int(rng.integers(first, end))] ^= 1 << int(rng.integers(8))
    return bytes(out)


def cut(rng: Rng, data: bytes) -> bytes:
    """The beginning of a file; often nearly all of it, or nothing."""
    length = len(data)
    at = pick(rng, (0, 1, length // 2, length - 1, length - 8, int(rng.integers(length + 1)), int(rng.integers(length + 1))))
    return data[: max(0, at)]


def spoiled(rng: Rng, data: bytes) -> bytes:
    """A stretch overwritten, put in, taken out or repeated."""
    start = int(rng.integers(len(data) + 1))
    length = int(pick(rng, (1, 4, 16, 512, 4096)))
    new = pick(rng, (bytes(length), rng.bytes(length), b"\xff" * length))
    how = int(rng.integers(5))
    if how == 0:
        return data[:start] + new + data[start + length :]
    if how == 1:
        return data[:start] + new + data[start:]
    if how == 2:
        return data[:start] + data[start + length :]
    if how == 3:
        return data[: start + length] + data[start:]
    return data + new


def corrupted(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """Any of these, and what it was."""
    how: Callable[[Rng, bytes], bytes] = pick(rng, (flipped, flipped, cut, spoiled))
    return how.__name__, how(rng, data)


# ---------------------------------------------------------------- trees


def turned_over(rng: Rng, tree: Any) -> tuple[str, Any]:
    """A tree of dicts, lists and values with one to three places changed, and what was done."""
    tree = copy.deepcopy(tree)
    done = []
    for _ in range(int(pick(rng, (1, 1, 1, 2, 3)))):
        there = list(places(tree))
        if not there:
            return "replaced", pick(rng, ODD)
        inside, key = pick(rng, there)
        name, change = pick(rng, CHANGES)
        done.append(f"{name} {key!r}"[:60])
        change(rng, inside, key, there)
    return ", ".join(done), tree


def places(tree: Any) -> Any:
    """Every place of a tree: what holds it, and its key or index there."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    for key in keys:
        yield tree, key
        yield from places(tree[key])


def _replace(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    inside[key] = copy.deepcopy(pick(rng, ODD))


def _drop(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    del inside[key]


def _rename(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    if isinstance(inside, dict):
        inside[pick(rng, (f"{key}x", str(key).upper(), f" {key}", "", "a" * 500, "\0", "__class__", 0, -1))] = inside.pop(
            key
        )


def _swap(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    other, there = pick(rng, places)
    inside[key] = copy.deepcopy(other[there]) if other is not inside or there != key else None


def _retype(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    value = inside[key]
    if isinstance(value, bool) or value is None:
        inside[key] = str(value)
    elif isinstance(value, int | float):
        inside[key] = pick(
            rng, (str(value), float(value), [value], -value, value * 10**9, value + 0.5, value * 1000, value + 1)
        )
    elif isinstance(value, str):
        inside[key] = pick(rng, ([value], {value: value}, value * 2, value[:-1], value.encode().hex(), len(value)))
    else:
        inside[key] = pick(rng, (str(value), [value], {"x": value}, list(value), len(value)))


def _deepen(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    for _ in range(int(pick(rng, (2, 50)))):
        inside[key] = [inside[key]] if rng.random() < 0.5 else {"a": inside[key]}


def _repeat(rng: Rng, inside: Any, key: Any, places: Any) -> None:
    if isinstance(inside, list):
        inside.insert(int(rng.integers(len(inside) + 1)), copy.deepcopy(inside[key]))
    else:
        inside[f"{key}_2"] = copy.deepcopy(inside[key])


CHANGES = (
    ("replaced", _replace), ("replaced", _replace), ("replaced", _replace), ("dropped", _drop), ("renamed", _rename),
    ("swapped", _swap), ("retyped", _retype), ("retyped", _retype), ("deepened", _deepen), ("repeated", _repeat),
)  # fmt: skip


def spoiled_json(rng: Rng, tree: Any) -> tuple[str, bytes]:
    """A tree as a file of JSON that is not what it was: another tree, or text that is damaged."""
    if rng.random() < 0.7:
        what, other = turned_over(rng, tree)
        return what, json_of(other)
    text = json.dumps(tree).encode()
    how = int(rng.integers(9))
    if how < 3:
        return corrupted(rng, text)
    return pick(
        rng,
        (
            ("UTF-16", text.decode().encode("utf-16")),
            ("BOM", b"\xef\xbb\xbf" + text),
            ("nested", b"[" * 100_000),
            ("nested", b'{"a":' * 50_000),
            ("long number", b'{"training": ' + b"1" * 5000 + b"}"),
            ("empty", b""),
            ("NUL", bytes(1000)),
            ("twice", text + text),
            ("a value", pick(rng, (b"null", b"1", b'"x"', b"NaN", b"[]", b"{}"))),
        ),
    )


def json_of(tree: Any) -> bytes:
    """A tree as JSON, halves of letters as escapes."""
    return json.dumps(tree).encode()
