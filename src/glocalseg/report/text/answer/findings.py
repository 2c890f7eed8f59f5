"""What else came out, in plain sentences that say no more than the statistics allow; the first of all are in ``headline``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glocalseg.evaluation.statistics.arrays import repeat_means
from glocalseg.report.analysis.cells import MISSING, Compared, DatasetAnalysis
from glocalseg.report.analysis.failed import failures
from glocalseg.report.analysis.worth import rises
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.table import bracket, number, signed
from glocalseg.report.text.fact import listed
from glocalseg.report.text.names import ALL, BASELINE, display

_STUCK = 0.9  # of nearest features at the same place: the map says where, not what
_VERDICTS = ("better", "worse", "equivalent", "undecided", MISSING)
_NAMED = 12  # cells or comparisons that a sentence lists


def findings(a: DatasetAnalysis, collected: Collected) -> list[str]:
    """Rich sentences about one data set, the most important first."""
    return [
        *_claims(a),
        *_best(a),
        *_upper(a),
        *_failed(a),
        *_rising(a, collected),
        *_choice_of_repeat(a),
        *_same_again(a),
        *_mixed(a),
        *_diagnostics(a, collected),
    ]


def _claims(a: DatasetAnalysis) -> list[str]:
    """What became of the claims; nothing where no verdicts are given."""
    return [] if a.silent else _family(a.family("claims"), "Of what is claimed", a)


def _family(compared: Sequence[Compared], title: str, a: DatasetAnalysis) -> list[str]:
    """How many comparisons of a family came out how, and which, in the order of budgets."""
    if not compared:
        return []
    said = []
    for verdict in _VERDICTS:
        own = [c for c in compared if c.verdict == verdict]
        if own:
            named = f" ({_by_budget(a, own)})" if len(own) <= _NAMED and verdict != "undecided" else ""
            said.append(f"{len(own)} {verdict}{named}")
    return [f"{title}, corrected for all {len(compared)} comparisons: {', '.join(said)}."]


def _by_budget(a: DatasetAnalysis, own: Sequence[Compared]) -> str:
    said = []
    for budget in a.budgets:
        named = [_named(c) for c in own if c.budget == budget]
        if named:
            said.append(f"at {a.price(budget)}: {listed(named)}")
    return "; ".join(said)


def _named(c: Compared) -> str:
    """A comparison in a list: both methods and the gain."""
    gain = "" if c.verdict == MISSING else f" {signed(c.comparison.gain.mean.interval.estimate)}"
    return f"{display(c.method)} − {display(c.other)}{gain}"


def _best(a: DatasetAnalysis) -> list[str]:
    said = []
    for budget in a.budgets:
        best, baseline = a.best(budget), a.cell(BASELINE, budget)
        if best is None:
            continue
        mean = best.mean.interval
        text = f"{display(best.method)} {number(mean.estimate)} {bracket(mean.low, mean.high, 2)}"
        if baseline is not None and baseline is not best and baseline.complete:
            compared = a.against_random(best.method, budget)
            sure = "" if a.silent or compared is None or compared.held else f" ({compared.verdict})"
            text += f" beside {number(baseline.mean.interval.estimate)} from random weights{sure}"
        said.append(f"at {a.price(budget)}: {text}")
    return ["Highest mean Dice " + "; ".join(said) + "."] if said else []


def _upper(a: DatasetAnalysis) -> list[str]:
    if a.upper is None or not a.upper.complete:
        return []
    top = a.upper.mean.interval.estimate
    few = [(n, c) for n in a.budgets if (c := a.best(n))]
    gaps = "; ".join(f"{_gap(top - c.mean.interval.estimate)} at {a.price(n)}" for n, c in few)
    return [f"Training on all volumes gives {number(top)}. The highest mean at each number lies {gaps}."] if few else []


def _gap(below: float) -> str:
    return f"{number(abs(below), 2)} {'below' if below >= 0 else 'above'} it"


def _failed(a: DatasetAnalysis) -> list[str]:
    found = failures(a)
    failed = {key: len(f.runs) for key, f in found.items() if f.runs}
    total = sum(f.cell.runs for f in found.values())
    if not failed:
        return [f"None of {total} runs failed: none lost a structure or lies far below its cell."]
    cells = [(key, n) for key, n in failed.items()]
    cells.sort(key=lambda cell: -cell[1])
    named = [f"{display(m)} at {a.price(n, m)} ({count} of {found[m, n].cell.runs})" for (m, n), count in cells]
    count = sum(failed.values())
    return [
        f"{count} of {total} runs failed (lost a structure, or lie far below their cell) and {'is' if count == 1 else 'are'} in "
        f"all averages: {_first(named)}."
    ]


def _first(cells: list[str]) -> str:
    """The first cells in a sentence, and how many others there are."""
    others = len(cells) - _NAMED
    return listed([*cells[:_NAMED], f"{others} more"] if others > 0 else cells)


def _rising(a: DatasetAnalysis, collected: Collected) -> list[str]:
    cells = [key for key, rise in rises(a, collected.validation).items() if rise.rising]
    if not cells:
        return []
    named = [f"{display(m)} at {a.price(n, m)}" for m, n in cells]
    return [f"Validation still rises at the end of training of {_first(named)}: a longer training may give more."]


def _choice_of_repeat(a: DatasetAnalysis) -> list[str]:
    """How far repeats of random weights lie apart, beside the gains: their labelled volumes and seeds differ."""
    budget = a.budgets[0] if a.budgets else ALL
    baseline = a.cell(BASELINE, budget)
    if baseline is None or not baseline.complete or baseline.runs < 2 or budget == ALL:
        return []
    means = repeat_means(baseline.scores)
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    text = (
        f"At {a.price(budget)}, repeats of random weights, which differ in the volumes and in seeds, reach from "
        f"{number(low, 2)} to {number(high, 2)}"
    )
    gains = [g for m in a.candidates if (c := a.against_random(m, budget)) and np.isfinite(g := _estimate(c))]
    if not gains:
        return [text + "."]
    largest = max(gains, key=abs)
    more = "more" if high - low > abs(largest) else "less"
    return [f"{text}: {more} than the largest mean difference between a method and them ({signed(largest)})."]


def _estimate(c: Compared) -> float:
    return c.comparison.gain.mean.interval.estimate


def _same_again(a: DatasetAnalysis) -> list[str]:
    """Whether what differs by seeds alone was told apart."""
    own = [c for c in a.family("controls") if c.method in a.same_again and c.verdict not in (None, MISSING)]
    if not own:
        return []
    held = [c for c in own if c.held]
    if not held:
        return [
            f"Rows that differ by their seeds alone were not told apart in any of {len(own)} comparisons, as it should be."
        ]
    named = [f"{display(c.method)} at {a.price(c.budget)} ({signed(_estimate(c))})" for c in held]
    return [
        f"Warning: {listed(named)} came out different from the same method with other seeds, in {len(held)} of {len(own)} "
        "comparisons; chance alone gives that in few benchmarks."
    ]


def _mixed(a: DatasetAnalysis) -> list[str]:
    """Comparisons of runs that differ in precision or device; those of one kind together."""
    found: dict[str, list[Compared]] = {}
    for c in a.comparisons:
        if c.mixed:
            found.setdefault(c.mixed, []).append(c)
    if not found:
        return []
    kinds = "; ".join(f"{how} ({_who(own)})" for how, own in found.items())
    return [
        f"Some compared runs differ in precision or kind of device, marked ‡, which may shift scores by itself: {kinds}."
    ]


def _who(own: Sequence[Compared]) -> str:
    pairs = list(dict.fromkeys(f"{display(c.method)} and {display(c.other)}" for c in own))
    return "; ".join(pairs[:4]) + (f"; and {len(pairs) - 4} more" if len(pairs) > 4 else "")


def _diagnostics(a: DatasetAnalysis, collected: Collected) -> list[str]:
    own = collected.diagnostics[collected.diagnostics["dataset"] == a.dataset]
    said = []
    random_r2 = float(own.loc[own["phase"] == "", "position_r2"].median())
    probe = own[own["phase"] != ""].groupby("name", sort=False)["position_r2"].median().dropna()
    if len(probe) and np.isfinite(random_r2):
        said.append(
            f"The position probe, which needs no label, gives R² {number(probe.max(), 2)} for {display(str(probe.idxmax()))}, "
            f"the highest, and {number(random_r2, 2)} for a random network."
        )
    same = own.groupby(["name", "decoder"], sort=False)["same_place"].median().dropna()
    stuck = [display(str(name)) for (name, decoder), share in same.items() if decoder and share > _STUCK]
    if stuck:
        random = float(own.loc[own["phase"] == "", "same_place"].median())
        chance = f" (random network: {100 * random:.0f}%)" if np.isfinite(random) else ""
        said.append(
            f"In {listed(stuck)} the nearest local feature in an unrelated slice lies at the same place more than "
            f"{100 * _STUCK:.0f}% of the time{chance}: the map tells places in the frame, not anatomy."
        )
    return said
