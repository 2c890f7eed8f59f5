"""The golden run: every entry of code is run unasked, repeats to the bit, and leaves nothing that differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pandas as pd
import pytest

from glocalseg.config.model import ConfigError
from glocalseg.data.splits.lists import RuleSpec
from glocalseg.golden import run as golden
from glocalseg.golden.cases import DEFAULT, Case, cases
from glocalseg.golden.inputs import Inputs
from glocalseg.methods.catalogue import regimes, strategies, untrained
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.plan.entries import TIMM, entries
from glocalseg.stages.specs import FinetuneSpec

RUNNABLE = [e for e in entries() if not e.endswith(TIMM) or ensure_torchvision() != "absent"]
PLAIN = [e for e in entries() if not e.endswith(TIMM)]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("entry", RUNNABLE)
def test_every_entry_has_cases_that_a_folder_can_be_called_by(entry: str, tmp_path: Path) -> None:
    names = [name for name, _ in cases(entry, Inputs(tmp_path))]
    assert names[0] == DEFAULT
    assert len(set(names)) == len(names)
    assert not [name for name in names if "/" in name or len(name) > 100]


def test_every_option_of_every_method_has_a_case(tmp_path: Path) -> None:
    for phase, methods in (("pretrain", strategies()), ("finetune", regimes()), ("untrained", untrained())):
        for name, entry in methods.items():
            found = {case.split("=")[0] for case, _ in cases(f"{phase}/{name}", Inputs(tmp_path))}
            assert {f"options.{field}" for field in entry.option_class().model_fields} <= found


@pytest.mark.parametrize("entry", PLAIN)
def test_the_first_case_repeats_to_the_bit(entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "cases", lambda *about: islice(cases(*about), 1))
    for name in ("one", "two"):
        golden.run(entry, tmp_path / name)
    found = contents(tmp_path / "one")
    assert golden.FAILED not in found, found[golden.FAILED].decode()
    assert found == contents(tmp_path / "two")
    assert {path.split("/")[0] for path in found} == {DEFAULT}
    assert any(not path.endswith(".json") for path in found)


def test_settings_make_a_difference_and_none_is_refused(tmp_path: Path) -> None:
    golden.run("pretrain/rotation", tmp_path / "run")
    found = contents(tmp_path / "run")
    assert not [path for path in found if path.endswith((golden.FAILED, golden.REFUSED))]
    weights = {p.split("/")[0]: content for p, content in found.items() if p.endswith("weights.safetensors")}
    same = [name for name, content in weights.items() if name != DEFAULT and content == weights[DEFAULT]]
    # as many images; float32 on this machine, perhaps
    assert {name.split("=")[0] for name in same} <= {"config.images", "network.precision"}


def test_of_a_record_what_differs_from_run_to_run_is_left_out(tmp_path: Path) -> None:
    golden.run("score", tmp_path / "score")
    found = contents(tmp_path / "score")
    assert sorted(found) == [f"{DEFAULT}/run.json", f"{DEFAULT}/scores.csv"]
    assert not set(json.loads(found[f"{DEFAULT}/run.json"])) & set(golden.UNCOMPARED)
    scored = pd.read_csv(tmp_path / f"score/{DEFAULT}/scores.csv")
    values = [rows["value"].tolist() for _, rows in scored.groupby("weights")]
    assert len(values) == 2  # of the selected and of the last weights,
    assert values[0] != values[1]  # which are not taken for one another


def test_a_fine_tuning_reads_a_validation_list_only_where_weights_are_selected_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[FinetuneSpec] = []
    inputs = Inputs(tmp_path)
    monkeypatch.setattr(inputs, "run", lambda _stage, spec, _folder: asked.append(spec))
    for _, make in cases("finetune/supervised", inputs):
        make(tmp_path)
    found = {(spec.config.selection, *spec.split.roles) for spec in asked if isinstance(spec.split, RuleSpec)}
    assert found == {
        ("validation", "train", "validation", "test"), ("labelled", "train", "test"), ("none", "train", "test"),
    }  # fmt: skip


def fill(folder: Path) -> None:
    (folder / "a").write_text("a", encoding="utf-8")


def refuse(folder: Path) -> None:
    fill(folder)
    raise ConfigError("no")


def fail(folder: Path) -> None:
    raise RuntimeError("broken")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        ([(DEFAULT, fill), ("x", refuse)], ["default/a", "x/refused.txt"]),
        ([(DEFAULT, refuse)], ["failed.txt"]),
        ([(DEFAULT, fill), ("x", fail)], ["failed.txt"]),
        ([], []),
    ],
)
def test_a_case_may_be_refused_and_none_may_fail(
    made: list[Case], expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(*_: object) -> Iterator[Case]:
        return iter(made)

    monkeypatch.setattr(golden, "cases", given)
    golden.run("anything", tmp_path / "run")
    assert sorted(contents(tmp_path / "run")) == expected
