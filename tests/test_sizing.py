"""The hours that benchmarks/sizing.py says, worked out by hand."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest

from glocalseg.config.benchmark import parse_benchmark
from glocalseg.config.model import ConfigError, read_yaml
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan

HERE = Path(__file__).resolve().parents[1]
CARDS = HERE / "config" / "datasets"


@pytest.fixture(scope="module")
def sizing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sizing", HERE / "benchmarks" / "sizing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sizing"] = module  # its dataclass looks for itself there
    spec.loader.exec_module(module)
    return module


GRID = {  # of the plans below, whatever the shipped configurations come to say
    "methods": [{}, *({"global": name} for name in ("gr", "gd_minus", "gd", "pcl")),
                *({"global": "gd", "local": name} for name in ("lr", "ld"))],
    "budgets": [1, 2, 8], "repeats": 3, "upper_bound": True, "statistics": {}, "pretrain_global": {"steps": 250, "images": 96},
    "pretrain_local": {"steps": 100, "images": 48}, "finetune": {"steps": 120, "batch": 12, "validate_every": 50},
}  # fmt: skip


def plan_of(name: str, **changes: Any) -> Plan:
    path = HERE / "config" / f"{name}.yaml"
    benchmark = parse_benchmark({**read_yaml(path), **changes}, where=str(path))
    return make_plan(benchmark, load_cards(benchmark.datasets, CARDS), lock_folder=CARDS)


def measured(size: int, rate: float, plan: Plan) -> pd.DataFrame:
    """A CSV of throughput.py in which everything has one rate."""
    names = {(j.phase, j.name) for j in plan.jobs.values() if j.phase.startswith("pretrain")} | {("finetune", "random")}
    return pd.DataFrame(
        [
            {
                "phase": phase,
                "name": name,
                "images_per_step": 48,
                "images_per_second": rate,
                "size": size,
                "precision": "float32",
            }
            for phase, name in sorted(names)
        ]
    )


def test_hours_by_hand(sizing: ModuleType) -> None:
    plan = plan_of("hippocampus", **GRID)
    tuned = 7 * 3 * 3 + 3  # methods x budgets x repeats, and the upper bound in each repeat
    table = sizing.hours(plan, measured(32, 50.0, plan), sizing.Costs(overhead=10, validation=2)).set_index("phase")
    assert table["jobs"].to_dict() == {
        "pretrain_global": 12,
        "pretrain_local": 6,
        "diagnose": 21,
        "finetune": tuned,
        "score": tuned,
    }
    steps = {"pretrain_global": 3000, "pretrain_local": 600, "diagnose": 0, "finetune": tuned * 120, "score": 0}
    assert table["steps"].to_dict() == steps
    expected = {
        "pretrain_global": 12 * (250 * 96 / 50 + 10),
        "pretrain_local": 6 * (100 * 48 / 50 + 10),
        "diagnose": 21 * 10,
        "finetune": tuned * (120 * 12 / 50 + 3 * 2 + 10),  # validated after 50, 100 and 120 steps
        "score": tuned * 10,
    }
    assert (table["hours"] * 3600).to_dict() == pytest.approx(expected)


def test_steps_before_the_labelled_ones_count(sizing: ModuleType) -> None:
    """The first stage of task-driven augmentation is as long as its second by default."""
    plan = plan_of("hippocampus", **GRID | {"methods": [{}, {"regime": "task_driven"}]})
    assert {job.name: sizing.steps_of(job) for job in plan.of("finetune")} == {"random": 120, "random+task_driven": 240}


def test_what_trains_nothing_costs_a_job_and_no_step(sizing: ModuleType) -> None:
    plans = [plan_of("hippocampus", **{**GRID, "methods": methods}) for methods in ([{}], [{"regime": "atlas"}, {}])]
    costs, rates = sizing.Costs(overhead=10, validation=2), measured(32, 50.0, plans[0])
    without, atlas = (sizing.hours(plan, rates, costs).set_index("phase") for plan in plans)
    assert atlas["steps"]["finetune"] == without["steps"]["finetune"]
    assert (atlas["hours"]["finetune"] - without["hours"]["finetune"]) * 3600 == pytest.approx(3 * 3 * 10)
    assert list(sizing.notes(plans[1], rates)) == list(sizing.notes(plans[0], rates))


def test_each_data_set_takes_the_nearest_size_and_says_so(sizing: ModuleType, tmp_path: Path) -> None:
    plan = plan_of("paper", repeats=3)
    for size, rate in ((64, 1000.0), (160, 200.0), (192, 100.0)):
        measured(size, rate, plan).to_csv(tmp_path / f"{size}.csv", index=False)
    table = sizing.read([tmp_path / f"{size}.csv" for size in (64, 160, 192)])
    assert {name: sizing.nearest(plan, name, table) for name in plan.cards} == {"acdc": 192, "prostate": 192, "mmwhs": 160}
    said = list(sizing.notes(plan, table))
    assert said == [
        "acdc: frame 192 x 192, measured at 192 x 192",
        "prostate: frame 192 x 192, measured at 192 x 192",
        "mmwhs: frame 160 x 160, measured at 160 x 160",
        "pretrain_local: 24 images a step, measured with 48",
        "finetune: 20 images a step, measured with 48",
    ]
    found = sizing.hours(plan, table, sizing.Costs(0, 0)).set_index(["dataset", "phase"])["hours"]
    assert found["acdc", "pretrain_global"] == pytest.approx(18 * 10001 * 48 / 100 / 3600)
    assert found["mmwhs", "pretrain_global"] == pytest.approx(18 * 10001 * 48 / 200 / 3600)


def test_a_fine_tuning_takes_a_supervised_measurement_where_there_is_one(sizing: ModuleType) -> None:
    plan = plan_of("paper", repeats=1)
    slow, fast = measured(192, 10.0, plan), measured(192, 90.0, plan)
    fast = fast[fast["phase"] == "finetune"].assign(name="random+adversarial")
    job = plan.of("finetune")[0]
    for rows, rate in (([fast, slow], 10.0), ([fast], 90.0)):
        assert sizing.rate(job, plan, pd.concat(rows))["images_per_second"] == rate


def test_the_fastest_of_several_measurements_counts(sizing: ModuleType, tmp_path: Path) -> None:
    plan = plan_of("quick")
    rows = [measured(48, rate, plan) for rate in (10.0, 30.0, 20.0)]
    pd.concat(rows).to_csv(tmp_path / "a.csv", index=False)
    assert set(sizing.read([tmp_path / "a.csv"])["images_per_second"]) == {30.0}


def test_what_was_not_measured_is_a_named_error(sizing: ModuleType, tmp_path: Path) -> None:
    plan = plan_of("quick")
    table = measured(48, 10.0, plan)
    with pytest.raises(ConfigError, match="expected a measurement of pretrain_global pcl, found none"):
        sizing.hours(plan, table[table["name"] != "pcl"], sizing.Costs(0, 0))
    (tmp_path / "old.csv").write_text("phase,name\n")
    with pytest.raises(ConfigError, match=r"old.csv: expected a CSV of throughput.py, found none of images_per_step"):
        sizing.read([tmp_path / "old.csv"])
