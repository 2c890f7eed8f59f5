"""Fixtures of tests that need the repository itself: a copy of its code in which a test may change anything."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from glocalseg import plan as plan_module
from glocalseg import provenance
from glocalseg.config import load_benchmark, load_cards
from glocalseg.plan import Plan, make_plan

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("Snakefile", "workflow", "config", "profiles", "src", "envs", "requirements.lock")
Planner = Callable[[str], Plan]


def copy_code(destination: Path) -> Path:
    """A copy of the code that makes results, without any data or result."""
    destination.mkdir()
    for name in CODE:
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.lock.json")
            shutil.copytree(source, destination / name, ignore=ignored)
        else:
            shutil.copy(source, destination / name)
    for name in ("local", "slurm"):
        (destination / name).symlink_to(f"profiles/{name}")
    return destination


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code in which a test may change anything."""
    return copy_code(tmp_path / "tree")


@pytest.fixture
def planner(tree: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Planner]:
    """The plan that the copy's code gives for one of its configurations, as the copy is at the time of the call."""
    monkeypatch.setattr(provenance, "__file__", str(tree / "src/glocalseg/provenance.py"))
    monkeypatch.setattr(plan_module, "__file__", str(tree / "src/glocalseg/plan.py"))

    def forget() -> None:
        for function in (provenance.code_digest, provenance.closure, provenance._imports, provenance._tree):
            function.cache_clear()

    def plan(configuration: str) -> Plan:
        forget()
        benchmark = load_benchmark(tree / "config" / f"{configuration}.yaml")
        cards = tree / "config" / "datasets"
        return make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)

    yield plan
    forget()
