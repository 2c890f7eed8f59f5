"""What the programs of the workflow have in common: arguments in, one library call, one line to the console."""

from __future__ import annotations

import argparse
import io
import logging
import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from glocalrun import gpus
from glocalrun.calls import lock_of_job, marked
from glocalrun.locks import alone
from glocalrun.plans import plan_around
from glocalrun.status import progress
from glocalseg.data.cards.card import Card
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.phases import PHASES
from glocalseg.records.files import write_json
from glocalseg.records.sealed import FAILURE, RESUME, restore
from glocalseg.stages.specs import Place, Spec

ROOT = Path(".")  # all paths of a plan are relative to the working directory, the repository's root


@dataclass(frozen=True)
class Call:
    """What a program was asked for; ``plan`` is the part of the benchmark's that holds ``record``."""

    plan: Plan
    record: Path
    workers: int

    @property
    def job(self) -> Job:
        """The job of the plan that makes ``record``. Raises ConfigError."""
        return self.plan.job(self.record)

    def whole(self) -> Plan:
        """The plan, if ``record`` is a job of it or its partial report: what it makes is then what was asked for.

        Raises:
            ConfigError: where code or configuration changed after Snakemake had listed its jobs.
        """
        if self.record != self.plan.partial_report:
            self.plan.job(self.record)
        return self.plan

    @property
    def card(self) -> Card:
        """The card of the data set that ``record`` is about: data/<kind>/<dataset>/..."""
        return self.plan.cards[self.record.parts[2]]


def stage(make: Callable[[Any, Place], object]) -> Callable[[Call], object]:
    """A stage of the library as the work of a program: it gets the job's specification and place, and nothing else."""
    return lambda call: make(call.job.spec, call.job.place(ROOT))


def stages(makers: Mapping[type[Spec], Callable[[Any, Place], object]]) -> Callable[[Call], object]:
    """Several stages as the work of one program: the kind of the job's specification says which."""
    return stage(lambda spec, place: makers[type(spec)](spec, place))


def run(work: Callable[[Call], object], *, gpu: bool = False) -> None:
    """Do one job of the workflow and exit: 0 when its record is there, 1 with the reason on the log otherwise.

    Args:
        work: makes the record; a list that it returns is told to the console, a line each.
        gpu: hold one GPU of this machine meanwhile, where it has any, and see only that one.
    """
    started = time.monotonic()
    # cuBLAS reads it when it starts: with workspaces of one size, what else runs on the GPU cannot change how it splits a sum
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    args = _arguments()
    state = args.benchmark.parent
    with _output_to(args.log) as console:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
        logging.captureWarnings(True)
        try:
            plan = plan_around(args.benchmark, args.record)
            with alone(
                lock_of_job(state, args.record), waiting=f"{args.record}: another process makes it; waiting for it"
            ) as held:
                again = marked(state, args.record)
                there = not again and restore(args.record)
                said = None
                if not there:
                    said = _make(Call(plan, args.record, args.workers), work, gpu=gpu, clear=held, again=again)
        except Exception as error:
            _explain(error)
            sys.exit(1)
        for text in said if isinstance(said, list) else ():
            print(text, file=console, flush=True)
        print(_line(plan, args.benchmark, args.record, time.monotonic() - started, there), file=console, flush=True)


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
    console = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="replace")
    with console, log.open("a", encoding="utf-8") as f:
        os.dup2(f.fileno(), sys.stdout.fileno())
        os.dup2(f.fileno(), sys.stderr.fileno())
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(encoding="utf-8")  # whatever the console's is: names of subjects are anybody's
        try:
            yield console
        finally:
            sys.stdout.flush()
            sys.stderr.flush()


def _make(call: Call, work: Callable[[Call], object], *, gpu: bool, clear: bool, again: bool) -> object:
    """Make the record, and return what the work has to say; where that fails, leave the reason beside it, for the report."""
    folder = call.record.parent
    folder.mkdir(parents=True, exist_ok=True)
    own = call.record in call.plan.jobs and call.record != call.plan.report.record
    (folder / FAILURE).unlink(missing_ok=True)
    if own and (clear or again):
        _empty(folder, entirely=again)
    try:
        with gpus.one(call.plan.benchmark.hardware) if gpu else nullcontext() as device:
            if device is not None:
                print(f"GPU {device}", file=sys.stderr, flush=True)
            return work(call)
    except Exception as error:
        if own:
            with suppress(OSError):  # on a full disk the reason is lost, but not the error
                write_json(folder / FAILURE, {"error": type(error).__name__, "message": str(error)})
        raise


def _empty(folder: Path, *, entirely: bool) -> None:
    """Remove leftovers: they may be links into DVC's cache, and to write into one would change that too.

    Only ``entirely``, for what is made again although it was finished, with the state of an unfinished run and with folders.
    """
    for path in folder.iterdir():
        if path.is_dir() and entirely:
            shutil.rmtree(path)
        elif not path.is_dir() and (entirely or not path.name.startswith(RESUME)):
            path.unlink()


def _line(plan: Plan, benchmark: Path, record: Path, seconds: float, there: bool) -> str:
    """What the console is told of a job that has ended."""
    job = plan.jobs.get(record)
    phase = PHASES[job.phase].title.lower() if job else Path(sys.argv[0]).stem
    what = f"{phase} {job.label if job else record.parts[2]}"
    if there:
        return f"there already: {what}"
    try:
        return progress.line(benchmark, job.phase if job else None, what, seconds)
    except (OSError, ValueError) as error:  # the record is there: an estimate that cannot be made is no failure
        return f"done: {what} (no estimate: {error})"


def _explain(error: Exception) -> None:
    """An error that this project names is its message; any other one is a traceback."""
    if type(error).__module__.startswith("glocalseg"):
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    else:
        traceback.print_exception(error)
