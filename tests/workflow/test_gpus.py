"""Who gets which GPU, without any: processes that lease made-up ones and note who had what, in one file, in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from conftest import REPOSITORY
from glocalrun import gpus
from glocalseg.config.benchmark import Benchmark, Hardware, load_benchmark, parse_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.make import make_plan

PATIENCE = 120.0  # seconds, for processes that must come to an end

# A job: notes when it has a GPU, keeps it until `together` jobs have had one, notes that it is done.
JOB = """
import os, sys, time
from pathlib import Path
from glocalrun import gpus
jobs, root, notes, together = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
def note(what):
    line = f"{what} {os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}\\n".encode()
    f = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(f, line)  # one write: lines of several processes do not mix, and their order is that of the events
    os.close(f)
gpus.POLL = 0.02
with gpus.lease(sys.argv[5:], jobs, root) as device:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == device
    note("start")
    end = time.monotonic() + 100
    while notes.read_text().count("start") < together:
        assert time.monotonic() < end, "too few jobs have a GPU at the same time"
        time.sleep(0.01)
    time.sleep(0.05)  # time for another job to get in, if it could
    note("end")
"""
# A job that never ends: says which GPU it has, and holds it until it is killed. It started a program that inherits all it can.
HOLDER = """
import subprocess, sys, time
from pathlib import Path
from glocalrun import gpus
with gpus.lease(sys.argv[2:], 1, Path(sys.argv[1])) as device:
    child = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(child.pid, device, flush=True)
    time.sleep(600)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process of its own that runs the code."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src"), "CUDA_VISIBLE_DEVICES": "7,8"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@contextmanager
def ended(processes: list[subprocess.Popen[str]]) -> Iterator[None]:
    """No process outlives the block."""
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


# ---------------------------------------------------------------- who gets what


@pytest.mark.parametrize("jobs_per_gpu", [1, 2])
def test_no_gpu_has_more_jobs_than_allowed_and_none_is_idle(tmp_path: Path, jobs_per_gpu: int) -> None:
    notes, devices, capacity = tmp_path / "notes.txt", ["0", "GPU-12ab/3"], 2 * jobs_per_gpu
    jobs = [start(JOB, jobs_per_gpu, tmp_path / "locks", notes, capacity, *devices) for _ in range(10)]
    with ended(jobs):
        said = [job.communicate(timeout=PATIENCE)[1] for job in jobs]
    assert [job.returncode for job in jobs] == [0] * len(jobs), said
    running: Counter[str] = Counter()
    most: Counter[str] = Counter()
    had: dict[str, str] = {}
    for what, process, device in (line.split() for line in notes.read_text().splitlines()):
        running[device] += 1 if what == "start" else -1
        most[device] = max(most[device], running[device])
        assert had.setdefault(process, device) == device
    assert len(had) == len(jobs)
    assert most == dict.fromkeys(devices, jobs_per_gpu)


def test_the_gpu_with_the_fewest_jobs_is_taken(tmp_path: Path) -> None:
    held = []
    with ExitStack() as others:
        for _ in range(4):
            one = others.enter_context(ExitStack())
            held.append((one, one.enter_context(gpus.lease(["0", "1"], 2, tmp_path))))
        assert [device for _, device in held] == ["0", "1", "0", "1"]
        for one in (held[1][0], held[3][0]):
            one.close()
        assert [others.enter_context(gpus.lease(["0", "1"], 2, tmp_path)) for _ in range(2)] == ["1", "1"]


def test_jobs_of_a_configuration_that_allows_more_count_for_one_that_allows_less(tmp_path: Path) -> None:
    with ExitStack() as first:
        first.enter_context(gpus.lease(["0"], 2, tmp_path))
        with gpus.lease(["0"], 2, tmp_path):  # its slot is the second one
            first.close()
            with gpus.lease(["0", "1"], 1, tmp_path) as device:
                assert device == "1"


@pytest.fixture(autouse=True)
def _variable_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several leases in one process, ended in another order than they began, leave the variable changed."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "restored after the test")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")


def test_the_variable_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(KeyError, match="CUDA_VISIBLE_DEVICES is 1"), gpus.lease(["1"], 1, tmp_path):  # a job that fails
        raise KeyError(f"CUDA_VISIBLE_DEVICES is {os.environ['CUDA_VISIBLE_DEVICES']}")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    with gpus.lease(["1"], 1, tmp_path) as device:  # the failed job left nothing behind
        assert device == "1"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_without_gpus_there_is_nothing_to_wait_for_and_nothing_to_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with gpus.one(Hardware(gpus=[])) as device:
        assert device is None
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_one_call_is_all_that_a_job_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = "MIG-GPU-1a/7/0,MIG-GPU-1a/8/0"
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", both)
    with gpus.one(Hardware()) as first:
        assert first == os.environ["CUDA_VISIBLE_DEVICES"] == "MIG-GPU-1a/7/0"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", both)  # as another process finds it
        with gpus.one(Hardware()) as second:
            assert second == "MIG-GPU-1a/8/0"


# ---------------------------------------------------------------- waiting, and who dies


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A job that has GPU 0 and will not end; the program that it started outlives it."""
    process = start(HOLDER, tmp_path / "locks", "0")
    with ended([process]):
        assert process.stdout is not None
        child, device = process.stdout.readline().split()
        try:
            assert device == "0"
            yield process
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_a_job_waits_says_so_once_and_gets_the_gpu_of_one_that_was_killed(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    notes = tmp_path / "notes.txt"
    waiting = start(JOB, 1, tmp_path / "locks", notes, 1, "0")
    with ended([waiting]):
        assert waiting.stderr is not None
        said = waiting.stderr.readline()
        assert "waiting for a GPU: each of 0 has a job" in said
        assert str(tmp_path / "locks") in said
        time.sleep(0.2)  # it looks again several times
        assert not notes.exists()
        holder.kill()
        _, more = waiting.communicate(timeout=PATIENCE)
    assert waiting.returncode == 0, more
    assert more == ""
    assert [line.split()[0] for line in notes.read_text().splitlines()] == ["start", "end"]


# ---------------------------------------------------------------- which GPUs there are


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    """A machine with two GPUs, and with the other files that their driver makes."""
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("wanted", "variable", "expected"),
    [
        ("all", None, ["0", "1"]),
        ("all", "1", ["1"]),
        ("all", "1, 0", ["1", "0"]),
        ("all", "", []),
        ("all", "-1", []),
        ("all", "1,-1,0", ["1"]),
        ("all", "NoDevFiles", []),
        ("all", "GPU-8932f937-d72c,MIG-GPU-8932f937/1/0", ["GPU-8932f937-d72c", "MIG-GPU-8932f937/1/0"]),
        ("all", "2,3", ["2", "3"]),  # it is CUDA that says what is there
        ([1], None, ["1"]),
        (["1", 0], None, ["1", "0"]),
        ([0, 1], "1", ["1"]),
        ([0, 1], "", []),
        ([], None, []),
        (["GPU-8932f937-d72c"], None, ["GPU-8932f937-d72c"]),
        (["GPU-8932f937-d72c"], "GPU-8932f937-d72c,GPU-1", ["GPU-8932f937-d72c"]),
    ],
)
def test_the_gpus_that_jobs_may_use(dev: Path, wanted: object, variable: str | None, expected: list[str]) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    assert gpus.visible(Hardware(gpus=wanted), environment, dev) == expected  # type: ignore[arg-type]


def test_gpus_are_numbered_as_cuda_does_in_a_container_that_was_given_others(tmp_path: Path) -> None:
    for name in ("nvidia3", "nvidia5"):
        (tmp_path / name).touch()
    assert gpus.visible(Hardware(), {}, tmp_path) == ["0", "1"]
    assert gpus.visible(Hardware(), {}, tmp_path / "without") == []


def test_in_a_slurm_job_the_scheduler_has_chosen(dev: Path) -> None:
    environment = {"CUDA_VISIBLE_DEVICES": "0", "SLURM_JOB_ID": "17"}
    assert gpus.visible(Hardware(gpus=[2, 3]), environment, dev) == ["0"]
    assert gpus.visible(Hardware(gpus=[]), environment, dev) == []
    assert gpus.visible(Hardware(), {"SLURM_JOB_ID": "17"}, dev) == [], "a job that was given none takes none"


@pytest.mark.parametrize(("wanted", "expected"), [("all", None), ([], "")], ids=["let be", "CPU only"])
def test_without_gpus_cuda_is_let_be_unless_told(
    monkeypatch: pytest.MonkeyPatch, wanted: object, expected: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(gpus, "visible", lambda *_: [])
    with gpus.one(Hardware(gpus=wanted)) as device:  # type: ignore[arg-type]
        assert device is None
        assert os.environ.get("CUDA_VISIBLE_DEVICES") == expected


@pytest.mark.parametrize(
    ("wanted", "variable", "words"),
    [
        ([0, 5], None, "hardware.gpus: expected GPUs that this machine has (0, 1), found 5"),
        ([1], "0", "hardware.gpus: expected one that CUDA_VISIBLE_DEVICES=0 allows, found 1"),
        (["GPU-1"], "0,1", "hardware.gpus: expected one that CUDA_VISIBLE_DEVICES=0,1 allows, found GPU-1"),
    ],
)
def test_a_gpu_that_is_not_there_is_named(dev: Path, wanted: list[object], variable: str | None, words: str) -> None:
    environment = {} if variable is None else {"CUDA_VISIBLE_DEVICES": variable}
    with pytest.raises(ConfigError) as error:
        gpus.visible(Hardware(gpus=wanted), environment, dev)  # type: ignore[arg-type]
    assert str(error.value) == words


def test_locks_are_per_user_and_machine_and_per_slurm_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    here, job, other = (gpus.lock_folder(e) for e in ({}, {"SLURM_JOB_ID": "17"}, {"SLURM_JOB_ID": "18"}))
    assert here.parent == tmp_path
    assert str(os.getuid()) in here.name
    assert len({here, job, other}) == 3
    monkeypatch.setattr(gpus.platform, "node", lambda: "another")
    assert gpus.lock_folder({}) != here
    with gpus.lease(["0"], 1, here):
        assert here.stat().st_mode & 0o077 == 0


# ---------------------------------------------------------------- the configuration


def test_hardware_is_in_no_key() -> None:
    benchmark = load_benchmark(REPOSITORY / "config/hippocampus.yaml")
    cards = load_cards(benchmark.datasets, REPOSITORY / "config/datasets")
    other = benchmark.model_copy(update={"hardware": Hardware(gpus=[1, "GPU-1"], jobs_per_gpu=3)})
    assert other != benchmark
    plain, changed = (make_plan(b, cards, lock_folder=REPOSITORY / "config/datasets") for b in (benchmark, other))
    assert list(plain.jobs) == list(changed.jobs)
    assert [job.spec for job in plain.jobs.values()] == [job.spec for job in changed.jobs.values()]


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        ({"gpus": ["cuda:0"]}, ("hardware.gpus", "'cuda:0'")),
        ({"gpus": [0, "0"]}, ("hardware", "different from one another")),
        ({"jobs_per_gpu": 0}, ("hardware.jobs_per_gpu", "expected at least 1", "found 0")),
        ({"gpu": [0]}, ("hardware.gpu", "an unknown key")),
    ],
)
def test_hardware_that_cannot_be_is_refused(hardware: dict[str, object], words: tuple[str, ...]) -> None:
    raw = load_benchmark(REPOSITORY / "config/quick.yaml").model_dump(mode="json", by_alias=True)
    with pytest.raises(ConfigError) as error:
        parse_benchmark({**raw, "hardware": hardware}, where="quick.yaml")
    for word in ("quick.yaml", *words):
        assert word in str(error.value)


def test_hardware_comes_back_from_the_file_that_jobs_read() -> None:
    raw = load_benchmark(REPOSITORY / "config/quick.yaml").model_dump(mode="json", by_alias=True)
    benchmark = Benchmark.model_validate({**raw, "hardware": {"gpus": [0, "1"], "jobs_per_gpu": 2}})
    assert benchmark.hardware.gpus == ["0", "1"]
    assert Benchmark.model_validate_json(benchmark.model_dump_json(by_alias=True)) == benchmark
