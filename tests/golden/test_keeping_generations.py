"""`make same-bits`: a refactoring keeps its keys, another number does not, and what cannot be judged is not."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import plan_in
from glocalrun.tools.same_bits import Code, difference, same_bits, unjudged
from glocalseg.plan.jobs import Plan

STRATEGIES = Path("src/glocalseg/methods/pretraining/encoder")


def git(tree: Path, *words: str) -> None:
    call = ["git", "-c", "user.name=a", "-c", "user.email=a@example.invalid", *words]
    subprocess.run(call, cwd=tree, check=True, capture_output=True)


def commit(tree: Path) -> None:
    git(tree, "init", "--quiet")
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "as it was")


def edit(path: Path, pattern: str, new: str) -> None:
    """Replace what must be there, wherever it stands."""
    text, count = re.subn(pattern, new, path.read_text(encoding="utf-8"))
    assert count, f"{path} has no {pattern!r}"
    path.write_text(text, encoding="utf-8")


def starts(plan: Plan) -> dict[str, Path]:
    return {job.name: job.record for job in plan.of("pretrain_global")}


@pytest.mark.slow
def test_only_what_is_named_is_compared(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(tree)
    for name in ("predictive/rotation", "contrastive/gr"):
        path = tree / STRATEGIES / f"{name}.py"
        path.write_text(path.read_text(encoding="utf-8") + "\nUNUSED = True\n", encoding="utf-8")
    assert same_bits(tree, tmp_path / "work", ["pretrain/rotation"]) == 0
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["pretrain/rotation"]
    with pytest.raises(SystemExit, match=r"expected entries of code, data, phantom, .*, \.\.\., found 'pretrain/rotated'"):
        same_bits(tree, tmp_path / "again", ["pretrain/rotated"])


@pytest.mark.slow
def test_a_refactoring_keeps_its_keys_and_another_number_does_not(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tree / "config/quick.yaml"
    raw = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    raw["methods"] = [{}, {"global": "rotation"}, {"global": "gr"}, {"global": "gd"}]
    configuration.write_text(yaml.safe_dump(raw), encoding="utf-8")
    commit(tree)
    before = starts(plan_in(tree, "quick"))
    edit(tree / STRATEGIES / "predictive/rotation.py", r"\bindex\b", "chosen")
    edit(tree / STRATEGIES / "contrastive/gr.py", r"images // 2\b", "images // 2 - 1")
    changed = starts(plan_in(tree, "quick"))
    assert {name for name in before if before[name] != changed[name]} == {"rotation", "gr"}

    assert same_bits(tree, tmp_path / "work") == 0
    said = capsys.readouterr().out
    assert "pretrain/rotation: same bits in " in said
    assert "pretrain/gr: other bits in " in said
    assert "pretrain/gd:" not in said
    after = starts(plan_in(tree, "quick"))
    assert {name for name in before if before[name] != after[name]} == {"gr"}
    assert after["gr"] == changed["gr"]


def test_nothing_changed(tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commit(tree)
    path = tree / STRATEGIES / "contrastive/gr.py"
    path.write_text("# a comment\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert same_bits(tree, tmp_path / "work") == 0
    assert capsys.readouterr().out == "no code has changed since the last commit that is not known to give the same bits\n"


def test_a_commit_without_golden_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tree/src").mkdir(parents=True)
    (tmp_path / "tree/src/a.py").touch()
    commit(tmp_path / "tree")
    assert same_bits(tmp_path / "tree", tmp_path / "work") == 0
    assert capsys.readouterr().out == "the last commit has no golden run: nothing to compare with\n"


def test_no_repository(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(SystemExit, match="expected a git repository with a commit"):
        same_bits(tmp_path / "tree", tmp_path / "work")


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    package = tmp_path / "src/glocalseg/golden"
    package.mkdir(parents=True)
    for name, text in (("../__init__", ""), ("__init__", ""), ("__main__", "raise RuntimeError('why')")):
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"the golden run failed:\n(.|\n)*RuntimeError: why"):
        Code(tmp_path).digests()


FILES = {"default/weights": "1", "default/log": "2", "x=1/weights": "3"}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (FILES, None),
        ({**FILES, "new option/weights": "9"}, None),
        ({"default/weights": "1", "default/log": "2"}, None),
        ({**FILES, "default/weights": "9"}, "other bits in default/weights"),
        ({**FILES, "default/weights": "9", "x=1/weights": "9"}, "other bits in default/weights and 1 more of 3 files"),
        ({**FILES, "default/more": "9"}, "other bits in default/more"),
        ({"x=1/weights": "3"}, "not comparable: there is no golden run of it"),
        ({}, "not comparable: there is no golden run of it"),
        ({"failed.txt": "9"}, "not comparable: the present code fails in the golden run"),
    ],
)
def test_what_counts_as_the_same(new: dict[str, str], expected: str | None) -> None:
    assert difference(FILES, new) == expected


def about(*numbers: str, **unseen: str) -> dict[str, object]:
    return {"numbers": list(numbers), "unseen": unseen}


def test_what_a_golden_run_cannot_judge() -> None:
    assert unjudged("score", about("40", "3"), about("3", "40", "7")) is None
    assert "the number 40 has gone" in str(unjudged("score", about("40"), about("30")))
    assert "the number 40 has gone" in str(unjudged("score", about("40", "40"), about("40")))
    assert "device has changed" in str(unjudged("score", about(device="a"), about(device="b")))
    assert unjudged("score", about(device="a"), about(device="a")) is None
