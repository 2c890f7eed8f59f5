"""What a person is shown of the state of a benchmark: lines, coloured where a terminal shows them."""

from __future__ import annotations

import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from glocalrun.status.listed import TITLES, Listed
from glocalrun.status.look import Seen, State
from glocalrun.status.machine import Calls
from glocalrun.status.speed import Left
from glocalseg.records.duration import duration

NAMED = 8  # jobs that are named of one state; the others are counted
COLOURS = {State.FINISHED: "32", State.RUNNING: "36", State.INTERRUPTED: "33", State.FAILED: "31", State.BLOCKED: "31"}
SHOWN = {State.BLOCKED: "waiting for what failed"}
HINTS = {
    State.FAILED: "the same command tries them again",
    State.INTERRUPTED: "begun, and no longer at it; the same command goes on from their checkpoints",
}
_STEP = re.compile(rb"step (\d+) of (\d+)[^\n]*$")
Paint = Callable[[str, str], str]


@dataclass(frozen=True)
class Status:
    """All that is shown: ``scores`` is mean Dice by record; ``now`` in seconds of the epoch."""

    name: str
    seen: Sequence[Seen]
    calls: Calls
    left: Left
    scores: Mapping[str, float]
    now: float
    notes: Sequence[str] = ()
    started: float | None = None

    @property
    def done(self) -> bool:
        """Whether all is there."""
        return all(s.state == State.FINISHED for s in self.seen)


def plain(text: str, colour: str) -> str:
    """Text as it is."""
    return text


def coloured(text: str, colour: str) -> str:
    """Text in an ANSI colour."""
    return f"\x1b[{colour}m{text}\x1b[0m"


def lines(status: Status, root: Path, paint: Paint = plain) -> list[str]:
    """Everything, block after block."""
    blocks = [
        [summary(status, paint), _work(status), *(f"note: {note}" for note in status.notes)],
        _counts(status.seen),
        _running(status, root, paint),
        *(_named(status.seen, state, paint) for state in (State.QUEUED, State.FAILED, State.INTERRUPTED)),
        *_scores(status),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block).split("\n")


def summary(status: Status, paint: Paint = plain) -> str:
    """One line: ``hippocampus: 412 of 692 finished, 2 running, 278 waiting, about 3 h 05 min left``."""
    count = Counter(s.state for s in status.seen)
    parts = [paint(f"{count[State.FINISHED]} of {len(status.seen)} finished", COLOURS[State.FINISHED])]
    for state in list(State)[1:]:
        if count[state]:
            text = f"{count[state]} {SHOWN.get(state, state.value)}"
            parts.append(paint(text, COLOURS[state]) if state in COLOURS else text)
    if status.calls.at_work and status.left.seconds is not None:
        parts.append(f"about {duration(status.left.seconds)} left")
    return f"{status.name}: {', '.join(parts)}"


def _work(status: Status) -> str:
    """Who is at work, and how fast."""
    if status.done:
        return "All of it is there."
    left, several = status.left, f"{status.left.at_a_time:.1f}".removesuffix(".0")
    speed = f"{several} job{'s' * (several != '1')} at a time{', as measured' if left.measured else ''}"
    if not status.calls.at_work:
        still = "" if left.seconds is None else f"; what is left takes about {duration(left.seconds)} ({speed})"
        return f"No call is at work{still}."
    since = "" if status.started is None else time.strftime(" since %Y-%m-%d %H:%M", time.localtime(status.started))
    who = ", ".join([*status.calls.running, *(f"{name} (another machine)" for name in status.calls.elsewhere)])
    return f"At work{since}: {who}; {speed if left.seconds is not None else 'too little is finished to tell how long it takes'}."


def _counts(seen: Sequence[Seen]) -> list[str]:
    """A table of jobs by data set, phase and state."""
    states = [state for state in State if state == State.FINISHED or any(s.state == state for s in seen)]
    rows: dict[tuple[str, str], Counter[State]] = defaultdict(Counter)
    for s in seen:
        rows[s.job.dataset, s.job.phase][s.state] += 1
    order = list(TITLES)
    body = [["", "", *(state.value for state in states), "of"]]
    for dataset, phase in sorted(rows, key=lambda row: (not row[0], row[0], order.index(row[1]))):
        count = rows[dataset, phase]
        body.append([dataset, TITLES[phase], *(str(count[state] or "·") for state in states), str(count.total())])
    return _table(body, left=2)


def _running(status: Status, root: Path, paint: Paint) -> list[str]:
    """The jobs that run now, for how long, and what they said last."""
    now = sorted((s for s in status.seen if s.state == State.RUNNING), key=lambda s: s.since)
    rows = []
    for s in now[:NAMED]:
        step = _STEP.search(_end(root / s.job.log))
        far = f"step {int(step[1]):,} of {int(step[2]):,}" if step else ""
        rows.append([f"  {s.job.title}", f"for {duration(max(0.0, status.now - s.since))}", far])
    return [paint(f"Running ({len(now)})", COLOURS[State.RUNNING]), *_table(rows, left=3), *_more(now)] if now else []


def _named(seen: Sequence[Seen], state: State, paint: Paint) -> list[str]:
    """The jobs of a state by name, and why."""
    those = [s for s in seen if s.state == state]
    if not those:
        return []
    hint = f": {HINTS[state]}" if state in HINTS else ""
    rows = [f"  {s.job.title}{f': {s.why}' if s.why else ''}" for s in those[:NAMED]]
    logs = [f"  logs: {those[0].job.log}{', ...' if those[1:] else ''}"] if state == State.FAILED else []
    title = f"{state.value.capitalize()} ({len(those)})"
    return [(paint(title, COLOURS[state]) if state in COLOURS else title) + hint, *rows, *_more(those), *logs]


def _more(those: Sequence[Seen]) -> list[str]:
    return [f"  and {len(those) - NAMED} more"] if len(those) > NAMED else []


def _end(log: Path) -> bytes:
    """The last lines of a log that may be written to, empty if there is none."""
    try:
        with log.open("rb") as f:
            f.seek(max(0, f.seek(0, 2) - 400))
            return f.read()
    except OSError:
        return b""


def _scores(status: Status) -> list[list[str]]:
    """Mean Dice by method and budget, a block a data set, and what it is not."""
    scored = [s.job for s in status.seen if s.job.phase == "score" and s.state == State.FINISHED]
    known = [job for job in scored if job.record in status.scores]
    if not known:
        return []
    read = (
        ""
        if len(known) == len(scored)
        else f" {len(known):,} of {len(scored):,} scored runs are read so far; ask again for more."
    )
    said = [
        "Mean Dice so far, over volumes and structures (number of runs). Provisional: runs are missing and others may count in",
        f"every cell, so this compares nothing; the report does.{read}",
    ]
    if all(s.state == State.FINISHED for s in status.seen if s.job.phase == "score"):
        said = [
            "Mean Dice over volumes and structures (number of runs), without intervals; what compares methods is the report.",
            read,
        ]
    return [[line.strip() for line in said if line], *(_dice(name, jobs, status) for name, jobs in _by_dataset(known))]


def _by_dataset(jobs: Iterable[Listed]) -> list[tuple[str, list[Listed]]]:
    found: dict[str, list[Listed]] = defaultdict(list)
    for job in jobs:
        found[job.dataset].append(job)
    return sorted(found.items())


def _dice(dataset: str, known: Sequence[Listed], status: Status) -> list[str]:
    """The table of a data set: a row a method, in the order of the plan, a column a budget."""
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for job in known:
        cells[job.name, job.budget].append(status.scores[job.record])
    planned = [s.job for s in status.seen if s.job.phase == "score" and s.job.dataset == dataset]
    methods = dict.fromkeys(job.name for job in planned)
    budgets = sorted(dict.fromkeys(job.budget for job in planned), key=lambda b: (b == "all", int(b) if b != "all" else 0))
    rows = [[f"  {dataset}", *("all" if budget == "all" else f"n{budget}" for budget in budgets)]]
    for method in methods:
        found = [cells.get((method, budget), []) for budget in budgets]
        rows.append([f"  {method}", *(f"{mean(v):.3f} ({len(v)})" if v else "·" for v in found)])
    return _table(rows, left=1)


def _table(rows: Sequence[Sequence[str]], left: int) -> list[str]:
    """Rows in columns, the first ``left`` of them aligned to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if n < left else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
