"""Marks in a table of scores: which rows start from bought-in weights, under which licence, and what these may have seen."""

from __future__ import annotations

from dataclasses import replace

from glocalseg.plan.jobs import Plan
from glocalseg.report.tables.table import Table
from glocalseg.report.text.about.bought import footnote, short, users
from glocalseg.report.text.names import display


def with_bought(table: Table, plan: Plan) -> Table:
    """A table whose rows begin with a method's name, with a note beside those names and a sentence in its caption.

    A table of a benchmark without bought-in weights comes back as it was.
    """
    notes = {display(method): short(name, plan.bought) for name, own in users(plan.benchmark).items() for method in own}
    if not notes:
        return table
    blocks = {
        key: replace(
            block,
            rows=tuple((replace(row[0], more=notes.get(row[0].text, row[0].more)), *row[1:]) for row in block.rows),
        )
        for key, block in table.blocks.items()
    }
    return replace(table, caption=f"{table.caption} {footnote(plan.benchmark, plan.bought)}", blocks=blocks)
