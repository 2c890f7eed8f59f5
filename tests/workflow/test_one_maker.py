"""What every program of the workflow does around its work: nothing twice, nothing again, and a reason where it failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake_call import environment

from conftest import REPOSITORY
from glocalrun import calls
from glocalseg.config.benchmark import load_benchmark
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.make import make_plan
from glocalseg.records.sealed import FAILURE

QUICK = REPOSITORY / "config/quick.yaml"
PROGRAM = """
import sys, time
from pathlib import Path
from glocalrun.program import run
from glocalseg.records.sealed import seal

def work(call):
    with open("worked.txt", "a") as f:
        f.write("x")
    if Path("fail").exists():
        raise RuntimeError("made to fail")
    Path("started").touch()
    while Path("hold").exists():
        time.sleep(0.05)
    (call.record.parent / "weights").write_text("w")
    seal(call.record, {})

run(work)
"""


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A fine-tuning of the quick benchmark in an empty folder, with a program that only pretends to make it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "state").mkdir()
    (tmp_path / "state/quick.yaml").write_text(QUICK.read_text())
    benchmark = load_benchmark(QUICK)
    cards = REPOSITORY / "config/datasets"
    return tmp_path / make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards).of("finetune")[0].record


def start(root: Path, record: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "program.py", "--benchmark", "state/quick.yaml", "--record", str(record.relative_to(root))]
    return subprocess.Popen(call, cwd=root, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(running: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = running.communicate(timeout=120)
    return running.returncode, said


def test_what_is_there_is_not_made_again_and_a_lost_record_comes_back(record: Path, tmp_path: Path) -> None:
    assert finish(start(tmp_path, record))[0] == 0
    assert finish(start(tmp_path, record))[0] == 0
    record.unlink()
    assert finish(start(tmp_path, record))[0] == 0
    assert record.is_file()
    assert (tmp_path / "worked.txt").read_text() == "x"


def test_what_is_marked_is_made_anew_once_and_nothing_of_it_is_kept(record: Path, tmp_path: Path) -> None:
    assert finish(start(tmp_path, record))[0] == 0
    (record.parent / "extra").mkdir()
    (record.parent / "extra" / "old").touch()
    calls.mark(tmp_path / "state", [record.relative_to(tmp_path)])
    record.unlink()  # as Snakemake does before it runs a job
    status, said = finish(start(tmp_path, record))
    assert status == 0, said
    assert "done: fine-tuning" in said
    assert not (record.parent / "extra").exists()
    status, said = finish(start(tmp_path, record))
    assert "there already: fine-tuning" in said
    assert (tmp_path / "worked.txt").read_text() == "xx"


def test_what_is_made_anew_and_killed_is_made_by_the_next_call(record: Path, tmp_path: Path) -> None:
    assert finish(start(tmp_path, record))[0] == 0
    (tmp_path / "started").unlink()
    (tmp_path / "hold").touch()
    calls.mark(tmp_path / "state", [record.relative_to(tmp_path)])
    first = start(tmp_path, record)
    while not (tmp_path / "started").exists():
        assert first.poll() is None
    os.kill(first.pid, 9)
    finish(first)
    (tmp_path / "hold").unlink()
    assert not record.exists(), "the old one does not come back in the place of the one that was asked for"
    assert finish(start(tmp_path, record))[0] == 0
    assert (tmp_path / "worked.txt").read_text() == "xxx"


def test_a_second_process_waits_and_then_finds_it_done(record: Path, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    first = start(tmp_path, record)
    while not (tmp_path / "started").exists():
        assert first.poll() is None
    second = start(tmp_path, record)
    assert second.stdout is not None
    waiting = second.stdout.readline()
    (tmp_path / "hold").unlink()
    assert "another process makes it; waiting for it" in waiting
    assert [finish(p)[0] for p in (first, second)] == [0, 0]
    assert (tmp_path / "worked.txt").read_text() == "x"
    assert not list((tmp_path / "state/locks").iterdir())


def test_a_killed_process_holds_up_nobody(record: Path, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    first = start(tmp_path, record)
    while not (tmp_path / "started").exists():
        assert first.poll() is None
    os.kill(first.pid, 9)
    finish(first)
    (tmp_path / "hold").unlink()
    assert finish(start(tmp_path, record))[0] == 0


def test_leftovers_are_not_written_into_but_a_checkpoint_stays(record: Path, tmp_path: Path) -> None:
    record.parent.mkdir(parents=True)
    cached = tmp_path / "cached"
    cached.write_text("what DVC keeps")
    os.link(cached, record.parent / "weights")
    (record.parent / "resume.json").write_text("{}")
    (tmp_path / "fail").touch()
    assert finish(start(tmp_path, record))[0] == 1
    assert (record.parent / "resume.json").exists()
    (tmp_path / "fail").unlink()
    assert finish(start(tmp_path, record))[0] == 0
    assert (record.parent / "weights").read_text() == "w"
    assert cached.read_text() == "what DVC keeps"


def test_a_broken_estimate_fails_no_job(record: Path, tmp_path: Path) -> None:
    (tmp_path / "state/quick.run").write_text("{torn")
    status, said = finish(start(tmp_path, record))
    assert status == 0, said
    assert "no estimate" in said
    assert record.is_file()


def test_a_failure_leaves_its_reason_until_the_run_ends_well(record: Path, tmp_path: Path) -> None:
    (tmp_path / "fail").touch()
    status, said = finish(start(tmp_path, record))
    assert status == 1
    assert "made to fail" in said
    note = record.parent / FAILURE
    assert json.loads(note.read_text()) == {"error": "RuntimeError", "message": "made to fail"}
    (tmp_path / "fail").unlink()
    assert finish(start(tmp_path, record))[0] == 0
    assert not note.exists()
