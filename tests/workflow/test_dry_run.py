"""What a person sees from `snakemake -n`: the whole grid without any data, and one line for each mistake."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from snakemake_call import snakemake

from conftest import plain


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
    result = snakemake(tree, "-n", "--configfile", "config/paper.yaml", "--config", "repeats=2")
    assert result.returncode == 0, result.stdout
    found = counts(result.stdout)
    raw = yaml.safe_load((tree / "config/paper.yaml").read_text())
    chains = {(m.get("global"), m.get("local")) for m in raw["methods"]}
    repeats = 2 * 3  # data sets
    assert (
        found["finetune"] == found["score"] == (len(raw["methods"]) * len(raw["budgets"]) + 1) * repeats
    )  # the upper bound
    assert found["pretrain_global"] == len({start for start, _ in chains} - {None}) * repeats
    assert found["pretrain_local"] == len({pair for pair in chains if pair[1]}) * repeats
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
    assert re.search(r"config/other\.yaml: finetune: expected a value for this key, found none", lines[0])


def test_a_value_on_the_command_line_wins(tree: Path) -> None:
    call = ("-n", "--configfile", "config/hippocampus.yaml", "--config", "mirror=/some/folder", "repeats=1")
    said = snakemake(plain(tree), *call).stdout  # the file says two repeats and no mirror
    assert counts(said)["finetune"] == 7 * 3 + 1
    (resolved,) = (tree / ".snakemake/glocalseg").glob("hippocampus-*.json")
    assert yaml.safe_load(resolved.read_text())["mirror"] == "/some/folder"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"stepz": 3, "repeats": 0, "finetune": {"steps": 5, "selection": "test"}},
            [
                ("finetune.selection", "'validation', 'labelled' or 'none'", "'test'"),
                ("repeats", "expected at least 1", "0"),
                ("stepz", "an unknown key"),
            ],
        ),
        (
            {
                "methods": [{"global": "simclr"}, {"global": "gd", "local": "gr"}],
                "strategies": {"gd": {"view": "paper"}},
                "budgets": [1, 400],
            },
            [
                ("methods: global", "gd_minus", "'simclr'"),
                ("methods: local", "expected one of ld, ld_geo, lr", "'gr'"),
                ("strategies.gd: view", "cross_views", "an unknown key"),
                ("budgets", "expected at most", "'hippocampus'", "400"),
            ],
        ),
        (
            {"statistics": {"primary": ["gd+lr", "byol"]}},
            [("statistics.primary", "expected two of random, gr", "'byol'")],
        ),
        ({"datasets": ["brain"]}, [("datasets", "hippocampus", "'brain'")]),
    ],
)
def test_a_mistake_is_one_clear_line(tree: Path, changes: dict[str, object], words: list[tuple[str, ...]]) -> None:
    raw = yaml.safe_load((plain(tree) / "config/hippocampus.yaml").read_text())
    (tree / "config/wrong.yaml").write_text(yaml.safe_dump({**raw, **changes}))
    lines = complaint(snakemake(tree, "-n", "--configfile", "config/wrong.yaml"))
    assert len(lines) == len(words), lines
    for line, said in zip(lines, words, strict=True):
        for word in ("config/wrong.yaml", *said):
            assert word in line


def test_a_path_that_the_configuration_does_not_give_is_explained(tree: Path) -> None:
    target = "results/pretrain_global/hippocampus/gd/seed1/0123456789/run.json"
    result = snakemake(plain(tree), "-n", "--configfile", "config/hippocampus.yaml", "--", target)
    assert result.returncode != 0
    assert "has no such path with this configuration and code" in result.stdout
