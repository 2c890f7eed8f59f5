"""The cards of decathlon tasks that were not at hand, as they stand, on small volumes in the layout of the official archives."""

from __future__ import annotations

import hashlib
import json
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from nifti_layouts import save

from glocalseg.data.acquire.fetch import dataset_root, fetch
from glocalseg.data.acquire.lock.file import facts_of
from glocalseg.data.acquire.verify import verify
from glocalseg.data.cards.card import Card, load_card
from glocalseg.data.splits.lists import split_spec, volumes_of

CARDS = Path(__file__).parents[2] / "config/datasets"
SIDE, DEPTH = 26, 3


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


def write_task(root: Path, prefix: str, numbers: range, tested: range, *, spacing: float, ct: bool) -> None:
    """A task as the decathlon packs it: images without labels beside, lists of both, and the ``._`` files of a Mac."""
    affine = np.diag([-spacing, spacing, 5.0, 1.0])
    for number in (*numbers, *tested):
        rng = np.random.default_rng(number)
        voxels = rng.normal(60, 30, (SIDE, SIDE, DEPTH))
        if ct:
            voxels[0], voxels = -1000, voxels.round()
        label = np.zeros(voxels.shape, np.uint8)
        label[10:16, 8:15] = 1
        folder = "Tr" if number in numbers else "Ts"
        save(root / f"images{folder}/{prefix}{number}.nii.gz", voxels.astype(np.int16 if ct else np.float32), affine)
        (root / f"images{folder}/._{prefix}{number}.nii.gz").write_bytes(b"\x00\x05\x16\x07")
        if number in numbers:
            save(root / f"labelsTr/{prefix}{number}.nii.gz", label, affine)
            (root / f"labelsTr/._{prefix}{number}.nii.gz").write_bytes(b"\x00\x05\x16\x07")
    names = [f"{prefix}{n}.nii.gz" for n in numbers]
    about = {
        "name": "x", "tensorImageSize": "3D", "modality": {"0": "CT" if ct else "MRI"}, "numTraining": len(numbers),
        "numTest": len(tested), "training": [{"image": f"./imagesTr/{n}", "label": f"./labelsTr/{n}"} for n in names],
        "test": [f"./imagesTs/{prefix}{n}.nii.gz" for n in tested],
    }  # fmt: skip
    (root / "dataset.json").write_text(json.dumps(about), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "prefix", "labelled", "bare", "spacing"),
    [("heart", "la_", range(3, 23), range(23, 33), 9.0), ("spleen", "spleen_", range(1, 42), range(42, 62), 16.0)],
)
def test_a_card_reads_its_archive_from_a_server_as_it_stands(
    tmp_path: Path, name: str, prefix: str, labelled: range, bare: range, spacing: float
) -> None:
    card = load_card(CARDS / f"{name}.yaml")
    url = card.source.url  # type: ignore[attr-defined]
    archive = tmp_path / "served" / url.rpartition("/")[2]
    task = tmp_path / archive.stem
    write_task(task, prefix, labelled, bare, spacing=spacing, ct="CT" in card.modality)
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.add(task, task.name)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(archive.parent)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/{archive.name}"
        found = {"url": address, "md5": hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()}
        here = Card.model_validate({**card.model_dump(), "source": {**card.source.model_dump(), **found}})
        fetch(here, tmp_path / "raw", mirror=None, incoming=tmp_path / "incoming")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    verified = verify(here, dataset_root(here, tmp_path / "raw", tmp_path / "incoming"))
    assert list(map(str, verified.problems)) == []
    volumes = facts_of(verified.cases, here.preparation)
    assert (len(volumes), int(volumes["labelled"].sum())) == (card.volumes, len(labelled))
    assert volumes["subject"].nunique() == card.subjects
    split = volumes_of(split_spec(card.splits, ["pretrain", "train", "validation", "test"], 1, 1), volumes)
    assert {f"{prefix}{n}" for n in bare} <= set(split.pretrain)
    assert not {f"{prefix}{n}" for n in bare} & {*split.train, *split.validation, *split.test}
