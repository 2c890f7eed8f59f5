"""What is said before a run on a cluster that cannot work, and what its jobs are called. A real SLURM: test_slurm.py."""

from __future__ import annotations

import os
import types
from pathlib import Path

import pytest
from snakemake_call import snakemake
from test_small_dag import prepare_tree

from glocalrun.slurm import checks
from glocalrun.slurm.names import job_name
from glocalrun.slurm.patch import adapt
from glocalseg.config.benchmark import Repeat
from glocalseg.plan.jobs import Job
from glocalseg.stages.specs import ScoreSpec

SINFO = """\
cpu|cpu*|2-00:00:00|64|256000|(null)
gpu|gpu|1-00:00:00|32+|128000+|gpu:a100:4(S:0-1)
gpu|gpu|1-00:00:00|16|64000|gpu:v100:2
long|long|infinite|64|256000|(null)
"""
HERE = Path("/somewhere")
SPEC = ScoreSpec(code="c", data="d", start="s")  # a name says nothing of it


def problems(*requests: object, queue: str | None = "", sinfo: str | None = SINFO, missing: str = "") -> list[str]:
    """What a cluster with these answers is said to lack."""
    answers = {"sinfo": sinfo, "squeue": queue}
    return list(
        checks.problems(
            requests,
            HERE,
            ask=lambda *words: answers[words[0]],
            which=lambda name: None if name in missing.split() else name,
        )
    )


def request(**values: object) -> object:
    return checks.Request("finetune", **{"partition": "gpu", "gpu": 1, "mem_mb": 6000, "runtime": 600, **values})


def test_a_fitting_request_has_no_problems() -> None:
    assert problems(request(), request(partition="", gpu=0), request(partition="long", gpu=0, runtime=10**6)) == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"partition": "gpus"}, "slurm_partition: expected one of cpu, gpu, long, found 'gpus'"),
        ({"runtime": 1441}, "finetune: runtime: expected at most 1440 minutes in partition 'gpu', found 1441"),
        ({"mem_mb": 130000}, "finetune: mem_mb: expected at most 128000, the largest node of partition 'gpu', found 130000"),
        ({"threads": 33}, "finetune: threads: expected at most 32"),
        ({"partition": "cpu"}, "finetune: gpu: expected 0, because partition 'cpu' has no GPUs, found 1"),
        ({"partition": ""}, "finetune: gpu: expected 0, because partition 'cpu' has no GPUs, found 1"),
        (
            {"model": "h100"},
            "finetune: gpu_model: expected a model of partition 'gpu' (gpu:a100:4(S:0-1),gpu:v100:2), found 'h100'",
        ),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(values: dict[str, object], said: str) -> None:
    (line,) = problems(request(**values), request(**values))
    assert line.startswith(said)


def test_a_model_that_is_there_is_accepted() -> None:
    assert problems(request(model="v100")) == []


def test_several_partitions_are_as_good_as_their_best() -> None:
    assert problems(request(partition="cpu,gpu")) == []
    assert "found 'gpu,gpus'" in problems(request(partition="gpu,gpus"))[0]


def test_another_version_of_the_plugin_is_refused_and_not_waited_for() -> None:
    import snakemake_executor_plugin_slurm as plugin

    names = ("get_submit_command", "query_job_status_squeue", "query_job_status_sacct", "Executor")
    own = {name: getattr(plugin, name) for name in names}
    executor = type("Executor", (), {"additional_general_args": lambda self: "--jobs 1"})
    same = types.SimpleNamespace(**{**own, "Executor": executor})
    adapt(same, {})
    assert same.query_job_status_squeue("id").endswith(f"--user {os.getuid()}")
    assert executor().additional_general_args() == "--jobs 1 --keep-going"  # type: ignore[attr-defined]
    other = types.SimpleNamespace(
        **{**own, "Executor": executor, "query_job_status_squeue": lambda run: f"squeue --name={run}"}
    )
    with pytest.raises(RuntimeError, match=r"expected version 2\.8"):
        adapt(other, {})


def test_without_a_default_partition_one_has_to_be_named() -> None:
    (line,) = problems(request(partition=""), sinfo=SINFO.replace("cpu*", "cpu"))
    assert "found none given and no default one" in line


def test_missing_commands_and_a_silent_controller_are_said_in_plain_words() -> None:
    assert problems(request(), missing="sbatch squeue")[0].startswith(
        "sbatch, squeue: expected SLURM's commands, found none"
    )
    assert problems(request(), sinfo=None)[0].startswith("sinfo: expected SLURM's controller to answer, it did not")


def test_jobs_of_an_earlier_call_are_named_and_those_of_another_folder_are_not() -> None:
    assert problems(request(), queue="7|finetune_x|/elsewhere\n6|bash|/somewhere\n") == []
    (line,) = problems(request(), queue="7|bash|/somewhere\n8|finetune_x|/somewhere\n9|pretrain_local_y|/somewhere\n")
    assert "found 2 (finetune_x, ...)" in line
    assert "`scancel 8 9`" in line


def test_the_job_that_snakemake_itself_runs_in_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "8")
    assert problems(request(), queue="8|finetune_all|/somewhere\n") == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("infinite", None),
        ("30", 30),
        ("90:00", 90),
        ("1:30:00", 90),
        ("2-00", 2880),
        ("1-02:03", 1563),
        ("1-02:03:59", 1563),
    ],
)
def test_time_limits_are_read_in_every_form(limit: str, expected: int | None) -> None:
    assert checks.minutes(limit) == expected


def job(**values: object) -> Job:
    usual = {"dataset": "acdc", "name": "gd+lr", "budget": 1, "repeat": Repeat.joint(2)}
    return Job("finetune", Path("x"), SPEC, **{**usual, **values})  # type: ignore[arg-type]


def test_names_say_what_runs() -> None:
    assert job_name("finetune", [job()]) == "finetune_acdc_gd+lr_n1_r2"
    assert job_name("finetune", [job(budget="all")]) == "finetune_acdc_gd+lr_nall_r2"
    shared = [job(budget=b, repeat=Repeat.joint(r)) for b in ("all", 8, 1, 10) for r in (10, 2)]
    assert job_name("finetune", shared) == "finetune_acdc_gd+lr_n1.8.10.all_r2.r10"
    triples = [job(repeat=Repeat(draw=d, pretraining=1, finetuning=0)) for d in (10, 9)]
    assert job_name("finetune", triples) == "finetune_acdc_gd+lr_n1_c9-p1-f0.c10-p1-f0"
    starts = [Job("diagnose", Path("x"), SPEC, dataset="acdc", name=name, seed=3) for name in ("random", "gd")]
    assert job_name("diagnose", starts) == "diagnose_acdc_gd.random_seed3"
    data = Job("data", Path("x"), SPEC, dataset="acdc")
    assert job_name("prepare", [data]) == "prepare_acdc"


# ---------------------------------------------------------------- through Snakemake


def path_without_slurm(folder: Path) -> str:
    """A PATH with every program of this machine but SLURM's."""
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).glob("*") if Path(place).is_dir() else []:
            hidden = program.name.startswith(("sbatch", "squeue", "scancel", "sinfo", "sacct", "scontrol", "sshare", "srun"))
            if not hidden and not (folder / program.name).exists():
                (folder / program.name).symlink_to(program)
    return str(folder)


def test_without_slurm_the_profile_says_so_and_submits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = prepare_tree(tmp_path / "tree")
    monkeypatch.setenv("PATH", path_without_slurm(tmp_path / "bin"))
    said = snakemake(tree, "--profile", "slurm", "--configfile", "config/small.yaml")
    assert said.returncode != 0
    assert "sbatch, squeue, scancel, sinfo: expected SLURM's commands, found none on this machine" in said.stdout
    assert "Traceback" not in said.stdout
    assert not (tree / "data").exists()


def test_the_slurm_profile_lists_the_whole_grid_and_groups_the_short_runs(tree: Path) -> None:
    said = snakemake(tree, "--profile", "slurm", "-n", "--configfile", "config/paper.yaml", "--config", "repeats=2")
    assert said.returncode == 0, said.stdout
    assert "Group job finetune.acdc.gd+lr.r1" in said.stdout
    assert "Group job score.acdc.gd+lr.r2" in said.stdout
