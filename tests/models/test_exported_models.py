"""An exported folder stands alone, labels images as the run did, and says in one line what is wrong with it."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from small_run import CARD, VALUES, export_job, jobs_of, run_and_score, score_job, small_plan, write_data

from glocalseg.data.cards.reading import Preparation
from glocalseg.data.images.volumes import load_image, map_labels
from glocalseg.data.slices.geometry import to_canonical
from glocalseg.evaluation.metrics import METRICS
from glocalseg.evaluation.predictions import read_predictions
from glocalseg.models.about import ABOUT, README, SCORES, WEIGHTS, About, ModelError, read_about
from glocalseg.models.export import export, summary
from glocalseg.models.predict import predict_volume
from glocalseg.models.repeats import require_repeats
from glocalseg.models.trained import TrainedModel
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import CorruptedError, open_sealed, read_record, write_record


@pytest.fixture(scope="module")
def plan() -> Plan:
    return small_plan()


@pytest.fixture(scope="module")
def root(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every fine-tuning has run and was scored."""
    folder = tmp_path_factory.mktemp("runs")
    write_data(folder, plan)
    for job in plan.of("finetune"):
        run_and_score(folder, plan, job)
    return folder


@pytest.fixture(scope="module")
def folder(root: Path, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One exported network."""
    return export_job(root, plan, jobs_of(plan, "random")[0], tmp_path_factory.mktemp("models") / "one")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may damage."""
    return shutil.copytree(folder, tmp_path / "copy")


def assert_predicts_as(root: Path, plan: Plan, job: Job, model: TrainedModel) -> None:
    """The run's own predictions on its test images, bit for bit, from the images' files."""
    own = read_predictions(root / job.record.parent / "predictions.npz")
    card = plan.cards["made_up"]
    assert len(own) == 3
    for name, expected in own.items():
        image = load_image(card.reading, root / "raw/imagesTr" / f"{name}.nii.gz")
        label = predict_volume(model, image)
        assert label.shape == image.voxels.shape
        classes, unknown = map_labels(card.preparation, label)
        assert not unknown
        found, _ = to_canonical(classes, image.affine, "S")
        np.testing.assert_array_equal(found, expected)
    assert any(prediction.any() for prediction in own.values())


@pytest.mark.parametrize("method", ["random", "random+mean_teacher"])
def test_an_exported_model_predicts_what_the_run_predicted(root: Path, plan: Plan, method: str, tmp_path: Path) -> None:
    job = jobs_of(plan, method)[0]
    assert_predicts_as(root, plan, job, TrainedModel.load(export_job(root, plan, job, tmp_path / "model")))


def test_a_timm_encoder_comes_back_without_a_download(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ensure_torchvision() == "absent":
        pytest.skip("the extra 'timm' is not installed")
    monkeypatch.setattr(socket, "socket", None)
    network = {"encoder": "timm:resnet10t", "precision": "float32", "batchnorm_momentum": 0.1}
    plan = small_plan(network=network, methods=[{}], repeats=1)
    (job,) = plan.of("finetune")
    run_and_score(root, plan, job)
    folder = export_job(root, plan, job, tmp_path / "model")
    assert read_about(folder).network.levels is not None
    assert_predicts_as(root, plan, job, TrainedModel.load(folder))


def test_the_folder_holds_what_a_stranger_needs(root: Path, plan: Plan, folder: Path) -> None:
    assert {p.name for p in folder.iterdir()} == {ABOUT, WEIGHTS, SCORES, README}
    job = jobs_of(plan, "random")[0]
    record, about = open_sealed(root / job.record), read_about(folder)
    assert about.weights == sha256_file(folder / WEIGHTS) == record["files"]["weights.safetensors"]
    assert (about.network.encoder, about.network.levels) == ("unet", 4)
    assert about.preparation == plan.cards["made_up"].preparation
    assert about.image.model_dump() == {"channel": 1, "header": "agree"}
    assert (about.data.licence, about.data.labelled_volumes, about.data.tested_subjects) == ("CC0-1.0", 1, 3)
    assert about.provenance["run"]["spec"] == record["spec"]
    assert about.provenance["run"]["environment"] == record["environment"]
    text = (folder / README).read_text(encoding="utf-8")
    assert "1 labelled volume of 1 subject of Discs in boxes, the labels of 1 more volume to choose its weights." in text
    for word in ("Discs in boxes", "CC0-1.0", "| 85 | core |", "Nobody: Discs", "make predict MODEL=", "research"):
        assert word in text


def test_the_scores_are_means_over_subjects(root: Path, plan: Plan, folder: Path) -> None:
    scored = root / score_job(plan, jobs_of(plan, "random")[0]).record.parent / SCORES
    assert (folder / SCORES).read_bytes() == scored.read_bytes()
    rows = pd.read_csv(scored)
    rows = rows[rows["weights"] == "selected"]
    about = read_about(folder)
    assert set(about.scores) == {"disc", "core"}
    for structure, scores in about.scores.items():
        assert set(scores) == set(METRICS)
        of = rows[rows["structure"] == structure].set_index("metric")["value"]
        assert scores["dice"] == pytest.approx(float(of["dice"].mean()), abs=1e-4)  # a volume is a subject here
        assert scores["hd95"] == pytest.approx(float(of["hd95"].median()), abs=1e-4)


def test_scores_are_those_of_the_weights_that_are_handed_on() -> None:
    heading, rows = "subject,volume,structure,metric,weights,value", ["s,v,disc,dice,selected,0.5", "s,v,disc,dice,last,0.9"]
    for order in (rows, rows[::-1]):
        assert summary("\n".join([heading, *order]).encode()) == {"disc": {"dice": 0.5}}


def test_what_labels_without_a_network_cannot_be_exported(root: Path, plan: Plan, tmp_path: Path) -> None:
    job = jobs_of(plan, "random")[0]
    assert job.data is not None
    shutil.copytree((root / job.record).parent, tmp_path / "run")
    (tmp_path / "run/weights.safetensors").unlink()
    record = read_record(tmp_path / "run/run.json")
    del record["files"]["weights.safetensors"]
    write_record(tmp_path / "run/run.json", record)
    with pytest.raises(ModelError, match="expected a network, found none: regime 'supervised' labels without one"):
        export(tmp_path / "run/run.json", store=root / job.data, card=plan.cards["made_up"], score=None, out=tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_run_that_was_not_scored_can_be_exported(root: Path, plan: Plan, tmp_path: Path) -> None:
    job = jobs_of(plan, "random")[0]
    assert job.data is not None
    export(root / job.record, store=root / job.data, card=plan.cards["made_up"], score=None, out=tmp_path / "m")
    assert not (tmp_path / "m" / SCORES).exists()
    assert "not scored" in (tmp_path / "m" / README).read_text(encoding="utf-8")
    TrainedModel.load(tmp_path / "m")


# ---------------------------------------------------------------- several repeats


def test_repeats_are_averaged(root: Path, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the native grid, their probabilities as they are: the mean is worked out by hand from what each network gives."""
    from glocalseg.evaluation import predict as module

    for i, job in enumerate(jobs_of(plan, "random")):
        export_job(root, plan, job, tmp_path / "both" / f"repeat{i}")
    image = load_image(plan.cards["made_up"].reading, root / "raw/imagesTr/v3.nii.gz")
    both = TrainedModel.load(tmp_path / "both")
    assert len(both.nets) == 2
    assert both.abouts[0].weights != both.abouts[1].weights
    found = predict_volume(both, image)
    maps: list[torch.Tensor] = []
    to_native = module.to_native

    def noted(*args: Any, **kwargs: Any) -> torch.Tensor:
        maps.append(to_native(*args, **kwargs).clone())
        return maps[-1]

    monkeypatch.setattr(module, "to_native", noted)
    alone = [predict_volume(TrainedModel.load(tmp_path / "both" / f"repeat{i}"), image) for i in range(2)]
    assert len(maps) == 2
    mean = (maps[0] + maps[1]) / 2
    native, _ = to_canonical(found, image.affine, "S")
    values = np.array([0, VALUES[1], VALUES[2]])
    np.testing.assert_array_equal(native, values[mean.argmax(dim=1).numpy()])
    assert any((found != of).any() for of in alone)


DIFFERENT: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "axis": (lambda c: c["preparation"].update(slice_axis="A"), "preparation slice_axis 'A' in place of 'S'"),
    "data": (lambda c: c["data"].update(name="other"), "data set 'other' in place of 'made_up'"),
    "slices": (
        lambda c: c["provenance"]["run"]["spec"].update(data="0123456789"),
        "fine-tuning data '0123456789' in place of",
    ),
    "budget": (
        lambda c: c["provenance"]["run"]["spec"]["split"].update(budget=2),
        "fine-tuning split budget 2 in place of 1",
    ),
    "regime": (
        lambda c: c["provenance"]["run"]["spec"].update(regime="r"),
        "fine-tuning regime 'r' in place of 'supervised'",
    ),
    "code": (lambda c: c["provenance"]["run"]["spec"].update(code="c"), "fine-tuning code 'c' in place of"),
    "start": (
        lambda c: c["provenance"]["run"]["spec"].update(start="k"),
        "fine-tuning pretrained True in place of False",
    ),
    "option": (
        lambda c: c["provenance"]["run"]["spec"]["config"].update(steps=7),
        "fine-tuning config steps 7 in place of 12",
    ),
    "network": (lambda c: c["network"].update(batchnorm_momentum=0.2), "network batchnorm_momentum 0.2 in place of 0.1"),
    "nothing": (lambda c: c["provenance"].clear(), "fine-tuning .* None in place of"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_repeats_that_do_not_belong_together_are_named(folder: Path, tmp_path: Path, what: str) -> None:
    shutil.copytree(folder, tmp_path / "all/a")
    other = shutil.copytree(folder, tmp_path / "all/b")
    edit, message = DIFFERENT[what]
    change(other, edit)
    expected = (
        "all/b: expected a repeat of .*all/a, which differs in what a repeat has of its own, to be averaged with it, found"
    )
    with pytest.raises(ModelError, match=f"{expected} ({message})"):
        TrainedModel.load(tmp_path / "all")


def test_methods_and_data_sets_in_one_folder_are_never_averaged(root: Path, plan: Plan, tmp_path: Path) -> None:
    """As where everything was exported below models/, and that folder is given."""
    for method in ("random", "random+mean_teacher"):
        export_job(root, plan, jobs_of(plan, method)[0], tmp_path / "models" / method)
    with pytest.raises(ModelError, match=r"found fine-tuning regime 'mean_teacher' in place of 'supervised'$"):
        TrainedModel.load(tmp_path / "models")


def test_a_repeat_is_counted_once(folder: Path, tmp_path: Path) -> None:
    for name in "ab":
        shutil.copytree(folder, tmp_path / "all" / name)
    with pytest.raises(ModelError, match=r"all/b: expected every repeat once, to be averaged, found .*all/a again$"):
        TrainedModel.load(tmp_path / "all")


def test_a_folder_of_several_models_is_none(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "models/several/a")
    with pytest.raises(ModelError, match=r"found no model\.json right in it .*; give one model, such as .*models/several$"):
        TrainedModel.load(tmp_path / "models")
    shutil.copytree(folder, tmp_path / "models/one")
    with pytest.raises(
        ModelError, match=r"models: expected one model, found several, such as .*/one and .*/several: give one$"
    ):
        TrainedModel.load(tmp_path / "models")


@pytest.mark.parametrize(
    "others", [{}, {"code": "c"}, {"split": {"kind": "lists", "test": ["d"], "train": ["b"], "validation": ["c"]}}]
)
def test_what_a_repeat_has_of_its_own_may_differ(folder: Path, others: dict[str, Any]) -> None:
    def described(label: str, spec: dict[str, Any], before: dict[str, Any]) -> About:
        return read_about(folder).model_copy(
            update={
                "label": label,
                "weights": label,
                "provenance": {"run": {"spec": spec}, "pretraining": [{"spec": before}]},
            }
        )

    lists = {"kind": "lists", "test": ["d"], "train": ["a"], "validation": ["b"]}
    first = {"key": "1", "seed": 0, "start": "p", "split": lists}
    one = described("d gd n1 r1", first, {"key": "p", "seed": 0, "start": None})
    other = described(
        "d my-name n1 r2",
        {**first, "key": "2", "seed": 1, "start": "q", **others},
        {"key": "q", "seed": 1, "start": None},
    )
    if "code" in others:
        with pytest.raises(ModelError, match="found fine-tuning code 'c' in place of None"):
            require_repeats([Path("a"), Path("b")], [one, other])
    else:
        require_repeats([Path("a"), Path("b")], [one, other])


def test_where_a_pretraining_is_unknown_names_decide(folder: Path) -> None:
    def described(label: str, start: str) -> About:
        spec = {"split": {}, "start": start}
        return read_about(folder).model_copy(
            update={"label": label, "weights": label, "provenance": {"run": {"spec": spec}}}
        )

    one = described("d gd n1 r1", "p")
    require_repeats([Path("a"), Path("b")], [one, described("d gd n1 c2-p1-f0", "q")])
    for label, found in (
        ("d lr n1 r1", "method 'd lr' in place of 'd gd'"),
        ("d gd n2 r1", "budget '2' in place of '1'"),
    ):
        with pytest.raises(ModelError, match=f"found {found}$"):
            require_repeats([Path("a"), Path("b")], [one, described(label, "q")])


# ---------------------------------------------------------------- labels


def about_with(**changes: Any) -> About:
    raw = {name: CARD[name] for name in Preparation.model_fields if name in CARD} | changes
    return About.model_construct(preparation=Preparation.model_validate(raw))


@pytest.mark.parametrize(
    ("changes", "values", "dtype"),
    [
        ({"label_values": {420: 1, 85: 2}}, {0: 0, 1: 420, 2: 85}, np.int16),
        ({"label_values": {}}, {0: 0, 1: 1, 2: 2}, np.uint8),
        ({"label_values": {3: 1, 1: 1, 2: 2}}, {0: 0, 1: 1, 2: 2}, np.uint8),
        ({"label_values": {40000: 1, 85: 2}, "stray_values": [7]}, {0: 0, 1: 40000, 2: 85}, np.uint16),
        ({"label_values": {-1: 1, 70000: 2}}, {0: 0, 1: -1, 2: 70000}, np.int32),
        ({"label_values": {1: 2, 2: 1, 9: 0}}, {0: 0, 1: 2, 2: 1}, np.uint8),
    ],
)
def test_classes_come_back_as_the_files_values(changes: dict[str, Any], values: dict[int, int], dtype: Any) -> None:
    about = about_with(**changes)
    assert about.values == values
    classes = np.arange(3, dtype=np.uint8).repeat(4).reshape(3, 2, 2)
    found = about.file_values(classes)
    assert found.dtype == dtype
    again, unknown = map_labels(about.preparation, found)
    np.testing.assert_array_equal(again, classes)
    assert not unknown


# ---------------------------------------------------------------- what is wrong with a folder


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    """Change model.json as somebody would who gets its digest right."""
    content = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    del content["digest"]
    edit(content)
    (folder / ABOUT).write_text(json.dumps({**content, "digest": digest(content)}), encoding="utf-8")


def rewrite(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights as somebody would who gets their sha256 right."""
    tensors = load_file(folder / WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / WEIGHTS)
    change(folder, lambda content: content.update(weights=sha256_file(folder / WEIGHTS)))


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(
            ModelError, match=r"expected a folder that `make export` wrote, or several in it, found no model.json"
        ):
            TrainedModel.load(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON, found JSONDecodeError"),
        ("[" * 200_000, "expected JSON, found RecursionError"),
        ("[1, 2]", "expected the description of an exported model, found none"),
        ('{"format": 7}', "format: expected 2, found 7"),
        ('{"format": 2}', "digest: expected that of its content"),
        ('{"format": 2, "x": NaN, "digest": null}', "digest: expected that of its content"),
        ('{"format": 2, "x": "\\ud800"}', "digest: expected that of its content"),
    ],
)
def test_a_description_that_is_none(copy: Path, text: str, message: str) -> None:
    (copy / ABOUT).write_text(text, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        TrainedModel.load(copy)


def test_a_description_that_was_changed(copy: Path) -> None:
    text = (copy / ABOUT).read_text(encoding="utf-8")
    (copy / ABOUT).write_text(text.replace('"slice_axis": "S"', '"slice_axis": "A"'), encoding="utf-8")
    with pytest.raises(ModelError, match="digest: expected that of its content, found another"):
        TrainedModel.load(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(threads=0), "threads: expected at least 1"),
        (lambda c: c.update(threads=10**9), "threads: expected at most 1024"),
        (lambda c: c.update(preparation=None), "preparation"),
        (lambda c: c["network"].update(channels=[10**9] * 4), r"blocks\.0\.0\.0\.bias: expected shape \(1000000000,\)"),
        (lambda c: c["network"].update(levels=9), "expected at most 4"),
        (lambda c: c["preparation"].update(structures={1: "disc"}, label_values={}), r"expected shape \(2, 8, 3, 3\)"),
        (lambda c: c["network"].update(encoder="timm:no_such_model"), "expected a timm model"),
    ],
)
def test_a_description_that_does_not_fit(copy: Path, edit: Callable[[dict[str, Any]], object], message: str) -> None:
    change(copy, edit)
    with pytest.raises(ModelError, match=message):
        TrainedModel.load(copy)


def test_weights_that_are_missing_damaged_or_cut_off(copy: Path) -> None:
    content = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelError, match=r"model.safetensors: expected sha256 .* found .*: the file was changed"):
        TrainedModel.load(copy)
    (copy / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"model.safetensors: expected weights as safetensors, found FileNotFoundError"):
        TrainedModel.load(copy)
    for text in (b"", b"\xff" * 64, content[: len(content) // 2]):
        (copy / WEIGHTS).write_bytes(text)
        change(copy, lambda c: c.update(weights=sha256_file(copy / WEIGHTS)))
        with pytest.raises(ModelError, match="expected weights as safetensors, found SafetensorError"):
            TrainedModel.load(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.pop("head.2.weight"), r"head.2.weight: expected shape \(3, 8, 3, 3\), found no such tensor"),
        (lambda t: t.update({"more": torch.zeros(1)}), "expected the network's tensors alone, found 'more'"),
        (lambda t: t.update({"\x1b\n": torch.zeros(1)}), r"alone, found '\\x1b\\n' as well$"),
        (lambda t: t.update({"head.2.weight": torch.zeros(4, 8, 3, 3)}), r"found \(4, 8, 3, 3\)"),
        (lambda t: t["head.2.weight"].fill_(torch.nan), "head.2.weight: expected finite numbers"),
    ],
)
def test_weights_of_another_network(copy: Path, edit: Callable[[dict[str, torch.Tensor]], object], message: str) -> None:
    rewrite(copy, edit)
    with pytest.raises(ModelError, match=message):
        TrainedModel.load(copy)


# ---------------------------------------------------------------- what cannot be exported


def test_nothing_is_exported_over_something(root: Path, plan: Plan, folder: Path, tmp_path: Path) -> None:
    job = jobs_of(plan, "random")[0]
    with pytest.raises(ModelError, match="expected nothing there yet, found an exported model"):
        export_job(root, plan, job, folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/note.txt").write_text("mine")
    with pytest.raises(ModelError, match="expected nothing there yet, found something"):
        export_job(root, plan, job, tmp_path / "mine")
    assert (tmp_path / "mine/note.txt").read_text() == "mine"


def test_only_whole_runs_with_their_own_data_are_exported(root: Path, plan: Plan, tmp_path: Path) -> None:
    one, two = jobs_of(plan, "random")
    card, out = plan.cards["made_up"], tmp_path / "out"
    assert one.data is not None
    with pytest.raises(CorruptedError, match=r"expected the scores of \w+, found \w+"):
        export(root / one.record, store=root / one.data, card=card, score=root / score_job(plan, two).record, out=out)
    with pytest.raises(ModelError, match="expected a fine-tuning"):
        export(root / one.data, store=root / one.data, card=card, score=None, out=out)
    run = shutil.copytree(root / one.record.parent, tmp_path / "run" / one.record.parent.name)
    (run / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CorruptedError, match=r"weights.safetensors: expected sha256"):
        export(run / "run.json", store=root / one.data, card=card, score=None, out=out)
    store = shutil.copytree(root / one.data.parent, tmp_path / "slices") / "manifest.json"
    write_record(store, {name: value for name, value in read_record(store).items() if name != "image"})
    with pytest.raises(CorruptedError, match=r"as this version of glocalseg writes them, found KeyError\('image'\)$"):
        export(root / one.record, store=store, card=card, score=None, out=out)
    assert not list(tmp_path.glob("*out*"))
