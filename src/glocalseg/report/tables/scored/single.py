"""The report's tables of Dice that average little: every repeat, every test subject."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from glocalseg.evaluation.metrics import PRIMARY
from glocalseg.evaluation.statistics.arrays import level_means
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import repeat_table
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.table import Block, Entry, Table, frame, labelled, number, sort_key
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display

Analyses = Mapping[str, DatasetAnalysis]


def repeats_table(analyses: Analyses, titles: dict[str, str]) -> Table:
    """Mean Dice of every run."""
    data, shown = [], {}
    for name, a in analyses.items():
        means = repeat_table(a)
        data.append(means)
        value = means.set_index(["method", "budget", "repeat"])["dice"]
        rows = []
        for budget in [*a.budgets, *([ALL] if a.upper else [])]:
            for m in [UPPER_BOUND] if budget == ALL else a.methods:
                of = [float(value.get((m, budget, r), np.nan)) for r in a.repeats]
                named = (Entry(display(m)), labelled(a.price(budget, m), budget))
                rows.append((*named, *(_entry(a, v, m, budget) for v in of)))
        shown[name] = Block(titles[name], ("Method", "Labelled volumes", *a.repeats), tuple(rows))
    caption = (
        "Mean Dice over test subjects for every repeat: its choice of labelled volumes, its pretraining and its fine-tuning "
        f"are the same for every method. Random weights are drawn by the seed of the fine-tuning. {display(BASELINE)} and the "
        "methods with it are paired column by column."
    )
    table = pd.concat(data) if data else pd.DataFrame()
    return Table("repeats", "Dice for every repeat", caption, table, shown)


def subjects_table(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> Table:
    """Mean Dice of every test subject, the worst first; shown at the smallest budget, with all of them in the data."""
    data: list[dict[str, object]] = []
    shown = {}
    for name, a in analyses.items():
        subjects = subject_names(collected, name)
        means = {key: level_means(cell.scores, 0) for key, cell in a.cells.items()}
        data += [
            {"dataset": name, "method": m, "budget": n, "subject": subject, "dice": float(dice), "runs": a.cells[m, n].runs}
            for (m, n), of in means.items()
            for subject, dice in zip(subjects, of, strict=True)
        ]
        if a.budgets:
            own = {m: means[key] for m in [*a.methods, UPPER_BOUND] if (key := _key(m, a.budgets[0])) in means}
            shown[name] = _subjects(a, subjects, own, titles[name])
    caption = (
        "Mean Dice over repeats and structures for every test subject, at the smallest number of labelled volumes; the upper "
        "bound with all of them. Subjects stand in the order of their mean over the methods shown, lowest first."
    )
    keys = ["dataset", "method", "budget", "subject"]
    return Table("subjects", "Dice for every test subject", caption, frame(data, keys), shown)


def subject_names(collected: Collected, dataset: str) -> list[str]:
    """The names of the test subjects of a data set, in the order of the arrays of its cells."""
    scores = collected.scores
    return sorted(scores.loc[(scores["dataset"] == dataset) & (scores["metric"] == PRIMARY), "subject"].unique())


def _key(method: str, budget: str) -> tuple[str, str]:
    return method, ALL if method == UPPER_BOUND else budget


def _subjects(a: DatasetAnalysis, subjects: list[str], own: dict[str, np.ndarray], title: str) -> Block:
    ranked = [of for m, of in own.items() if m != UPPER_BOUND] or list(own.values())
    order = np.argsort(np.nanmean(ranked, axis=0), kind="stable")
    rows = [(Entry(subjects[i]), *(_entry(a, float(of[i]), *_key(m, a.budgets[0])) for m, of in own.items())) for i in order]
    return Block(title, ("Subject", *(display(m) for m in own)), tuple(rows))


def _entry(a: DatasetAnalysis, value: float, method: str, budget: str) -> Entry:
    runs = (method, budget) if (method, budget) in a.cells else None
    return Entry(number(value, 2), bar=None if np.isnan(value) else value, key=sort_key(value), runs=runs)
