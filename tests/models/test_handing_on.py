"""`make export` and `make predict` by their programs: which repeats a budget means, and what a person is told of images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from small_run import random_model, small_plan, volume, write_nifti

from glocalrun.tools.export import chosen
from glocalrun.tools.predict import main
from glocalseg.models.about import ModelError


def test_a_budget_is_called_as_the_configuration_writes_it_or_as_the_report() -> None:
    """Of six subjects three are tested and one validates: the training pool has two."""
    plan = small_plan(budgets=["50%", "100%"], upper_bound=True)
    for whole, written in (("1", "50%"), ("2", "100%")):
        by_number, by_share = chosen(plan, "random", whole, None), chosen(plan, "random", written, None)
        assert by_share == by_number
        assert [job.label for job in by_share] == [f"made_up random n{whole} r1", f"made_up random n{whole} r2"]
    assert {job.budget for job in chosen(plan, "random", "all", None)} == {"all"}
    with pytest.raises(ModelError, match=r"^BUDGET: expected one of 1, 50%, 100%, 2, all, found 10%$"):
        chosen(plan, "random", "10%", None)


def test_a_share_and_a_number_that_are_the_same_volumes_are_one_budget() -> None:
    plan = small_plan(budgets=[1, "50%", "40%"])
    runs = chosen(plan, "random", "1", None)
    assert [job.repeat.name for job in runs if job.repeat] == ["r1", "r2"]
    assert chosen(plan, "random", "50%", None) == chosen(plan, "random", "40%", None) == runs


def predict(monkeypatch: pytest.MonkeyPatch, *options: str, **paths: Path) -> str | int | None:
    """What the program exits with: None, or its lines of problems."""
    given = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    monkeypatch.setattr(sys, "argv", ["predict", *given, *options])
    try:
        main()
    except SystemExit as end:
        return end.code
    return None


def test_what_is_odd_is_told_and_what_cannot_be_labelled_ends_in_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    image, _, affine = volume(2)
    paths = {"model": random_model(tmp_path / "model"), "images": tmp_path / "in", "out": tmp_path / "out"}
    for name in ("a", "b"):
        write_nifti(tmp_path / f"in/{name}.nii.gz", image, affine)
    assert predict(monkeypatch, **paths) is None
    said = capsys.readouterr().out
    assert f"2 files, such as {tmp_path}/in/a.nii.gz: channel 1 of 2 (counted from 0) is used" in said
    assert "2 labels written to" in said
    assert "2 of 2 images have notes, which stand above: look at their labels" in said
    write_nifti(tmp_path / "in/a.nii.gz", np.roll(image, 3, axis=0), affine)
    (tmp_path / "in/c.mha").write_text("")
    lines = str(predict(monkeypatch, **paths)).splitlines()
    assert lines == [
        "2 of 3 images skipped:",
        f"{tmp_path}/out/a.nii.gz: expected the label of the image as it is now, found that of an image of other contents "
        "(FORCE=yes makes it again)",
        f"{tmp_path}/in/c.mha: expected a NIfTI image (.nii.gz or .nii), found a file of another name",
    ]
    assert "1 labels were there already" in capsys.readouterr().out
    assert str(predict(monkeypatch, "--overwrite", **paths)).startswith("1 of 3 images skipped:")
    (tmp_path / "in/c.mha").unlink()
    assert predict(monkeypatch, **paths) is None
