"""What of a benchmark is finished, runs, waits or failed, how long it still takes, and its scores so far: while it runs, too."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from glocalrun.calls import STATE
from glocalrun.status.look import State, look
from glocalrun.status.machine import calls_at_work
from glocalrun.status.queue import Allocation, allocations, latest
from glocalrun.status.scores import Scores
from glocalrun.status.speed import Speed
from glocalrun.status.text import Status, coloured, lines, plain, summary
from glocalrun.status.which import last_call, meant
from glocalseg.config.model import ConfigError

ROOT = Path(".")
CACHE = STATE / "status"  # what is remembered between questions; no job reads it
EVERY = 5.0  # seconds between two looks
SPARED = 20.0  # seconds between two questions to SLURM


def main() -> None:
    """Print it, once or again and again; exit with 1 if the configuration cannot run, and else with 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--watch", action="store_true", help="keep it up to date until all is there, or Ctrl-C")
    parser.add_argument("--every", type=float, default=EVERY, help="seconds between two looks (default: %(default)s)")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder for what is remembered (default: %(default)s)")
    args = parser.parse_args()
    with suppress(KeyboardInterrupt):
        try:
            ask = Asker(ROOT, args.config, args.cache)
            if args.watch:
                watch(ask, args.every, sys.stdout)
            else:
                print("\n".join(lines(ask(), ROOT, coloured if colours(sys.stdout) else plain)), flush=True)
        except ConfigError as error:
            sys.exit(str(error))
        except BrokenPipeError:  # whoever read this has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Asker:
    """Says how it is whenever it is called; what it found out at one time it does not find out again.

    Raises:
        ConfigError: if the configuration cannot run when it is first asked for.
    """

    def __init__(self, root: Path, config: Path, cache: Path, clock: Callable[[], float] = time.time) -> None:
        self._root, self._config, self._cache, self._clock = root, config, cache, clock
        self._meant = meant(root, config, cache, at_work=calls_at_work(root).at_work)
        self._call = last_call(root, self._meant.name)
        self._speed, self._scores = Speed(root), Scores(root, cache / f"{self._meant.name}.dice")
        self._queue: list[Allocation] | None = None
        self._asked = float("-inf")

    def __call__(self) -> Status:
        calls, now = calls_at_work(self._root), self._clock()
        self._look_for_a_new_call(at_work=calls.at_work)
        of = self._meant
        seen = look(self._root, of.listing.jobs, calls, now, self._submitted(now))
        finished = [s for s in seen if s.state == State.FINISHED]
        self._scores.read([s for s in finished if s.job.phase == "score"])
        until = now if calls.at_work else max((s.since for s in finished), default=now)
        left = self._speed.left(seen, of.started, until, of.listing.slots)
        return Status(of.name, seen, calls, left, self._scores.known, now, of.notes, of.started)

    def _look_for_a_new_call(self, *, at_work: bool) -> None:
        """Mean another call's jobs once there is one; a file that is being edited is no reason to stop."""
        if (call := last_call(self._root, self._meant.name)) != self._call:
            with suppress(ConfigError):
                self._meant = meant(self._root, self._config, self._cache, at_work=at_work)
            self._call = call

    def _submitted(self, now: float) -> dict[str, Allocation] | None:
        """The allocations of jobs; SLURM is not asked at every look."""
        if self._meant.listing.executor != "slurm":
            return None
        if now - self._asked >= SPARED:
            self._queue, self._asked = allocations(self._root), now
        return None if self._queue is None else latest(self._queue, self._meant.listing.jobs)


def colours(stream: TextIO) -> bool:
    """Whether a stream shows colours, and its reader wants them (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def watch(ask: Callable[[], Status], every: float, stream: TextIO, root: Path = ROOT) -> None:
    """Keep a terminal up to date; elsewhere print everything once, and then a line whenever something is different."""
    drawn, before = 0, ""
    paint = coloured if colours(stream) else plain
    while True:
        status = ask()
        if stream.isatty():
            text = _fitting(lines(status, root, paint))
            above = f"\x1b[{drawn}F" if drawn else ""
            stream.write(above + "".join(f"{line}\x1b[K\n" for line in text) + "\x1b[J")
            drawn = len(text)
        elif not before:
            stream.write("\n".join([*lines(status, root), ""]))
        elif summary(status) != before:
            stream.write(f"{time.strftime('%H:%M:%S')} {summary(status)}\n")
        stream.flush()
        before = summary(status)
        if status.done:
            return
        time.sleep(every)


def _fitting(text: list[str]) -> list[str]:
    """As much as a terminal holds: what scrolled out of it could not be drawn over."""
    width, height = shutil.get_terminal_size()
    most = max(height - 2, 3)
    cut = [line if len(line) < width else _cut(line, width - 1) for line in text]
    return cut if len(cut) <= most else [*cut[: most - 1], f"... {len(cut) - most + 1} lines more: make status"]


def _cut(line: str, width: int) -> str:
    """The beginning of a line; a coloured one without its colours, or they would not end."""
    return re.sub(r"\x1b\[[0-9;]*m", "", line)[:width]
