"""Fixtures of tests that need the repository itself: a copy of its code in which a test may change anything."""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from glocalseg.config.benchmark import load_benchmark
from glocalseg.config.model import read_yaml
from glocalseg.data import readers
from glocalseg.data.acquire import sources
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from loopback import Server, serving

REPOSITORY = Path(__file__).resolve().parents[1]
CODE = ("Snakefile", "workflow", "config", "profiles", "src", "envs", "requirements.lock")
LOCKED = ("hippocampus",)  # data sets whose lock file is in git; others may lie here, of data that somebody verified
GLOBAL, LOCAL = ("gr", "gd_minus", "gd", "pcl"), ("lr", "ld")  # of a plain tree's methods
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
    for name in LOCKED:
        shutil.copy(lock_of(REPOSITORY, name), lock_of(destination, name))
    for name in ("local", "slurm"):
        (destination / name).symlink_to(f"profiles/{name}")
    return destination


def lock_of(tree: Path, dataset: str) -> Path:
    """The lock file of a data set."""
    return tree / f"config/datasets/{dataset}.lock.json"


def plain(tree: Path) -> Path:
    """The copy, its hippocampus with methods that set nothing, whatever the shipped configuration comes to compare."""
    path = tree / "config/hippocampus.yaml"
    methods = [{}, *({"global": name} for name in GLOBAL), *({"global": "gd", "local": name} for name in LOCAL)]
    raw = {**read_yaml(path), "methods": methods, "budgets": [1, 2, 8], "repeats": 2, "statistics": {}}
    path.write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    return tree


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on the loopback interface, which is not behind the proxy that this machine may have."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as state:
        yield state


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the code in which a test may change anything."""
    return copy_code(tmp_path / "tree")


@pytest.fixture
def planner(tree: Path) -> Planner:
    """The plan that the copy's code gives for one of its configurations, as the copy is at the time of the call."""
    return lambda configuration: plan_in(tree, configuration)


@pytest.fixture
def configured(tree: Path) -> Planner:
    """The plan of one of the copy's configurations, cards and lock files as they are at the time of the call, by the code of this
    process: what ``planner`` gives as long as the copy's code is not changed, in a tenth of the time."""

    def plan(configuration: str) -> Plan:
        cards, benchmark = tree / "config/datasets", load_benchmark(tree / f"config/{configuration}.yaml")
        return make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)

    return plan


def plan_in(tree: Path, configuration: str) -> Plan:
    """The plan that a tree's own code gives for one of its configurations, worked out by a process of its own."""
    program = (
        "import pickle, sys\nfrom pathlib import Path\nfrom glocalseg.config.benchmark import load_benchmark\n"
        "from glocalseg.data.cards.card import load_cards\nfrom glocalseg.plan.make import make_plan\n"
        f"cards, benchmark = Path('config/datasets'), load_benchmark(Path('config/{configuration}.yaml'))\n"
        "plan = make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)\n"
        "sys.stdout.buffer.write(pickle.dumps(plan))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=tree, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    plan: Plan = pickle.loads(done.stdout)
    return plan


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are readers and sources too."""
    folder = tmp_path / "further"
    folder.mkdir()
    loaded = set(sys.modules)
    for package in (readers, sources):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    yield folder
    for name in set(sys.modules) - loaded:
        if name.startswith(("glocalseg.data.readers.", "glocalseg.data.acquire.sources.")):
            del sys.modules[name]
