"""The time that is left, whose code a program runs, what `make prune` removes, and the environment that `make setup` makes."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from snakemake_call import snakemake

from conftest import REPOSITORY
from glocalrun.plans import plan_of
from glocalrun.status import progress
from glocalseg.plan.make import fetched_record, verified_record
from glocalseg.plan.phases import PHASES

SCRIPTS = sorted(p.name for p in (REPOSITORY / "workflow/scripts").glob("[a-z]*.py"))


def load(path: str) -> ModuleType:
    """A program of the repository as a module, without running it."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPOSITORY / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- the time that is left


def test_time_left_counts_jobs_of_a_phase_with_their_own_duration_and_several_at_a_time() -> None:
    missing = {"pretrain_global": 2, "finetune": 10}
    done = {"pretrain_global": [100.0, 100.0], "finetune": [20.0, 20.0]}
    # 240 s of work were done in 120 s: two jobs at a time; 8 fine-tunings of 20 s are left
    assert progress.time_left(missing, done, elapsed=120.0) == pytest.approx(80.0)


def test_time_left_is_not_guessed_from_other_phases() -> None:
    assert progress.time_left({"data": 1, "finetune": 10}, {"data": [5.0]}, elapsed=5.0) is None
    assert progress.time_left({"finetune": 1}, {"finetune": [5.0]}, elapsed=5.0) is None  # nothing is left


def test_a_few_jobs_of_an_unseen_phase_count_with_the_mean() -> None:
    missing = {"finetune": 5, "report": 1}
    assert progress.time_left(missing, {"finetune": [10.0] * 3}, elapsed=30.0) == pytest.approx(30.0)


def test_the_line_of_a_job_uses_what_the_jobs_before_it_noted(tmp_path: Path) -> None:
    benchmark = tmp_path / "b.json"
    assert progress.line(benchmark, "finetune", "fine-tuning x gd n1", 12) == "done: fine-tuning x gd n1 in 12 s"
    (tmp_path / "b.run").write_text(json.dumps({"started": 0, "missing": {"finetune": 3}}))
    assert "left" in progress.line(benchmark, "finetune", "fine-tuning x gd n1", 12)
    assert "left" in progress.line(benchmark, "finetune", "fine-tuning x gd n1", 12)
    assert "left" not in progress.line(benchmark, "finetune", "fine-tuning x gd n1", 12)


def test_a_torn_line_of_another_node_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "b.run").write_text(json.dumps({"started": 0, "missing": {"finetune": 3}}))
    (tmp_path / "b.done").write_text("finetune\t12.3finetune\t3.200\n\nfinet\n")
    assert "left" in progress.line(tmp_path / "b.json", "finetune", "fine-tuning x gd n1", 12)


# ---------------------------------------------------------------- whose code


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_program_runs_the_code_of_its_own_checkout(tree: Path, script: str) -> None:
    """The environment of these tests was made for the repository; the program is another clone's."""
    package = tree / "src/glocalrun/__init__.py"
    package.write_text(f"raise SystemExit({str(package)!r})")
    path = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    call = [sys.executable, str(tree / "workflow/scripts" / script)]
    done = subprocess.run(call, cwd=tree.parent, env=path, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == str(package)


def test_snakemake_runs_the_code_of_its_own_checkout(tree: Path) -> None:
    (tree / "src/glocalrun/__init__.py").write_text("raise SystemExit('the code of this clone')")
    said = snakemake(tree, "-n")
    assert said.returncode != 0
    assert said.stdout.strip().endswith("the code of this clone")


def test_a_report_that_the_present_code_does_not_give_is_refused_and_nothing_is_made(tree: Path) -> None:
    """As when the code of a report changes while its runs still train."""
    record = "results/hippocampus/report-0123456789.json"
    call = [sys.executable, "workflow/scripts/report.py", "--benchmark", "config/hippocampus.yaml", "--record", record]
    done = subprocess.run(call, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{record}: expected a path that benchmark 'hippocampus' gives with the present code" in done.stderr
    assert not list((tree / "results").glob("**/*.json"))


def test_a_report_that_lacks_runs_is_asked_for_by_a_name_of_its_own(tree: Path) -> None:
    """As Snakemake does where runs have failed: it gets past the refusal above, to the runs, of which there are none here."""
    record = "results/hippocampus/report-partial.json"
    call = [sys.executable, "workflow/scripts/report.py", "--benchmark", "config/hippocampus.yaml", "--record", record]
    done = subprocess.run(call, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "benchmark 'hippocampus': expected at least one finished fine-tuning, found none" in done.stderr


def test_programs_are_only_doors() -> None:
    for script in SCRIPTS:
        text = (REPOSITORY / "workflow/scripts" / script).read_text(encoding="utf-8")
        assert "def " not in text, script
        assert len(text.splitlines()) <= 15, script


def test_what_needs_no_torch_does_not_load_it() -> None:
    programs = ("fetch", "verify", "prepare", "score", "check", "prune", "stage", "where")
    code = "import sys, runpy\nrunpy.run_path(sys.argv[1], run_name='door')\nprint('torch' in sys.modules)"
    for name in programs:
        call = [sys.executable, "-c", code, f"{name}.py"]
        folder = REPOSITORY / "workflow/scripts"
        environment = {**os.environ, "PYTHONPATH": str(folder)}
        done = subprocess.run(call, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == "False\n", name


# ---------------------------------------------------------------- prune


def prune(folder: Path, *arguments: str) -> str:
    """What `make prune` prints in a folder, for the hippocampus configuration."""
    program = REPOSITORY / "workflow/scripts/prune.py"
    command = [sys.executable, str(program), str(REPOSITORY / "config/hippocampus.yaml"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def test_prune_removes_only_what_no_configuration_gives_and_only_when_told(tmp_path: Path) -> None:
    plan = plan_of(REPOSITORY / "config/hippocampus.yaml")
    card = plan.cards["hippocampus"]
    current = [tmp_path / jobs[0].record for phase in PHASES if phase != "report" and (jobs := plan.of(phase))]
    current.append(tmp_path / verified_record(card))
    old = [record.parent.with_name("0123456789") / record.name for record in current]
    old.append(tmp_path / "results/features/hippocampus/random+features/seed0/0123456789/run.json")  # of no method here
    old.append(tmp_path / "data/raw/hippocampus/9876543210/0123456789/pieces/x.npz")
    raw = [tmp_path / fetched_record(card), tmp_path / "data/raw/hippocampus/9876543210/fetched.json"]
    raw += [record.parent / "files/0123456789/x.nii.gz" for record in raw]
    for record in [*current, *old, *raw]:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text("{}")
    old[-1] = old[-1].parent  # the folder of a verification goes as a whole
    listed = prune(tmp_path)
    assert f"{len(PHASES) + 1} that no configuration" in listed
    assert all(str(record.parent.relative_to(tmp_path)) in listed for record in old)
    assert all(record.exists() for record in old)
    assert "removed" in prune(tmp_path, "--confirm")
    assert not any(record.parent.exists() for record in old)
    assert all(record.exists() for record in [*current, *raw])


def test_what_dvc_keeps_up_to_date_is_kept(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(
        f"pipelines: {{prostate: {{config: {REPOSITORY}/config/paper.yaml, results: one}}}}"
    )
    record = tmp_path / plan_of(REPOSITORY / "config/paper.yaml", datasets=["prostate"], name="one").report.record
    record.parent.mkdir(parents=True)
    record.write_text("{}")
    assert "0 that no configuration" in prune(tmp_path, "--confirm")
    assert record.exists()


# ---------------------------------------------------------------- the environment


def test_the_lock_file_pins_all_that_the_package_needs_and_no_build_of_torch() -> None:
    import tomllib

    pins = {}
    for line in (REPOSITORY / "requirements.lock").read_text().splitlines():
        if not line.startswith("#"):
            name, version = line.split("==")
            pins[name.lower().replace("_", "-")] = version
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    wanted = project["dependencies"] + [r for extra in project["optional-dependencies"].values() for r in extra]
    names = {r.split(">")[0].split("=")[0].strip().lower() for r in wanted}
    assert names <= pins.keys(), names - pins.keys()
    assert "+" not in pins["torch"]


def test_torch_for_a_machine_with_and_without_a_gpu() -> None:
    install = load("envs/install.py")
    assert install.torch_pins("2.13.0", gpu=True) == ["torch==2.13.0"]
    assert install.torch_pins("2.13.0", gpu=False) == ["torch==2.13.0+cpu", "torch==2.13.0"]


def test_without_a_cpu_build_setup_says_so_and_takes_the_plain_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install = load("envs/install.py")
    fake = tmp_path / "python"
    fake.write_text(
        '#!/bin/sh\ncase "$*" in *+cpu*) echo "ERROR: No matching distribution found for torch==9+cpu"; exit 1;; esac\n'
    )
    fake.chmod(0o755)
    monkeypatch.setattr(install, "pinned", lambda name: "9")
    monkeypatch.setattr(install, "has_gpu", lambda: False)
    install.install_packages(str(fake), tmp_path / "pip.log", [])
    said = capsys.readouterr().out
    assert "several GB of CUDA packages" in said
    assert "TORCH_INDEX" in said


def test_another_failure_of_pip_stops_with_what_it_said(tmp_path: Path) -> None:
    install = load("envs/install.py")
    fake = tmp_path / "python"
    fake.write_text('#!/bin/sh\necho "ERROR: disk full"\nexit 1\n')
    fake.chmod(0o755)
    with pytest.raises(SystemExit, match="disk full"):
        install.pip(str(fake), tmp_path / "pip.log", [], "packages", install.NO_MATCH)
