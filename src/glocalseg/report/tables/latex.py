"""A table as LaTeX that sits in a paper as pasted: booktabs, siunitx, decimal points below each other, no wider than a page.

Numbers stand in ``S`` columns, the bounds of an interval in two more, and what is said of a number in a column of its own.
Layouts are tried from the most legible on, by widths estimated for Computer Modern: intervals beside their numbers, smaller type,
intervals below their numbers; long texts are broken. What no layout fits is cut into parts. A table of many
rows breaks over pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from glocalseg.report.text.names import latex, plain

COLUMN, PAGE = 245.0, 397.0  # points: 3.4 and 5.5 inches
MANY = 36  # rows that a page holds
_BROAD = {9.0: 1.03, 8.0: 1.07, 7.0: 1.15}  # small type is broader than its size says
_SIZES = {"small": 9.0, "footnotesize": 8.0, "scriptsize": 7.0}
_LAYOUTS = [("small", False), ("footnotesize", False), ("small", True), ("footnotesize", True), ("scriptsize", True)]
_NOTE = 7.0  # points, of the type of notes
_GAP = 3.0  # points at either side of a column
_NARROWEST = 46.0  # points, of a column of texts that are broken
_LONG = 24  # characters of a note that is a text, and nothing to stand beside a number
_NUMBER = re.compile(r"([<>] ?)?([+−])?(\d+)(?:\.(\d+))?")
_BOUND = re.compile(r"[+−]?\d+(?:\.\d+)?")
GROUPS = "Labelled"  # what the header of a column starts with whose values become headings
_NEEDS = "% needs \\usepackage{array,booktabs,siunitx}"


@dataclass(frozen=True)
class Cell:
    """A cell in rich text: ``interval`` are bounds as shown, ``more`` a note, ``span`` how many columns it takes;
    ``heading``: it stands above rows of its own."""

    text: str
    strong: bool = False
    interval: tuple[str, str] | None = None
    more: str = ""
    span: int = 1
    heading: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table: ``caption`` is LaTeX, ``header`` rich text."""

    label: str
    caption: str
    header: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True)
class Column:
    """A column of the sheet and how it is set, in one or more columns of LaTeX.

    ``number`` is the format of its numbers, empty for texts; ``bound`` that of its bounds, empty where they are texts too, or
    there are none; ``tail``: whether notes stand in a column of their own; ``width``, points, is given where texts are broken.
    """

    cells: list[Cell]
    header: str
    number: str
    bound: str
    tail: bool
    size: float
    stacked: bool
    width: float = 0.0

    @property
    def count(self) -> int:
        """How many columns of LaTeX it takes."""
        return 1 + 2 * (bool(self.bound) and not self.stacked) + self.tail

    @property
    def natural(self) -> float:
        """How wide it is if nothing breaks, in points, the gaps at its sides included."""
        if self.width:
            return self.width + 2 * _GAP
        heading = max((_width(line, self.size) for line in self.headlines), default=0.0)
        return max(self._body, heading) + 2 * _GAP

    @property
    def _body(self) -> float:
        texts = max((_width(c.text, self.size, c.strong) for c in self.cells), default=0.0)
        if not self.number:
            notes = max((_width(_beside(c), _NOTE) + _width(c.text, self.size, c.strong) for c in self.cells), default=0.0)
            return max(texts, notes)
        bounds = max((_width(_bracket(c), _NOTE if self.stacked else self.size) for c in self.cells), default=0.0)
        tail = 2 + max((_width(c.more, _NOTE) for c in self.cells), default=0.0) if self.tail else 0.0
        if self.stacked:
            return max(texts, bounds) + tail
        return texts + bounds + (self.size / 2 if self.bound else 0.0) + tail

    @property
    def headlines(self) -> list[str]:
        """The header in lines that are no wider than what stands below it, or than its longest word."""
        words = self.header.split()
        most = max([self.width or self._body, *(_width(w, self.size) for w in words)])
        lines: list[str] = []
        for word in words:
            if lines and _width(f"{lines[-1]} {word}", self.size) <= most:
                lines[-1] += f" {word}"
            else:
                lines.append(word)
        return lines

    @property
    def spec(self) -> str:
        """Its part of the preamble of ``tabular``."""
        if self.width:
            return f">{{\\raggedright\\arraybackslash}}p{{{self.width:.0f}pt}}"
        if not self.number:
            return "l"
        own, bounds = f"S[table-format={self.number}]", ""
        if self.bound and not self.stacked:
            bounds = f"@{{\\,[}}S[table-format={self.bound}]@{{,\\,}}S[table-format={self.bound}]@{{]}}"
        return own + bounds + (_TAIL if self.tail else "")


_TAIL = "@{\\,}>{\\scriptsize}l"


def nothing(title: str) -> str:
    """What stands in the file of a table without rows."""
    return f"% {latex(plain(title))}: there is nothing to list.\n"


def environment(sheet: Sheet) -> str:
    """The sheet as one or more of ``table``, ``table*`` where it is wider than a column, and ``longtable``."""
    sheet = _without_constants(_grouped(sheet))
    return "\n".join(_environment(part, columns) for part, columns in _parts(sheet))


def _environment(sheet: Sheet, columns: list[Column]) -> str:
    size = next(name for name, points in _SIZES.items() if points == columns[0].size)
    body = [_row(columns, row) for row in sheet.rows]
    if len(sheet.rows) * (1 + columns[0].stacked) > MANY:
        return _long(sheet, columns, size, body)
    kind = "table*" if sum(c.natural for c in columns) + _beyond(sheet, columns) > COLUMN else "table"
    return "\n".join([
        _NEEDS, f"\\begin{{{kind}}}", "\\centering", *_settings(size),
        f"\\caption{{{sheet.caption}}}", f"\\label{{{sheet.label}}}",
        f"\\begin{{tabular}}{{{_preamble(columns)}}}",
        "\\toprule", _heads(columns), "\\midrule", *body, "\\bottomrule", "\\end{tabular}", f"\\end{{{kind}}}",
    ]) + "\n"  # fmt: skip


def _long(sheet: Sheet, columns: list[Column], size: str, body: list[str]) -> str:
    head = ["\\toprule", _heads(columns), "\\midrule"]
    return "\n".join([
        _NEEDS.replace("booktabs,", "booktabs,longtable,"), "% longer than a page: with two columns, after \\onecolumn",
        "\\begingroup", *_settings(size),
        f"\\begin{{longtable}}{{{_preamble(columns)}}}",
        f"\\caption{{{sheet.caption}}}\\label{{{sheet.label}}}\\\\", *head, "\\endfirsthead",
        *head, "\\endhead", "\\bottomrule", "\\endlastfoot", *body, "\\end{longtable}", "\\endgroup",
    ]) + "\n"  # fmt: skip


def _preamble(columns: list[Column]) -> str:
    return "@{}" + "".join(c.spec for c in columns).replace("@{]}S", "@{]}@{\\hspace{2\\tabcolsep}}S") + "@{}"


def _grouped(sheet: Sheet) -> Sheet:
    """Rows that follow one another with the same labelled volumes below a heading that says which, in place of a column."""
    whole = all(len(row) > 1 and row[0].span == row[1].span == 1 for row in sheet.rows)
    if not whole or len(sheet.header) < 3 or not sheet.header[1].startswith(GROUPS):
        return sheet
    said = [(row[1].text, row[1].more) for row in sheet.rows]
    starts = [i for i, own in enumerate(said) if i == 0 or own != said[i - 1]]
    if len(starts) > len(set(said)):
        return sheet
    rows: list[list[Cell]] = []
    for i, row in enumerate(sheet.rows):
        if i in starts:
            text = f"{sheet.header[1]}: {row[1].text}"
            rows.append([Cell(text, more=row[1].more, span=len(sheet.header) - 1, heading=True)])
        rows.append([row[0], *row[2:]])
    return replace(sheet, header=[sheet.header[0], *sheet.header[2:]], rows=rows)


def _without_constants(sheet: Sheet) -> Sheet:
    """A column of texts that are all the same is said in the caption instead."""
    rows = [row for row in sheet.rows if not (row and row[0].heading)]
    same = {
        place: cells[0].text
        for place in range(1, len(sheet.header))
        if len(cells := [cell for row in rows for at, cell in _placed(row) if at == place and cell.span == 1]) == len(rows) > 1
        and len(set(cells)) == 1 and re.search("[A-Za-z]", cells[0].text) and not cells[0].more
    }  # fmt: skip
    said = "".join(f" {latex(sheet.header[place])}: {latex(text)}." for place, text in same.items())
    kept = [place for place in range(len(sheet.header)) if place not in same]
    return replace(_cut(sheet, kept), caption=sheet.caption + said) if same else sheet


def _cut(sheet: Sheet, kept: Sequence[int]) -> Sheet:
    """The sheet with some of its columns; a cell that spans columns spans those of them that are left."""
    rows = []
    for row in sheet.rows:
        spans = [(cell, sum(at <= place < at + cell.span for place in kept)) for at, cell in _placed(row)]
        rows.append([replace(cell, span=span) for cell, span in spans if span])
    return replace(sheet, header=[sheet.header[place] for place in kept], rows=rows)


def _parts(sheet: Sheet) -> list[tuple[Sheet, list[Column]]]:
    """The sheet in the first layout that fits a page; in several parts where none does, each with the first column."""
    for size, stacked in _LAYOUTS:
        columns = list(_columns(sheet, _SIZES[size], stacked=stacked))
        for tried in (columns, _broken(columns)):
            if _fits(sheet, tried):
                return [(sheet, tried)]
    groups: list[list[int]] = [[0]]
    for place in range(1, len(sheet.header)):
        tried = [columns[i] for i in (*groups[-1], place)]
        if len(groups[-1]) > 1 and sum(c.natural for c in tried) > PAGE:
            groups.append([0])
        groups[-1].append(place)
    parts = []
    for i, group in enumerate(groups):
        own = _cut(sheet, group)
        caption = f"{sheet.caption} Part {i + 1} of {len(groups)}."
        label = sheet.label if not i else f"{sheet.label}-{i + 1}"
        parts.append((replace(own, caption=caption, label=label), [columns[place] for place in group]))
    return parts


def _settings(size: str) -> list[str]:
    return [
        f"\\{size}",
        f"\\setlength{{\\tabcolsep}}{{{_GAP:g}pt}}",
        "\\sisetup{detect-weight, mode=match, retain-explicit-plus}",
    ]


def _fits(sheet: Sheet, columns: list[Column]) -> bool:
    return sum(c.natural for c in columns) + _beyond(sheet, columns) <= PAGE


def _beyond(sheet: Sheet, columns: list[Column]) -> float:
    """How much wider a cell that spans columns is than they are, in points."""
    most = 0.0
    for row in sheet.rows:
        at = 0
        for cell in row:
            if cell.span > 1:
                own = _width(cell.text, columns[0].size) + _width(_beside(cell), _NOTE) + 2 * _GAP
                most = max(most, own - sum(c.natural for c in columns[at : at + cell.span]))
            at += cell.span
    return most


def _columns(sheet: Sheet, size: float, *, stacked: bool) -> Iterator[Column]:
    for place, header in enumerate(sheet.header):
        cells = [cell for row in sheet.rows for at, cell in _placed(row) if at == place and cell.span == 1]
        of = [cell for cell in cells if _NUMBER.fullmatch(cell.text)]
        number = _format([c.text for c in of]) if of and not any(len(c.more) > _LONG for c in cells) else ""
        bounds = [bound for c in of for bound in c.interval or ()]
        bound = _format(bounds) if number and bounds and all(map(_BOUND.fullmatch, bounds)) else ""
        if bounds and not bound:
            number = ""
        yield Column(cells, header, number, bound, bool(number) and any(c.more for c in of), size, stacked)


def _broken(columns: list[Column]) -> list[Column]:
    """Texts that are long broken, so that the page is filled; as they were where even that is too wide."""
    long = [i for i, c in enumerate(columns) if not c.number and c.natural > _NARROWEST + 2 * _GAP]
    left = PAGE - 2 - sum(c.natural for i, c in enumerate(columns) if i not in long) - 2 * _GAP * len(long)
    if not long or left < _NARROWEST * len(long):
        return columns
    shares = {i: columns[i].natural ** 0.5 for i in long}
    spare = left - _NARROWEST * len(long)
    widths = {i: _NARROWEST + spare * share / sum(shares.values()) for i, share in shares.items()}
    return [replace(c, width=widths[i]) if i in widths else c for i, c in enumerate(columns)]


def _placed(row: Sequence[Cell]) -> Iterator[tuple[int, Cell]]:
    at = 0
    for cell in row:
        yield at, cell
        at += cell.span


def _format(numbers: Sequence[str]) -> str:
    """What ``table-format`` is for numbers as shown: ``+1.3``."""
    found = [match.groups() for n in numbers if (match := _NUMBER.fullmatch(n))]
    whole, digits = max(len(f[2]) for f in found), max(len(f[3] or "") for f in found)
    sign = "+" if any(f[1] == "+" for f in found) else "-" if any(f[1] for f in found) else ""
    return f"{'<' if any(f[0] for f in found) else ''}{sign}{whole}{f'.{digits}' if digits else ''}"


def _heads(columns: list[Column]) -> str:
    return " & ".join(_head(c) for c in columns) + " \\\\"


def _head(column: Column) -> str:
    lines = [latex(line) for line in column.headlines]
    if column.width:
        return " ".join(lines)
    side, broken = "c" if column.number else "l", "\\\\".join(lines)
    text = f"\\shortstack[{side}]{{{broken}}}" if len(lines) > 1 else broken
    return f"\\multicolumn{{{column.count}}}{{{side}}}{{{text}}}"


def _row(columns: list[Column], row: Sequence[Cell]) -> str:
    """A row of the sheet: one line, or two where intervals stand below their numbers."""
    if row[0].heading:
        count = sum(c.count for c in columns)
        return f"\\addlinespace[2pt]\n\\multicolumn{{{count}}}{{@{{}}l}}{{\\itshape {_said(row[0])}}} \\\\"
    cells = [(columns[at : at + cell.span], cell) for at, cell in _placed(row)]
    line = " & ".join(_cell(own, cell) for own, cell in cells) + " \\\\"
    if not any(own[0].stacked and own[0].bound and cell.interval and cell.span == 1 for own, cell in cells):
        return line
    below = " & ".join(_below(own, cell) for own, cell in cells)
    return f"{line}[-2pt]\n{below} \\\\\\addlinespace[1pt]"


def _below(own: Sequence[Column], cell: Cell) -> str:
    """What stands below a cell: its interval, where there is one, and empty columns."""
    stands = cell.span == 1 and own[0].bound and _NUMBER.fullmatch(cell.text)
    first = f"{{\\scriptsize {latex(_bracket(cell))}}}" if stands and cell.interval else ""
    return " & ".join([first, *[""] * (sum(c.count for c in own) - 1)])


def _cell(own: Sequence[Column], cell: Cell) -> str:
    count = sum(c.count for c in own)
    if cell.span > 1 or (own[0].number and not _NUMBER.fullmatch(cell.text)):
        return f"\\multicolumn{{{count}}}{{c}}{{{_said(cell)}}}" if count > 1 else f"{{{_said(cell)}}}"
    column = own[0]
    if not column.number:
        return _breakable(_said(cell)) if column.width else _said(cell)
    value = ("\\bfseries " if cell.strong else "") + _digits(cell.text)
    parts = [value]
    if column.bound and not column.stacked:
        if cell.interval:
            parts += [_digits(bound) for bound in cell.interval]
        else:  # a column without its brackets
            parts = [f"\\multicolumn{{1}}{{S[table-format={column.number}]}}{{{value}}}", *["\\multicolumn{1}{c}{}"] * 2]
    return " & ".join([*parts, *([latex(cell.more)] if column.tail else [])])


def _said(cell: Cell) -> str:
    """A cell as text."""
    text = f"\\textbf{{{latex(cell.text)}}}" if cell.strong else latex(cell.text)
    note = f"{{\\scriptsize {latex(_beside(cell))}}}" if _beside(cell) else ""
    return " ".join(part for part in (text, note) if part)


def _breakable(said: str) -> str:
    """LaTeX of which no word is so long that it cannot be broken: after slashes and underscores."""
    words = said.split(" ")
    return " ".join(
        w.replace("/", "/\\allowbreak{}").replace("\\_", "\\_\\allowbreak{}") if len(w) > _LONG else w for w in words
    )


def _beside(cell: Cell) -> str:
    return " ".join(part for part in (_bracket(cell), cell.more) if part)


def _bracket(cell: Cell) -> str:
    return f"[{cell.interval[0]},\u00a0{cell.interval[1]}]" if cell.interval else ""


def _digits(text: str) -> str:
    """A number as siunitx reads it."""
    return text.replace("−", "-").replace(" ", "")


def _width(rich: str, size: float, strong: bool = False) -> float:
    """About how wide a text is in Computer Modern, in points."""
    narrow, broad = set(".,:;'[]()|ijlt "), set("mwMW%−+<>±")
    text = plain(rich).replace("^", "")
    units = sum(0.3 if c in narrow else 0.8 if c in broad else 0.7 if c.isupper() else 0.515 for c in text)
    return units * size * (1.15 if strong else 1.0) * _BROAD[size]
