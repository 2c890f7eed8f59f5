"""The whole graph on a very small phantom: from start to report, again, after a kill, and with an edited byte."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from snakemake_call import command, environment, snakemake

from conftest import copy_code
from glocalrun.tools.publish import publish
from glocalseg.evaluation.metrics import METRICS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]  # minutes on a busy machine, one when it is free
CALL = ("--profile", "local", "--cores", "2", "--configfile", "config/small.yaml")
BENCHMARK = {
    "name": "small",
    "title": "A whole graph in a minute",
    "datasets": ["small_phantom"],
    "methods": [{}, {"global": "gd", "local": "lr"}],
    "budgets": [1],
    "repeats": 1,
    "upper_bound": False,
    "network": {"channels": [4, 8, 8, 8]},
    "pretrain_global": {"steps": 40, "images": 24, "checkpoint_every": 2},
    "pretrain_local": {"steps": 10, "images": 8, "checkpoint_every": 2},
    "finetune": {"steps": 40, "batch": 4, "validate_every": 10, "checkpoint_every": 2},
    "hardware": {
        "gpus": ["GPU-one", "GPU-two"]
    },  # where they are not, jobs compute on the CPU, having leased one all the same
}
RUNS = "results/{phase}/small_phantom/{rest}/*/run.json"
PRETRAIN = RUNS.format(phase="pretrain_global", rest="gd/seed1")
FINETUNE = RUNS.format(phase="finetune", rest="gd+lr/n1/r1")
SCORE = RUNS.format(phase="score", rest="gd+lr/n1/r1")


def prepare_tree(destination: Path) -> Path:
    """A copy of the code with the small benchmark: the phantom's card with few subjects of few pixels."""
    tree = copy_code(destination)
    card = yaml.safe_load((tree / "config/datasets/phantom.yaml").read_text())
    card |= {"name": "small_phantom", "subjects": 8, "splits": {"kind": "rule", "test": 2, "validation": 1, "seed": 0}}
    card["source"] |= {"subjects": 8, "matrix": 48}
    card["frame"] = {"spacing": [4.0, 4.0], "size": [32, 32]}
    (tree / "config/datasets/small_phantom.yaml").write_text(yaml.safe_dump(card))
    (tree / "config/small.yaml").write_text(yaml.safe_dump(BENCHMARK))
    return tree


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree in which the small benchmark has run, undisturbed."""
    tree = prepare_tree(tmp_path_factory.mktemp("undisturbed") / "tree")
    result = snakemake(tree, *CALL, timeout=1800)
    assert result.returncode == 0, result.stdout
    assert "Report: results/small/report/index.html" in result.stdout
    assert "8 of " not in result.stdout.split("to make")[0]
    return tree


@pytest.fixture
def prepared(finished: Path, tmp_path: Path) -> Path:
    """A tree of its own with the data of the finished one, and no training."""
    tree = prepare_tree(tmp_path / "tree")
    shutil.copytree(finished / "data", tree / "data")
    return tree


def one(tree: Path, pattern: str) -> Path:
    """The one path that matches."""
    found = list(tree.glob(pattern))
    assert len(found) == 1, f"{pattern}: {found}"
    return found[0]


def bits(record: Path, *names: str) -> list[str]:
    """sha256 of files beside a record."""
    return [hashlib.sha256((record.parent / name).read_bytes()).hexdigest() for name in names]


def test_the_report_and_the_scores_are_there(finished: Path) -> None:
    assert "</html>" in (finished / "results/small/report/index.html").read_text()
    table = pd.read_csv(finished / "results/small/scores.csv.gz")
    assert set(table["method"]) == {"random", "gd+lr"}
    scores = pd.read_csv(one(finished, SCORE).parent / "scores.csv")
    assert set(scores["metric"]) == set(METRICS)
    assert scores["subject"].nunique() == 2
    assert len(table) == 2 * len(scores)


def test_every_training_job_leased_one_gpu(finished: Path) -> None:
    for phase in ("pretrain_global", "pretrain_local", "diagnose", "finetune"):
        for log in (finished / "logs" / phase).rglob("*.log"):
            leased = re.findall(r"^GPU (.*)$", log.read_text(), re.MULTILINE)
            assert leased, log
            assert set(leased) <= {"GPU-one", "GPU-two"}
    assert not [log for log in (finished / "logs/score").rglob("*.log") if "GPU" in log.read_text()]


def test_a_second_call_has_nothing_to_do_whatever_the_dates_and_the_metadata(finished: Path) -> None:
    result = snakemake(finished, *CALL)
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout
    for path in finished.rglob("*"):
        path.touch()
    shutil.rmtree(finished / ".snakemake")
    module = finished / "src/glocalseg/training/loop.py"
    module.write_text("# reworded\n" + module.read_text())
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


def test_a_missing_run_is_made_again_with_the_same_bits_and_nothing_else(finished: Path) -> None:
    record = one(finished, FINETUNE)
    before = bits(record, "weights.safetensors", "predictions.npz")
    shutil.rmtree(record.parent)
    result = snakemake(finished, *CALL, "-n")
    assert re.search(r"^total +2$", result.stdout, re.MULTILINE), result.stdout  # this run, and the target
    assert snakemake(finished, *CALL, timeout=900).returncode == 0
    assert bits(record, "weights.safetensors", "predictions.npz") == before


def test_a_forced_run_is_made_again_with_the_same_bits(finished: Path, tmp_path: Path) -> None:
    tree = Path(shutil.copytree(finished, tmp_path / "tree", symlinks=True))
    names = {FINETUNE: ("weights.safetensors", "predictions.npz"), SCORE: ("scores.csv",)}
    before = {p: bits(one(tree, p), *files) for p, files in names.items()}
    files = [one(tree, pattern).parent / name for pattern, own in names.items() for name in own]
    pretrained = one(tree, PRETRAIN).parent / "weights.safetensors"
    written, kept = {path: path.stat().st_mtime_ns for path in files}, pretrained.stat().st_mtime_ns
    result = snakemake(tree, *CALL, "--forcerun", str(one(tree, FINETUNE).relative_to(tree)), timeout=900)
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("done: fine-tuning") == 1
    assert "there already" not in result.stdout
    assert {p: bits(one(tree, p), *own) for p, own in names.items()} == before
    assert all(path.stat().st_mtime_ns > written[path] for path in files)
    assert pretrained.stat().st_mtime_ns == kept
    assert "Nothing to be done" in snakemake(tree, *CALL).stdout


def test_snakemakes_own_report_shows_page_figures_and_tables(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "snakemake.html"
    result = snakemake(finished, *CALL, "--report", str(page))
    assert result.returncode == 0, result.stdout
    text = page.read_text()
    for word in ('"Report"', '"Figures"', '"Tables"', "index.html", "main.csv", "A figure of the report"):
        assert word in text
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


@pytest.mark.parametrize(
    ("program", "pattern", "names"),
    [
        ("pretrain", PRETRAIN, ("weights.safetensors",)),
        ("finetune", FINETUNE, ("weights.safetensors", "predictions.npz", "validation.csv")),
    ],
    ids=["pretraining", "fine-tuning"],
)
def test_a_killed_job_goes_on_and_ends_with_the_same_bits(
    finished: Path, prepared: Path, program: str, pattern: str, names: tuple[str, ...]
) -> None:
    undisturbed = one(finished, pattern)
    record = prepared / undisturbed.relative_to(finished)
    call = (*CALL, "--", str(record.relative_to(prepared)))
    with subprocess.Popen(
        command(*call), cwd=prepared, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        job = wait_for_checkpoint(running, program, record.parent)
        job.send_signal(signal.SIGKILL)
        said, _ = running.communicate(timeout=300)
    assert running.returncode != 0, said
    assert not record.exists(), "the job had ended before it was killed"
    assert list(record.parent.glob("resume*"))
    again = snakemake(prepared, *call, timeout=900)
    assert again.returncode == 0, again.stdout
    assert bits(record, *names) == bits(undisturbed, *names)
    assert not list(record.parent.glob("resume*"))


def wait_for_checkpoint(snakemake: subprocess.Popen[str], program: str, folder: Path) -> psutil.Process:
    """The running job's process, stopped between two steps as soon as its folder holds a checkpoint."""
    end = time.monotonic() + 900
    while time.monotonic() < end and snakemake.poll() is None:
        if (folder / "resume.json").exists():
            for process in psutil.Process(snakemake.pid).children(recursive=True):
                words = process.cmdline()
                if len(words) > 1 and words[1].endswith(f"{program}.py"):
                    return process
        time.sleep(0.01)
    raise AssertionError(f"no checkpoint in {folder} and no {program}.py running")


def test_an_edited_byte_stops_the_run_and_is_named(finished: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(finished, tree, symlinks=True)
    weights = one(tree, PRETRAIN).parent / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-5] ^= 1
    weights.write_bytes(content)
    shutil.rmtree(one(tree, RUNS.format(phase="pretrain_local", rest="gd+lr/seed1")).parent)
    result = snakemake(tree, *CALL, timeout=900)
    assert result.returncode != 0
    assert "CorruptedError" in result.stdout
    assert str(weights.relative_to(tree)) in result.stdout
    assert "Traceback" not in result.stdout


def test_a_checkout_goes_on_from_published_runs_and_makes_the_same_bits(finished: Path, tmp_path: Path) -> None:
    """Of published runs a fine-tuning is taken away: it, and the pretrainings and slices that it starts from, are made again."""
    tree, published = prepare_tree(tmp_path / "tree"), tmp_path / "published"
    (record,) = (finished / "results/small").glob("report-*.json")
    assert publish(record, published)

    def tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, f"workflow/scripts/{name}.py", *arguments]
        return subprocess.run(call, cwd=tree, env=environment(), capture_output=True, text=True, timeout=600)

    assert tool("restore", str(published), "--config", "config/small.yaml").returncode == 0
    shutil.rmtree(one(tree, FINETUNE).parent)
    left = tool("restore", str(tmp_path / "nowhere"), "--config", "config/small.yaml")
    assert (left.returncode, left.stderr.count("\n")) == (1, 1)
    refused = tool("export", "--run", str(one(tree, RUNS.format(phase="finetune", rest="random/n1/r1"))))
    assert refused.returncode == 1
    assert "which holds no weights and no predictions" in refused.stderr
    result = snakemake(tree, *CALL, timeout=1800)
    assert result.returncode == 0, result.stdout
    assert "came from a published report without weights and predictions" in result.stdout
    for pattern in (PRETRAIN, FINETUNE):
        mine, theirs = (one(of, pattern).with_name("weights.safetensors") for of in (tree, finished))
        assert mine.read_bytes() == theirs.read_bytes()
    assert not one(tree, RUNS.format(phase="finetune", rest="random/n1/r1")).with_name("weights.safetensors").exists()
    same = tool("verify_published", str(published))
    assert same.returncode == 0, same.stdout
    assert same.stdout.startswith("4 of 4 runs that were made here are equal to the published ones, bit for bit")
    assert (tree / "results/small/scores.csv.gz").read_bytes() == (finished / "results/small/scores.csv.gz").read_bytes()
