"""A real SLURM of one machine: everything that can happen to a job, on a small graph, against an undisturbed local run.

``make test-slurm`` runs these, as root, on a machine that belongs to no cluster: they install SLURM and write
/etc/slurm/slurm.conf, so ``make test`` leaves them out. The graph runs once, disturbed; each test looks at one thing that
came of it.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import pytest
import yaml
from snakemake_call import command, environment, snakemake
from test_new_data import tree_with_data
from test_small_dag import BENCHMARK, bits, one, prepare_tree

from conftest import REPOSITORY
from glocalseg.records.sealed import FAILURE

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(2400)]
T = TypeVar("T")
SCRIPTS = REPOSITORY / "tests" / "slurm"
LOCAL = ("--profile", "local", "--cores", "1", "--configfile", "config/small.yaml")
# Polling and memory as fits one machine. The first attempt at the local pretraining gets too little memory, the first attempt
# at a global one a minute, which is too little for the strategy that rests 2.5 s before each of its 40 steps.
SLURM = (
    *("--profile", "slurm", "--configfile", "config/small.yaml", "--slurm-init-seconds-before-status-checks", "2"),
    *("--retries", "1", "--set-resources", "verify:mem_mb=3000", "prepare:mem_mb=3000"),
    *(
        "finetune:mem_mb=1600",
        "score:mem_mb=1600",
        "diagnose:mem_mb=1600",
        "pretrain_global:mem_mb=1600",
        "pretrain_global:runtime=attempt ** 2",
    ),
    *("pretrain_local:mem_mb=300 * 6 ** (attempt - 1)",),
    *(f"{rule}:gpu=1" for rule in ("finetune", "diagnose", "pretrain_global", "pretrain_local")),
)
LIST = """
import json
from pathlib import Path
from glocalrun.plans import plan_of
jobs = plan_of(Path("config/small.yaml")).jobs.values()
print(json.dumps([(str(job.record), job.phase, job.name) for job in jobs]))
"""
RESTS = {"REST_SLOW": "2.5", "REST_HELD": "0.8"}
RESTING = '''"""{name}: as gd, with a rest before every step where the environment says so.

Source: this test.
"""

import os
import time

from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition


class Resting(Partition):
    def draw(self, pool, images, generator):
        time.sleep(float(os.environ.get("REST_{name}", "0")))
        return super().draw(pool, images, generator)


METHOD = Resting
'''


@dataclass
class Run:
    """A tree, what Snakemake said in it, and what was seen meanwhile."""

    tree: Path
    said: str = ""
    status: int = 0
    queue: set[str] = field(default_factory=set)  # "name gpu" of every job seen running
    shared: list[str] = field(default_factory=list)  # GPUs that two running jobs had at a time
    saved: int = 0  # step of the checkpoint of the job that was requeued

    @cached_property
    def jobs(self) -> dict[str, tuple[str, str]]:
        """Phase and name of every job of the plan by record, as the tree's own code gives them."""
        call = [sys.executable, "-c", LIST]
        done = subprocess.run(
            call, cwd=self.tree, env=environment() | {"PYTHONPATH": "src"}, capture_output=True, check=True
        )
        return {record: (phase, name) for record, phase, name in json.loads(done.stdout)}


def tree_of(folder: Path) -> Path:
    """A tree with strategies that rest: their only checkpoint is the one that a signal asks for."""
    tree = prepare_tree(folder)
    for name in ("slow", "held"):
        (tree / f"src/glocalseg/methods/pretraining/encoder/{name}.py").write_text(RESTING.replace("{name}", name.upper()))
    methods = [*BENCHMARK["methods"], {"global": "slow"}, {"global": "held"}]
    text = {**BENCHMARK, "methods": methods, "pretrain_global": {**BENCHMARK["pretrain_global"], "checkpoint_every": 1000}}
    (tree / "config/small.yaml").write_text(yaml.safe_dump(text))
    return tree


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """SLURM with 8 made-up CPUs and 2 made-up GPUs."""
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["bash", str(SCRIPTS / "up.sh"), str(folder), "8", "2"], check=True, timeout=300)
    yield
    subprocess.run(["bash", str(SCRIPTS / "down.sh"), str(folder)], check=True, timeout=120)


def start(tree: Path, *call: str) -> subprocess.Popen[str]:
    """Snakemake in a tree, in the background."""
    out = (tree / "said.txt").open("w")
    return subprocess.Popen(
        command(*call), cwd=tree, env=environment() | RESTS, stdout=out, stderr=subprocess.STDOUT, text=True
    )


def queue(form: str) -> list[list[str]]:
    """Jobs that wait or run, as squeue lists them."""
    said = subprocess.run(["squeue", "-h", "-o", form], capture_output=True, text=True, timeout=60).stdout
    return [line.split() for line in said.splitlines()]


def history() -> list[dict[str, str]]:
    """Every job that there was, oldest first, as the controller remembers it."""
    said = subprocess.run(["scontrol", "-o", "show", "jobs"], capture_output=True, text=True, timeout=60).stdout
    jobs = [dict(re.findall(r"(\w+)=(\S+)", line)) for line in said.splitlines()]
    return sorted(jobs, key=lambda job: int(job["JobId"]))


def attempts(name: str) -> list[dict[str, str]]:
    """The jobs of one name, in order."""
    return [job for job in history() if job["JobName"] == name]


def wait(what: str, look: Callable[[], T | None], running: subprocess.Popen[str], seconds: float = 600) -> T:
    """What ``look`` finds as soon as it finds anything."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if (found := look()) is not None:
            return found
        assert running.poll() is None, f"Snakemake ended before {what}"
        time.sleep(0.5)
    raise AssertionError(f"waited in vain for {what}")


def number(name: str, *, state: str = "RUNNING") -> str | None:
    """The number of the job of that name in that state."""
    return next((n for n, j, s in queue("%A %j %T") if j == name and s == state), None)


# ---------------------------------------------------------------- one disturbed run


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    """A tree in which the same graph runs undisturbed on this machine, one job at a time, started now."""
    tree = tree_of(tmp_path_factory.mktemp("local") / "tree")
    with (tree / "said.txt").open("w") as out:
        running = subprocess.Popen(
            command(*LOCAL), cwd=tree, env=environment(), stdout=out, stderr=subprocess.STDOUT, text=True
        )
    yield tree, running
    running.terminate()
    running.wait(120)


@pytest.fixture(scope="module")
def disturbed(cluster: None, reference: tuple[Path, subprocess.Popen[str]], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The graph through sbatch: a job requeued, then cancelled; two that cannot succeed; too little memory; too little time."""
    run = Run(tree_of(tmp_path_factory.mktemp("cluster") / "tree"))
    for job in failing(run):
        obstacle(run, job).mkdir(parents=True)
    running = start(run.tree, *SLURM)
    try:
        held = "pretrain_global_small_phantom_held_seed1"
        folder = one_folder(run, "pretrain_global", "held")
        wait("a first step", lambda: number(held) if (folder / "log.csv").exists() else None, running)
        subprocess.run(["scontrol", "requeue", str(number(held))], check=True)
        wait("the checkpoint", lambda: (folder / "resume.json").exists() or None, running)
        run.saved = yaml.safe_load((folder / "resume.json").read_text())["step"]
        wait("its return", lambda: number(held), running)
        wait("more steps", lambda: last_step(folder) > run.saved or None, running)
        subprocess.run(["scancel", str(number(held))], check=True)
        while running.poll() is None:
            look_around(run)
            time.sleep(1)
    finally:
        running.terminate()
        run.status = running.wait(120)
    run.said = (run.tree / "said.txt").read_text()
    return run


def failing(run: Run) -> list[str]:
    """Records of a fine-tuning that fails alone in its allocation, and of a diagnosis that shares one with four others."""
    return [record for record, job in run.jobs.items() if job in (("finetune", "gd+lr"), ("diagnose", "random"))]


def obstacle(run: Run, record: str) -> Path:
    """A folder where the job has to write a file."""
    return run.tree / Path(record).parent / ("log.csv" if "/finetune/" in record else "diagnostics.json")


def one_folder(run: Run, phase: str, name: str) -> Path:
    return next(run.tree / record for record, job in run.jobs.items() if job == (phase, name)).parent


def last_step(folder: Path) -> int:
    """The last step in a log, 0 while a job that starts again has not written it."""
    log = folder / "log.csv"
    return int(log.read_text().splitlines()[-1].split(",")[0]) if log.exists() else 0


def look_around(run: Run) -> None:
    """Note the names of running jobs and which GPU each has."""
    taken = []
    for job in history_running():
        gpu = re.search(r"gpu(?::\w+)?:1\(IDX:(\d+)\)", job)
        name = re.search(r"JobName=(\S+)", job)
        run.queue.add(f"{name.group(1) if name else ''} {gpu.group(1) if gpu else ''}")
        taken += [gpu.group(1)] if gpu else []
    run.shared += [gpu for gpu in set(taken) if taken.count(gpu) > 1]


def history_running() -> list[str]:
    said = subprocess.run(["scontrol", "-o", "-d", "show", "jobs"], capture_output=True, text=True, timeout=60).stdout
    return [line for line in said.splitlines() if "JobState=RUNNING" in line]


# ---------------------------------------------------------------- what came of it


def test_jobs_are_called_by_what_they_do_and_share_allocations(disturbed: Run) -> None:
    names = {job["JobName"] for job in history()}
    assert {
        "verify_small_phantom",
        "prepare_small_phantom",
        "pretrain_global_small_phantom_gd_seed1",
        "pretrain_local_small_phantom_gd+lr_seed1",
        "finetune_small_phantom_random_n1_r1",
        "score_small_phantom_random_n1_r1",
        "diagnose_small_phantom_gd.gd+lr.held.random.slow_seed1",
    } <= names
    assert not any(name.startswith(("fetch", "report")) for name in names), "cheap rules run where Snakemake does"


def test_every_gpu_job_had_one_and_none_was_shared(disturbed: Run) -> None:
    training = {seen for seen in disturbed.queue if seen.startswith(("pretrain", "finetune", "diagnose"))}
    assert training
    assert {seen.split()[-1] for seen in training} <= {"0", "1"}
    assert not disturbed.shared


def test_a_job_that_needs_more_memory_gets_it_on_its_next_attempt(disturbed: Run) -> None:
    first, second = attempts("pretrain_local_small_phantom_gd+lr_seed1")
    assert (first["MinMemoryNode"], second["MinMemoryNode"]) == ("300M", "1800M")
    assert first["JobState"] in ("FAILED", "OUT_OF_MEMORY")
    assert second["JobState"] == "COMPLETED"


def test_a_job_that_needs_more_time_gets_it_on_its_next_attempt(disturbed: Run) -> None:
    first, second = attempts("pretrain_global_small_phantom_slow_seed1")
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "00:01:00")
    assert (second["JobState"], second["TimeLimit"]) == ("COMPLETED", "00:04:00")


def test_a_job_saves_when_told_to_stop_and_goes_on_requeued_or_cancelled(disturbed: Run) -> None:
    assert disturbed.saved > 0
    first, second = attempts("pretrain_global_small_phantom_held_seed1")
    assert (first["JobState"], first["Restarts"]) == ("CANCELLED", "1")
    assert second["JobState"] == "COMPLETED"


def test_what_fails_for_good_stops_nothing_else_and_the_report_names_it(disturbed: Run) -> None:
    assert disturbed.status != 0
    assert [job["JobState"] for job in attempts("finetune_small_phantom_gd+lr_n1_r1")] == ["FAILED", "FAILED"]
    missing = {r for r, (phase, _) in disturbed.jobs.items() if phase != "report" and not (disturbed.tree / r).exists()}
    assert missing == {*failing(disturbed), *(r for r, job in disturbed.jobs.items() if job == ("score", "gd+lr"))}
    assert "Fine-tuning: small_phantom gd+lr n1 r1" in disturbed.said
    assert "and 1 that start from these" in disturbed.said
    page = (disturbed.tree / "results/small/report/index.html").read_text()
    assert re.search(r"\d runs are missing\.", page)
    assert "small_phantom gd+lr n1 r1" in page
    assert "IsADirectoryError" in page
    assert not list(disturbed.tree.glob("results/small/report-[0-9a-f]*.json"))


def test_killed_and_started_again_it_repeats_nothing_and_ends_with_the_bits_of_a_local_run(
    disturbed: Run, reference: tuple[Path, subprocess.Popen[str]]
) -> None:
    run = disturbed
    for record in failing(run):
        assert (run.tree / record).with_name(FAILURE).is_file()
        shutil.rmtree(run.tree / Path(record).parent)
    before = {path: path.stat().st_mtime_ns for path in run.tree.glob("results/*/*/**/run.json")}
    running = start(run.tree, *SLURM)
    name = "finetune_small_phantom_gd+lr_n1_r1"
    left = wait("a running job", lambda: number(name), running)
    subprocess.run(["scontrol", "suspend", left], check=True)  # so that it still runs when Snakemake is called again
    running.send_signal(signal.SIGKILL)
    running.wait(60)
    refused = snakemake(run.tree, *SLURM)
    assert refused.returncode != 0
    assert re.search(rf"The lock of a call that was killed \(.*-{running.pid}\) was taken away", refused.stdout)
    assert re.search(rf"expected no jobs of an earlier call in .*scancel [0-9 ]*{left}", refused.stdout), refused.stdout
    subprocess.run(["scontrol", "resume", left], check=True)
    end = time.monotonic() + 300
    while queue("%A") and time.monotonic() < end:
        time.sleep(1)
    jobs = len(history())
    again = snakemake(run.tree, *SLURM, timeout=600)
    assert again.returncode == 0, again.stdout
    assert len(history()) <= jobs + 1, "only what had not been submitted when Snakemake was killed"
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "Report: results/small/report/index.html" in again.stdout
    assert not re.search(r"runs? (is|are) missing", (run.tree / "results/small/report/index.html").read_text())

    tree, local = reference
    assert local.wait(600) == 0, (tree / "said.txt").read_text()
    for record, (phase, _) in run.jobs.items():
        if phase.startswith("pretrain"):
            assert bits(run.tree / record, "weights.safetensors") == bits(tree / record, "weights.safetensors"), record
        elif phase == "finetune":
            names = ("weights.safetensors", "predictions.npz")
            assert bits(run.tree / record, *names) == bits(tree / record, *names), record
        elif phase == "score":
            assert bits(run.tree / record, "scores.csv") == bits(tree / record, "scores.csv"), record
    assert bits(one(run.tree, "results/small/report-*.json"), "scores.csv.gz", "tables/main.csv") == bits(
        one(tree, "results/small/report-*.json"), "scores.csv.gz", "tables/main.csv"
    )


def test_data_out_of_reach_is_said_before_anything_is_submitted(cluster: None, tmp_path: Path) -> None:
    jobs = len(history())
    call = ("--profile", "slurm", "--configfile", "config/hippocampus.yaml", "--config", "mirror=http://127.0.0.1:9")
    said = snakemake(tree_of(tmp_path / "tree"), *call)
    assert said.returncode != 0
    assert "hippocampus: expected an answer from 127.0.0.1:9, found ConnectionError" in said.stdout
    assert "--profile local --until fetch" in said.stdout
    assert len(history()) == jobs


def test_data_that_was_never_verified_goes_through_in_one_call(cluster: None, tmp_path: Path) -> None:
    tree = tree_with_data(tmp_path / "tree")
    call = [word.replace("config/small.yaml", "config/clinic.yaml") for word in SLURM]
    done = snakemake(tree, *call, timeout=900)
    assert done.returncode == 0, done.stdout
    assert "Verified for the first time: commit config/datasets/clinic.lock.json" in done.stdout
    assert list(tree.glob("results/clinic/report-*.json"))
    names = [job["JobName"] for job in history()]
    assert names.count("verify_clinic") == names.count("prepare_clinic") == 1
    assert "finetune_clinic_random_n1_r1" in names
    assert "Nothing to be done" in snakemake(tree, *call).stdout


def test_an_unknown_partition_is_refused_before_anything_is_submitted(cluster: None, tmp_path: Path) -> None:
    jobs = len(history())
    said = snakemake(tree_of(tmp_path / "tree"), *SLURM, "--default-resources", "slurm_partition=nowhere")
    assert said.returncode != 0
    assert "slurm_partition: expected one of main, found 'nowhere'" in said.stdout
    assert "Traceback" not in said.stdout
    assert len(history()) == jobs
