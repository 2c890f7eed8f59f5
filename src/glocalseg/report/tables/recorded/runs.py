"""The report's tables about the runs themselves: labels spent, time, diagnostics, missing runs."""

from __future__ import annotations

import pandas as pd

from glocalseg.data.splits.given import SplitLists
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.duration import duration
from glocalseg.report.collected.collect import Collected, Stored
from glocalseg.report.collected.ledger import LABELLED
from glocalseg.report.tables.table import Entry, Table, blocks, labelled, number, sort_key
from glocalseg.report.text.names import ALL, budget_order, display, phase_title, price

_LISTED = 8  # names shown in the page's ledger; the CSV lists all


def record_tables(plan: Plan, collected: Collected, titles: dict[str, str]) -> list[Table]:
    """All tables about the runs, in the order in which the page shows them."""
    return [
        _diagnostics(collected, titles),
        _ledger(collected, titles, listed_by_cards(plan)),
        _time(collected, titles),
        _missing(collected, titles),
    ]


def _diagnostics(collected: Collected, titles: dict[str, str]) -> Table:
    table = collected.diagnostics
    columns = ["position_r2", "same_place", "same_place_chance"]
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    for (dataset, name, phase), rows in table.groupby(["dataset", "name", "phase"], sort=False):
        median, spread = rows[columns].median(), [_spread(rows[c]) for c in columns]
        shown[str(dataset)].append((
            Entry(display(str(name)), more=f"after {phase_title(phase).lower()}") if phase else Entry("Random network"),
            Entry(number(median.iloc[0], 2), more=spread[0], bar=_share(median.iloc[0])),
            Entry(number(median.iloc[1], 2), more=spread[1], bar=_share(median.iloc[1])),
            Entry(number(median.iloc[2], 2)),
            Entry(str(len(rows))),
        ))  # fmt: skip
    header = ("Network", "Position probe R²", "Same place", "by chance", "Seeds")
    caption = (
        "Two tests of pretraining that need no label; median over seeds, with the range. Position probe: how well a ridge "
        "regression tells the relative position of a slice from its features, on subjects it has not seen (1 is perfect; "
        "a feature that nearly no slice shows can throw it far below 0 for one seed, which says nothing of the others). "
        "Same place: how often the nearest local feature in an unrelated slice of another volume lies at the same place "
        "in the frame; close to 1 means that the decoder has learnt places in the frame, not anatomy."
    )
    return Table("diagnostics", "Diagnostics of pretraining", caption, table, blocks(titles, header, shown))


def _spread(values: pd.Series) -> str:
    there = values.dropna()
    return f"{number(there.min(), 2)} to {number(there.max(), 2)}" if len(there) > 1 else ""


def _share(value: float) -> float | None:
    return None if pd.isna(value) else min(1.0, max(0.0, float(value)))


def listed_by_cards(plan: Plan) -> set[tuple[str, str, str]]:
    """Dataset, budget and repeat wherever a card itself lists who has labels, as the paper's do for its first draws."""
    return {
        (job.dataset, str(job.budget), job.repeat.name)
        for job in plan.of("finetune")
        if job.budget is not None
        and job.repeat is not None
        and isinstance(splits := plan.cards[job.dataset].splits, SplitLists)
        and splits.is_listed(job.budget, job.repeat.draw)
    }


def _ledger(collected: Collected, titles: dict[str, str], by_cards: set[tuple[str, str, str]]) -> Table:
    unlabelled = {
        str(name): _pools(rows, collected.stores.get(str(name))) for name, rows in collected.pools.groupby("dataset")
    }
    without = {
        str(name): max(_without(volumes, collected.stores.get(str(name))) for volumes in rows["volumes"])
        for name, rows in collected.pools.groupby("dataset")
    }
    places = {name: i for i, name in enumerate(dict.fromkeys(collected.ledger["repeat"]))}
    ledger = collected.ledger.assign(
        order=collected.ledger["budget"].map(budget_order), place=collected.ledger["repeat"].map(places)
    ).sort_values(["order", "place"])
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    data = []
    before: dict[str, tuple[str, ...]] = {}  # volumes of validation that were named last
    for row in ledger.to_dict("records"):
        train, validation, seen = row["train"], row["validation"], before.get(row["dataset"])
        total = len(set(train) | set(validation))
        everyone = (ledger["dataset"] == row["dataset"]) & (ledger["budget"] == row["budget"])
        some = ledger[everyone & (ledger["repeat"] == row["repeat"])]
        listed = (row["dataset"], row["budget"], row["repeat"]) in by_cards
        paid = price(row["budget"], row["selection"], [len(validation)] if validation else [])
        shown[row["dataset"]].append((
            labelled(paid, row["budget"], more=", ".join(display(m) for m in row["methods"]) if len(some) > 1 else ""),
            Entry(row["repeat"], more="listed by the card" if listed else ""),
            Entry(str(len(train)), more="" if row["budget"] == ALL else _names(train)),
            Entry(str(len(validation)), more="the same" if validation and validation == seen else _names(validation)),
            Entry(str(total), strong=True),
            unlabelled.get(row["dataset"], Entry("0")),
            Entry(str(len(row["test"])), more=f"{row['test_subjects']} subjects"),
        ))  # fmt: skip
        before[row["dataset"]] = validation or seen or ()
        data.append({
            "dataset": row["dataset"], "budget": row["budget"], "repeat": row["repeat"], "selection": row["selection"],
            "listed": listed, "methods": " ".join(row["methods"]), "labelled_total": total,
            **{f"{k}_volumes": len(row[k]) for k in LABELLED},
            "unlabelled_volumes": unlabelled.get(row["dataset"], Entry("0")).text.replace(" / ", " "),
            "without_label": without.get(row["dataset"], 0),
            "test_subjects": row["test_subjects"],
            **{k: " ".join(row[k]) for k in LABELLED},
        })  # fmt: skip
    header = ("Labelled volumes", "Repeat", "Trained on", "Selected on", "Labels in all", "Unlabelled", "Tested on")
    caption = (
        "Every volume whose label a number cost: those that a run was trained on and, where they chose its weights, those of "
        "validation. All methods were trained and tested on the same volumes at a number of them and in a repeat, which was "
        "checked. Unlabelled: volumes that pretraining, or a semi-supervised regime, read without their labels; some may have "
        "none."
    )
    table = pd.DataFrame(data) if data else pd.DataFrame(columns=["dataset", "budget", "repeat", "labelled_total"])
    return Table("ledger", "Label ledger", caption, table, blocks(titles, header, shown))


def _pools(rows: pd.DataFrame, stored: Stored | None) -> Entry:
    """How many volumes were read without their labels, and how many of them have none; where methods read different lists, how
    many each, and who read which."""
    sizes = [str(len(volumes)) for volumes in rows["volumes"]]
    who = [", ".join(display(name) for name in readers) for readers in rows["readers"]]
    without = [_without(volumes, stored) for volumes in rows["volumes"]]
    said = [f"{n} of them have no label" for n in without if n] if len(sizes) == 1 else [
        f"{size}{f', {n} of them without a label' if n else ''}: {names}"
        for size, n, names in zip(sizes, without, who, strict=True)
    ]  # fmt: skip
    return Entry(" / ".join(sizes), more="; ".join(said))


def _without(volumes: tuple[str, ...], stored: Stored | None) -> int:
    """How many of some volumes have no label."""
    return len(stored.unlabelled.intersection(volumes)) if stored else 0


def _names(volumes: tuple[str, ...]) -> str:
    more = f" … and {len(volumes) - _LISTED} more" if len(volumes) > _LISTED else ""
    return ", ".join(volumes[:_LISTED]) + more


def _time(collected: Collected, titles: dict[str, str]) -> Table:
    keys = ["dataset", "phase", "device", "precision", "threads"]
    grouped = collected.timings.groupby(keys, sort=False, dropna=False)
    data = grouped.agg(
        runs=("wall_seconds", "size"),
        wall_seconds_total=("wall_seconds", "sum"),
        wall_seconds_mean=("wall_seconds", "mean"),
        test_seconds_mean=("test_seconds", "mean"),
        images_per_second=("images_per_second", "mean"),
        peak_memory_mb=("peak_memory_mb", "max"),
    ).reset_index()
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    for row in data.to_dict("records"):
        device = " · ".join(str(row[k]) for k in ("device", "precision") if row[k])
        shown[row["dataset"]].append((
            Entry(phase_title(row["phase"]), more=device),
            Entry(str(row["runs"])),
            Entry(duration(row["wall_seconds_total"]), key=sort_key(row["wall_seconds_total"])),
            Entry(duration(row["wall_seconds_mean"]), key=sort_key(row["wall_seconds_mean"])),
            Entry(number(row["images_per_second"], 0)),
            Entry(number(row["peak_memory_mb"], 0)),
        ))  # fmt: skip
    header = ("Phase", "Runs", "Time in all", "Time per run", "Images per second", "Peak memory, MB")
    caption = (
        "Wall-clock time of the jobs, added up although several may have run side by side, and training throughput. "
        "Time per run of fine-tuning includes validation and the predictions of the test volumes."
    )
    return Table("time", "Time and throughput", caption, data, blocks(titles, header, shown))


def _missing(collected: Collected, titles: dict[str, str]) -> Table:
    data = pd.DataFrame(
        [_missing_row(job, collected.failures.get(job.record)) for job in collected.missing],
        columns=list(MISSING_COLUMNS),
    )
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    for job in collected.missing:
        why = collected.failures.get(job.record, "stopped or not run")
        shown[job.dataset].append(
            (Entry(phase_title(job.phase)), Entry(job.label), Entry(why), Entry(str(job.record.parent)))
        )
    header = ("Phase", "Run", "Why", "Folder")
    caption = "Jobs of the plan that have no record: they failed, were stopped, or have not run. No average holds them."
    return Table("missing", "Missing runs", caption, data, blocks(titles, header, shown))


MISSING_COLUMNS = ("phase", "dataset", "name", "budget", "repeat", "seed", "folder", "failure")


def _missing_row(job: Job, failure: str | None) -> tuple[object, ...]:
    """A missing run as a row of MISSING_COLUMNS."""
    repeat = job.repeat.name if job.repeat else None
    return (job.phase, job.dataset, job.name, job.budget, repeat, job.seed, str(job.record.parent), failure)
