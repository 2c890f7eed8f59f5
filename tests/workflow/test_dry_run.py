"""What a person sees from `snakemake -n`: the whole grid without any data, and one line for each mistake."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from snakemake_call import snakemake


def counts(output: str) -> dict[str, int]:
    """The last table of jobs by rule."""
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


def complaint(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What was said about a configuration that cannot run; it must have failed, and without a traceback."""
    assert result.returncode != 0
    said = result.stdout
    assert "Traceback" not in said
    assert "File " not in said
    return [line for line in said.strip().split("\n") if line and not line.startswith("Using ")]


def test_the_papers_grid_is_listed_without_any_data(tree: Path) -> None:
    result = snakemake(tree, "-n", "--configfile", "config/paper.yaml")
    assert result.returncode == 0, result.stdout
    found = counts(result.stdout)
    # (5 + 5 + 3) draws for acdc and prostate, (5 + 4 + 3) for mmwhs, by 6 methods and 3 seeds; one upper bound a seed
    assert found["finetune"] == found["score"] == (13 + 13 + 12) * 6 * 3 + 3 * 3
    assert found["pretrain_global"] == 3 * 3 * 3
    assert found["pretrain_local"] == 3 * 2 * 3
    assert found["fetch"] == found["verify"] == found["prepare"] == 3
    assert not (tree / "data").exists()
    assert not (tree / "results").exists()


def test_the_quick_configuration_is_the_default_and_never_mixes_with_another(tree: Path) -> None:
    alone = snakemake(tree, "-n")
    assert alone.returncode == 0, alone.stdout
    assert "report quick" in alone.stdout
    text = yaml.safe_load((tree / "config/quick.yaml").read_text())
    del text["finetune"]
    (tree / "config/other.yaml").write_text(yaml.safe_dump({**text, "name": "other"}))
    lines = complaint(snakemake(tree, "-n", "--configfile", "config/other.yaml"))
    assert len(lines) == 1
    assert re.search(r"config/other\.yaml: finetune: Field required", lines[0])


def test_a_value_on_the_command_line_wins(tree: Path) -> None:
    before = snakemake(tree, "-n", "--configfile", "config/hippocampus.yaml")
    after = snakemake(tree, "-n", "--configfile", "config/hippocampus.yaml", "--config", "mirror=/some/folder", "draws=1")
    assert counts(before.stdout)["finetune"] > counts(after.stdout)["finetune"]
    resolved = list((tree / ".snakemake/glocalseg").glob("hippocampus-*.json"))
    assert {yaml.safe_load(p.read_text())["mirror"] for p in resolved} == {None, "/some/folder"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"stepz": 3}, ("stepz", "an unknown key")),
        ({"methods": [{"global": "simclr"}]}, ("methods: global", "gd_minus", "'simclr'")),
        ({"methods": [{"global": "gd", "local": "gr"}]}, ("methods: local", "expected one of ld, lr", "'gr'")),
        ({"strategies": {"gd": {"view": "paper"}}}, ("strategies.gd: view", "cross_views", "an unknown key")),
        ({"budgets": [1, 400]}, ("budgets", "expected at most", "'hippocampus'", "400")),
        ({"datasets": ["brain"]}, ("datasets", "hippocampus", "'brain'")),
    ],
)
def test_a_mistake_is_one_clear_line(tree: Path, change: dict[str, object], words: tuple[str, ...]) -> None:
    raw = yaml.safe_load((tree / "config/hippocampus.yaml").read_text())
    (tree / "config/wrong.yaml").write_text(yaml.safe_dump({**raw, **change}))
    lines = complaint(snakemake(tree, "-n", "--configfile", "config/wrong.yaml"))
    assert len(lines) == 1, lines
    for word in ("config/wrong.yaml", *words):
        assert word in lines[0]


def test_a_path_that_the_configuration_does_not_give_is_explained(tree: Path) -> None:
    target = "results/pretrain_global/hippocampus/gd/seed1/0123456789/run.json"
    result = snakemake(tree, "-n", "--configfile", "config/hippocampus.yaml", "--", target)
    assert result.returncode != 0
    assert "has no such path with this configuration and code" in result.stdout
