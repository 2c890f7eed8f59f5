"""What Snakemake makes again, with the real rules and programs that only write their record: seconds for a whole graph."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from snakemake_call import snakemake

CALL = ("--cores", "4", "--configfile", "config/hippocampus.yaml", "--config", "draws=1", "seeds=[0]", "budgets=[1]")
PROGRAM = """
import sys
from pathlib import Path
record = Path(sys.argv[sys.argv.index("--record") + 1])
record.parent.mkdir(parents=True, exist_ok=True)
record.write_text("{}")
with open("made.txt", "a") as f:
    f.write(f"{record}\\n")
"""


def made(tree: Path) -> list[str]:
    """Records made since the last question."""
    notes = tree / "made.txt"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return sorted(lines)


def run(tree: Path, *arguments: str) -> list[str]:
    """Run the graph; the records that were made."""
    result = snakemake(tree, *CALL, *arguments)
    assert result.returncode == 0, result.stdout
    return made(tree)


def one(tree: Path, pattern: str) -> str:
    found = [str(p.relative_to(tree)) for p in tree.glob(pattern)]
    assert len(found) == 1
    return found[0]


@pytest.fixture
def finished(tree: Path) -> Path:
    """A copy of the code whose programs only write records, after one run."""
    for program in (tree / "workflow/scripts").glob("[a-z]*.py"):
        program.write_text(PROGRAM)
    # fetch, verify, prepare; 4 + 2 pretrainings; 7 diagnoses; 7 methods and the upper bound; the report
    assert len(run(tree)) == 3 + 6 + 7 + 8 + 1
    return tree


def test_a_finished_graph_has_nothing_to_do_whatever_happened_around_it(finished: Path) -> None:
    assert run(finished) == []
    for path in sorted(finished.rglob("*"), reverse=True):
        path.touch()
    assert run(finished) == []
    rules = finished / "workflow/rules/finetune.smk"
    rules.write_text(rules.read_text().replace("mem_mb=4000", "mem_mb=5000").replace("fine-tune ", "train "))
    assert run(finished) == []
    shutil.rmtree(finished / ".snakemake")
    shutil.rmtree(finished / "data/raw")
    assert run(finished) == []


@pytest.mark.parametrize(
    "pattern",
    [
        "results/pretrain/hippocampus/gd/*/*/run.json",
        "results/pretrain/hippocampus/gd+lr/*/*/run.json",
        "results/finetune/hippocampus/gd+lr/*/*/*/*/run.json",
        "data/slices/hippocampus/*/manifest.json",
        "results/hippocampus/report-*.json",
    ],
)
def test_what_is_missing_is_made_again_and_nothing_else(finished: Path, pattern: str) -> None:
    record = one(finished, pattern)
    (finished / record).unlink()
    assert run(finished) == [record]


def test_a_changed_strategy_remakes_its_dependents_and_going_back_remakes_nothing(finished: Path) -> None:
    strategy = finished / "src/glocalseg/pretraining/strategies/lr.py"
    before = strategy.read_text()
    strategy.write_text(before + "\nCHANGED = 1\n")
    names = [re.sub(r"[0-9a-f]{10}", "*", record) for record in run(finished)]
    assert names == [
        "results/diagnose/hippocampus/gd+lr/seed0/*/run.json",
        "results/finetune/hippocampus/gd+lr/n1/c1/seed0/*/run.json",
        "results/hippocampus/report-*.json",
        "results/pretrain/hippocampus/gd+lr/seed0/*/run.json",
    ]
    strategy.write_text(before)
    assert run(finished) == []


def test_data_without_a_lock_file_is_verified_first_and_alone(tree: Path) -> None:
    for program in (tree / "workflow/scripts").glob("[a-z]*.py"):
        program.write_text(PROGRAM)
    call = ("--cores", "2", "--configfile", "config/paper.yaml")
    first = snakemake(tree, *call)
    assert first.returncode == 0, first.stdout
    assert "The data comes first" in first.stdout
    assert "give the same command again" in first.stdout
    unverified = [f"data/raw/{n}/unverified/{r}.json" for n in ("acdc", "mmwhs") for r in ("fetched", "verified")]
    assert made(tree) == unverified
    again = snakemake(tree, *call)  # the stand-in wrote no lock file, so this one is lost
    assert again.returncode != 0
    assert "acdc.lock.json: expected the lock file of verified data, found none" in again.stdout
    for name in ("acdc", "mmwhs"):
        (tree / f"config/datasets/{name}.lock.json").write_text("{}")
    assert "693" in snakemake(tree, *call, "-n").stdout
