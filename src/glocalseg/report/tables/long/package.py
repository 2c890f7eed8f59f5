"""What every column of the long tables means, for programs and people: a data package of tables with Table Schemas.

Source: Frictionless Standards, Data Package and Table Schema (https://datapackage.org), version 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from glocalseg.evaluation.metrics import METRICS
from glocalseg.plan.jobs import Plan
from glocalseg.report.tables.long.rows import COLUMNS, SCORES

NAME = "datapackage.json"
Field = dict[str, Any]


def datapackage(plan: Plan, rows: pd.DataFrame, claims: Mapping[str, pd.DataFrame]) -> bytes:
    """The file ``datapackage.json``: the long table of scores, and those that claims-reloaded reads, by path.

    Args:
        plan: whose benchmark and cards it speaks of.
        rows: of ``long_scores``.
        claims: of ``claims_tables``.
    """
    b = plan.benchmark
    package = {
        "profile": "tabular-data-package",
        "name": b.name.lower(),
        "title": b.title,
        "description": "Scores of single test volumes and structures, nothing averaged, and tables for the tool claims-reloaded.",
        "sources": [{"title": card.title, "licence": card.licence} for card in plan.cards.values()],
        "metrics": {key: _metric(key) for key in METRICS},
        "resources": [_scores(rows), *(_claims(path, table) for path, table in claims.items())],
    }
    return (json.dumps(package, indent=2, ensure_ascii=False) + "\n").encode()


def _scores(rows: pd.DataFrame) -> Field:
    return {
        "profile": "tabular-data-resource",
        "name": "scores",
        "path": SCORES,
        "compression": "gz",
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "title": "Every score: a row per run, test volume, structure, metric and weights",
        "schema": {
            "fields": [{"name": name, **_fields(rows)[name]} for name in COLUMNS],
            "missingValues": [""],
            "primaryKey": ["dataset", "method", "budget", "repeat", "volume", "structure", "metric", "weights"],
        },
    }


def _fields(rows: pd.DataFrame) -> dict[str, Field]:
    """Type, meaning and range of every column."""

    def one_of(column: str) -> Field:
        return {"enum": sorted(str(value) for value in rows[column].dropna().unique())}

    must = {"required": True}
    return {
        "dataset": _text("Name of the data set.", must | one_of("dataset")),
        "method": _text(
            "Name of the method as the benchmark lists it; the upper bound is the method random with the budget all.",
            must | one_of("method"),
        ),
        "budget": _text(
            "Labelled volumes that were trained on: a number, or all of the training volumes.",
            must | {"pattern": "[0-9]+|all"},
            unit="volumes",
        ),
        "label_price": _text(
            "What labels the run cost, in words: “1 + 6 for selection” is one volume to train on and six others whose labels "
            "chose the weights; “(selects itself)”: the labelled volumes chose them; “(last weights)”: nobody did.",
            must,
        ),
        "repeat": _text(
            "Name of the repetition of the whole experiment; methods and budgets are paired by it.", must | one_of("repeat")
        ),
        "draw": _integer("Which choice of labelled volumes the repeat has, counted from 1.", {"minimum": 1, **must}),
        "pretraining_seed": _integer("Seed of the pretraining; missing where there is none.", {"minimum": 0}),
        "finetuning_seed": _integer(
            "Seed of the fine-tuning, of random weights too; missing where no network is trained.", {"minimum": 0}
        ),
        "precision": _text("Floating-point format of the fine-tuning; missing where no network is trained.", {}),
        "device": _text("Kind of device of the fine-tuning; missing where no network is trained.", {}),
        "subject": _text("Test subject; several volumes may be of one.", must),
        "volume": _text("Test volume.", must),
        "structure": _text("Labelled structure.", must | one_of("structure")),
        "metric": _text("What was measured; see metrics at the top of this file.", must | one_of("metric")),
        "weights": _text(
            "Which weights predicted: selected, by which the run is judged, or last, of the last step of training.",
            must | one_of("weights"),
        ),
        "value": {
            "type": "number",
            "description": "The measured value, on the native grid of the volume. Missing: the truth lacks the structure, or the "
            "metric has no value where it is there. Unit and range depend on the metric.",
            "constraints": {"minimum": 0},
        },
    }  # fmt: skip


def _text(said: str, constraints: Field, **more: str) -> Field:
    return {"type": "string", "description": said, **more, **({"constraints": constraints} if constraints else {})}


def _integer(said: str, constraints: Field) -> Field:
    return {"type": "integer", "description": said, "constraints": constraints}


def _metric(key: str) -> Field:
    """A metric: range, unit, and what stands where a structure is lost."""
    metric = METRICS[key]
    lost = "the diagonal of the volume" if metric.lost == "diagonal" else metric.lost
    return {
        "title": metric.label,
        "description": metric.sentence,
        "unit": metric.unit or "1",
        "minimum": 0,
        **({"maximum": 1} if metric.better == "high" or metric.summary == "sum" else {}),
        "better": metric.better,
        **({} if lost != lost else {"where the structure is lost": lost}),
    }


def _claims(path: str, table: pd.DataFrame) -> Field:
    methods = [name for name in table.columns if name != "case_id"]
    return {
        "profile": "tabular-data-resource",
        "name": path.rsplit("/", 1)[-1].removesuffix(".csv").lower(),
        "path": path,
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "title": "Dice by test subject and method, mean over structures, volumes and repeats, for the tool claims-reloaded",
        "schema": {
            "fields": [
                {"name": "case_id", **_text("Test subject.", {"required": True, "unique": True})},
                *({
                    "name": name, "type": "number", "description": f"Mean Dice of the method {name.removeprefix('alg_')}.",
                    "constraints": {"required": True, "minimum": 0, "maximum": 1},
                } for name in methods),
            ],
            "missingValues": [""],
            "primaryKey": ["case_id"],
        },
    }  # fmt: skip
