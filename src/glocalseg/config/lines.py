"""Lines that a person reads, of texts that hold names and values of any length and any letters."""

from __future__ import annotations

import re
from reprlib import Repr
from typing import Any

WORD, LINE = 100, 1000  # letters that are shown of a word, and altogether
VALUE = 80  # letters that are shown of a value
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = VALUE
_SHORT.maxlist = _SHORT.maxtuple = _SHORT.maxset = _SHORT.maxdict = 20


def one_line(text: str) -> str:
    """The text as it can be printed and written anywhere: line ends, and bytes that are no letters, become escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str) -> str:
    """The text with the beginnings of what is longer than a person reads; a path is shown whole, or nobody finds the file."""
    text = re.sub(rf"\S{{{WORD},}}", lambda word: word[0] if "/" in word[0] else f"{word[0][:WORD]}...", text)
    return text if len(text) <= LINE else f"{text[:LINE]}..."


def shown(value: Any) -> str:
    """The beginning of a value as it is written in Python, however much it holds."""
    try:
        return _SHORT.repr(value)[:VALUE]
    except ValueError:  # a number of more digits than Python writes
        return f"a value of type {type(value).__name__} that is too large"
