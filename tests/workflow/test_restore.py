"""Going on from published runs: what is put here, what is still to be made, and whether what is made here is the same."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from fabricated_runs import Size, fabricate
from snakemake_call import snakemake

from conftest import Planner
from glocalrun.calls import STATE, lock_of_job
from glocalrun.locks import take
from glocalrun.tools.check import problems
from glocalrun.tools.publish import publish
from glocalrun.tools.published import restore, verify
from glocalrun.tools.published.restore import Restored, put, to_make
from glocalrun.tools.published.verify import Held, held
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.lacking import lacking
from glocalseg.records.sealed import FAILURE, absent, note_absent, open_kept, seal, write_record
from glocalseg.report.joined.source import Source, read_source, runs_of

SMALL = Size(methods=("random", "gd", "gd+lr"), budgets=(1,), repeats=2, subjects=2, grid=(4, 22, 20))


def made(root: Path, size: Size) -> Plan:
    """Fabricated runs with weights."""
    plan = fabricate(root, size)
    for job in (job for job in plan.jobs.values() if job.phase.startswith("pretrain")):
        (root / job.record).with_name("weights.safetensors").write_text(job.label)
        seal(root / job.record, json.loads((root / job.record).read_text(encoding="utf-8")))
    return plan


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Published runs of two of three methods, and an empty checkout as the working directory."""
    plan = made(tmp_path / "site", replace(SMALL, methods=("random", "gd")))
    record = tmp_path / "site" / plan.report.record
    write_record(record, {"spec": plan.report.spec.dump(), "missing": [], "files": {}})
    publish(record, tmp_path / "published")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return read_source(tmp_path / "published", tmp_path / "scratch")


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """The whole plan; its runs lie in ``whole``."""
    return made(tmp_path / "whole", SMALL)


def missing(plan: Plan) -> list[Job]:
    return [job for job in plan.jobs.values() if job.phase != "report" and not job.record.is_file()]


def test_what_a_plan_knows_is_put_here_and_only_the_rest_is_missing(source: Source, plan: Plan) -> None:
    assert put(source, plan, Path()) == Restored(len(source.runs), 0, 0, 0, ())
    assert {job.name for job in missing(plan)} == {"gd+lr"}
    for job in plan.jobs.values():
        if job.record.is_file():
            open_kept(job.record)
    assert put(source, plan, Path()) == Restored(0, len(source.runs), 0, 0, ())
    again = lacking(plan, lambda record: not record.is_file())
    assert {(plan.jobs[r].phase, plan.jobs[r].name) for r in again} == {("data", ""), ("pretrain_global", "gd")}
    assert to_make(plan, Path()).endswith(
        "again, because what is missing starts from their arrays: 1 x preparation, 2 x global pretraining"
    )


def test_nothing_is_made_again_where_nothing_is_missing(source: Source, tmp_path: Path) -> None:
    same = made(tmp_path / "same", replace(SMALL, methods=("random", "gd")))
    put(source, same, Path())
    assert not lacking(same, lambda record: not (Path() / record).is_file() and record != same.report.record)
    assert to_make(same, Path()) == "To make: 1 x report"


def test_what_is_here_whole_or_being_made_is_left_alone(source: Source, plan: Plan, tmp_path: Path) -> None:
    own, busy, twin, begun = (job.record for job in plan.of("finetune")[:4])
    shutil.copytree((tmp_path / "whole" / own).parent, own.parent)
    shutil.copytree((tmp_path / "whole" / twin).parent, twin.parent)
    twin.unlink()  # as Snakemake does before a job runs again
    begun.parent.mkdir(parents=True)
    begun.with_name(FAILURE).write_text("{}")
    lock = take(lock_of_job(STATE, busy))
    assert lock
    got = put(source, plan, Path())
    lock.release()
    assert (got.there, got.busy) == (2, 1)
    assert not busy.exists()
    assert not absent(own)
    assert not absent(twin)
    assert twin.is_file()
    assert absent(begun)
    assert not begun.with_name(FAILURE).exists()


def test_runs_of_other_code_are_named_and_not_put_here(source: Source, plan: Plan) -> None:
    record = plan.of("score")[0].record
    old = record.parent.with_name("0123456789") / "run.json"
    (source.root / record).parent.rename((source.root / old).parent)
    payload = json.loads((source.root / old).read_text(encoding="utf-8"))
    payload["spec"] |= {"code": "before", "key": "0123456789"}
    write_record(source.root / old, payload)
    changed = replace(source, runs=tuple(old if run == record else run for run in source.runs))
    got = put(changed, plan, Path())
    assert got.others == 1
    (line,) = got.causes
    assert line.endswith("found 'before': other code made it, which may give other numbers")
    assert not record.exists()
    assert plan.jobs[record].start in lacking(plan, lambda r: not r.is_file())  # its predictions are needed


def test_a_check_of_all_files_counts_what_is_without_arrays_as_intact(source: Source, plan: Plan) -> None:
    put(source, plan, Path())
    records = [record for record in runs_of(plan) if record.is_file()]
    assert problems(records) == []
    path = next(job.record for job in plan.of("score")).with_name("scores.csv")
    path.write_bytes(b"edited")
    (line,) = problems(records)
    assert line.startswith(f"{path}: expected sha256 ")


# ---------------------------------------------------------------- by Snakemake


def dry(tree: Path, *targets: str) -> tuple[dict[str, int], str]:
    """The jobs of a dry run by rule, and all that it says."""
    said = snakemake(tree, "-n", *targets, "--configfile", "config/quick.yaml").stdout
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)}, said


@pytest.fixture
def bare(tree: Path, planner: Planner) -> tuple[Path, Plan]:
    """A tree with every record of the quick benchmark, all of them without arrays."""
    plan = planner("quick")
    for record in plan.jobs:
        (tree / record).parent.mkdir(parents=True, exist_ok=True)
        (tree / record).write_text("{}")
        note_absent(tree / record, "results/published/quick", ["weights.safetensors"])
    return tree, plan


def test_snakemake_makes_again_what_a_missing_run_starts_from_and_nothing_else(bare: tuple[Path, Plan]) -> None:
    tree, plan = bare
    found, said = dry(tree)
    assert not found, said
    job = next(job for job in plan.of("finetune") if job.name == "gd+lr")
    (tree / job.record).unlink()
    found, said = dry(tree)
    expected = {"finetune": 1, "pretrain_local": 1, "pretrain_global": 1, "prepare": 1}
    assert {name: found.get(name) for name in expected} == expected, said
    assert not {"score", "diagnose", "report"} & set(found), said
    found, said = dry(tree, str(next(job for job in plan.of("finetune") if job.name == "random").record))
    assert not found, said


def test_forcing_a_run_without_arrays_makes_what_starts_from_it_again_too(bare: tuple[Path, Plan]) -> None:
    tree, plan = bare
    record = next(job.record for job in plan.of("pretrain_local"))
    found, said = dry(tree, "--forcerun", str(record))
    starting = [job for job in plan.jobs.values() if record in job.parents and job.phase in ("finetune", "diagnose")]
    assert found["finetune"] + found["diagnose"] == len(starting), said
    assert (found["pretrain_local"], found["pretrain_global"], found["prepare"], found["report"]) == (1, 1, 1, 1)


# ---------------------------------------------------------------- bit for bit


def with_device(record: Path, **changes: str) -> None:
    payload = json.loads(record.read_text(encoding="utf-8"))
    payload["device"] |= changes
    seal(record, payload)


def test_runs_that_were_made_here_are_held_against_published_ones(source: Source, plan: Plan, tmp_path: Path) -> None:
    root = tmp_path / "whole"
    total = len(source.runs)
    got = held(source, root)
    assert got == Held(total, (), (), 0, 0)
    assert got.verified
    assert list(verify.said(got)) == [
        f"{total} of {total} runs that were made here are equal to the published ones, bit for bit; speed left out"
    ]
    first, second, third = (job.record for job in plan.of("finetune")[:3])
    (root / first).with_name("predictions.npz").write_bytes(b"of another machine")
    with_device(root / first, name="Another processor")
    with_device(root / second, precision="float32")
    shutil.rmtree((root / third).parent)
    got = held(source, root)
    assert (got.equal, got.bare, got.gone, got.verified) == (total - 2, 0, 1, False)
    (line,) = got.differ
    assert line.startswith(f"{first.with_name('predictions.npz')}: expected sha256 ")
    assert "published on Toy processor, bfloat16, torch 2.13.0, Toy, here on Another processor, bfloat16" in line
    (line,) = got.elsewhere
    assert line.startswith(f"{second.parent}: published on Toy processor, bfloat16")
    put(source, plan, root)
    assert held(source, root).bare == 1


def test_an_edited_run_is_not_equal(source: Source, plan: Plan, tmp_path: Path) -> None:
    path = (tmp_path / "whole" / plan.of("finetune")[0].record).with_name("predictions.npz")
    path.write_bytes(b"edited")
    (line,) = held(source, tmp_path / "whole").differ
    assert line.startswith(f"{path}: expected sha256 ")


@pytest.mark.parametrize(
    ("run", "arguments", "said"),
    [
        (verify.main, [], "make verify-published: expected RUNS=results/published/<benchmark>, found none"),
        (verify.main, ["nowhere"], "nowhere: expected a published report with its runs, runs.tar.xz, found none"),
        (restore.main, ["--config", "config/none.yaml"], "config/none.yaml"),
    ],
)
def test_what_cannot_be_done_is_a_line(
    run: Callable[[], None], arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["program", *arguments])
    with pytest.raises(SystemExit) as caught:
        run()
    assert said in str(caught.value.code)
    assert "\n" not in str(caught.value.code)


def test_nothing_to_compare_is_no_proof(source: Source, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Restored scores have all their files, and were not made here all the same."""
    put(source, plan, Path())
    assert held(source, Path()) == Held(0, (), (), len(source.runs), 0)
    monkeypatch.setattr("sys.argv", ["verify_published", str(tmp_path / "published")])
    with pytest.raises(SystemExit) as caught:
        verify.main()
    assert caught.value.code == 1
