"""What the programs of the workflow have in common: arguments in, one library call, one line to the console."""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import _progress
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src"))  # this checkout's code, whichever one the environment was made for

import _gpus  # noqa: E402

from glocalseg.config import Card, load_benchmark, load_cards, parse_benchmark  # noqa: E402
from glocalseg.plan import Job, Plan, make_plan  # noqa: E402
from glocalseg.provenance import FAILURE, RESUME, digest, restore, write_json  # noqa: E402

CARDS = ROOT / "config" / "datasets"
PIPELINES = Path("pipelines.yaml")


@dataclass(frozen=True)
class Call:
    """What a program was asked for. All paths are relative to the working directory, the repository's root."""

    plan: Plan
    record: Path
    workers: int

    @property
    def job(self) -> Job:
        """The job of the plan that makes ``record``. Raises ConfigError."""
        return self.plan.job(self.record)

    @property
    def card(self) -> Card:
        """The card of the data set that ``record`` is about: data/<kind>/<dataset>/..."""
        return self.plan.cards[self.record.parts[2]]


def run(phase: str, work: Callable[[Call], object], *, gpu: bool = False) -> None:
    """Do one job of the workflow and exit: 0 when its record is there, 1 with the reason on the log otherwise.

    Args:
        phase: name for the console and for the estimate of the time left.
        work: makes the record.
        gpu: hold one GPU of this machine meanwhile, where it has any, and see only that one.
    """
    started = time.monotonic()
    # cuBLAS reads it when it starts: with workspaces of one size, what else runs on the GPU cannot change how it splits a sum
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    args = _arguments()
    with _output_to(args.log) as console:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
        logging.captureWarnings(True)
        try:
            plan = plan_of(args.benchmark)
            with _alone(args.record, args.benchmark.parent) as held:
                if not restore(args.record):
                    _make(Call(plan, args.record, args.workers), work, gpu=gpu, clear=held)
        except Exception as error:
            _explain(error)
            sys.exit(1)
        job = plan.jobs.get(args.record)
        label = job.label if job else args.record.parts[2]
        try:
            line = _progress.line(args.benchmark, job.phase if job else None, phase, label, time.monotonic() - started)
        except (OSError, ValueError) as error:  # the record is there: an estimate that cannot be made is no failure
            line = f"done: {phase} {label} (no estimate: {error})"
        print(line, file=console, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--benchmark", type=Path, required=True, help="the benchmark as it runs: YAML or JSON")
    parser.add_argument("--record", type=Path, required=True, help="run.json, manifest.json, ... that is to be made")
    parser.add_argument("--workers", type=int, default=1, help="processes; changes no number")
    parser.add_argument("--log", type=Path, help="file for all output; the console when left out")
    return parser.parse_args()


@contextmanager
def _output_to(log: Path | None) -> Iterator[IO[str]]:
    """Send everything that this process and its children print to ``log``; yield the console that it had before."""
    if log is None:
        yield sys.stdout
        return
    log.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as console, log.open("a") as f:
        os.dup2(f.fileno(), sys.stdout.fileno())
        os.dup2(f.fileno(), sys.stderr.fileno())
        try:
            yield console
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def plan_of(path: Path, **changes: object) -> Plan:
    """The plan of a configuration's file with some keys changed. Raises ConfigError."""
    benchmark = load_benchmark(path)
    if changes:
        raw = {**benchmark.model_dump(mode="json", by_alias=True), **changes}
        benchmark = parse_benchmark(raw, where=str(path))
    return make_plan(benchmark, load_cards(benchmark.datasets, CARDS), lock_folder=CARDS)


def all_plans(configurations: list[Path]) -> list[Plan]:
    """The plans of configurations, and those of the data sets that DVC keeps up to date. Raises ConfigError."""
    plans = [plan_of(path) for path in configurations]
    chosen = yaml.safe_load(PIPELINES.read_text()).get("pipelines") or {} if PIPELINES.is_file() else {}
    return plans + [plan_of(Path(v["config"]), datasets=[k], name=v["results"]) for k, v in chosen.items()]


def _make(call: Call, work: Callable[[Call], object], *, gpu: bool, clear: bool) -> None:
    """Make the record; where that fails, leave the reason beside it, for the report."""
    folder = call.record.parent
    folder.mkdir(parents=True, exist_ok=True)
    own = call.record in call.plan.jobs and call.record != call.plan.report.record
    (folder / FAILURE).unlink(missing_ok=True)
    if own and clear:  # leftovers may be links into DVC's cache: to write into one would change that too
        for path in [p for p in folder.iterdir() if not p.is_dir() and not p.name.startswith(RESUME)]:
            path.unlink()
    try:
        with _gpus.one(call.plan.benchmark.hardware) if gpu else nullcontext() as device:
            if device is not None:
                print(f"GPU {device}", file=sys.stderr, flush=True)
            work(call)
    except Exception as error:
        if own:
            with suppress(OSError):  # on a full disk the reason is lost, but not the error
                write_json(folder / FAILURE, {"error": type(error).__name__, "message": str(error)})
        raise


@contextmanager
def _alone(record: Path, state: Path) -> Iterator[bool]:
    """Make no record twice at a time: wait for a job of an earlier call that was killed while its jobs ran on.

    The lock goes with its process. Yields False on a file system without locks.
    """
    path = state / "locks" / f"{digest(str(record))[:10]}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    f = path.open("w")
    while (held := _lock(f, record)) == "gone":
        f.close()
        f = path.open("w")
    with f:
        yield held == "held"
        path.unlink(missing_ok=True)


def _lock(f: IO[str], record: Path) -> Literal["held", "gone", "none"]:
    """Wait for the lock of a file; ``gone`` if the one that held it took the file away, ``none`` where there are no locks."""
    try:
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{record}: another process makes it; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(f, fcntl.LOCK_EX)
        return "held" if os.fstat(f.fileno()).st_nlink else "gone"
    except OSError as error:
        print(f"{f.name}: no lock: {error}", file=sys.stderr)
        return "none"


def _explain(error: Exception) -> None:
    """An error that this project names is its message; any other one is a traceback."""
    if type(error).__module__.startswith("glocalseg"):
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
