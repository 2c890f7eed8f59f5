"""The three files of docs/adding-a-strategy.md are methods that work, as they stand there, each by one file and one line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from conftest import REPOSITORY

GUIDE = REPOSITORY / "docs" / "adding-a-strategy.md"
NAMES = ("neighbour", "position", "self_taught")
# Prints the keys of a plan that names none of the new methods.
KEYS = """
import json
from small_benchmark import small_plan
print(json.dumps([job.spec.key for job in small_plan().jobs.values() if job.phase != "report"]))
"""
# Trains the guide's methods for a few steps and prints what the catalogue says of each, and what came out.
TRAIN = """
import json, sys, yaml
from pathlib import Path
import glocalseg
from glocalseg.methods.catalogue import regimes, strategies
from small_benchmark import run_job, small_plan, write_data

assert Path(glocalseg.__path__[0]).is_relative_to(Path.cwd()), glocalseg.__path__
lines = yaml.safe_load(sys.stdin.read())
short = {"pretrain_global": {"steps": 3}, "finetune": {"steps": 3, "validate_every": 2}}
plan = small_plan(**lines, **short, upper_bound=False)
write_data(Path("made"), plan)
made = {}
for job in plan.jobs.values():
    if job.phase in ("pretrain_global", "finetune", "score"):
        run_job(job, Path("made"))
        made.setdefault(job.phase, []).append(job.name)
said = {n: [e.symbol, e.sentence, e.source] for n, e in {**strategies(), **regimes()}.items()}
options = [job.spec.options for job in plan.of("pretrain_global")]
print(json.dumps({"made": made, "said": said, "options": options}))
"""


@cache
def files() -> dict[str, str]:
    """The guide's files by path: a block of Python, and the last path in backticks before it."""
    text = GUIDE.read_text(encoding="utf-8")
    found = {}
    for block in re.finditer(r"```python\n(.*?)```", text, re.DOTALL):
        found[re.findall(r"`(src/[\w/]+\.py)`", text[: block.start()])[-1]] = block[1]
    return found


def configuration() -> str:
    (found,) = re.findall(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)


def run(tree: Path, *arguments: str, given: str = "") -> str:
    """What Python prints, with the tree's library and this repository's tests."""
    tests = REPOSITORY / "tests"
    path = os.pathsep.join(str(p) for p in (tree / "src", tests / "stages", tests))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def extended(tree: Path) -> Path:
    """A copy of the code with the guide's files in it."""
    for path, code in files().items():
        assert not (tree / path).exists()
        (tree / path).write_text(code, encoding="utf-8")
    return tree


def test_the_guide_has_one_file_and_one_line_for_each() -> None:
    assert [Path(path).stem for path in files()] == list(NAMES)
    lines = [line for line in configuration().splitlines() if line.startswith("  - ")]
    assert len(lines) == 3
    assert all(name in line for name, line in zip(NAMES, lines, strict=True))
    assert all(re.search(r"class (\w+)\(.*^METHOD = \1$", code, re.DOTALL | re.MULTILINE) for code in files().values())


@pytest.mark.slow
def test_they_train_through_the_stages_and_are_called_what_their_files_say(extended: Path) -> None:
    found = json.loads(run(extended, "-c", TRAIN, given=configuration()).splitlines()[-1])
    tuned = ["neighbour", "position", "random+self_taught"]
    assert found["made"] == {"pretrain_global": ["neighbour", "position"], "finetune": tuned, "score": tuned}
    assert found["options"] == [{"reach": 0.2}, {}]
    said = found["said"]
    assert said["neighbour"][0] == "Neighbour"
    assert said["position"] == [
        "Position",
        "the encoder tells how far along its volume a slice lies.",
        "docs/adding-a-strategy.md.",
    ]
    assert said["self_taught"][1].startswith("unlabelled slices are learned with the labels that a moving average")


@pytest.mark.slow
def test_they_keep_what_every_method_promises(extended: Path) -> None:
    tests = [str(REPOSITORY / "tests" / name) for name in ("methods/test_contract.py", "stages/test_no_waiting.py")]
    chosen = " or ".join(NAMES)
    said = run(extended, "-m", "pytest", *tests, "-k", chosen, "-q", "-n0", "-p", "no:cacheprovider", "-rA", "--no-header")
    for name in NAMES:
        assert len(re.findall(rf"PASSED .*\[.*{name}.*\]", said)) > 10, said


def test_no_run_that_there_was_is_made_again(tree: Path) -> None:
    before = run(tree, "-c", KEYS)
    for path, code in files().items():
        (tree / path).write_text(code, encoding="utf-8")
    assert run(tree, "-c", KEYS) == before
    assert len(json.loads(before)) > 5
