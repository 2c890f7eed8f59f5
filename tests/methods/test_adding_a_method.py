"""The examples of docs/adding-a-strategy.md are methods that work, as they stand there: each one file and one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import REPOSITORY, copy_code

pytestmark = pytest.mark.slow
GUIDE = (REPOSITORY / "docs" / "adding-a-strategy.md").read_text(encoding="utf-8")
FILES = re.findall(r"Write `(src/\S+\.py)`:\n\n```python\n(.*?)```", GUIDE, re.DOTALL)
LINES = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)]
PROGRAM = """
import json, sys
from pathlib import Path
from small_benchmark import run_job, small_plan, write_data
from glocalseg.methods.catalogue import regimes, strategies
root, changes = Path(sys.argv[1]), json.loads(sys.argv[2])
plan = small_plan(upper_bound=False, **changes)
write_data(root, plan)
for job in plan.jobs.values():
    if job.phase not in ("data", "report", "diagnose"):
        run_job(job, root)
        print(job.phase, job.name)
for entry in (*strategies().values(), *regimes().values()):
    if entry.source == "an example of docs/adding-a-strategy.md.":
        print("entry", entry.name, entry.symbol, entry.part or "regime")
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code with the guide's files where the guide says."""
    tree = copy_code(tmp_path_factory.mktemp("guide") / "tree")
    for path, text in FILES:
        assert not (tree / path).exists()
        (tree / path).write_text(text, encoding="utf-8")
    return tree


def call(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (tree / "src", REPOSITORY / "tests" / "stages")))
    return subprocess.run(
        [sys.executable, "-c", *arguments], cwd=tree, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )


def changes() -> dict[str, Any]:
    """The guide's lines in a benchmark of a few steps."""
    found: dict[str, Any] = {"methods": [{}], "strategies": {}, "regimes": {}}
    for line in LINES:
        found["methods"] += line["methods"]
        found["strategies"] |= line.get("strategies", {})
        found["regimes"] |= line.get("regimes", {})
    short = {"steps": 4, "validate_every": 2}
    return {**found, "pretrain_global": {"steps": 3}, "finetune": short}


def test_the_guide_shows_one_of_each_kind() -> None:
    assert [Path(path).stem for path, _ in FILES] == ["neighbour", "whereabouts", "averaged"]
    assert len(LINES) == 2


def test_the_examples_train_and_are_scored_as_they_stand(tree: Path, tmp_path: Path) -> None:
    done = call(tree, PROGRAM, str(tmp_path), json.dumps(changes()))
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    for line in (
        "pretrain_global neighbour",
        "pretrain_global whereabouts",
        "score neighbour",
        "score whereabouts+averaged",
        "entry neighbour Neighbour encoder",
        "entry whereabouts Whereabouts encoder",
        "entry averaged Averaged regime",
    ):
        assert line in said


def test_the_examples_keep_what_every_method_promises(tree: Path) -> None:
    """The tests that find a new file by themselves, of which the guide speaks."""
    tests = [str(REPOSITORY / "tests" / name) for name in ("methods/test_contract.py", "stages/test_no_waiting.py")]
    names = [Path(path).stem for path, _ in FILES]
    flags = ["-k", " or ".join(names), "-q", "-n0", "-p", "no:cacheprovider", "-rA"]
    done = call(tree, "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))", *tests, *flags)
    assert done.returncode == 0, done.stdout
    for name in names:
        assert len(re.findall(rf"^PASSED .*\[.*{name}.*\]$", done.stdout, re.MULTILINE)) > 12


def test_a_wrong_option_of_an_example_is_one_line_before_anything_runs(tree: Path, tmp_path: Path) -> None:
    wrong = {**changes(), "strategies": {"neighbour": {"range": 0.2}}, "regimes": {"averaged": {"momentum": 2}}}
    done = call(tree, PROGRAM, str(tmp_path), json.dumps(wrong))
    assert done.returncode != 0
    assert "strategies.neighbour: range: expected one of reach, found an unknown key" in done.stderr
    assert "regimes.averaged: momentum: expected less than 1, found 2" in done.stderr
    assert not (tmp_path / "data").exists()


def test_new_methods_change_no_key_of_what_is_there(tree: Path) -> None:
    program = (
        "from small_benchmark import small_plan\n"
        "print('\\n'.join(sorted(str(r) for r, j in small_plan().jobs.items() if j.phase != 'report')))"
    )
    here = call(REPOSITORY, program)
    there = call(tree, program)
    assert here.returncode == there.returncode == 0, there.stderr
    assert here.stdout == there.stdout
