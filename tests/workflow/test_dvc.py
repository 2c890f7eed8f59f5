"""`dvc repro` and what belongs to it, in a git repository of its own, with programs that only pretend: jobs are counted.

One test at the end trains for real: there and back through a remote, an edited byte, a kill.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from snakemake_call import environment, snakemake
from test_new_data import BENCHMARK as BENCHMARK_OF_CLINIC
from test_new_data import CARD as CLINIC
from test_new_data import LABEL, label, save, write
from test_small_dag import BENCHMARK, bits, one, prepare_tree

from conftest import REPOSITORY
from glocalrun.tools.plots import inlined

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SOURCES = re.compile(r'<script src="[^"]*"')
DVC = Path(sys.executable).with_name("dvc")
CONFIG = "config/small.yaml"
METHODS = [{}, {"global": "gr"}, {"global": "gd", "local": "lr"}]
PROGRAM = """
import hashlib, json, sys, time
from pathlib import Path
record = Path(sys.argv[sys.argv.index("--record") + 1])
folder = record.parent
folder.mkdir(parents=True, exist_ok=True)
files = {"log.csv": "step,loss\\n1,0.5\\n2,0.25\\n", "payload": f"made by {record}\\n" * 20}
if record.name.startswith("report"):
    for old in folder.glob("report-*.json"):
        old.unlink()
    dice = int(hashlib.sha256(str(record).encode()).hexdigest()[:6], 16) / 16**6
    header = (Path(__file__).parent / "header.csv").read_text()
    row = dict(dataset="small_phantom", method="random", budget=1, dice_mean=dice, dice_mean_low=0.1, dice_mean_high=0.9, runs=1)
    files = {"tables/main.csv": header + ",".join(str(row.pop(name, "")) for name in header.strip().split(",")) + "\\n"}
    assert not row, row
for name, text in files.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(text)
with open("../made.txt", "a") as f:
    f.write(f"{record}\\n")
while Path("../hold").exists():
    time.sleep(0.05)
sys.path.insert(0, "src")
from glocalseg.records.digest import stamped
record.write_text(json.dumps(stamped({"files": {n: hashlib.sha256(t.encode()).hexdigest() for n, t in files.items()}})))
"""


def run(tree: Path, *words: str, status: int | None = 0, timeout: float = 600) -> str:
    """What a command says in a tree."""
    path = f"{DVC.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words,
        cwd=tree,
        env=environment() | {"PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
    assert status is None or done.returncode == status, done.stdout
    return done.stdout


def dvc(tree: Path, *words: str, status: int | None = 0) -> str:
    return run(tree, str(DVC), *words, status=status)


def commit(tree: Path, message: str) -> None:
    run(tree, "git", "add", "-A")
    run(tree, "git", "commit", "-qm", message)


def repository(folder: Path, *, pretend: bool) -> Path:
    """A git repository with the project's code and DVC's files, one data set, nothing made."""
    tree = prepare_tree(folder / "tree")
    for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
        shutil.copy(REPOSITORY / name, tree / name)
    shutil.copytree(REPOSITORY / ".dvc", tree / ".dvc", ignore=shutil.ignore_patterns("tmp", "cache", "config.local"))
    (tree / "pipelines.yaml").write_text(
        yaml.safe_dump({"pipelines": {"small_phantom": {"config": CONFIG, "results": "small"}}})
    )
    (tree / CONFIG).write_text(yaml.safe_dump({**BENCHMARK, "methods": METHODS if pretend else METHODS[:1]}))
    if pretend:
        published = (REPOSITORY / "results/published/hippocampus/tables/main.csv").read_text()
        (tree / "workflow/scripts/header.csv").write_text(published.splitlines()[0] + "\n")
        for name in ("fetch", "verify", "prepare", "pretrain", "diagnose", "finetune", "score", "report"):
            (tree / f"workflow/scripts/{name}.py").write_text(PROGRAM)
    run(tree, "git", "init", "-q", "-b", "main")
    for key, value in (("user.name", "A Person"), ("user.email", "person@example.org")):
        run(tree, "git", "config", key, value)
    commit(tree, "code")
    return tree


def made(tree: Path) -> list[str]:
    """Records made since the last question, without their keys."""
    notes = tree.parent / "made.txt"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return sorted(re.sub(r"[0-9a-f]{10}", "*", line).removesuffix("/run.json") for line in lines)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository after its first `dvc repro`, committed."""
    tree = repository(tmp_path_factory.mktemp("first"), pretend=True)
    dvc(tree, "repro")
    assert len(made(tree)) == 3 + 3 + 4 + 3 + 3 + 1  # data; pretrainings; diagnoses; fine-tunings; scores; report
    commit(tree, "results")
    return tree


@pytest.fixture
def tree(first: Path, tmp_path: Path) -> Path:
    """A copy of it, with its own remote."""
    return Path(shutil.copytree(first, tmp_path / "tree", symlinks=True))


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def nothing_to_do(tree: Path) -> None:
    """Both layers say so."""
    assert "Data and pipelines are up to date." in dvc(tree, "status")
    assert "Nothing to be done" in snakemake(tree, "-n", "--configfile", CONFIG).stdout


# ---------------------------------------------------------------- what runs again


def finetunings(*methods: str, phases: tuple[str, ...] = ("finetune", "score")) -> list[str]:
    """The fine-tunings of methods, and their scores."""
    return [f"results/{phase}/small_phantom/{m}/n1/r1/*" for phase in phases for m in methods]


REPORT = ["results/small/report-*.json"]


def test_a_finetuning_parameter_repeats_no_pretraining(tree: Path) -> None:
    replace(tree / CONFIG, "batch: 4", "batch: 3")
    dvc(tree, "repro")
    assert made(tree) == sorted(finetunings("random", "gr", "gd+lr") + REPORT)


@pytest.mark.parametrize(
    ("module", "name"),
    [("contrast/regions", "gd+lr"), ("encoder/contrastive/gr", "gr")],
    ids=["the local loss", "one strategy"],
)
def test_code_repeats_the_pretrainings_and_methods_that_use_it(tree: Path, module: str, name: str) -> None:
    code = tree / f"src/glocalseg/methods/pretraining/{module}.py"
    code.write_text(code.read_text() + "\nCHANGED = 1\n")
    dvc(tree, "repro")
    level = "pretrain_local" if "+" in name else "pretrain_global"
    own = [f"results/{phase}/small_phantom/{name}/seed1/*" for phase in (level, "diagnose")]
    assert made(tree) == sorted(own + finetunings(name) + REPORT)


def test_the_template_repeats_the_report_and_a_comment_nothing(tree: Path) -> None:
    template = tree / "src/glocalseg/report/page/templates/page.html"
    template.write_text(template.read_text() + "<!-- changed -->\n")
    dvc(tree, "repro")
    assert made(tree) == REPORT
    code = tree / "src/glocalseg/training/loop.py"
    code.write_text("# reworded\n" + code.read_text())
    said = dvc(tree, "repro")
    assert made(tree) == []
    assert "Running stage 'plan@small_phantom'" in said
    assert said.count("Running stage") == 1


def test_going_back_and_forth_repeats_nothing(tree: Path) -> None:
    replace(tree / CONFIG, "batch: 4", "batch: 3")
    dvc(tree, "repro")
    metrics = tree / "results/summary/small_phantom/metrics.json"
    there = metrics.read_text()
    commit(tree, "batch of 3")
    made(tree)
    for revision in ("HEAD~1", "main"):
        run(tree, "git", "checkout", "-q", revision)
        dvc(tree, "checkout")
        nothing_to_do(tree)
        assert (metrics.read_text() == there) == (revision == "main")
        dvc(tree, "repro")
    assert made(tree) == []


# ---------------------------------------------------------------- between machines


def test_a_second_clone_pulls_everything_and_has_nothing_to_do(tree: Path, tmp_path: Path) -> None:
    dvc(tree, "push")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(tree), str(clone))
    assert not (clone / "data").exists()
    dvc(clone, "pull")
    for path in clone.rglob("*"):
        path.touch()
    nothing_to_do(clone)
    dvc(clone, "repro")
    assert made(clone) == []


def test_large_files_never_enter_git_and_nothing_is_reported(tree: Path) -> None:
    listed = [tree / line for line in run(tree, "git", "ls-files").splitlines()]
    assert not [p for p in listed if p.name in ("run.json", "payload", "manifest.json", "log.csv")]
    for path in (
        "data/slices/x/manifest.json",
        "results/own_benchmark/scores.csv.gz",
        "results/finetune/x/y",
        "machine.yaml",
    ):
        assert path in run(tree, "git", "check-ignore", path)
    assert {p.name for p in listed if "results/summary" in str(p)} == {"metrics.json", "dice.csv", "curves.csv"}
    assert dvc(tree, "config", "core.analytics").strip() == "false"


# ---------------------------------------------------------------- what DVC shows


def test_parameters_metrics_plots_and_experiments(tree: Path) -> None:
    shown = json.loads(dvc(tree, "metrics", "show", "--json"))
    values = shown[""]["data"]["results/summary/small_phantom/metrics.json"]["data"]
    assert values["random"]["1"]["runs"] == 1
    replace(tree / CONFIG, "batch: 4", "batch: 3")
    assert re.search(r"finetune\.batch +4 +3", dvc(tree, "params", "diff"))
    dvc(tree, "repro")
    assert "random.1.dice_mean" in dvc(tree, "metrics", "diff")
    dvc(tree, "plots", "diff", "--out", "plots")
    page = (tree / "plots/index.html").read_text()
    for word in (
        "Dice against labelled volumes",
        "Loss of the pretrainings and fine-tunings",
        "Fine-tuning random n1",
    ):
        assert word in page
    assert len(SOURCES.findall(page)) == 3
    assert not SOURCES.findall(inlined(page)), "the page would need the network"
    run(tree, "git", "checkout", "-q", "--", ".")
    dvc(tree, "checkout", "--force")
    dvc(tree, "exp", "run", "-S", f"{CONFIG}:finetune.batch=5", "--name", "five")
    assert made(tree)
    table = dvc(tree, "exp", "show", "--csv")
    assert "five" in table
    assert re.search(r"config/small\.yaml:finetune\.batch|finetune\.batch", table)


# ---------------------------------------------------------------- traps


@pytest.mark.parametrize("folder", ["results/pretrain_global/small_phantom/gr/seed1/*", "data/slices/small_phantom/*"])
def test_an_edited_byte_is_named_whatever_its_date(tree: Path, folder: str) -> None:
    path = next(tree.glob(f"{folder}/payload"))
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(content[:-2] + b"?\n")
    said = dvc(tree, "repro", status=None)
    assert "ERROR: failed to reproduce" in said
    assert f"{path.relative_to(tree)}: expected sha256" in said
    assert made(tree) == []
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = run(tree, sys.executable, "workflow/scripts/check.py", CONFIG, status=1)
    assert f"{path.relative_to(tree)}: expected sha256" in found
    assert found.endswith("1 damaged\n")
    shutil.rmtree(path.parent)
    dvc(tree, "repro")
    assert [name.removesuffix("/manifest.json") for name in made(tree)] == [folder]
    nothing_to_do(tree)


def test_links_into_the_cache_survive_a_rerun(tree: Path) -> None:
    dvc(tree, "config", "--local", "cache.type", "hardlink,symlink,copy")
    dvc(tree, "checkout", "--relink")
    folder = next(tree.glob("results/finetune/small_phantom/gr/n1/r1/*"))
    assert (folder / "payload").stat().st_nlink > 1
    (folder / "run.json").unlink()
    dvc(tree, "repro")
    assert made(tree) == finetunings("gr", phases=("finetune",))  # the same bytes: its scores stay
    run(tree, "git", "checkout", "-q", "--", "dvc.lock")
    shutil.rmtree(tree / "results/finetune")
    dvc(tree, "checkout", "--force")
    nothing_to_do(tree)
    assert run(tree, sys.executable, "workflow/scripts/check.py", CONFIG).endswith(" 0 damaged\n")


def start(tree: Path) -> subprocess.Popen[str]:
    """`dvc repro` in the background, in a process group of its own."""
    path = f"{DVC.parent}{os.pathsep}{os.environ['PATH']}"
    out = (tree.parent / "said.txt").open("w")
    return subprocess.Popen(
        [str(DVC), "repro"],
        cwd=tree,
        env=environment() | {"PATH": path},
        stdout=out,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(path: Path, running: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert running.poll() is None
        assert time.monotonic() < end
        time.sleep(0.1)


def test_two_at_a_time_are_told_apart_and_a_killed_one_is_gone_on_with(tree: Path) -> None:
    replace(tree / CONFIG, "batch: 4", "batch: 3")
    (tree.parent / "hold").touch()
    running = start(tree)
    wait_for(tree.parent / "made.txt", running)
    said = dvc(tree, "repro", status=None)
    assert "is busy, it is being blocked by" in said
    assert f"(PID {running.pid})" in said
    other = snakemake(tree, "--cores", "1", "--configfile", CONFIG)
    assert "Directory cannot be locked" in other.stdout
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(60)
    (tree.parent / "hold").unlink()
    dvc(tree, "repro")
    nothing_to_do(tree)


def test_a_data_set_that_is_absent_holds_up_no_other(tree: Path) -> None:
    pipelines = {
        "acdc": {"config": "config/paper.yaml", "results": "paper_acdc"},
        "small_phantom": {"config": CONFIG, "results": "small"},
    }
    (tree / "pipelines.yaml").write_text(yaml.safe_dump({"pipelines": pipelines}))
    shutil.copy(REPOSITORY / "workflow/scripts/fetch.py", tree / "workflow/scripts/fetch.py")
    replace(tree / CONFIG, "batch: 4", "batch: 3")
    said = dvc(tree, "repro", "--keep-going", status=None)
    assert "failed to reproduce 'plan@acdc'" in said
    assert "A person has to get this data" in said
    assert "acdc: not verified" in said
    assert made(tree) == sorted(finetunings("random", "gr", "gd+lr") + REPORT)
    assert "small_phantom" not in dvc(tree, "status")


def test_data_that_was_never_verified_is_verified_by_the_plan_and_named_when_it_changes(tree: Path) -> None:
    (tree / "pipelines.yaml").write_text(
        yaml.safe_dump({"pipelines": {"clinic": {"config": "config/clinic.yaml", "results": "clinic"}}})
    )
    write(tree / "given")
    (tree / "config/datasets/clinic.yaml").write_text(yaml.safe_dump(CLINIC))
    (tree / "config/clinic.yaml").write_text(yaml.safe_dump(BENCHMARK_OF_CLINIC))
    for name in ("fetch", "verify"):
        shutil.copy(REPOSITORY / f"workflow/scripts/{name}.py", tree / f"workflow/scripts/{name}.py")
    said = dvc(tree, "repro", "data@clinic")
    assert "Verified for the first time: commit config/datasets/clinic.lock.json" in said
    (record,) = (tree / "results/keys/clinic/data.txt").read_text().split()
    assert (tree / record).is_file()
    assert made(tree) == ["data/slices/clinic/*/manifest.json"]
    assert "Data and pipelines are up to date." in dvc(tree, "repro", "data@clinic")
    save(tree / "given" / LABEL, label(more=1))
    replace(tree / "config/clinic.yaml", "batch: 2", "batch: 3")
    said = dvc(tree, "repro", status=None)
    assert "failed to reproduce 'plan@clinic'" in said
    assert f"{LABEL}: expected the contents of clinic.lock.json" in said
    assert made(tree) == []


# ---------------------------------------------------------------- for real


def test_trained_for_real_there_and_back_and_killed(tmp_path: Path) -> None:
    tree = repository(tmp_path, pretend=False)
    dvc(tree, "repro")
    commit(tree, "results")
    dvc(tree, "push")
    run(tmp_path, "git", "clone", "-q", str(tree), "clone")
    clone = tmp_path / "clone"
    dvc(clone, "pull")
    nothing_to_do(clone)
    assert run(clone, sys.executable, "workflow/scripts/check.py", CONFIG).endswith(" 0 damaged\n")

    record = one(tree, "results/finetune/small_phantom/random/n1/r1/*/run.json")
    before = bits(record, "weights.safetensors", "predictions.npz")
    shutil.rmtree(record.parent)
    running = start(tree)
    wait_for(record.with_name("resume.json"), running)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(60)
    assert not record.exists()
    dvc(tree, "repro")
    assert bits(record, "weights.safetensors", "predictions.npz") == before
    nothing_to_do(tree)
