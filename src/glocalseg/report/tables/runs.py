"""The report's tables about the runs themselves: labels spent, time, diagnostics, collapsed structures, missing runs."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from glocalseg.data.cards.card import Card
from glocalseg.plan.jobs import Job
from glocalseg.records.duration import duration
from glocalseg.report.collect import LABELLED, Collected, Stored
from glocalseg.report.names import ALL, UPPER_BOUND, budget_order, display, phase_title
from glocalseg.report.tables.table import Entry, Table, blocks, number

_LISTED = 8  # names shown in the page's ledger; the CSV lists all


def record_tables(collected: Collected, cards: Mapping[str, Card]) -> list[Table]:
    """All tables about the runs, in the order in which the page shows them."""
    titles = {name: card.title for name, card in cards.items()}
    return [
        _diagnostics(collected, titles),
        _ledger(collected, titles),
        _time(collected, titles),
        _collapses(collected, titles),
        _missing(collected, titles),
    ]


def _diagnostics(collected: Collected, titles: dict[str, str]) -> Table:
    table = collected.diagnostics
    columns = ["position_r2", "same_place", "same_place_chance"]
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    for (dataset, name, phase), rows in table.groupby(["dataset", "name", "phase"], sort=False):
        mean, spread = rows[columns].mean(), [_spread(rows[c]) for c in columns]
        shown[str(dataset)].append((
            Entry(display(str(name)), note=f"after {phase_title(phase).lower()}") if phase else Entry("Random network"),
            Entry(number(mean.iloc[0], 2), note=spread[0], bar=_share(mean.iloc[0])),
            Entry(number(mean.iloc[1], 2), note=spread[1], bar=_share(mean.iloc[1])),
            Entry(number(mean.iloc[2], 2)),
            Entry(str(len(rows))),
        ))  # fmt: skip
    header = ("Network", "Position probe R²", "Same place", "by chance", "Seeds")
    caption = (
        "Two tests of pretraining that need no label; mean over seeds, with the range. Position probe: how well a ridge "
        "regression tells the relative position of a slice from its features, on subjects it has not seen (1 is perfect). "
        "Same place: how often the nearest local feature in an unrelated slice of another volume lies at the same place in "
        "the frame; close to 1 means that the decoder has learnt places in the frame, not anatomy."
    )
    return Table("diagnostics", "Diagnostics of pretraining", caption, table, blocks(titles, header, shown))


def _spread(values: pd.Series) -> str:
    there = values.dropna()
    return f"{number(there.min(), 2)} to {number(there.max(), 2)}" if len(there) > 1 else ""


def _share(value: float) -> float | None:
    return None if pd.isna(value) else min(1.0, max(0.0, float(value)))


def _ledger(collected: Collected, titles: dict[str, str]) -> Table:
    unlabelled = {
        str(name): _pools(rows, collected.stores.get(str(name))) for name, rows in collected.pools.groupby("dataset")
    }
    without = {
        str(name): max(_without(volumes, collected.stores.get(str(name))) for volumes in rows["volumes"])
        for name, rows in collected.pools.groupby("dataset")
    }
    ledger = collected.ledger.assign(order=collected.ledger["budget"].map(budget_order)).sort_values(["order", "draw"])
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    data = []
    for row in ledger.to_dict("records"):
        train, validation = row["train"], row["validation"]
        total = len(set(train) | set(validation))
        shown[row["dataset"]].append((
            Entry("all" if row["budget"] == ALL else row["budget"]),
            Entry("–" if row["budget"] == ALL else str(row["draw"])),
            Entry(str(len(train)), note=_names(train)),
            Entry(str(len(validation)), note=_names(validation)),
            Entry(str(total), strong=True),
            unlabelled.get(row["dataset"], Entry("0")),
            Entry(str(len(row["test"])), note=f"{row['test_subjects']} subjects"),
        ))  # fmt: skip
        data.append({
            "dataset": row["dataset"], "budget": row["budget"], "draw": row["draw"], "labelled_total": total,
            **{f"{k}_volumes": len(row[k]) for k in LABELLED},
            "unlabelled_volumes": unlabelled.get(row["dataset"], Entry("0")).text.replace(" / ", " "),
            "without_label": without.get(row["dataset"], 0),
            "test_subjects": row["test_subjects"],
            **{k: " ".join(row[k]) for k in LABELLED},
        })  # fmt: skip
    header = ("Labelled", "Draw", "Trained on", "Validated on", "Labels in all", "Unlabelled", "Tested on")
    caption = (
        "Every volume whose label a number cost. Validation labels choose the checkpoint, so they count as well; a budget "
        "of n means n volumes to train on. All methods used the same volumes at a budget and draw, which was checked. "
        "Unlabelled: volumes that pretraining, or a semi-supervised regime, read without their labels; some may have none."
    )
    table = pd.DataFrame(data) if data else pd.DataFrame(columns=["dataset", "budget", "draw", "labelled_total"])
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
    return Entry(" / ".join(sizes), note="; ".join(said))


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
            Entry(phase_title(row["phase"]), note=device),
            Entry(str(row["runs"])),
            Entry(duration(row["wall_seconds_total"])),
            Entry(duration(row["wall_seconds_mean"])),
            Entry(number(row["images_per_second"], 0)),
            Entry(number(row["peak_memory_mb"], 0)),
        ))  # fmt: skip
    header = ("Phase", "Runs", "Time in all", "Time per run", "Images per second", "Peak memory, MB")
    caption = (
        "Wall-clock time of the jobs, added up although several may have run side by side, and training throughput. "
        "Time per run of fine-tuning includes validation and the predictions of the test volumes."
    )
    return Table("time", "Time and throughput", caption, data, blocks(titles, header, shown))


def _collapses(collected: Collected, titles: dict[str, str]) -> Table:
    data = collected.collapses
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in titles}
    for (dataset, method, budget), rows in data.groupby(["dataset", "method", "budget"], sort=False):
        name = UPPER_BOUND if budget == ALL else str(method)
        where = "; ".join(f"{r.structure} (draw {r.draw}, seed {r.seed})" for r in rows.itertuples())
        runs = len(rows[["draw", "seed"]].drop_duplicates())
        shown[str(dataset)].append((Entry(display(name)), Entry(str(budget)), Entry(str(runs)), Entry(where)))
    header = ("Method", "Labelled", "Runs", "Structure that the network lost")
    caption = (
        "Runs whose selected network hardly finds a structure in the validation volumes (Dice below the limit under "
        "Protocol). They are in all averages."
    )
    return Table("collapses", "Collapsed structures", caption, data, blocks(titles, header, shown))


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


MISSING_COLUMNS = ("phase", "dataset", "name", "budget", "draw", "seed", "folder", "failure")


def _missing_row(job: Job, failure: str | None) -> tuple[object, ...]:
    """A missing run as a row of MISSING_COLUMNS."""
    return (job.phase, job.dataset, job.name, job.budget, job.draw, job.seed, str(job.record.parent), failure)
