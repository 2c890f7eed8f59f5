"""What came out, in plain sentences that say no more than the statistics allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glocalseg.report.analysis import Compared, DatasetAnalysis, draw_means
from glocalseg.report.collect import Collected
from glocalseg.report.names import BASELINE, display, volumes
from glocalseg.report.tables.table import bracket, number, signed
from glocalseg.report.text.fact import listed

_SEED_MATTERS = 0.05  # Dice between the best and the worst seed of a cell
_STUCK = 0.9  # of nearest features at the same place: the map says where, not what


def findings(a: DatasetAnalysis, collected: Collected) -> list[str]:
    """Rich sentences about one data set, the most important first."""
    said = [
        *_verdicts(a),
        *_best(a),
        *_upper(a),
        *_choice_of_seed(a),
        *_choice_of_volume(a),
        *_diagnostics(a, collected),
        *_collapses(a, collected),
        *_few(a),
    ]
    return [s for s in said if s]


def _verdicts(a: DatasetAnalysis) -> list[str]:
    if not a.comparisons:
        return ["Nothing was compared with random initialisation: the benchmark has no finished pair of runs for it."]
    better = [c for c in a.comparisons if c.verdict == "better"]
    worse = [c for c in a.comparisons if c.verdict == "worse"]
    total = len(a.comparisons)
    open_ = sum(c.verdict == "runs missing" for c in a.comparisons)
    left_open = f"{open_} comparison{'s are' if open_ > 1 else ' is'} left open, because runs are missing." if open_ else ""
    if not better and not worse:
        nothing = (
            f"No method was distinguishable from random initialisation in any of {total - open_} corrected comparisons."
        )
        return [" ".join(s for s in (nothing if total > open_ else "", left_open) if s)]
    said = []
    for held, word in ((better, "better"), (worse, "worse")):
        if held:
            said.append(
                f"{len(held)} of {total} comparisons with random initialisation came out {word} after correction: "
                + "; ".join(_by_budget(a, held))
                + "."
            )
    if rest := total - len(better) - len(worse) - open_:
        said.append(f"The other {rest} {'was' if rest == 1 else 'were'} not distinguishable from random initialisation.")
    return [" ".join([*said, *([left_open] if left_open else [])])]


def _by_budget(a: DatasetAnalysis, held: Sequence[Compared]) -> list[str]:
    said = []
    for budget in a.budgets:
        own = [f"{display(c.method)} ({signed(c.comparison.difference.estimate)})" for c in held if c.budget == budget]
        if own:
            said.append(f"with {volumes(budget)} {listed(own)}")
    return said


def _best(a: DatasetAnalysis) -> list[str]:
    said = []
    for budget in a.budgets:
        best, baseline = a.best(budget), a.cell(BASELINE, budget)
        if best is None:
            continue
        mean = best.summary.mean
        text = f"{display(best.method)} {number(mean.estimate)} {bracket(mean.low, mean.high, 2)}"
        if baseline is not None and baseline is not best and baseline.complete:
            compared = a.compared(best.method, budget)
            sure = "" if compared is None or compared.verdict == "better" else ", not distinguishable"
            text += f" against {number(baseline.summary.mean.estimate)} from random weights{sure}"
        said.append(f"with {volumes(budget)}: {text}")
    return ["Highest mean Dice " + "; ".join(said) + "."] if said else []


def _upper(a: DatasetAnalysis) -> list[str]:
    if a.upper is None or not a.budgets:
        return []
    top = a.upper.summary.mean
    few = [(n, c) for n in a.budgets if (c := a.best(n)) and a.upper.complete]
    gaps = "; ".join(f"{_gap(top.estimate - c.summary.mean.estimate)} with {volumes(n)}" for n, c in few)
    return (
        [f"Training on all volumes gives {number(top.estimate)}. The best method of each budget lies {gaps}."] if few else []
    )


def _gap(below: float) -> str:
    return f"{number(abs(below), 2)} {'below' if below >= 0 else 'above'} it"


def _choice_of_seed(a: DatasetAnalysis) -> list[str]:
    """A seed that hardly trains pulls every mean with random layers down; an upper bound below other methods says so."""
    said = []
    for cell, what in ((a.upper, "training on all volumes"), (a.cell(BASELINE, a.budgets[-1]), "random initialisation")):
        if cell is None or not cell.complete or len(cell.seeds) < 2:
            continue
        means = np.nanmean(cell.scores, axis=(0, 1))
        low, high = int(np.argmin(means)), int(np.argmax(means))
        if means[high] - means[low] > _SEED_MATTERS:
            with_ = "" if cell is a.upper else f" with {volumes(cell.budget)}"
            said.append(
                f"{what}{with_} reaches {number(means[low], 2)} with seed {cell.seeds[low]} and {number(means[high], 2)} "
                f"with seed {cell.seeds[high]}"
            )
    if not said:
        return []
    return [f"The random seed decides much: {listed(said)}. Where one seed hardly trains, look at medians too."]


def _choice_of_volume(a: DatasetAnalysis) -> list[str]:
    means = draw_means(a)
    budget = a.budgets[0]
    own = means[(means["budget"] == budget) & (means["method"] == BASELINE)]["dice"].dropna()
    baseline = a.cell(BASELINE, budget)
    if len(own) < 2 or baseline is None or not baseline.complete:
        return []
    span = float(own.max() - own.min())
    text = (
        f"With {volumes(budget)}, which {'one it was' if budget == '1' else 'ones they were'} moved random initialisation from "
        f"{number(own.min(), 2)} to {number(own.max(), 2)} over {len(own)} draws"
    )
    gains = [c.comparison.difference.estimate for c in a.comparisons if c.budget == budget and c.verdict != "runs missing"]
    gains = [g for g in gains if np.isfinite(g)]
    if not gains:
        return [text + "."]
    largest = max(gains, key=abs)
    more = "more" if span > abs(largest) else "less"
    return [f"{text}: {more} than the largest mean difference between a method and it there ({signed(largest)})."]


def _diagnostics(a: DatasetAnalysis, collected: Collected) -> list[str]:
    own = collected.diagnostics[collected.diagnostics["dataset"] == a.dataset]
    said = []
    random_r2 = float(own.loc[own["phase"] == "", "position_r2"].mean())
    probe = own[own["phase"] != ""].groupby("name", sort=False)["position_r2"].mean().dropna()
    if len(probe) and np.isfinite(random_r2):
        said.append(
            f"The position probe, which needs no label, gives R² {number(probe.max(), 2)} for {display(str(probe.idxmax()))}, "
            f"the highest, and {number(random_r2, 2)} for a random network."
        )
    same = own.groupby(["name", "decoder"], sort=False)["same_place"].mean().dropna()
    stuck = [display(str(name)) for (name, decoder), share in same.items() if decoder and share > _STUCK]
    if stuck:
        random = float(own.loc[own["phase"] == "", "same_place"].mean())
        chance = f" (random network: {100 * random:.0f}%)" if np.isfinite(random) else ""
        said.append(
            f"In {listed(stuck)} the nearest local feature in an unrelated slice lies at the same place more than "
            f"{100 * _STUCK:.0f}% of the time{chance}: the map tells places in the frame, not anatomy."
        )
    return said


def _collapses(a: DatasetAnalysis, collected: Collected) -> list[str]:
    own = collected.collapses[collected.collapses["dataset"] == a.dataset]
    runs = len(own[["method", "budget", "draw", "seed"]].drop_duplicates())
    tuned = collected.timings[(collected.timings["dataset"] == a.dataset) & (collected.timings["phase"] == "finetune")]
    if not runs:
        return []
    return [
        f"In {runs} of {len(tuned)} fine-tunings a structure was lost (validation Dice near zero); they are in all averages."
    ]


def _few(a: DatasetAnalysis) -> list[str]:
    cells = [c.summary for c in a.cells.values() if c.budget != "all"]
    if not cells:
        return []
    draws, seeds = max(c.draws for c in cells), max(c.seeds for c in cells)
    said = []
    if once := [name for name, n in (("one draw", draws), ("one seed", seeds)) if n == 1]:
        said.append(f"With {listed(once)}, the intervals say nothing about how another would come out.")
    if few := [f"{n} {name}" for name, n in (("draws", draws), ("seeds", seeds)) if n in (2, 3)]:
        said.append(f"With {listed(few)}, intervals are wide and only large and steady differences can be called.")
    return [" ".join(said)]
