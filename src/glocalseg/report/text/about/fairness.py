"""Which rows do not have in common what all are to have in common, in sentences; nothing where all do."""

from __future__ import annotations

from collections.abc import Iterable

from glocalseg.report.analysis.methods.fairness import Departure
from glocalseg.report.text.fact import listed
from glocalseg.report.text.names import display

_NAMED = 12  # rows that a sentence lists


def not_alike(found: Iterable[Departure]) -> list[str]:
    """A rich sentence for each setting that rows differ in: ``labelled gradient steps (finetune.steps): 400, but 1200 ...``."""
    by_setting: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for d in found:
        who = by_setting.setdefault((d.part, d.setting, d.usual), {}).setdefault(d.own, [])
        who += [] if display(d.method) in who else [display(d.method)]
    return [
        f"{part[:1].upper()}{part[1:]}{'' if part == setting else f' ({setting})'}: {usual}, but {_others(others)}."
        for (part, setting, usual), others in by_setting.items()
    ]


def _others(others: dict[str, list[str]]) -> str:
    """``1200 in random_long and 800 in random_longer``; one number of rows where there are too many."""
    count = sum(map(len, others.values()))
    if count > _NAMED:
        return f"{len(others)} other value{'s' if len(others) > 1 else ''} in {count} rows, which the table lists"
    return listed([f"{own} in {listed(who)}" for own, who in others.items()])
