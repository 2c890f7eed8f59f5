"""Exported models and the images that they are given: refused, or the sound model's labels on their grids."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from corruptions import Rng, corrupted, pick, spoiled_json, turned_over
from safetensors.torch import load, save
from worker import WrongError

from glocalseg.config.settings import NetworkConfig
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.images.volumes import Image
from glocalseg.data.readers.base import ReaderError
from glocalseg.models.about import ABOUT, WEIGHTS, About, DataSet, ImageFile, write_about
from glocalseg.models.images import images_in
from glocalseg.models.predict import predict_files, predict_volume
from glocalseg.models.trained import TrainedModel
from glocalseg.networks.build import build_network
from glocalseg.networks.weights import save_weights
from glocalseg.records.digest import digest, sha256_file
from targets import nifti
from targets.weights import spoiled_file, spoiled_tensors

NETWORK = NetworkConfig(channels=[2, 3, 4], levels=3, precision="float32")
VALUES = (0, 1, 2)


@dataclass(frozen=True)
class Base:
    """Two repeats in a folder, one by itself, its model in memory, and files of images."""

    one: Path
    several: Path
    model: TrainedModel
    image: Image
    label: np.ndarray
    images: nifti.Base


def prepare(folder: Path) -> Base:
    several = folder / "several"
    for seed in range(2):
        _write(several / f"r{seed + 1}", seed)
    one = several / "r1"
    model = TrainedModel.load(one)
    rng = np.random.default_rng(0)
    image = Image(rng.normal(100, 20, (20, 22, 6)).astype(np.float32), np.diag([1.5, 1.25, 8.0, 1.0]))
    return Base(one, several, model, image, predict_volume(model, image), nifti.prepare(folder))


def _write(folder: Path, seed: int) -> None:
    """An exported folder whose network was never trained."""
    used = nifti.card()
    preparation = Preparation.model_validate({name: getattr(used, name) for name in Preparation.model_fields})
    net = build_network(NETWORK, size=preparation.frame.size, classes=preparation.classes, seed=seed)
    folder.mkdir(parents=True)
    save_weights(net.state_dict(), folder / WEIGHTS)
    data = DataSet(
        name="tiny", title="Tiny", modality="MR", licence="none", citation=["nobody"], labelled_volumes=1, labelled_subjects=1,
        selecting_volumes=1,
        unlabelled_volumes=0, tested_volumes=1, tested_subjects=1, beyond_frame=0.0,
    )  # fmt: skip
    about = About(
        format=2, label="made up", weights=sha256_file(folder / WEIGHTS), network=NETWORK, threads=1, preparation=preparation,
        image=ImageFile(channel=0, header="agree"), data=data, scores={"one": {"dice": 0.5}}, provenance={"run": {"spec": {}}},
    )  # fmt: skip
    write_about(folder, about)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    kind = pick(rng, (_about, _about, _about, _weights, _weights, _files, _images, _images, _images, _already))
    what, check = kind(rng, base, folder)
    return f"{kind.__name__[1:]}: {what}", check


def _about(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """``model.json`` as it should not be; where somebody edited it with care, its digest fits."""
    model, here = _copy(rng, base, folder)
    tree = json.loads((here / ABOUT).read_text(encoding="utf-8"))
    careful = rng.random() < 0.7
    if careful:
        what, tree = _turned_about(rng, tree)
        (here / ABOUT).write_text(json.dumps(tree), encoding="utf-8")
    else:
        what, data = spoiled_json(rng, tree)
        (here / ABOUT).write_bytes(data)
    return f"{'with its digest: ' if careful else ''}{what}", lambda: _loaded(base, model, same=not careful)


def _turned_about(rng: Rng, tree: dict[str, Any]) -> tuple[str, Any]:
    content = {name: value for name, value in tree.items() if name != "digest"}
    part = pick(rng, ("network", "preparation", "image", ""))  # where most of what decides anything is
    what, changed = turned_over(rng, content[part] if part else content)
    content = {**content, part: changed} if part else changed
    try:
        return f"{part} {what}", {**content, "digest": digest(content)}
    except (ValueError, TypeError):  # of a value that JSON has not
        return f"{part} {what}", content


def _weights(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """The file of weights; where somebody exchanged it with care, ``model.json`` has its checksum."""
    model, here = _copy(rng, base, folder)
    data = (here / WEIGHTS).read_bytes()
    if rng.random() < 0.5:
        what, tensors = spoiled_tensors(rng, load(data))
        data = save(tensors)
    else:
        what, data = spoiled_file(rng, data)
    (here / WEIGHTS).write_bytes(data)
    careful = rng.random() < 0.8
    if careful:
        tree = json.loads((here / ABOUT).read_text(encoding="utf-8"))
        content = {**tree, "weights": sha256_file(here / WEIGHTS)}
        del content["digest"]
        (here / ABOUT).write_text(json.dumps({**content, "digest": digest(content)}), encoding="utf-8")
    return f"{'with its checksum: ' if careful else ''}{what}", lambda: _loaded(base, model, same=not careful)


def _files(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """A folder that lacks files, or has something else in their place."""
    model, here = _copy(rng, base, folder)
    name = pick(rng, (ABOUT, WEIGHTS))
    what = pick(rng, ("gone", "a folder", "empty", "a dead link", "a loop", "no folder", "a file"))
    (here / name).unlink()
    if what == "a folder":
        (here / name).mkdir()
    elif what == "empty":
        (here / name).touch()
    elif what in ("a dead link", "a loop"):
        (here / name).symlink_to("nowhere" if what == "a dead link" else name)
    elif what in ("no folder", "a file"):
        shutil.rmtree(model)
        if what == "a file":
            model.write_bytes(b"x")
    several = model != here and name == ABOUT  # the other one is a model by itself
    return f"{name}: {what}", lambda: _loaded(base, model, same=not several)


def _copy(rng: Rng, base: Base, folder: Path) -> tuple[Path, Path]:
    """A model, and the folder of one of its networks."""
    model = folder / "model"
    if rng.random() < 0.7:
        shutil.copytree(base.one, model)
        return model, model
    shutil.copytree(base.several, model)
    return model, model / f"r{1 + int(rng.integers(2))}"


def _loaded(base: Base, folder: Path, *, same: bool) -> str:
    """Load and use a model; ``same``: what loads can only be the sound one."""
    model = TrainedModel.load(folder)
    label = predict_volume(model, base.image)
    if label.shape != base.image.voxels.shape or not set(np.unique(label)) <= set(model.about.values.values()):
        raise WrongError(f"a label of shape {label.shape} with {np.unique(label)}")
    if same and len(model.nets) == 1 and not np.array_equal(label, base.label):
        raise WrongError("another label, and nothing was said")
    return "a label"


# ---------------------------------------------------------------- images


def _images(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """A damaged image beside a sound one."""
    name = pick(rng, list(base.images.pairs))
    what, data = nifti._spoil(rng, base.images.pairs[name][0])
    images, end = folder / "images", pick(rng, (".nii", ".nii.gz"))
    images.mkdir()
    (images / f"damaged{end}").write_bytes(data)
    (images / "sound.nii").write_bytes(base.images.pairs["plain"][0])
    return f"{name}: {what}", lambda: _predicted(base, images, folder / "out")


def _predicted(base: Base, images: Path, out: Path) -> str:
    outcome = predict_files(base.model, images_in(images), out, overwrite=False)
    if (out / "sound.nii") not in outcome.written:
        raise WrongError(f"the sound image was skipped: {outcome.problems}")
    for note in outcome.notes:
        if len(str(note)) > 400 or not str(note).isprintable():
            raise WrongError(f"a note that nobody can read: {note}")
    for path in outcome.written:
        _compare(base.model, images / path.name, path)
    if outcome.problems:
        raise ReaderError(outcome.problems)
    return "labels"


def _compare(model: TrainedModel, image: Path, label: Path) -> None:
    """Whether a label is that of the image as nibabel reads it, in a file that nibabel reads the same way."""
    voxels, place = nifti._by_nibabel(image, "agree", 0)
    found, where = nifti._by_nibabel(label, "agree", None)
    if found.shape != voxels.shape or not np.array_equal(place, where, equal_nan=True):
        raise WrongError(
            f"{label.name}: shape {found.shape} at {where.tolist()}, expected {voxels.shape} at {place.tolist()}"
        )
    with np.errstate(all="ignore"):
        expected = predict_volume(model, Image(np.asarray(voxels, np.float32), place))
    if not set(np.unique(found)) <= set(VALUES) or np.mean(found != expected) > 0.001:  # a rounding may turn a voxel
        raise WrongError(f"{label.name}: another label than that of the image as nibabel reads it")


def _already(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """A label that is there already, of this model or of somebody else, whole or damaged."""
    images, out = folder / "images", folder / "out"
    for place in (images, out):
        place.mkdir()
    (images / "sound.nii").write_bytes(base.images.pairs["plain"][0])
    if rng.random() < 0.3:
        nib.save(nib.Nifti1Image(np.zeros((20, 22, 6), np.uint8), np.eye(4)), out / "sound.nii")
        what, sound = "somebody else's", None
    else:
        predict_files(base.model, [images / "sound.nii"], out, overwrite=False)
        sound = (out / "sound.nii").read_bytes()
        what, data = corrupted(rng, sound)
        (out / "sound.nii").write_bytes(data)
    there = (out / "sound.nii").read_bytes()

    def check() -> str:
        outcome = predict_files(base.model, images_in(images), out, overwrite=False)
        if (out / "sound.nii").read_bytes() != there or outcome.written:
            raise WrongError("a file that was there was replaced")
        if outcome.problems:
            raise ReaderError(outcome.problems)
        if sound is None:
            raise WrongError("somebody else's label was taken for one of this model")
        return "left as it is"

    return what, check
