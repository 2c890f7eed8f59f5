"""`make status`: what lies on the disk is said as it is, while jobs run, however much there is, and no job's file is written."""

from __future__ import annotations

import io
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from snakemake_call import environment, snakemake

from conftest import Planner, plain
from glocalrun.calls import NOTES, STATE, lock_of_job, mark
from glocalrun.locks import take
from glocalrun.slurm.names import job_name
from glocalrun.status import machine, which
from glocalrun.status.listed import Listed, Listing, listed, made_of, read_list, write_list
from glocalrun.status.look import QUIET, Seen, State, look
from glocalrun.status.machine import Calls, calls_at_work
from glocalrun.status.queue import Allocation, allocations, held, latest
from glocalrun.status.scores import SCORES, Scores, mean_dice
from glocalrun.status.speed import Left, Speed
from glocalrun.status.text import Status, coloured, lines, summary
from glocalrun.status.text import plain as uncoloured
from glocalrun.tools import status as tool
from glocalseg.config.benchmark import load_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import FAILURE
from glocalseg.stages import score

NOW = 1_800_000_000.0
NOBODY = Calls()
DATA = Listed("data", "data/slices/a/0123456789/manifest.json", "a", "a")


def tuned(n: int, name: str = "gd", budget: str = "1", parents: tuple[int, ...] = ()) -> Listed:
    record = f"results/finetune/a/{name}/n{budget}/r{n}/0123456789/run.json"
    return Listed("finetune", record, f"a {name} n{budget} r{n}", "a", name, budget, f"r{n}", None, parents)


def scored(n: int, name: str = "gd", budget: str = "1", parents: tuple[int, ...] = ()) -> Listed:
    record = f"results/score/a/{name}/n{budget}/r{n}/0123456789/run.json"
    return Listed("score", record, f"a {name} n{budget} r{n}", "a", name, budget, f"r{n}", None, parents)


def put(root: Path, job: Listed, name: str | None = None, text: str = "{}", date: float | None = None) -> Path:
    """Write a file of a job's folder, its record when no name is given."""
    path = (root / job.record).with_name(name or Path(job.record).name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if date is not None:
        os.utime(path, (date, date))
    return path


def lock(root: Path, job: Listed, date: float | None = None) -> Path:
    path = root / lock_of_job(STATE, job.record)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    if date is not None:
        os.utime(path, (date, date))
    return path


def states(root: Path, jobs: list[Listed], calls: Calls = NOBODY, queue: dict[str, Allocation] | None = None) -> list[State]:
    return [s.state for s in look(root, jobs, calls, NOW, queue)]


# ---------------------------------------------------------------- states


def test_every_state_is_told_from_what_lies_there(tmp_path: Path) -> None:
    jobs = [DATA, *(tuned(n, parents=(0,)) for n in range(1, 5)), scored(3, parents=(3,)), scored(4, parents=(4,))]
    put(tmp_path, DATA)
    put(tmp_path, jobs[1])
    put(tmp_path, jobs[2], "log.csv")
    put(tmp_path, jobs[3], FAILURE, '{"error": "Diverged", "message": "loss nan\\nat step 12"}')
    found = look(tmp_path, jobs, Calls(), NOW)
    assert [s.state.value for s in found] == [
        "finished", "finished", "interrupted", "failed", "waiting", "blocked", "waiting",
    ]  # fmt: skip
    assert found[3].why == "Diverged: loss nan\\nat step 12"


@pytest.mark.parametrize("text", ["", '{"error": "Dive', "[]", '{"error": 3}'])
def test_a_half_written_note_is_a_failure_without_a_reason(tmp_path: Path, text: str) -> None:
    put(tmp_path, tuned(1), FAILURE, text)
    (found,) = look(tmp_path, [tuned(1)], Calls(), NOW)
    assert (found.state, found.why) == (State.FAILED, "")


@pytest.mark.skipif(not machine.LOCKS.exists(), reason="no /proc/locks")
def test_a_job_runs_while_its_lock_is_held_and_no_longer(tmp_path: Path) -> None:
    put(tmp_path, tuned(1), "log.csv")
    taken = take(lock(tmp_path, tuned(1)))
    assert taken is not None
    assert states(tmp_path, [tuned(1)], calls_at_work(tmp_path)) == [State.RUNNING]
    taken.release()
    lock(tmp_path, tuned(1))  # as a killed program leaves it
    assert states(tmp_path, [tuned(1)], calls_at_work(tmp_path)) == [State.INTERRUPTED]


def test_looking_takes_no_lock_that_a_job_could_want(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filelock.BaseFileLock.acquire", lambda *_, **__: pytest.fail("took a lock"))
    lock(tmp_path, tuned(1))
    look(tmp_path, [tuned(1)], calls_at_work(tmp_path), NOW)


@pytest.mark.parametrize(("age", "state"), [(QUIET - 60, State.RUNNING), (QUIET + 60, State.INTERRUPTED)])
def test_on_another_machine_a_job_runs_as_long_as_it_says_something(tmp_path: Path, age: float, state: State) -> None:
    put(tmp_path, tuned(1), "log.csv")
    folder = (tmp_path / tuned(1).record).parent
    os.utime(folder, (NOW - 5000, NOW - 5000))
    lock(tmp_path, tuned(1), NOW - 5000)
    log = tmp_path / tuned(1).log
    log.parent.mkdir(parents=True)
    log.write_text("a gd n1 r1: step 4 of 400, loss 1.2\n")
    os.utime(log, (NOW - age, NOW - age))
    assert states(tmp_path, [tuned(1)], Calls(elsewhere=("login2-12",))) == [state]


def test_a_record_that_comes_back_from_its_twin_is_finished_and_one_to_make_again_is_not(tmp_path: Path) -> None:
    put(tmp_path, tuned(1), ".run.json")
    put(tmp_path, tuned(2))
    assert states(tmp_path, [tuned(1), tuned(2)]) == [State.FINISHED] * 2
    mark(tmp_path / STATE, [Path(tuned(1).record), Path(tuned(2).record)])
    assert states(tmp_path, [tuned(1), tuned(2)]) == [State.WAITING] * 2


def test_how_data_came_here_is_left_out_once_it_is_sliced(tmp_path: Path) -> None:
    fetch = Listed("fetch", "data/raw/a/b/fetched.json", "a", "a")
    assert len(states(tmp_path, [fetch, DATA])) == 2
    put(tmp_path, DATA)
    assert states(tmp_path, [fetch, DATA]) == [State.FINISHED]


def test_the_calls_at_work_are_known_by_their_notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = machine.platform.node()
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait(60)
    (tmp_path / NOTES).mkdir(parents=True)
    for name in (f"{node}-{os.getpid()}", f"{node}-{ended.pid}", "elsewhere-7"):
        (tmp_path / NOTES / name).touch()
    found = calls_at_work(tmp_path)
    assert (found.running, found.elsewhere) == ((f"{node}-{os.getpid()}",), ("elsewhere-7",))


# ---------------------------------------------------------------- how much is asked of the disk


class Questions:
    """Counts what is asked of the file system."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count: Counter[str] = Counter()
        for module, name in ((os, "stat"), (os, "scandir"), (io, "open")):
            monkeypatch.setattr(module, name, self._counted(name, getattr(module, name)))
        monkeypatch.setattr("builtins.open", self._counted("open", open))

    def _counted(self, name: str, function: Callable[..., object]) -> Callable[..., object]:
        def counted(*args: object, **more: object) -> object:
            self.count[name] += 1
            return function(*args, **more)

        return counted


def test_a_large_grid_takes_one_question_a_job_and_opens_a_few_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [tuned(n) for n in range(600)] + [scored(n) for n in range(600)]
    for job in jobs[:900]:
        put(tmp_path, job, text='{"timing": {"wall_seconds": 2.0}}')
    asked = Questions(monkeypatch)
    found = look(tmp_path, jobs, Calls(), NOW)
    assert asked.count["stat"] == len(jobs)
    assert asked.count["scandir"] == 300 + 2  # unfinished ones, locks and marks
    assert asked.count["open"] == 0
    Speed(tmp_path).left(found, NOW - 3600, NOW, 2)
    assert asked.count["open"] <= 2 * 3  # three of each kind
    assert asked.count["stat"] == len(jobs)


def test_nothing_slow_is_imported(tree: Path) -> None:
    slow = "{'torch', 'pandas', 'numpy', 'scipy', 'snakemake'}"
    program = (
        f"import sys, glocalrun.tools.status; sys.exit(str({slow} & set(sys.modules)) if {slow} & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(), "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- SLURM


def test_a_name_in_the_queue_leads_to_the_jobs_that_it_holds(configured: Planner) -> None:
    plan = configured("hippocampus")
    jobs = listed(plan)
    by_record = {job.record: job for job in jobs}
    tunings = plan.of("finetune")
    groups = [tunings[:1], [j for j in tunings if j.name == "gd+lr" and j.repeat and j.repeat.name == "r2"]]
    groups += [
        plan.of("pretrain_global")[2:3],
        plan.of("pretrain_local")[:2],
        plan.of("diagnose")[:1],
        plan.of("score")[5:6],
    ]
    for group in groups:
        assert group
        name = job_name(group[0].phase, group)
        found = held(Allocation(1, name, "RUNNING"), jobs)
        assert {job.record for job in found} == {str(job.record) for job in group}, name
    assert held(Allocation(1, "prepare_hippocampus", "RUNNING"), jobs) == [by_record[str(plan.of("data")[0].record)]]
    assert held(Allocation(1, "something_else", "RUNNING"), jobs) == []


def test_what_slurm_says_decides_what_runs_waits_and_was_lost(tmp_path: Path) -> None:
    jobs = [tuned(n) for n in range(1, 6)]
    said = "\n".join(
        f"{number}|finetune_a_gd_n1_{repeats}|{state}|{reason}|{place}"
        for number, repeats, state, reason, place in [
            (7, "r1", "RUNNING", "None", tmp_path),
            (8, "r2", "PENDING", "Resources", tmp_path),
            (9, "r3", "OUT_OF_MEMORY", "None", tmp_path),
            (10, "r4", "TIMEOUT", "None", tmp_path),
            (11, "r4", "PENDING", "Priority", tmp_path),  # submitted again
            (12, "r5", "RUNNING", "None", tmp_path / "another checkout"),
        ]
    )
    found = allocations(tmp_path, lambda *command, seconds: said)
    assert found is not None
    for job in jobs:
        lock(tmp_path, job, NOW)
    seen = look(tmp_path, jobs, Calls(running=("here-1",)), NOW, latest(found, jobs))
    assert [s.state.value for s in seen] == ["running", "queued", "failed", "queued", "waiting"]
    assert seen[1].why == "SLURM: job 8 PENDING (Resources)"
    assert seen[2].why == "SLURM: job 9 OUT_OF_MEMORY"


def test_a_queue_that_does_not_answer_is_done_without(tmp_path: Path) -> None:
    assert allocations(tmp_path, lambda *command, seconds: None) is None


# ---------------------------------------------------------------- time and scores


def finished(root: Path, job: Listed, seconds: float, date: float) -> Seen:
    put(root, job, text=json.dumps({"timing": {"wall_seconds": seconds}}))
    return Seen(job, State.FINISHED, date)


def test_time_left_comes_from_jobs_of_the_same_kind_and_the_number_at_a_time(tmp_path: Path) -> None:
    seen = [finished(tmp_path, tuned(n), 100.0, NOW - 300 + 100 * n) for n in (0, 1, 2)]
    seen += [finished(tmp_path, tuned(n, "atlas"), 1.0, NOW - 400) for n in (0, 1, 2)]  # before this call
    seen += [Seen(tuned(n), State.WAITING) for n in (3, 4)] + [Seen(tuned(3, "atlas"), State.WAITING)]
    seen += [Seen(tuned(5), State.RUNNING, NOW - 40)]
    left = Speed(tmp_path).left(seen, NOW - 350, NOW, 0)
    assert left.measured
    assert left.at_a_time == pytest.approx(300 / 350)
    assert left.seconds == pytest.approx((2 * 100 + 1 + 60) * 350 / 300)
    given = Speed(tmp_path).left(seen, NOW - 1, NOW, 3)
    assert not given.measured
    assert given.seconds == pytest.approx((2 * 100 + 1 + 60) / 3)


def test_results_that_came_from_elsewhere_make_nothing_faster(tmp_path: Path) -> None:
    seen = [finished(tmp_path, tuned(n), 100.0, NOW - 1) for n in range(50)] + [Seen(tuned(99), State.WAITING)] * 8
    assert Speed(tmp_path).left(seen, NOW - 10, NOW, 4).at_a_time == 4


def test_nobody_can_tell_before_anything_is_finished(tmp_path: Path) -> None:
    assert Speed(tmp_path).left([Seen(tuned(1), State.WAITING)], NOW - 10, NOW, 4).seconds is None


ROWS = [("s1", "v,1", "left", "dice", "selected", 0.5), ("s1", "v,1", "right", "dice", "selected", 0.7)]
OTHERS = [("s1", "v,1", "left", "dice", "last", 0.1), ("s1", "v,1", "left", "nsd", "selected", 0.2)]
ABSENT = [("s1", "v,1", "third", "dice", "selected", math.nan)]


def table(*values: float) -> str:
    rows = [("s", "v", "left", "dice", score.SELECTED, value) for value in values] or [*ROWS, *OTHERS, *ABSENT]
    return pd.DataFrame(rows, columns=score.COLUMNS).to_csv(index=False, lineterminator="\n")


def test_mean_dice_is_that_of_the_rows_that_a_run_is_judged_by(tmp_path: Path) -> None:
    assert score.SCORES == SCORES
    put(tmp_path, scored(1), SCORES, table())
    assert mean_dice((tmp_path / scored(1).record).with_name(SCORES)) == pytest.approx(0.6)
    assert math.isnan(mean_dice(tmp_path / "none.csv"))


def test_scores_are_read_a_little_at_a_time_some_of_every_cell_first_and_once(tmp_path: Path) -> None:
    jobs = [scored(n, name) for name in ("gd", "gr") for n in range(4)]
    for job in jobs:
        put(tmp_path, job, SCORES, table(0.5))
    ticks = iter(range(100))
    first = Scores(tmp_path, tmp_path / "memory" / "dice")
    first.read(made_at(jobs, 1.0), seconds=2, clock=lambda: float(next(ticks)))
    assert Counter(Path(record).parts[3] for record in first.known) == {"gd": 1, "gr": 1}
    for job in jobs:
        put(tmp_path, job, SCORES, table(0.9))
    again = Scores(tmp_path, tmp_path / "memory" / "dice")
    again.read(made_at(jobs, 1.0), seconds=1000)
    assert sorted(again.known.values()) == [0.5] * 2 + [0.9] * 6
    again.read(made_at(jobs, 2.0), seconds=1000)  # made again
    assert sorted(again.known.values()) == [0.9] * 8
    assert Scores(tmp_path, tmp_path / "memory" / "dice").known == again.known


def made_at(jobs: list[Listed], since: float) -> list[Seen]:
    return [Seen(job, State.FINISHED, since) for job in jobs]


# ---------------------------------------------------------------- which jobs


def called(tree: Path, plan: Plan, started: float, **changes: object) -> Path:
    """What a call of hippocampus leaves, its configuration changed; the list of its jobs."""
    value = {**plan.benchmark.model_dump(mode="json", by_alias=True), **changes}
    stem = tree / STATE / "hippocampus-0123456789"
    stem.parent.mkdir(parents=True, exist_ok=True)
    stem.with_suffix(".json").write_text(json.dumps(value))
    stem.with_suffix(".run").write_text(json.dumps({"started": started, "missing": {}}))
    benchmark = load_benchmark(stem.with_suffix(".json"))
    listing = Listing(made_of(benchmark, tree / "config/datasets"), listed(plan), "local", 2)
    write_list(stem.with_suffix(".jobs"), listing)
    assert read_list(stem.with_suffix(".jobs")) == listing
    return stem.with_suffix(".jobs")


@pytest.fixture
def no_planning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(which, "make_plan", lambda *_, **__: pytest.fail("planned"))


def ask(tree: Path, *, at_work: bool = False) -> which.Meant:
    config, cards = tree / "config/hippocampus.yaml", tree / "config/datasets"
    return which.meant(tree, config, tree / "cache", at_work=at_work, cards=cards)


def test_a_listed_call_is_not_planned_and_says_what_it_was_called_with(
    tree: Path, configured: Planner, no_planning: None
) -> None:
    plan = configured("hippocampus") if plain(tree) else None
    assert plan
    called(tree, plan, NOW)
    assert ask(tree) == which.Meant("hippocampus", read_list(tree / STATE / "hippocampus-0123456789.jobs"), NOW)  # type: ignore[arg-type]
    called(tree, plan, NOW, mirror="/somewhere")
    assert ask(tree).notes == ()
    called(tree, plan, NOW, threads=3)
    (note,) = ask(tree).notes
    assert note.startswith("as called, with threads: 3; ")


def test_a_stale_list_is_planned_anew_once_and_that_is_said(
    tree: Path, configured: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    called(plain(tree), configured("hippocampus"), NOW)
    card = tree / "config/datasets/hippocampus.yaml"
    card.write_text(card.read_text() + "# edited\n")
    (note,) = ask(tree).notes
    assert "planned anew with what is here now" in note
    monkeypatch.setattr(which, "make_plan", lambda *_, **__: pytest.fail("planned twice"))
    found = ask(tree)
    assert found.listing.slots == 2
    assert "planned anew" in found.notes[0]
    assert "may be refused" in ask(tree, at_work=True).notes[0]


def test_without_a_call_and_after_a_change_it_is_what_the_file_says(tree: Path, configured: Planner) -> None:
    jobs = len(listed(configured("hippocampus"))) if plain(tree) else 0
    assert ask(tree).notes == (f"no call of {tree / 'config/hippocampus.yaml'} has begun here",)
    called(tree, configured("hippocampus"), 1.0)
    path = tree / "config/hippocampus.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "repeats": 1}))
    found = ask(tree)
    assert len(found.listing.jobs) < jobs
    assert "was changed after its last call" in found.notes[0]


def test_a_wrong_configuration_is_one_line(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tree / "config/quick.yaml"
    path.write_text(path.read_text() + "stepz: 3\n")
    with pytest.raises(ConfigError):
        which.meant(tree, path, tree / "cache")
    monkeypatch.chdir(tree)
    monkeypatch.setattr(sys, "argv", ["status.py", "config/quick.yaml"])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert re.fullmatch(r"config/quick\.yaml: stepz: .*", str(stopped.value))


# ---------------------------------------------------------------- what is shown


def status(
    *seen: Seen, seconds: float | None = 3700.0, at_work: bool = True, scores: dict[str, float] | None = None
) -> Status:
    calls = Calls(running=("node-1",)) if at_work else Calls()
    return Status("toy", seen, calls, Left(seconds, 2.0, True), scores or {}, NOW, ("a note",), NOW - 60)


MIXED = (
    Seen(DATA, State.FINISHED, NOW - 50), Seen(tuned(1), State.FINISHED, NOW - 40), Seen(scored(1), State.FINISHED, NOW - 30),
    Seen(tuned(2), State.RUNNING, NOW - 20), Seen(scored(2), State.WAITING), Seen(tuned(3), State.FAILED, why="Diverged: nan"),
    Seen(scored(3), State.BLOCKED), Seen(tuned(4, budget="all"), State.INTERRUPTED), Seen(scored(4, budget="all"), State.WAITING),
)  # fmt: skip


def test_everything_is_said_in_words(tmp_path: Path) -> None:
    log = tmp_path / tuned(2).log
    log.parent.mkdir(parents=True)
    log.write_text("10:00:00 a gd n1 r2: step 84 of 400, loss 0.5, 64 images/s, 59 s left\n")
    said = lines(status(*MIXED, scores={scored(1).record: 0.71}), tmp_path)
    text = "\n".join(said)
    assert said[0].startswith(
        "toy: 3 of 9 finished, 1 running, 2 waiting, 1 waiting for what failed, 1 interrupted, 1 failed"
    )
    assert said[0].endswith("about 1 h 01 min left")
    assert re.search(r"fine-tuning a gd n1 r2 +for 20 s +step 84 of 400", text)
    assert "fine-tuning a gd n1 r3: Diverged: nan" in text
    assert re.search(r"^a +Fine-tuning +1 +1 .*4$", text, re.MULTILINE)
    assert re.search(r"^  gd +0\.710 \(1\) +·$", text, re.MULTILINE)
    assert "Provisional" in text
    assert "\x1b" not in text
    assert (
        re.sub(r"\x1b\[\d*m", "", "\n".join(lines(status(*MIXED, scores={scored(1).record: 0.71}), tmp_path, coloured)))
        == text
    )


def test_without_a_call_nothing_is_promised(tmp_path: Path) -> None:
    said = lines(status(*MIXED, at_work=False), tmp_path)
    assert "left" not in said[0]
    assert said[1].startswith("No call is at work; what is left takes about 1 h 01 min")


def test_many_jobs_of_a_state_are_counted_and_a_few_named(tmp_path: Path) -> None:
    said = "\n".join(lines(status(*(Seen(tuned(n), State.FAILED, why="E: x") for n in range(500))), tmp_path))
    assert len(said.splitlines()) < 40
    assert "and 492 more" in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert tool.colours(Terminal())
    assert not tool.colours(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not tool.colours(Terminal())


def looks(*found: Status) -> Callable[[], Status]:
    rest = iter(found)
    return lambda: next(rest)


DONE = status(Seen(DATA, State.FINISHED, NOW), seconds=None)


def test_a_terminal_is_drawn_over_and_never_more_than_it_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("COLUMNS", "60")
    stream = Terminal()
    tool.watch(looks(status(*MIXED), DONE), 0.0, stream, tmp_path)
    first, second = stream.getvalue().split("\x1b[10F")
    assert first.count("\n") == 10
    assert "lines more: make status" in first
    assert max(map(len, first.replace("\x1b[K", "").split("\n"))) < 60
    assert "All of it is there." in second


def test_elsewhere_a_line_says_what_is_different(tmp_path: Path) -> None:
    stream = io.StringIO()
    tool.watch(looks(status(*MIXED), status(*MIXED), status(*MIXED[:4]), DONE), 0.0, stream, tmp_path)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert text.count("toy: ") == 3
    assert re.search(r"^\d\d:\d\d:\d\d toy: 3 of 4 finished", text, re.MULTILINE)
    assert summary(DONE, uncoloured) in text


def test_ctrl_c_ends_it_without_a_word(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(plain(tree))
    monkeypatch.setattr(tool.time, "sleep", interrupted)
    monkeypatch.setattr(sys, "argv", ["status.py", "config/hippocampus.yaml", "--watch"])
    tool.main()
    assert capsys.readouterr().err == ""


# ---------------------------------------------------------------- with a real call


PROGRAM = """
import sys
from pathlib import Path
record = Path(sys.argv[sys.argv.index("--record") + 1])
if "finetune/hippocampus/gd/" in str(record):
    (record.parent / "resume-failure.json").write_text('{"error": "DivergedError", "message": "loss is nan"}')
    sys.exit(1)
record.parent.mkdir(parents=True, exist_ok=True)
record.write_text('{"files": {}, "timing": {"wall_seconds": 1.5}}')
"""


def test_after_a_call_it_reads_that_calls_list_and_leaves_all_else_as_it_is(tree: Path) -> None:
    for program in (tree / "workflow/scripts").glob("[a-z]*.py"):
        if program.name != "status.py":
            program.write_text(PROGRAM)
    options = ("--cores", "3", "--keep-going", "--configfile", "config/hippocampus.yaml")
    run = snakemake(plain(tree), *options, "--config", "repeats=1", "budgets=[1]")
    assert run.returncode == 1
    (path,) = (tree / STATE).glob("*.jobs")
    listing = read_list(path)
    assert listing is not None
    assert (listing.executor, listing.slots) == ("local", 3)
    before = {p: p.stat().st_mtime_ns for p in tree.rglob("*") if "__pycache__" not in p.parts}
    call = [sys.executable, "-B", "workflow/scripts/status.py", "config/hippocampus.yaml"]
    done = subprocess.run(call, cwd=tree, env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    after = {p: p.stat().st_mtime_ns for p in tree.rglob("*") if "__pycache__" not in p.parts}
    assert {p for p in after if after[p] != before.get(p)} <= {tree / STATE, *(tree / STATE / "status").rglob("*")}
    assert re.search(r"^hippocampus: 28 of 31 finished, 2 waiting for what failed, 1 failed", done.stdout), done.stdout
    assert "fine-tuning hippocampus gd n1 r1: DivergedError: loss is nan" in done.stdout
    assert "as called, with budgets: [1], repeats: 1" in done.stdout
    assert "planned anew" not in done.stdout
