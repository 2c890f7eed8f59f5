"""A job plans itself alone, and finds what the whole plan says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from glocalseg.config.benchmark import Benchmark, load_benchmark, parse_benchmark
from glocalseg.data.cards.card import Card, load_cards
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.plan.narrow import narrowed

CONFIG = Path(__file__).parents[2] / "config"
CARDS = CONFIG / "datasets"


def plans(benchmark: Benchmark) -> tuple[Plan, dict[str, Card]]:
    cards = load_cards(benchmark.datasets, CARDS)
    return make_plan(benchmark, cards, lock_folder=CARDS), cards


def crowded() -> dict[str, Any]:
    """A benchmark in which chains begin alike, methods share pretrainings or change them, and seeds are shared by repeats."""
    raw = load_benchmark(CONFIG / "quick.yaml").model_dump(mode="json", by_alias=True)
    methods: list[dict[str, Any]] = [
        {}, {"global": "gd"}, {"global": "gd_minus"}, {"global": "gd", "local": "lr"}, {"global": "gd", "regime": "mixup"},
        {"name": "warm", "global": "gd", "set": {"pretrain_global.temperature": 0.2}},
        {"name": "again", "global": "gd", "other_seeds": True}, {"regime": "atlas", "control": True},
    ]  # fmt: skip
    triples = [{"draw": 1, "pretraining": 1, "finetuning": 2}, {"draw": 2, "pretraining": 1, "finetuning": 1}, *[
        {"draw": r, "pretraining": r, "finetuning": r} for r in (1, 3)
    ]]  # fmt: skip
    return {**raw, "methods": methods, "repeats": triples, "budgets": [1, 4, "50%"], "upper_bound": True}


def test_every_job_is_the_one_of_the_whole_plan() -> None:
    benchmark = parse_benchmark(crowded(), where="test")
    whole, cards = plans(benchmark)
    looked_at = 0
    for record, job in whole.jobs.items():
        part = narrowed(benchmark, record)
        if job.phase in ("data", "report"):
            assert part is None
            continue
        assert part is not None
        small = make_plan(part, cards, lock_folder=CARDS, checked=True)
        assert small.job(record) == job
        assert len(small.jobs) < len(whole.jobs) / 3
        looked_at += 1
    assert looked_at > 100


@pytest.mark.parametrize(
    "record",
    ["data/raw/phantom/x/verified.json", "data/slices/phantom/x/manifest.json", "results/quick/report-x.json", "elsewhere"],
)
def test_a_record_of_no_training_has_no_part(record: str) -> None:
    assert narrowed(parse_benchmark(crowded(), where="test"), Path(record)) is None


def test_a_record_that_the_benchmark_does_not_make_is_in_no_part() -> None:
    benchmark = parse_benchmark(crowded(), where="test")
    for record in (
        "results/score/phantom/gr/n1/r1/0123456789/run.json",
        "results/finetune/phantom/gd/n7/r9/0123456789/run.json",
    ):
        part = narrowed(benchmark, Path(record))
        assert part is not None
        assert Path(record) not in make_plan(part, load_cards(part.datasets, CARDS), lock_folder=CARDS, checked=True).jobs
