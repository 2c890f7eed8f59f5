"""What the report says of the data: verification's notes, losses, volumes without a label, and long names."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from fabricated_runs import Size, fabricate, make_card, without_pictures

from glocalseg.records.sealed import CorruptedError, read_record, seal
from glocalseg.report.build import build
from glocalseg.report.collected.collect import Stored, collect, stored
from glocalseg.report.tables.export import dice, metrics
from glocalseg.report.text.about.datasets import data, intensity, loss, losses, share, splits, volumes
from glocalseg.report.text.names import fitted, shortened


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bare")
    plan = fabricate(root, Size(methods=("random", "gd"), repeats=1, bare=3))
    with pytest.MonkeyPatch.context() as patch:
        without_pictures(patch)
        build(plan, root)
    return root / "results/toy"


def test_the_page_names_what_verification_noted_and_who_has_no_label(built: Path) -> None:
    text = (built / "report/index.html").read_text(encoding="utf-8")
    assert "imagesTr/a.nii.gz: 3.2% of its voxels hold -1024" in text
    assert "60, 3 of them without a label" in text
    assert "anterior_part: 5.0% (1.0% by resampling, then 4.0% cut off by the frame); posterior: 0.0%" in text
    assert "3 of them have no label" in text


def test_the_ledger_counts_volumes_without_a_label(built: Path) -> None:
    table = pd.read_csv(built / "tables/ledger.csv")
    assert set(table["without_label"]) == {3}
    assert set(table["unlabelled_volumes"]) == {20}


def test_data_without_a_slice_store_is_described_by_its_card() -> None:
    said = data(make_card("toy_a", Size()), None)
    assert {fact.label: fact.value for fact in said.facts}["Subjects"] == "30"
    assert said.notes == ()


def test_a_changed_table_of_volumes_is_refused(tmp_path: Path) -> None:
    (job,) = fabricate(tmp_path, Size(methods=("random",), repeats=1, bare=2)).of("data")
    assert stored(tmp_path / job.record).unlabelled == {"p00_L", "p01_L"}
    table = (tmp_path / job.record).with_name("volumes.csv")
    table.write_text(table.read_text(encoding="utf-8").replace("False", "True"), encoding="utf-8")
    with pytest.raises(CorruptedError, match=r"volumes\.csv"):
        stored(tmp_path / job.record)


def test_losses_in_words() -> None:
    assert (
        loss({"native": 100, "resampled": 90, "framed": 45})
        == "55.0% (10.0% by resampling, then 50.0% cut off by the frame)"
    )
    assert loss({"native": 100, "resampled": 103, "framed": 103}) == "−3.0% (by resampling, nothing by the frame)"
    assert loss({"native": 1, "resampled": 0, "framed": 0}) == "100.0% (by resampling, nothing by the frame)"
    assert losses({}) == "no structure was looked at"
    assert share(-1e-9) == "0.0%"


def test_what_becomes_of_intensities_and_who_is_tested_in_words() -> None:
    card = make_card("toy_a", Size())
    assert intensity(card.preparation) == "percentiles 1 and 99 of a volume to 0 and 1; no bias correction"
    changed = card.preparation.model_copy(update={"window": (-160.0, 240.0), "padding": -3024.0})
    assert intensity(changed).startswith(
        "-160 to 0 and 240 to 1, clipped; -3024 is outside of what was scanned and becomes 0"
    )
    assert splits(card) == "by rule, seed 1: 5 test and 2 validation subjects, the rest is the training pool"
    assert volumes({"volumes": 4, "labelled": 4}) == "4, all with a label"
    assert data(
        card, Stored({"notes": ["n"], "losses": {}, "subjects": 3, "volumes": 4, "labelled": 3}, frozenset("a"))
    ).notes == ("n",)


@pytest.mark.parametrize(
    ("name", "short"),
    [("patient001_ED", "patient001_ED"), ("sub-0123_ses-01_run-2_T1w_acq-left", "sub-0123_se…1w_acq-left"), ("", "")],
)
def test_long_names_are_shortened_in_the_middle(name: str, short: str) -> None:
    assert shortened(name, 23) == short
    assert len(short) <= 23


@pytest.mark.parametrize(
    ("name", "length", "short"),
    [
        ("G^{D} + L^{R}", 9, "G^{D} + L^{R}"),
        ("G^{D} + L^{R} + Self-training", 12, "G^{D} + L…ining"),
        ("G^{D} + L^{R,geo}", 11, "G^{D} + L^{R,geo}"),
        ("G^{D} + L^{R,geo}", 8, "G^{D} + L…"),  # a superscript that does not fit is left out whole
    ],
)
def test_superscripts_stay_whole(name: str, length: int, short: str) -> None:
    assert shortened(name, length) == short
    assert len(re.sub(r"\^\{([^}]*)\}", r"\1", short)) <= length


@pytest.mark.parametrize(
    ("method", "length", "short"),
    [
        ("random+self_training", 30, "Random init + Self-training"),
        ("random+self_training", 18, "+ Self-training"),
        ("random+self_training", 12, "+ Self…ining"),
        ("random", 4, "Ra…t"),
        ("gd+lr+self_training", 18, "G^{D} + L^{R} +…training"),
    ],
)
def test_what_a_regime_is_tried_on_is_left_out_first(method: str, length: int, short: str) -> None:
    assert fitted(method, length) == short


@pytest.mark.parametrize("name", ["NA", "nan", "None", "007", "1e5"])
def test_names_that_look_like_numbers_or_nothing_stay_names(tmp_path: Path, name: str) -> None:
    plan = fabricate(tmp_path, Size(methods=("random",), repeats=1))
    for phase, file in (("score", "scores.csv"), ("finetune", "validation.csv")):
        record = next(tmp_path / job.record for job in plan.of(phase))  # type: ignore[arg-type]
        payload, table = read_record(record), record.with_name(file)
        text = table.read_text(encoding="utf-8")
        for old in ("s00,", "s00_L,", "posterior,"):
            text = text.replace(old, f"{name},")
        table.write_text(text, encoding="utf-8")
        seal(record, {k: v for k, v in payload.items() if k != "files"})
    found = collect(plan, tmp_path)
    for column in ("subject", "volume", "structure"):
        assert name in set(found.scores[column])
        assert found.scores[column].notna().all()
    assert name in set(found.validation["structure"])
    assert found.validation["structure"].notna().all()


def test_a_method_may_be_called_nan(tmp_path: Path) -> None:
    table = tmp_path / "main.csv"
    table.write_text("method,budget,dice_mean,hd95_median,runs\nnan,1,0.5,,2\n", encoding="utf-8")
    assert metrics(table)["nan"]["1"]["dice_mean"] == 0.5
    assert pd.isna(metrics(table)["nan"]["1"]["hd95_median"])
    assert dice(table).splitlines()[1] == "1,nan,0.5"
