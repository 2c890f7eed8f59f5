"""What stands above, below and for overlays: heads of cases, captions that say by which rule they were chosen, and alt texts."""

from __future__ import annotations

from collections.abc import Sequence

from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.figures.overlays.cases import BESIDE, Case, Run, compared
from glocalseg.report.figures.overlays.scene import Scene
from glocalseg.report.tables.table import number
from glocalseg.report.text.names import BASELINE, display, plain, shortened

_NAME = 32  # characters of a volume's or subject's name
_READ = (
    "Filled: the truth; outlined: what was predicted, on the native grid. Fill without an outline was missed, an outline without "
    "fill is too much. Slices are upright and cut to the structures, all at one scale; letters name the patient's sides. "
)


def head(a: DatasetAnalysis, case: Case) -> tuple[str, str]:
    """Two lines above a case, rich: what it is, and more of it."""
    volume, price = f"volume {shortened(case.volume, _NAME)}", a.price(case.budget, case.runs[0].method)
    if case.failed:
        part = "mean Dice" if case.failed.structure is None else f"Dice of {a.structures[case.failed.structure]}"
        found = f"{part} {number(case.failed.dice)}, upper quartile of its cell {number(case.failed.reference)}"
        first = f"{display(case.runs[0].method)}, labelled volumes: {price}, repeat {case.repeat}"
        return first, f"{case.failed.reason}: {found}; {volume}"
    if case.rank == "subject":
        first = f"Subject {shortened(case.subject, _NAME)}, labelled volumes: {price}"
        return first, f"mean Dice {number(case.dice)}; {volume}, repeat {case.repeat}"
    return f"{case.rank.capitalize()} test case, mean Dice {number(case.dice)}", volume


def ranked_caption(a: DatasetAnalysis, cases: Sequence[Case]) -> str:
    """How to read the cases by rank, and how they were chosen."""
    first = cases[0]
    return (
        f"{_READ}Cases are ranked by their mean Dice over {_ranking(a, first.budget)}, with the fewest labelled volumes "
        f"({a.price(first.budget, first.runs[0].method)}), in the middle repeat by that mean ({first.repeat}). Above an image: "
        f"the method's Dice on the case, over all its slices and structures.{_chosen(a, first.budget)}"
    )


def worst_caption(a: DatasetAnalysis, cases: Sequence[Case]) -> str:
    """How to read the worst subjects, and how they were chosen."""
    most = max(sum(case.budget == other.budget for other in cases) for case in cases)
    budget = cases[0].budget
    return (
        f"{_READ}At each number of labelled volumes, the {'subject' if most == 1 else f'{most} subjects'} with the lowest mean "
        f"Dice over {_ranking(a, budget)} and all repeats, in the middle repeat: the slice on which what is shown has the "
        f"most wrong pixels. Above an image: the method's Dice on the volume.{_chosen(a, budget)}"
    )


def failed_caption(cases: Sequence[Case], count: int) -> str:
    """How to read failed runs, and how many more there are than the ``count`` in all that are shown."""
    left = count - len(cases)
    more = f" {left} more failed and {'is' if left == 1 else 'are'} not shown." if left else ""
    return (
        f"{_READ}Each failed run is shown on its median test volume, beside random weights in the same repeat or, where those "
        "failed, beside the same method in the middle one of the repeats in which it trained. First come the runs that "
        f"keep the least of what their cell reaches; what counts as failed is said at the table of failures.{more}"
    )


def called(case: Case, run: Run) -> str:
    """A method, rich; of a run that stands beside a failed one of its method, its repeat."""
    beside = case.failed and run is not case.runs[0] and run.method == case.runs[0].method
    return f"repeat {run.repeat}" if beside else display(run.method)


def away(scenes: Sequence[Scene]) -> str:
    """Which methods' predictions are cut off at a picture's edge; nothing if none is."""
    names = dict.fromkeys(plain(display(run.method)) for scene in scenes for run in scene.cut_off)
    return f" Predicted beyond an image's edge, too, by: {', '.join(names)}." if names else ""


def said(scenes: Sequence[Scene], heads: Sequence[tuple[str, str]]) -> str:
    """The text for who does not see the images: every case with the Dice of every method."""
    return " ".join(["Images with truth and predictions.", *(_scene(s, h) for s, h in zip(scenes, heads, strict=True))])


def _scene(scene: Scene, lines: tuple[str, str]) -> str:
    dice = [f"{plain(called(scene.case, run))} {number(run.dice[scene.case.volume])}" for run, _ in scene.predictions]
    return f"{plain(lines[0])}; {plain(lines[1])}: {', '.join(dice)}."


def _ranking(a: DatasetAnalysis, budget: str) -> str:
    """By what cases are ranked: every method that is no control, or what there is."""
    methods = dict(compared(a))[budget]
    if len(methods) == 1:
        return plain(display(methods[0]))
    return f"all {len(methods)} methods{' but controls' if BASELINE in methods and a.references else ''}"


def _chosen(a: DatasetAnalysis, budget: str) -> str:
    left = len([m for m in dict(compared(a))[budget] if m != BASELINE]) - BESIDE
    return f" The {BESIDE} methods with the highest mean are shown, {left} more {'is' if left == 1 else 'are'} not." * (
        left > 0
    )
