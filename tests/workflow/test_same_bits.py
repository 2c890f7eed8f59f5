"""The same bits from one job at a time, from two, and from programs called by hand in any order with more threads."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from snakemake_call import command, environment, snakemake
from test_small_dag import BENCHMARK, prepare_tree

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # minutes: most of it is programs that import torch
CALL = ("--configfile", "config/small.yaml")
COMPARED = (
    "weights.safetensors", "scores.csv", "scores.csv.gz", "validation.csv", "predictions.npz", "diagnostics.json",
    "embeddings.npz",
)  # fmt: skip
# with these, and without the configuration's, every training and every diagnosis comes out with other bits
MORE_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "2")
SHUFFLE = 5
# The jobs of the tree in which it runs: record, phase and parents of each, those that bring the data included.
PLAN = """
import json
from pathlib import Path
from glocalrun.plans import plan_of
from glocalseg.plan.make import fetched_record, verified_record
plan = plan_of(Path("config/small.yaml"))
jobs = [(job.record, job.phase, job.parents) for job in plan.jobs.values()]
for card in plan.cards.values():
    verified, fetched = verified_record(card), fetched_record(card)
    jobs = [(r, p, (*parents, verified) if p == "data" else parents) for r, p, parents in jobs]
    jobs = [(fetched, "fetch", ()), (verified, "verify", (fetched,)), *jobs]
print(json.dumps([(str(record), phase, [str(p) for p in parents]) for record, phase, parents in jobs]))
"""


@dataclass(frozen=True)
class Job:
    """A record, the program that makes it, and the records that it starts from."""

    record: str
    program: str
    parents: tuple[str, ...]


@dataclass(frozen=True)
class Trees:
    """Copies of the same code that made the same benchmark in three ways."""

    one: Path
    two: Path
    shuffled: Path


# ---------------------------------------------------------------- three ways


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    """One job at a time, two, and the programs without Snakemake: beside one another, which only makes it harder."""
    folder = tmp_path_factory.mktemp("same_bits")
    one = prepare_tree(folder / "one")
    (one / "config/small.yaml").write_text(yaml.safe_dump(benchmark()))
    two, by_hand = (Path(shutil.copytree(one, folder / name, symlinks=True)) for name in ("two", "shuffled"))
    with finished(one, "--cores", "1"), finished(two, "--cores", "2"):
        run_shuffled(by_hand)
    return Trees(one, two, by_hand)


@contextmanager
def finished(tree: Path, *how: str) -> Iterator[None]:
    """Snakemake runs the benchmark beside the block, and is done when the block is left; it ends if the block fails."""
    log = tree.with_suffix(".log")
    with log.open("w") as out:
        running = subprocess.Popen(command(*how, *CALL), cwd=tree, env=surroundings(), stdout=out, stderr=subprocess.STDOUT)
    try:
        yield
        running.wait(timeout=1200)
    finally:
        running.terminate()  # Snakemake ends its jobs
        running.wait()
    assert running.returncode == 0, log.read_text()


def benchmark() -> dict[str, object]:
    """The small benchmark with a few steps."""
    return {
        **BENCHMARK,
        "pretrain_global": {"steps": 6, "images": 24},
        "pretrain_local": {"steps": 4, "images": 16},
        "finetune": {"steps": 6, "batch": 6, "validate_every": 3},
    }


def run_shuffled(tree: Path) -> None:
    """Make all records of the benchmark, program by program, with more threads and processes than the rules give."""
    planned = jobs(tree)
    order = shuffled(planned, random.Random(SHUFFLE))
    assert [job.record for job in order] != [job.record for job in planned]
    for job in order:
        more = ("--workers", "3", "--log", f"logs/{job.program}.log") if job.program == "prepare" else ()
        call([str(script(job.program)), *arguments(tree, job), *more], tree)


def jobs(tree: Path) -> list[Job]:
    """The jobs of the benchmark as the code in the tree plans them."""
    programs = {"data": "prepare", "pretrain_global": "pretrain", "pretrain_local": "pretrain"}
    listed = json.loads(call(["-c", PLAN], tree))
    return [Job(record, programs.get(phase, phase), tuple(parents)) for record, phase, parents in listed]


def shuffled(jobs: list[Job], rng: random.Random) -> list[Job]:
    """An order in which the jobs can run: each time any one whose parents are there."""
    left, order = {job.record: job for job in jobs}, []
    while left:
        ready = [record for record, job in left.items() if left.keys().isdisjoint(job.parents)]
        order.append(left.pop(rng.choice(ready)))
    return order


def script(program: str) -> Path:
    return Path("workflow/scripts") / f"{program}.py"


def arguments(tree: Path, job: Job) -> list[str]:
    """What a rule gives its program: the benchmark as Snakemake resolves it, and the record."""
    resolved = ".snakemake/glocalseg/small-*.json"
    if not list(tree.glob(resolved)):
        assert snakemake(tree, "-n", *CALL).returncode == 0
    (found,) = tree.glob(resolved)
    return ["--benchmark", str(found.relative_to(tree)), "--record", job.record]


def call(words: list[str], tree: Path) -> str:
    """What a Python of this environment says, called in the tree with its code and more threads than configured."""
    path = {"PYTHONPATH": str(tree / "src")}
    result = subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env=surroundings() | path | MORE_THREADS,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, f"{words}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def surroundings() -> dict[str, str]:
    """The environment of a fresh shell, in which the programs keep what they compiled: they are many."""
    return {k: v for k, v in environment().items() if k != "PYTHONDONTWRITEBYTECODE"}


# ---------------------------------------------------------------- their bits


def bits(tree: Path) -> dict[str, str]:
    """sha256 of every file of a tree whose bits are promised, by its path, in which the key is."""
    runs = [p for p in (tree / "results").rglob("*") if p.name in COMPARED]
    return {str(p.relative_to(tree)): sha256(p) for p in [*runs, tree / "results/small/tables/main.csv"]}


def data(tree: Path) -> dict[str, Mapping[str, str]]:
    """The hashes that the records of a tree's data hold, by record."""
    records = [p for name in ("fetched.json", "manifest.json") for p in (tree / "data").rglob(name)]
    return {str(p.relative_to(tree)): json.loads(p.read_text())["files"] for p in records}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_compared_is_all_that_was_asked_for(trees: Trees) -> None:
    names = [path.rsplit("/", 1)[1] for path in bits(trees.one)]
    count = {name: names.count(name) for name in (*COMPARED, "main.csv")}
    # gd and gd+lr, and fine-tuning from random and from gd+lr; scores.csv.gz is the report's
    assert count == {
        "weights.safetensors": 2 + 2,
        "scores.csv": 2,
        "scores.csv.gz": 1,
        "validation.csv": 2,
        "predictions.npz": 2,
        "diagnostics.json": 3,
        "embeddings.npz": 3,
        "main.csv": 1,
    }
    weights = [digest for path, digest in bits(trees.one).items() if path.endswith("weights.safetensors")]
    assert len(set(weights)) == len(weights)  # nothing is the same by having been trained by nothing


@pytest.mark.parametrize("way", ["two", "shuffled"])
def test_scores_and_weights_are_the_same_bits(trees: Trees, way: str) -> None:
    assert bits(getattr(trees, way)) == bits(trees.one)


@pytest.mark.parametrize("way", ["two", "shuffled"])
def test_the_data_is_the_same(trees: Trees, way: str) -> None:
    assert len(data(trees.one)) == 2
    assert all(data(trees.one).values())
    assert data(getattr(trees, way)) == data(trees.one)


def test_the_configuration_says_how_many_threads_a_job_has(trees: Trees) -> None:
    assert benchmark().get("threads", 1) != int(MORE_THREADS["OMP_NUM_THREADS"])
    records = list((trees.shuffled / "results").rglob("run.json"))
    assert len(records) == 2 + 3 + 2 + 2
    devices = [json.loads(record.read_text())["device"] for record in records if "/score/" not in str(record)]
    assert {device["threads"] for device in devices} == {1}
