"""The job that verifies: what is wrong with the data and what a benchmark asks of it in vain come in one go."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nifti_layouts import make_card, write_msd

from glocalrun.data import jobs
from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.verify import VerifyError

CASES = [f"case_{number:02d}" for number in range(6)]
ASKED = "pretrain_global.partitions: expected at most 4, as there are slices in "


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A benchmark with more partitions than the volumes have slices."""
    write_msd(tmp_path / "data", CASES)
    monkeypatch.setattr(jobs, "root_of", lambda _: tmp_path / "data")
    monkeypatch.setattr(jobs, "lock_of", lambda _: tmp_path / "tiny.lock.json")
    raw = {
        "name": "small", "title": "Small", "datasets": ["tiny"], "methods": [{}, {"global": "gr"}], "budgets": [1], "repeats": 1,
        "pretrain_global": {"steps": 5, "images": 24, "partitions": 20},
        "pretrain_local": {"steps": 5, "images": 8, "partitions": 4}, "finetune": {"steps": 5},
    }  # fmt: skip
    plan = SimpleNamespace(benchmark=Benchmark.model_validate(raw))
    record = tmp_path / "raw/verified.json"
    return SimpleNamespace(card=make_card(subjects=6), plan=plan, record=record, workers=1)


def test_what_is_asked_in_vain_of_sound_data(call: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        jobs.check(call)
    assert str(caught.value).startswith(f"tiny: {ASKED}case_")


def test_a_broken_label_and_too_many_partitions_come_at_once(call: Any, tmp_path: Path) -> None:
    (tmp_path / "data/labelsTr/case_01.nii.gz").write_bytes(b"broken")
    with pytest.raises(VerifyError) as caught:
        jobs.check(call)
    first, *lines = str(caught.value).split("\n")
    assert first == "tiny: 2 problems"
    assert "labelsTr/case_01.nii.gz: expected" in lines[0]
    assert lines[1].startswith(f"  {ASKED}")
    assert not call.record.exists()


def test_so_they_do_where_a_case_is_missing(call: Any, tmp_path: Path) -> None:
    (tmp_path / "data/imagesTr/case_01.nii.gz").unlink()
    with pytest.raises(VerifyError) as caught:
        jobs.check(call)
    lines = str(caught.value).split("\n")
    assert "case_01" in lines[1]
    assert lines[-1].startswith(f"  {ASKED}")
