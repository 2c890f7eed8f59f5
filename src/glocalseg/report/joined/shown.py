"""What changed between two reports, for people: on a terminal, as Markdown, as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import escape

from glocalseg.evaluation.metrics import METRICS
from glocalseg.report.joined.change import WHOLE, Change
from glocalseg.report.joined.diff import Difference
from glocalseg.report.tables.table import number, signed
from glocalseg.report.text.names import markdown

SHOWN = 12  # names in a line
JUDGED = "Judged"  # head of the column that is set in bold where it matters
WITHIN = {True: "within noise", False: "beyond noise", None: "cannot tell"}
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 66rem; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 1.6rem; }
.frame { overflow-x: auto; } table { border-collapse: collapse; overflow-wrap: normal; }
th, td { text-align: left; padding: .2rem .7rem .2rem 0; border-bottom: 1px solid #8b96a1; vertical-align: top; }
td { white-space: nowrap; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.strong { font-weight: 700; }
"""


@dataclass(frozen=True)
class Part:
    """A heading, sentences, and a table: its head and rows. ``strong``: by row, whether its judgement is what matters most."""

    title: str
    lines: tuple[str, ...] = ()
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    strong: tuple[bool, ...] = ()
    numbers: frozenset[int] = frozenset()  # columns


def verdict(d: Difference) -> str:
    """The whole in a sentence."""
    moved = [f"{n} {_cells(n)} {what}" for n, what in ((len(d.added), "added"), (len(d.gone), "gone")) if n]
    if not d.changed:
        first = (
            "All scores are equal, byte for byte." if d.equal else f"None of {len(d.means)} means in both reports changed."
        )
        return " ".join([first, *([f"{', '.join(moved).capitalize()}."] if moved else [])])
    untold = sum(c.within is None for c in d.changed)
    beyond = len(d.beyond) - untold
    counts = [f"{beyond} beyond noise" if beyond else "", f"{untold} that cannot be judged" if untold else ""]
    said = ", ".join(text for text in counts if text) or "all of them within noise"
    return f"{len(d.changed)} of {len(d.means)} means changed: {'; '.join([said, *moved])}."


def _cells(n: int) -> str:
    return "cell" if n == 1 else "cells"


def parts(d: Difference) -> list[Part]:
    """What there is to say, the most important first; nothing that did not change."""
    found = [Part(f"From {d.first} to {d.second}", (verdict(d), *_runs(d)))]
    compared = [*(f"{what} {'added' if new else 'gone'}: {_some(names)}" for what, names, new in d.levels)]
    lines = tuple(f"{line[0].upper()}{line[1:]}." for line in compared)
    cells = [*((*cell, "added") for cell in d.added), *((*cell, "gone") for cell in d.gone)]
    if lines or cells:
        found.append(
            Part(
                "What is compared", lines, ("Data set", "Method", "Labelled volumes", "Cell") if cells else (), tuple(cells)
            )
        )
    if d.changed:
        found.append(_means(d))
    if d.verdicts:
        rows = tuple((*key, before, after) for key, before, after in d.verdicts)
        head = ("Data set", "Family", "Method", "Against", "Labelled volumes", "Before", "After")
        found.append(Part("Verdicts that changed", (), head, rows))
    if d.settings:
        found.append(Part("Settings that differ", (), ("Setting", "Before", "After"), d.settings))
    found.append(Part("How both were made", d.facts))
    return found


def _runs(d: Difference) -> tuple[str, ...]:
    said = f"{d.runs} runs are in both" + (
        f", {d.rescored} of them with other scores" if d.rescored else ", their scores equal"
    )
    return (f"{said}.",) if d.runs else ("No run is in both.",)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _means(d: Difference) -> Part:
    line = (
        f"Intervals hold all changes of Dice over all structures at once, and all others at once, in {d.confidence:.0%} of cases "
        "where only chance is at work. Paired: the same test volumes and repeats; Welch: repeats are taken for independent ones."
    )
    head = (
        "Data set",
        "Method",
        "Labelled volumes",
        "Structure",
        "Metric",
        "Before",
        "After",
        "Change",
        "Interval",
        JUDGED,
        "How",
    )
    rows = tuple(_row(c) for c in d.changed)
    return Part(
        "Means that changed", (line,), head, rows, tuple(c.within is not True for c in d.changed), frozenset({5, 6, 7, 8})
    )


def _row(c: Change) -> tuple[str, ...]:
    digits = 2 if c.metric in METRICS and METRICS[c.metric].unit else 3
    low, high = c.difference.low, c.difference.high
    while digits < 9 and 0 < abs(c.difference.estimate) < 10.0**-digits:  # a change that is printed is not zero
        digits += 1
    interval = "–" if np.isnan([low, high]).any() else f"[{signed(low, digits)}, {signed(high, digits)}]"
    title = METRICS[c.metric].title if c.metric in METRICS else c.metric
    where = "all" if c.structure == WHOLE else c.structure
    return (
        c.dataset, c.method, c.budget, where, title, number(c.first, digits), number(c.second, digits),
        signed(c.second - c.first, digits), interval, WITHIN[c.within], c.how,
    )  # fmt: skip


# ---------------------------------------------------------------- formats


def text(found: Sequence[Part]) -> str:
    """For a terminal: columns of equal width."""
    lines: list[str] = []
    for part in found:
        lines += [part.title, *(f"  {line}" for line in part.lines)]
        table = [*([part.head] if part.head else []), *part.rows]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))] if table else []
        for row in table:
            cells = [
                c.rjust(w) if i in part.numbers else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append(f"  {'  '.join(cells)}".rstrip())
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def as_markdown(found: Sequence[Part]) -> str:
    """A heading a part, and a table where there is one."""
    blocks: list[str] = []
    for i, part in enumerate(found):
        blocks += [f"{'#' if i == 0 else '##'} {markdown(part.title)}", *map(markdown, part.lines)]
        if part.head:
            ends = [" ---: " if c in part.numbers else " :--- " for c in range(len(part.head))]
            rows = [_piped(part.head), f"|{'|'.join(ends)}|"]
            strong = part.strong or (False,) * len(part.rows)
            rows += [
                _piped(row, part.head.index(JUDGED) if bold else None) for row, bold in zip(part.rows, strong, strict=True)
            ]
            blocks.append("\n".join(rows))
    return "\n\n".join(blocks) + "\n"


def _piped(row: Sequence[str], bold: int | None = None) -> str:
    cells = [f"**{markdown(cell)}**" if i == bold else markdown(cell) or " " for i, cell in enumerate(row)]
    return f"| {' | '.join(cells)} |"


def as_html(found: Sequence[Part]) -> str:
    """One page that stands alone, without a link to the network."""
    body = "\n".join(_section(part, first=i == 0) for i, part in enumerate(found))
    title = escape(found[0].title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<style>{STYLE}</style>\n</head>\n'
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _section(part: Part, *, first: bool) -> str:
    level = "h1" if first else "h2"
    lines = "\n".join(f"<p>{escape(line)}</p>" for line in part.lines)
    table = _table(part) if part.head else ""
    return f"<{level}>{escape(part.title)}</{level}>\n{lines}\n{table}"


def _table(part: Part) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in part.head)
    rows = []
    for row, strong in zip(part.rows, part.strong or (False,) * len(part.rows), strict=True):
        kinds = [
            "number" if i in part.numbers else "strong" if strong and part.head[i] == JUDGED else "" for i in range(len(row))
        ]
        cells = (
            f'<td class="{kind}">{escape(cell)}</td>' if kind else f"<td>{escape(cell)}</td>"
            for kind, cell in zip(kinds, row, strict=True)
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(rows)
    label = f'role="region" aria-label="{escape(part.title)}" tabindex="0"'
    return f'<div class="frame" {label}>\n<table>\n<tr>{head}</tr>\n{body}\n</table>\n</div>'
