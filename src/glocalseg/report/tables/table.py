"""A table of the report: its data as CSV, and as shown in Markdown, LaTeX and the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.tables.latex import Cell, Sheet, environment, nothing
from glocalseg.report.text.names import ALL, latex, markdown

WIDE = 0.2  # an interval wider than this says nothing of the third digit
FINE = 0.05  # one narrower than this has a third digit itself


@dataclass(frozen=True)
class Entry:
    """One cell as shown: rich text (see ``names``), bold or not, with the bounds of its interval and a smaller note after it.

    ``key`` is what the page sorts by, a number as text; empty: the text itself. ``runs`` are the method and budget that the
    number comes from.
    """

    text: str
    strong: bool = False
    more: str = ""
    tone: str = ""  # better, worse, missing: a colour on the page
    span: int = 1
    bar: float | None = None  # share of the cell, drawn behind the text on the page
    interval: tuple[str, str] | None = None
    key: str = ""
    runs: tuple[str, str] | None = None

    @property
    def note(self) -> str:
        """What stands after the text: ``[0.58, 0.66] better``; no line breaks inside the brackets."""
        bounds = f"[{self.interval[0]},\u00a0{self.interval[1]}]" if self.interval else ""
        return " ".join(part for part in (bounds, self.more) if part)


@dataclass(frozen=True)
class Block:
    """The rows of one data set. The first entry of a row is its header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class Table:
    """``data`` holds unrounded numbers, one row a fact; ``blocks`` what a reader sees, by data set."""

    name: str
    title: str
    caption: str
    data: pd.DataFrame = field(repr=False)
    blocks: dict[str, Block] = field(repr=False)

    def csv(self) -> str:
        """The data as CSV with full precision."""
        text: str = self.data.to_csv(index=False, lineterminator="\n")
        return text

    def markdown(self) -> str:
        """One Markdown table per data set under one heading."""
        parts = [f"# {markdown(self.title)}", markdown(self.caption)]
        for block in self.blocks.values():
            parts += [f"## {markdown(block.title)}", _markdown_block(block)]
        return "\n\n".join(parts) + "\n"

    def latex(self) -> str:
        """One environment per data set, as it is pasted into a paper; only a comment where there is nothing."""
        if not self.blocks:
            return nothing(self.title)
        return "\n".join(environment(self._sheet(key, block)) for key, block in self.blocks.items())

    def _sheet(self, key: str, block: Block) -> Sheet:
        rows = [[Cell(e.text, e.strong, e.interval, e.more, e.span) for e in row] for row in block.rows]
        caption = f"{latex(block.title)}: {latex(self.title)}. {latex(self.caption)}"
        return Sheet(f"tab:{self.name}-{key}".replace("_", "-"), caption, list(block.header), rows)


def _markdown_block(block: Block) -> str:
    lines = ["| " + " | ".join(markdown(h) or " " for h in block.header) + " |"]
    lines.append("|" + "|".join([" :--- "] + [" ---: "] * (len(block.header) - 1)) + "|")
    for row in block.rows:
        cells = [text for entry in row for text in (_markdown_entry(entry), *[""] * (entry.span - 1))]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _markdown_entry(entry: Entry) -> str:
    text = markdown(entry.text)
    return " ".join(t for t in (f"**{text}**" if entry.strong and text else text, markdown(entry.note)) if t)


@dataclass(frozen=True)
class Digits:
    """How many digits follow the point, of values and of the bounds of their intervals."""

    value: int = 3
    bounds: int = 3


TWO = Digits(2, 2)


def digits_of(intervals: Iterable[Interval], *, differences: bool = False) -> Digits:
    """The digits that the numbers of one table have, all of them the same, by the median width of their intervals.

    Wider than WIDE: two. Otherwise three, and two for the bounds of intervals that are wider than FINE. Bounds of differences
    have as many as the values, and three where two would make one of them zero: on which side of it a bound lies is what counts.
    """
    found = [i for i in intervals if np.isfinite(i.high - i.low)]
    if not found:
        return Digits()
    typical = float(np.median([i.high - i.low for i in found]))
    if differences:
        near = any(0 < abs(bound) < 0.005 for i in found for bound in (i.low, i.high))
        return TWO if typical > WIDE and not near else Digits()
    return Digits(2 if typical > WIDE else 3, 2 if typical > FINE else 3)


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits and a real minus sign; a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−" if float(text) else "")  # no minus in front of nothing


def signed(value: float, digits: int = 3) -> str:
    """Like ``number`` with a sign in front; what rounds to nothing has a plus."""
    if pd.isna(value):
        return "–"
    text = f"{value:+.{digits}f}"
    return text.replace("-", "−" if float(text) else "+")


def probability(p: float) -> str:
    """A p value as a reader expects it."""
    return "–" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def bracket(low: float, high: float, digits: int = 3) -> str:
    """``[low, high]``, which no line breaks."""
    return "" if pd.isna(low) else f"[{number(low, digits)},\u00a0{number(high, digits)}]"


def with_interval(
    i: Interval,
    *,
    sign: bool = False,
    digits: Digits = Digits(),
    strong: bool = False,
    tone: str = "",
    more: str = "",
    runs: tuple[str, str] | None = None,
) -> Entry:
    """An estimate with its interval and ``more`` as the note; a sign in front for differences."""
    text = signed(i.estimate, digits.value) if sign else number(i.estimate, digits.value)
    bounds = None if pd.isna(i.low) else (number(i.low, digits.bounds), number(i.high, digits.bounds))
    return Entry(text, strong=strong, more=more, tone=tone, interval=bounds, key=sort_key(i.estimate), runs=runs)


def sort_key(value: float | None) -> str:
    """A number as the page sorts it; empty where there is none."""
    return "" if value is None or pd.isna(value) else "1e99" if value == np.inf else f"{value:.6g}"


def labelled(price: str, budget: str, *, more: str = "") -> Entry:
    """What labels cost, in words, sorted by how many volumes are trained on."""
    return Entry(price, more=more, key="1e9" if budget == ALL else budget)


def columns(name: str, i: Interval) -> dict[str, object]:
    """An interval as columns of a table's data: ``gain``, ``gain_low``, ``gain_high``."""
    return {name: i.estimate, f"{name}_low": i.low, f"{name}_high": i.high}


def frame(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> pd.DataFrame:
    """Rows as a table's data; ``names`` are its columns where there are none."""
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(names))


def blocks(titles: dict[str, str], header: Sequence[str], rows: dict[str, list[tuple[Entry, ...]]]) -> dict[str, Block]:
    """One block per data set that has rows."""
    return {key: Block(titles[key], tuple(header), tuple(r)) for key, r in rows.items() if r}
