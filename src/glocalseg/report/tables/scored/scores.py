"""The report's tables of Dice: by method and budget, by structure."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.evaluation.statistics.intervals import Mean
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.analysis.dataset import over_structures
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.scored.metrics import metrics_table
from glocalseg.report.tables.scored.single import repeats_table, subjects_table
from glocalseg.report.tables.table import Block, Digits, Entry, Table, columns, digits_of, frame, labelled, with_interval
from glocalseg.report.text.names import ALL, UPPER_BOUND, display

Analyses = Mapping[str, DatasetAnalysis]
SAID = {"better": "better", "worse": "worse"}
TONE = {"better": "better", "worse": "worse", "runs missing": "missing"}
PAID = (
    "Labelled volumes are counted as they were paid for: “n + m for selection” is n to train on and m others whose labels chose "
    "the weights."
)


def score_tables(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> list[Table]:
    """All tables of scores, in the order in which the page shows them."""
    return [
        _main(analyses, collected, titles),
        _structures(analyses, titles),
        subjects_table(analyses, collected, titles),
        repeats_table(analyses, titles),
        metrics_table(analyses, collected.scores, titles),
    ]


def judged(analyses: Analyses) -> bool:
    """Whether verdicts are given: the same for all data sets of a benchmark."""
    return not any(a.silent for a in analyses.values())


def interval_said(analyses: Analyses) -> str:
    """What an interval in brackets is: ``95% interval``, by the confidence of the benchmark."""
    return f"{next((a.statistics.confidence for a in analyses.values()), 0.95):.0%} interval"


def _main(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> Table:
    data, shown, others = [], {}, over_structures(collected.scores)
    digits = digits_of(c.mean.interval for a in analyses.values() for c in a.cells.values() if c.method not in a.references)
    for name, a in analyses.items():
        methods = [m for m in a.methods if m not in a.references]
        rows = [(Entry(display(m)), *(_main_entry(a, m, n, digits) for n in a.budgets)) for m in methods]
        if a.upper:
            rows.append(_upper_row(a, a.upper, collected, digits))
        shown[name] = Block(titles[name], ("Method", *(a.price(n) for n in a.budgets)), tuple(rows))
        data += [{**_summary_row(a, c), **others.get((name, *key), {})} for key, c in a.cells.items()]
    marks = (
        "Better (bold), worse: than Random init on the same subjects and repeats, corrected for all methods "
        "and budgets; no word: no difference was found, which is no evidence of "
        "equality. ‡: the compared runs differ in precision or kind of device."
    )
    caption = (
        f"Mean Dice over test subjects and repeats; in brackets its {interval_said(analyses)} over both. A repeat has labelled "
        f"volumes, a pretraining and a fine-tuning of its own, the same for every method. {PAID} "
        + (marks if judged(analyses) else "Nothing is marked: the run says nothing of which method is ahead.")
    )
    return Table("main", "Dice by method and number of labelled volumes", caption, frame(data, ["dataset"]), shown)


def _main_entry(a: DatasetAnalysis, method: str, budget: str, digits: Digits) -> Entry:
    cell, compared = a.cell(method, budget), a.against_random(method, budget)
    if cell is None:
        return Entry("no run", tone="missing") if a.meant(method, budget) else Entry("–")
    verdict = compared.verdict or "" if compared else ""
    differs = "‡" if compared and compared.mixed else ""
    notes = [
        f"{SAID.get(verdict, '')}{differs}",
        a.own_price(budget, method),
        "" if cell.complete else f"{cell.runs} of {cell.planned} runs",
    ]
    return with_interval(
        cell.mean.interval,
        digits=digits,
        strong=verdict == "better",
        tone=TONE.get(verdict, "") if cell.complete else "missing",
        more=" · ".join(note for note in notes if note),
        runs=(method, budget),
    )


def _upper_row(a: DatasetAnalysis, cell: Cell, collected: Collected, digits: Digits) -> tuple[Entry, ...]:
    rows = collected.ledger[(collected.ledger["dataset"] == a.dataset) & (collected.ledger["budget"] == ALL)]
    count = len(rows["train"].iloc[0])
    short = "" if cell.complete else f" · {cell.runs} of {cell.planned} runs"
    more = f"· {a.price(ALL, UPPER_BOUND)}; all: {count} training volumes{short}"
    entry = with_interval(cell.mean.interval, digits=digits, more=more, runs=(UPPER_BOUND, ALL))
    return (Entry(display(UPPER_BOUND)), Entry(**{**vars(entry), "span": len(a.budgets)}))


def _summary_row(a: DatasetAnalysis, cell: Cell) -> dict[str, object]:
    compared = a.against_random(cell.method, cell.budget)
    return {
        "dataset": cell.dataset, "method": cell.method, "budget": cell.budget, "label_price": a.price(cell.budget, cell.method),
        **_numbers(cell.mean), "runs_planned": cell.planned, "against_random": compared.verdict or "" if compared else "",
    }  # fmt: skip


def _numbers(mean: Mean) -> dict[str, object]:
    return {**columns("dice_mean", mean.interval), "subjects": mean.subjects, "runs": mean.repeats}


def _structures(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    digits = digits_of(m.interval for a in analyses.values() for c in a.cells.values() for m in c.structure_means.values())
    for name, a in analyses.items():
        rows = []
        for budget in [*a.budgets, ALL]:
            cells = [c for m in [*a.methods, UPPER_BOUND] if (c := a.cells.get((m, budget)))]
            for cell in cells:
                entries = (_structure_entry(cell, s, digits) for s in a.structures)
                rows.append((Entry(display(cell.method)), labelled(a.price(budget, cell.method), budget), *entries))
                data += [
                    {"dataset": name, "method": cell.method, "budget": budget, "structure": s, **_numbers(mean)}
                    for s, mean in cell.structure_means.items()
                ]
        shown[name] = Block(titles[name], ("Method", "Labelled volumes", *a.structures), tuple(rows))
    caption = f"Mean Dice per structure; in brackets its {interval_said(analyses)} over subjects and repeats."
    return Table("structures", "Dice per structure", caption, frame(data, ["dataset"]), shown)


def _structure_entry(cell: Cell, structure: str, digits: Digits) -> Entry:
    if structure not in cell.structure_means:
        return Entry("–")
    mean = cell.structure_means[structure].interval
    return with_interval(mean, digits=digits, runs=(cell.method, cell.budget))
