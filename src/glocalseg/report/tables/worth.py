"""The report's tables of what methods are worth: in labelled volumes, in hours, against last weights; and of their variance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from glocalseg.evaluation.statistics.arrays import paired
from glocalseg.evaluation.statistics.components import Component
from glocalseg.evaluation.statistics.intervals import Interval, mean_of
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.spent import Spent, spent
from glocalseg.report.analysis.variance import Sources, sources
from glocalseg.report.analysis.worth import Hours, efficiency, hours
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.table import (
    TWO,
    Block,
    Entry,
    Table,
    blocks,
    columns,
    digits_of,
    frame,
    labelled,
    number,
    sort_key,
    with_interval,
)
from glocalseg.report.text.names import display

Analyses = Mapping[str, DatasetAnalysis]
_KEYS = ["dataset", "method", "budget"]
_SOURCES = {"draw": "labelled volumes", "pretraining": "pretraining", "finetuning": "fine-tuning", "rest": "rest"}


def worth_tables(analyses: Analyses, plan: Plan, collected: Collected, titles: dict[str, str]) -> list[Table]:
    """Last weights, label efficiency, compute, and sources of variance."""
    return [
        _last(analyses, titles),
        _efficiency(analyses, titles),
        _compute(analyses, plan, collected, titles),
        _components(analyses, plan, titles),
    ]


def _last(analyses: Analyses, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {}
    data: list[dict[str, object]] = []
    digits = digits_of(c.mean.interval for a in analyses.values() for c in a.cells.values() if c.last is not None)
    for name, a in analyses.items():
        shown[name] = []
        for (method, budget), cell in a.cells.items():
            if cell.last is None:
                continue
            last = mean_of(cell.last, confidence=a.statistics.confidence)
            gap = mean_of(paired(cell.last, cell.scores), confidence=a.statistics.confidence, bounds=(-1.0, 1.0))
            shown[name].append((
                Entry(display(method)), labelled(a.price(budget, method), budget),
                with_interval(cell.mean.interval, digits=digits, runs=(method, budget)),
                with_interval(last.interval, digits=digits), with_interval(gap.interval, sign=True),
            ))  # fmt: skip
            data.append({
                "dataset": name, "method": method, "budget": budget, **columns("dice_mean", cell.mean.interval),
                **columns("dice_last", last.interval), **columns("last_minus_selected", gap.interval), "repeats": gap.repeats,
            })  # fmt: skip
    header = ("Method", "Labelled volumes", "Selected weights", "Last weights", "Last − selected")
    caption = (
        "Dice of the same runs with the weights that selection chose and with those of the last step, which need no labels for "
        "selection; paired difference with its interval over subjects and repeats."
    )
    return Table("last", "Last weights beside selected ones", caption, frame(data, _KEYS), blocks(titles, header, shown))


def _efficiency(analyses: Analyses, titles: dict[str, str]) -> Table:
    shown: dict[str, Block] = {}
    data: list[dict[str, object]] = []
    for name, a in analyses.items():
        found = efficiency(a)
        heads = ("Method", *(f"as with {a.price(n)}" for n in a.budgets))
        rows = [(Entry(display(m)), *(_needed(a, found.get((m, n)), n, m) for n in a.budgets)) for m in a.candidates]
        if found:
            shown[name] = Block(titles[name], heads, tuple(rows))
        data += [
            {"dataset": name, "method": m, "budget": n, **columns("equivalent_budget", i)} for (m, n), i in found.items()
        ]
    caption = (
        "With how many labelled volumes to train on Random init scores what the method does, with the interval of all numbers at "
        "which the paired difference could be zero; between the numbers that were run by a straight line over their "
        "logarithm. Beyond them nothing is known: < and > say so. Labels for selection come on top, where there are any."
    )
    return Table(
        "efficiency",
        "How many labelled volumes random weights need for as much",
        caption,
        frame(data, _KEYS),
        shown,
    )


def volumes_of(number: float, a: DatasetAnalysis) -> str:
    """A number of volumes that need not be whole: ``2.4``, ``< 1`` and ``> 8`` beyond the budgets that were run."""
    if np.isnan(number):
        return "–"
    if number == 0:
        return f"< {a.budgets[0]}"
    return f"> {a.budgets[-1]}" if np.isinf(number) else f"{number:.1f}"


def _needed(a: DatasetAnalysis, i: Interval | None, budget: str, method: str) -> Entry:
    """One entry; bounds that say no more than the estimate are left out."""
    if i is None:
        return Entry("no run", tone="missing") if a.meant(method, budget) else Entry("–")
    bounds = [volumes_of(bound, a) for bound in (i.low, i.high)]
    text = volumes_of(i.estimate, a)
    interval = None if np.isnan(i.low) or bounds == [text, text] else (bounds[0], bounds[1])
    return Entry(text, interval=interval, more=a.own_price(budget, method), key=sort_key(i.estimate), runs=(method, budget))


def _compute(analyses: Analyses, plan: Plan, collected: Collected, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {}
    data: list[dict[str, object]] = []
    for name, a in analyses.items():
        found, took = hours(a, plan, collected), spent(a, plan, collected)
        shown[name] = [_hours(a, key, h, took.get(key)) for key, h in found.items()]
        data += [{**_hours_data(name, key, h), **_spent_data(took.get(key))} for key, h in found.items()]
    header = (
        "Method",
        "Labelled volumes",
        "Labelled steps",
        "Thousand images, pretraining",
        "Thousand images, fine-tuning",
        "Compute, min a run",
        "of it pretraining, min",
        "Dice per hour",
        "Gain per hour more",
    )
    caption = (
        "Labelled steps: gradient steps of the network with labels, and those of a stage of the regime before them. Images: how "
        "many went through the network in a run, by throughput and seconds, which counts some percent too many. "
        "Compute of a run: its fine-tuning and every pretraining that it starts from. A pretraining that several budgets share "
        "is counted in full for each, not shared out: whoever wants one result has to pay for all of it. Dice per hour: mean "
        "over mean, with its interval over repeats. Gain per hour more: the gain over Random init by the hours that it took "
        "more; none where it did not take more in every repeat. Jobs that ran side by side slow one another down."
    )
    return Table(
        "compute",
        "What each row costs, and Dice per hour of compute",
        caption,
        frame(data, _KEYS),
        blocks(titles, header, shown),
    )


def _hours(a: DatasetAnalysis, key: tuple[str, str], h: Hours, took: Spent | None) -> tuple[Entry, ...]:
    method, budget = key
    return (
        Entry(display(method)),
        labelled(a.price(budget, method), budget),
        *_spent(took),
        Entry(number(60 * h.total, 1), key=sort_key(h.total), runs=key),
        Entry(number(60 * h.pretraining, 1), key=sort_key(h.pretraining)),
        with_interval(h.dice, digits=TWO, runs=key),
        with_interval(h.gain, sign=True, digits=TWO) if h.gain else Entry("–"),
    )


def _spent(took: Spent | None) -> tuple[Entry, ...]:
    """Labelled steps and images; dashes for a control that trains no network."""
    if took is None:
        return (Entry("–"),) * 3
    before = f"after {took.before} others" if took.before else ""
    images = (Entry(number(n / 1000, 1), key=sort_key(n)) for n in (took.pretraining, took.finetuning))
    return (Entry(str(took.steps), more=before, key=str(took.steps)), *images)


def _spent_data(took: Spent | None) -> dict[str, object]:
    names = ("labelled_steps", "steps_before", "images_finetuning", "images_pretraining")
    return dict(zip(names, vars(took).values() if took else (np.nan,) * 4, strict=True))


def _hours_data(dataset: str, key: tuple[str, str], h: Hours) -> dict[str, object]:
    gain = h.gain or Interval(np.nan, np.nan, np.nan)
    return {
        "dataset": dataset, "method": key[0], "budget": key[1], "hours": h.total, "pretraining_hours": h.pretraining,
        **columns("dice_per_hour", h.dice), **columns("gain_per_hour", gain),
    }  # fmt: skip


def _components(analyses: Analyses, plan: Plan, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {}
    data: list[dict[str, object]] = []
    for name, a in analyses.items():
        found = sources(a, plan.benchmark)
        shown[name] = [_components_row(a, s) for s in found]
        data += [_component_data(name, s, c) for s in found for c in s.components or ()]
    header = ("Method", "Labelled volumes", "Of", *(said.capitalize() for said in _SOURCES.values()))
    caption = (
        "Where the variance of runs comes from, by a Latin square of choices of labelled volumes, pretraining seeds and "
        "fine-tuning seeds: share of the variance, with the standard deviation in Dice that it stands for and its interval. "
        "Rest: interactions of the three, and what does not repeat. Estimates are unbiased and may fall below zero where a "
        "source is small; they are shown as they fall."
    )
    table = frame(data, _KEYS)
    return Table("components", "Where the variance comes from", caption, table, blocks(titles, header, shown))


def _components_row(a: DatasetAnalysis, s: Sources) -> tuple[Entry, ...]:
    start = (
        Entry(display(s.method)),
        labelled(a.price(s.budget, s.method), s.budget),
        Entry("gain over Random init" if s.of_gain else "Dice"),
    )
    if s.components is None:
        return (*start, Entry("runs missing", tone="missing", span=len(_SOURCES)))
    return (*start, *(_component(c) for c in s.components))


def _component(c: Component) -> Entry:
    bounds = [np.sqrt(max(0.0, v)) for v in (c.variance.low, c.variance.high)]
    share = "–" if np.isnan(c.share) else f"{c.share:.0%}".replace("-", "−")
    more = f"SD {number(c.sd)} [{number(bounds[0])},\u00a0{number(bounds[1])}]"
    return Entry(share, more=more, key=sort_key(c.share), bar=None if np.isnan(c.share) else min(1.0, max(0.0, c.share)))


def _component_data(dataset: str, s: Sources, c: Component) -> dict[str, object]:
    return {
        "dataset": dataset, "method": s.method, "budget": s.budget, "of_gain": s.of_gain, "variance_source": c.source,
        **columns("variance", c.variance), "variance_share": c.share, "variance_sd": c.sd, "degrees_of_freedom": c.freedom,
    }  # fmt: skip
