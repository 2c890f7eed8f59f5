"""Corrupted inputs by the thousand: each must end in a clear line or in a right result (``make fuzz``).

A *target* is a module of ``targets``: what it corrupts, through which doors of the library the input goes, and what is right.
Every case is drawn from (seed, target, number), so that it can be made again by its number, and runs in a process of its own kind
(``worker.py``) that may take neither long nor much memory. The input of a case that failed is kept.

    python tests/fuzz/fuzz.py --count 1000 --seed 0 [--target nifti] [--number 17] [--out tmp/fuzz]
"""

from __future__ import annotations

import argparse
import json
import os
import select
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

HERE = Path(__file__).resolve().parent
TARGETS = (
    "nifti", "archives", "downloads", "listings", "drafts", "configs", "models", "weights", "records", "checkpoints",
)  # fmt: skip
SECONDS = 60.0  # after which a case hangs: the machine may have other work
NEVER = "its process did not start (its output is in the .log beside the inputs)"
START = 300.0  # of a process, which imports torch and prepares what it corrupts


@dataclass(frozen=True)
class Outcome:
    """What came of a case: ``what`` is ``refused``, or what the target says of a right result; ``failure`` is empty then."""

    target: str
    number: int
    kind: str  # of corruption
    what: str
    failure: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0  # by which memory grew at most


@dataclass
class Tally:
    """All outcomes of a target."""

    target: str
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """Those that are neither a clear line nor right, by number."""
        return sorted((o for o in self.outcomes if o.failure), key=lambda o: o.number)

    def __str__(self) -> str:
        counts = Counter("FAILED" if o.failure else o.what for o in self.outcomes)
        slowest = max(self.outcomes, key=lambda o: o.seconds)
        largest = max(self.outcomes, key=lambda o: o.megabytes)
        said = ", ".join(f"{n} {what}" for what, n in sorted(counts.items()))
        return (
            f"{self.target}: {len(self.outcomes)} cases: {said}; at most {slowest.seconds:.1f} s (case {slowest.number}) "
            f"and {largest.megabytes:.0f} MB (case {largest.number})"
        )


class _Worker:
    """A process that runs cases of one target, one at a time, and is replaced when it is lost."""

    def __init__(self, target: str, seed: int, out: Path) -> None:
        self._command = [sys.executable, str(HERE / "worker.py"), target, str(seed), str(out)]
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = b""

    def run(self, number: int) -> dict[str, Any]:
        """The answer of one case; a failure where the process hangs or dies."""
        if self._process is None:
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2", "PYTHONDONTWRITEBYTECODE": "1"}
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=HERE.parents[1]
            )
            if self._answer(START).get("what") != "ready":
                return {"kind": "", "what": "", "failure": NEVER}
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n".encode())
        self._process.stdin.flush()
        kind = self._answer(SECONDS)
        if kind.get("failure"):
            return kind
        answer = self._answer(SECONDS)
        return {"kind": kind["kind"], **answer}

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._answers:
            ready, _, _ = select.select([self._process.stdout], [], [], seconds)
            piece = os.read(self._process.stdout.fileno(), 1 << 16) if ready else b""
            if not piece:
                found = f"nothing after {seconds:g} s: it hangs" if not ready else "its process ended"
                if not ready:
                    self._process.kill()
                code = self.close()
                return {"kind": "", "what": "", "failure": f"{found} (exit status {code})"}
            self._answers += piece
        line, _, self._answers = self._answers.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> int | None:
        """End the process; its exit status."""
        if self._process is None:
            return None
        with suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process, self._answers = None, b""
        return code


def run_cases(target: str, numbers: list[int], *, seed: int, out: Path, workers: int = 1) -> Tally:
    """Run the cases of a target; inputs of those that failed are kept below ``out``."""
    out.mkdir(parents=True, exist_ok=True)
    waiting: SimpleQueue[int] = SimpleQueue()
    for number in numbers:
        waiting.put(number)
    tally = Tally(target)

    def work() -> None:
        worker = _Worker(target, seed, out)
        for number in _taken(waiting):
            outcome = Outcome(target, number, **worker.run(number))
            if outcome.failure == NEVER:  # and so would every other
                list(_taken(waiting))
            elif not outcome.failure:
                shutil.rmtree(case_folder(out, target, seed, number), ignore_errors=True)
            tally.outcomes.append(outcome)
        worker.close()

    threads = [threading.Thread(target=work) for _ in range(min(workers, len(numbers)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for left in out.glob(f".{target}-*"):
        shutil.rmtree(left, ignore_errors=True)
    return tally


def _taken(waiting: SimpleQueue[int]) -> Iterator[int]:
    while True:
        try:
            yield waiting.get_nowait()
        except Empty:
            return


def case_folder(out: Path, target: str, seed: int, number: int) -> Path:
    """Where the input of a case lies."""
    return out / f"{target}-{seed}-{number}"


def told(outcome: Outcome, seed: int, out: Path) -> str:
    """A failure as a person reads it: what was done, what came of it, how to see it again."""
    return (
        f"{outcome.target}, case {outcome.number} ({outcome.kind}): {outcome.failure}\n"
        f"    input: {case_folder(out, outcome.target, seed, outcome.number)}\n"
        f"    again: make fuzz TARGET={outcome.target} SEED={seed} NUMBER={outcome.number}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Corrupted inputs: each must end in a clear line or in a right result.")
    parser.add_argument("--count", type=int, default=1000, help="cases of every target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=TARGETS, help="this one alone")
    parser.add_argument("--number", type=int, help="this case alone")
    parser.add_argument("--workers", type=int, default=max(1, min(4, os.cpu_count() or 1)))
    parser.add_argument("--out", type=Path, default=Path("tmp/fuzz"), help="where inputs of failed cases are kept")
    args = parser.parse_args()
    numbers = list(range(args.count)) if args.number is None else [args.number]
    failed = 0
    for target in [args.target] if args.target else TARGETS:
        tally = run_cases(target, numbers, seed=args.seed, out=args.out.resolve(), workers=args.workers)
        print(tally, *([f"({tally.outcomes[0].kind})"] if args.number is not None else []), flush=True)
        for outcome in tally.failures:
            print(f"  {told(outcome, args.seed, args.out)}", flush=True)
        failed += len(tally.failures)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
