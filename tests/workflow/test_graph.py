"""What Snakemake makes again, with the real rules and programs that only write their record: seconds for a whole graph."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from snakemake_call import snakemake

from conftest import copy_code, lock_of, plain, plan_in

CALL = ("--cores", "4", "--configfile", "config/hippocampus.yaml", "--config", "repeats=1", "budgets=[1]")
PROGRAM = """
import json, sys
from pathlib import Path
record = Path(sys.argv[sys.argv.index("--record") + 1])
assert not record.exists(), "called for a record that is there"
if Path("fails").exists() and Path("fails").read_text() in str(record):
    sys.exit("made to fail")
text = "{}"
if record.name == "verified.json":
    lock = Path(f"config/datasets/{record.parts[2]}.lock.json")
    if not lock.exists():
        Path(f"{record.parts[2]}.verified").rename(lock)
    sys.path.insert(0, "src")
    from glocalseg.data.acquire.lock.file import read_lock
    from glocalseg.records.digest import stamped
    text = json.dumps(stamped({"files": {}, "identity": read_lock(lock).identity}))
record.parent.mkdir(parents=True, exist_ok=True)
record.write_text(text)
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
def tree(tree: Path) -> Path:
    """The copy with a plain configuration."""
    return plain(tree)


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code whose programs only write records, after one run."""
    tree = stand_in(plain(copy_code(tmp_path_factory.mktemp("once") / "tree")))
    # fetch, verify, prepare; 4 + 2 pretrainings; 7 diagnoses; 7 methods and the upper bound, and their scores; the report
    assert len(run(tree)) == 3 + 6 + 7 + 2 * 8 + 1
    return tree


@pytest.fixture
def finished(once: Path, tmp_path: Path) -> Path:
    """The same in a folder of its own."""
    return Path(shutil.copytree(once, tmp_path / "tree", symlinks=True))


def test_a_finished_graph_has_nothing_to_do_whatever_happened_around_it(finished: Path) -> None:
    assert run(finished) == []
    for path in sorted(finished.rglob("*"), reverse=True):
        path.touch()
    assert run(finished) == []
    rules = finished / "workflow/rules/finetune.smk"
    rules.write_text(rules.read_text().replace("mem_mb=growing(6000)", "mem_mb=5000").replace("fine-tune ", "train "))
    assert run(finished) == []
    shutil.rmtree(finished / ".snakemake")
    shutil.rmtree(finished / "data/raw")
    assert run(finished) == []


def test_the_graph_can_be_drawn_of_what_is_finished_too(finished: Path) -> None:
    shutil.rmtree(finished / "data/raw")  # pulled results come without it
    drawn = snakemake(finished, *CALL, "--rulegraph").stdout
    number = {name: node for node, name in re.findall(r'(\d+)\[label = "(\w+)"', drawn)}
    arrows = set(re.findall(r"(\d+) -> (\d+)", drawn))
    wanted = [("prepare", "finetune"), ("pretrain_global", "finetune"), ("finetune", "score"), ("score", "report")]
    assert all((number[start], number[end]) in arrows for start, end in wanted), drawn
    assert "fetch" not in number


@pytest.mark.parametrize(
    "patterns",
    [  # of what is missing, neighbours in the graph are there: what something starts from, and what starts from it
        [
            "data/slices/hippocampus/*/manifest.json",
            "results/finetune/hippocampus/gd+lr/*/*/*/run.json",
            "results/hippocampus/report-*.json",
            "results/pretrain_global/hippocampus/gd/*/*/run.json",
        ],
        [
            "results/pretrain_local/hippocampus/gd+lr/*/*/run.json",
            "results/score/hippocampus/gd+lr/*/*/*/run.json",
        ],
    ],
)
def test_what_is_missing_is_made_again_and_nothing_else(finished: Path, patterns: list[str]) -> None:
    records = [one(finished, pattern) for pattern in patterns]
    for record in records:
        (finished / record).unlink()
    assert run(finished) == records


def test_a_changed_strategy_remakes_its_dependents_and_going_back_remakes_nothing(finished: Path) -> None:
    strategy = finished / "src/glocalseg/methods/pretraining/decoder/lr.py"
    before = strategy.read_text()
    strategy.write_text(before + "\nCHANGED = 1\n")
    names = [re.sub(r"[0-9a-f]{10}", "*", record) for record in run(finished)]
    assert names == [
        "results/diagnose/hippocampus/gd+lr/seed1/*/run.json",
        "results/finetune/hippocampus/gd+lr/n1/r1/*/run.json",
        "results/hippocampus/report-*.json",
        "results/pretrain_local/hippocampus/gd+lr/seed1/*/run.json",
        "results/score/hippocampus/gd+lr/n1/r1/*/run.json",
    ]
    strategy.write_text(before)
    assert run(finished) == []


# ---------------------------------------------------------------- data that was never verified


def stand_in(tree: Path) -> Path:
    """A copy of the code whose programs only write records."""
    for program in (tree / "workflow/scripts").glob("[a-z]*.py"):
        program.write_text(PROGRAM)
    return tree


def unverified(tree: Path) -> Path:
    """Take the lock file of hippocampus away; verification, which only pretends, puts this one in its place."""
    return lock_of(tree, "hippocampus").rename(tree / "hippocampus.verified")


def other_contents(lock: str) -> str:
    """A lock file's text with the digest of one image changed."""
    known = json.loads(lock)
    known["cases"]["hippocampus_001"]["image"] = "0" * 64
    return json.dumps(known)


def test_data_that_was_never_verified_runs_through_in_one_call(tree: Path) -> None:
    unverified(stand_in(tree))
    provisional = plan_in(tree, "hippocampus").jobs.keys()
    first = snakemake(tree, *CALL)
    assert first.returncode == 0, first.stdout
    assert "hippocampus: this data was never verified. It is fetched and verified first" in first.stdout
    assert "Verified for the first time: commit config/datasets/hippocampus.lock.json" in first.stdout
    records = made(tree)
    assert len(records) == 31 + 2
    assert not {Path(record) for record in records} & provisional
    assert run(tree) == []


def test_a_dry_run_lists_the_whole_grid_and_says_that_keys_are_provisional(tree: Path) -> None:
    unverified(tree)
    said = snakemake(tree, *CALL, "-n").stdout
    assert "hippocampus: never verified: the keys in the paths below are provisional" in said
    assert re.search(r"^total +34$", said, re.MULTILINE), said  # and the target
    assert not (tree / "data").exists()


def test_all_data_is_verified_before_anything_else_and_what_is_refused_is_named(tree: Path) -> None:
    stand_in(tree)
    lock_of(tree, "hippocampus").rename(tree / "mmwhs.verified")
    result = snakemake(tree, "--cores", "2", "--keep-going", "--configfile", "config/paper.yaml")
    assert result.returncode != 0
    assert "acdc, prostate: not verified, for the reasons above; nothing else was begun" in result.stdout
    assert "Missing:" not in result.stdout
    records = [record.split("/") for record in made(tree)]
    assert sorted((r[2], r[-1]) for r in records) == sorted(
        [*((name, "fetched.json") for name in ("acdc", "mmwhs", "prostate")), ("mmwhs", "verified.json")]
    )


def test_a_lock_file_that_is_taken_away_has_the_data_verified_again(finished: Path) -> None:
    later = unverified(finished)
    text = later.read_text(encoding="utf-8")
    (verification,) = run(finished)  # it finds the same data, so no key is another one
    assert verification.endswith("/verified.json")
    assert run(finished) == []
    unverified(finished).write_text(other_contents(text), encoding="utf-8")
    records = run(finished)
    assert len(records) == 31 + 1
    assert verification in records


def test_a_lock_file_that_came_from_elsewhere_has_the_data_verified_against_it(finished: Path) -> None:
    lock = lock_of(finished, "hippocampus")
    text = lock.read_text(encoding="utf-8")
    lock.write_text(other_contents(text), encoding="utf-8")
    assert len(run(finished)) == 31 + 1


@pytest.mark.parametrize("kept", [False, True])
def test_a_table_beside_the_card_that_was_corrected_is_named_without_any_data(finished: Path, kept: bool) -> None:
    table = finished / "config/datasets/hippocampus.subjects.tsv"
    first, second = "hippocampus_001\tsubject_001\n", "hippocampus_001\tsubject_002\n"
    text = table.read_text(encoding="utf-8")
    assert first in text
    table.write_text(text.replace(first, second), encoding="utf-8")
    for verified in () if kept else (finished / "data/raw").rglob("verified.json"):
        verified.unlink()
    result = snakemake(finished, *CALL)
    assert result.returncode == 1
    assert "hippocampus_001: expected subject 'subject_001', as in hippocampus.lock.json" in result.stdout
    assert "delete config/datasets/hippocampus.lock.json), found 'subject_002'" in result.stdout
    assert made(finished) == []


# ---------------------------------------------------------------- what is forced


def anonymous(records: list[str]) -> list[str]:
    """Records without keys."""
    return [re.sub(r"[0-9a-f]{10}", "*", record) for record in records]


def marks(tree: Path) -> list[str]:
    """Records that programs are told to make anew; the programs here are none, and leave the marks."""
    return sorted(path.read_text().strip() for path in (tree / ".snakemake/glocalseg/again").glob("*"))


def test_a_forced_rule_is_made_again_with_what_depends_on_it_and_nothing_else(finished: Path) -> None:
    records = run(finished, "--forcerun", "pretrain_local")
    assert anonymous(records) == [
        *(f"results/diagnose/hippocampus/{name}/seed1/*/run.json" for name in ("gd+ld", "gd+lr")),
        *(f"results/finetune/hippocampus/{name}/n1/r1/*/run.json" for name in ("gd+ld", "gd+lr")),
        "results/hippocampus/report-*.json",
        *(f"results/pretrain_local/hippocampus/{name}/seed1/*/run.json" for name in ("gd+ld", "gd+lr")),
        *(f"results/score/hippocampus/{name}/n1/r1/*/run.json" for name in ("gd+ld", "gd+lr")),
    ]
    assert marks(finished) == records
    assert run(finished) == []


def test_a_forced_target_is_made_alone(finished: Path) -> None:
    record = one(finished, "results/finetune/hippocampus/gr/*/*/*/run.json")
    assert run(finished, "--force", "--", record) == [record]
    assert marks(finished) == [record]


def test_everything_can_be_forced_and_is_made_in_order(finished: Path) -> None:
    (finished / "made.txt").unlink(missing_ok=True)
    result = snakemake(finished, *CALL, "--forceall")
    assert result.returncode == 0, result.stdout
    assert "31 of 31 results are there, 31 of them to make again, 0 to make" in result.stdout
    assert "What was downloaded stays" in result.stdout
    order = [line.split("/")[1] for line in (finished / "made.txt").read_text().splitlines() if line.startswith("results")]
    assert order.index("finetune") > order.index("pretrain_global"), "no fine-tuning before a pretraining"
    assert order[-1] == "hippocampus"
    assert len(made(finished)) == 31 + 2
    assert len(marks(finished)) == 31


def test_marks_of_an_interrupted_call_are_forgotten_and_a_dry_run_leaves_none(finished: Path) -> None:
    record = one(finished, "results/finetune/hippocampus/gr/*/*/*/run.json")
    assert "score hippocampus gr" in snakemake(finished, *CALL, "-n", "-R", record).stdout
    assert marks(finished) == []
    run(finished, "-R", record)
    assert record in marks(finished)
    (finished / record).unlink()
    run(finished)
    assert marks(finished) == []


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--touch", "--touch: no date decides anything here"),
        ("--delete-all-output", "--delete-all-output: a result goes with its whole folder"),
    ],
)
def test_what_would_only_seem_to_do_something_is_refused_in_one_line(finished: Path, option: str, said: str) -> None:
    before = sorted(finished.rglob("*.json"))
    result = snakemake(finished, *CALL, option)
    assert result.returncode != 0
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("Using ", "Building ", "Assuming "))]
    assert len(lines) == 1, result.stdout
    assert lines[0].startswith(said)
    assert sorted(finished.rglob("*.json")) == before


def test_force_without_a_target_says_what_it_means(finished: Path) -> None:
    result = snakemake(finished, *CALL, "--force")
    assert result.returncode == 0, result.stdout
    assert "--force without a target makes nothing" in result.stdout


# ---------------------------------------------------------------- where the checkout lies


def test_a_checkout_may_lie_below_any_folder(tmp_path: Path) -> None:
    (tmp_path / "lab {b} 'x'").mkdir()
    tree = stand_in(plain(copy_code(tmp_path / "lab {b} 'x'" / "tree")))
    assert len(run(tree)) == 31 + 2
    cell = one(tree, "results/finetune/hippocampus/gr/*/*/*/run.json")
    for record in (cell, one(tree, "results/hippocampus/report-*.json")):
        (tree / record).unlink()
    (tree / "fails").write_text(cell)
    assert snakemake(tree, *CALL, "--keep-going").returncode != 0
    assert made(tree) == ["results/hippocampus/report-partial.json"]


# ---------------------------------------------------------------- failures


def test_each_failure_gets_a_report_of_its_own(finished: Path) -> None:
    cells = [one(finished, f"results/finetune/hippocampus/{name}/*/*/*/run.json") for name in ("gr", "pcl")]
    report = one(finished, "results/hippocampus/report-*.json")
    for record in [*cells, report]:
        (finished / record).unlink()
    for record in cells:  # one fails, is mended, and then another fails
        (finished / "fails").write_text(record)
        result = snakemake(finished, *CALL, "--keep-going")
        assert result.returncode != 0
        assert "Missing:\n  Fine-tuning: hippocampus" in result.stdout
        assert "results/hippocampus/report-partial.json" in made(finished)
        assert not (finished / report).exists()
        (finished / cells[0]).parent.mkdir(parents=True, exist_ok=True)
        (finished / cells[0]).write_text("{}")
        (finished / cells[1]).unlink(missing_ok=True)
    (finished / "fails").unlink()
    run(finished)
    assert (finished / report).exists()


def test_a_failed_phase_that_was_asked_for_alone_leaves_the_report_alone(finished: Path) -> None:
    cell = one(finished, "results/finetune/hippocampus/gr/*/*/*/run.json")
    (finished / cell).unlink()
    (finished / "fails").write_text(cell)
    result = snakemake(finished, *CALL, "--keep-going", "--", cell)
    assert result.returncode != 0
    assert "2 of 3 results are there. Missing:" in result.stdout
    assert made(finished) == []


def test_memory_and_time_grow_with_every_attempt(tree: Path) -> None:
    probe = """
for rule in workflow.rules:
    if rule.name not in ("all", "fetch", "report"):
        asked = [rule.resources[n].evaluate(None, attempt=3).value for n in ("mem_mb", "runtime")]
        print("GROWN", rule.name, asked)
"""
    snakefile = tree / "Snakefile"
    snakefile.write_text(snakefile.read_text() + probe)
    said = snakemake(tree, "-n", "--configfile", "config/hippocampus.yaml").stdout
    grown = dict(re.findall(r"GROWN (\w+) (\[.*\])", said))
    assert grown == {
        "fetch_weights": "[4000, 240]",
        "verify": "[24000, 360]",
        "prepare": "[48000, 1440]",
        "features": "[18000, 360]",
        "pretrain_global": "[18000, 720]",
        "pretrain_local": "[18000, 720]",
        "diagnose": "[18000, 60]",
        "finetune": "[18000, 90]",
        "score": "[12000, 30]",
    }
