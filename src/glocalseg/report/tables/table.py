"""A table of the report: its data as CSV, and as shown in Markdown, LaTeX and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.text.names import latex, markdown


@dataclass(frozen=True)
class Entry:
    """One cell as shown: rich text (see ``names``), bold or not, with a smaller note after it."""

    text: str
    strong: bool = False
    note: str = ""
    tone: str = ""  # better, worse, missing: a colour on the page
    span: int = 1
    bar: float | None = None  # share of the cell, drawn behind the text on the page


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
        """One ``table`` environment per data set, for booktabs."""
        return "\n".join(self._latex_block(key, block) for key, block in self.blocks.items())

    def _latex_block(self, key: str, block: Block) -> str:
        width = len(block.header)
        lines = [
            "% needs \\usepackage{booktabs}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{latex(block.title)}: {latex(self.title)}. {latex(self.caption)}}}",
            f"\\label{{tab:{self.name}-{key}}}".replace("_", "-"),
            f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}",
            "\\toprule",
            " & ".join(latex(h) for h in block.header) + " \\\\",
            "\\midrule",
            *(" & ".join(_latex_entry(e) for e in row) + " \\\\" for row in block.rows),
            "\\bottomrule",
            "\\end{tabular}",
            "\\end{table}",
        ]
        return "\n".join(lines) + "\n"


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


def _latex_entry(entry: Entry) -> str:
    text = f"\\textbf{{{latex(entry.text)}}}" if entry.strong else latex(entry.text)
    note = f"{{\\scriptsize {latex(entry.note)}}}" if entry.note else ""
    cell = " ".join(t for t in (text, note) if t)
    return f"\\multicolumn{{{entry.span}}}{{c}}{{{cell}}}" if entry.span > 1 else cell


def number(value: float | None, digits: int = 3) -> str:
    """A number with fixed digits and a real minus sign; a dash where there is none."""
    if value is None or pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "−" if float(text) else "")  # no minus in front of nothing


def signed(value: float, digits: int = 3) -> str:
    """Like ``number`` with a sign in front."""
    return "–" if pd.isna(value) else f"{value:+.{digits}f}".replace("-", "−")


def probability(p: float) -> str:
    """A p value as a reader expects it."""
    return "–" if pd.isna(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def bracket(low: float, high: float, digits: int = 3) -> str:
    """``[low, high]``, which no line breaks."""
    return "" if pd.isna(low) else f"[{number(low, digits)},\u00a0{number(high, digits)}]"


def with_interval(i: Interval, *, sign: bool = False, digits: int = 3, strong: bool = False, tone: str = "") -> Entry:
    """An estimate with its interval as the note; a sign in front for differences."""
    text = signed(i.estimate, digits) if sign else number(i.estimate, digits)
    return Entry(text, strong=strong, note=bracket(i.low, i.high, digits), tone=tone)


def columns(name: str, i: Interval) -> dict[str, object]:
    """An interval as columns of a table's data: ``gain``, ``gain_low``, ``gain_high``."""
    return {name: i.estimate, f"{name}_low": i.low, f"{name}_high": i.high}


def frame(rows: Sequence[Mapping[str, object]], names: Sequence[str]) -> pd.DataFrame:
    """Rows as a table's data; ``names`` are its columns where there are none."""
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=list(names))


def blocks(titles: dict[str, str], header: Sequence[str], rows: dict[str, list[tuple[Entry, ...]]]) -> dict[str, Block]:
    """One block per data set that has rows."""
    return {key: Block(titles[key], tuple(header), tuple(r)) for key, r in rows.items() if r}
