"""Predictions return to the native grid; folding batch norms changes no probability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glocalseg.config.settings import NetworkConfig
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.slices.geometry import fit, resample_image, resample_label
from glocalseg.data.slices.store import SliceStore, open_store, write_store
from glocalseg.evaluation import predict as module
from glocalseg.evaluation.overlap import dice_scores
from glocalseg.evaluation.predict import inference_copy, predict
from glocalseg.networks.build import build_network
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.training.device import Device

CPU = Device(torch.device("cpu"), "float32", 1)
FRAME = (32, 32)
# depth, native size, size after resampling: larger and smaller than the frame, mixed, not square
SHAPES = {
    "larger": (5, (50, 60), (40, 48)), "smaller": (3, (20, 26), (20, 26)), "mixed": (7, (60, 18), (45, 20)),
    "same": (1, (32, 32), (32, 32)),
}  # fmt: skip
PREPARATION = Preparation.model_validate(
    {"structures": {1: "disc"}, "slice_axis": "S", "frame": {"spacing": [1, 1], "size": FRAME}}
)


class Reads(nn.Module):
    """Logits of two classes from an image that already is the foreground's probability."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([0.5 - images, images - 0.5], dim=1) * 20


def disc(depth: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    y, x = np.mgrid[: size[0], : size[1]]
    cy, cx = size[0] * 0.45, size[1] * 0.55
    rows = [((y - cy) ** 2 + (x - cx) ** 2 < (4 + i) ** 2).astype(np.uint8) for i in range(depth)]
    return np.stack(rows)


@pytest.fixture
def store(tmp_path: Path) -> SliceStore:
    images, labels, native, volumes, slices = [], [], [], [], []
    first = offset = 0
    for name, (depth, size, resampled) in SHAPES.items():
        label = disc(depth, size)
        images.append(fit(resample_image(label.astype(np.float32), resampled), FRAME))
        labels.append(fit(resample_label(label, resampled), FRAME))
        native.append(label.reshape(-1))
        volumes.append((name, name, first, depth, *size, 1.0, 1.0, 1.0, *resampled, offset, True))
        slices += [(name, name, i, 0.5) for i in range(depth)]
        first, offset = first + depth, offset + label.size
    columns = ["volume", "subject", "first_slice", "depth", "height", "width", "spacing_depth", "spacing_height",
               "spacing_width", "resampled_height", "resampled_width", "native_offset", "labelled"]  # fmt: skip
    record = tmp_path / "manifest.json"
    write_store(
        record,
        images=np.concatenate(images),
        labels=np.concatenate(labels),
        native_labels=np.concatenate(native),
        slices=pd.DataFrame(slices, columns=["subject", "volume", "slice", "position"]),
        volumes=pd.DataFrame(volumes, columns=columns),
        preparation=PREPARATION,
        manifest={},
    )
    return open_store(record)


def test_a_perfect_network_gives_the_native_label_back(store: SliceStore) -> None:
    found = predict(Reads(), store, tuple(SHAPES), CPU)
    assert list(found) == list(SHAPES)
    for name, (depth, size, _) in SHAPES.items():
        assert found[name].shape == (depth, *size)
        assert found[name].dtype == np.uint8
        truth = store.native_label(name)
        assert dice_scores(found[name], truth, {1: "disc"})["disc"] > (0.99 if name in ("smaller", "same") else 0.93)


def test_outside_the_frame_is_background(store: SliceStore) -> None:
    class Foreground(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.cat([images * 0 - 5, images * 0 + 5], dim=1)

    found = predict(Foreground(), store, ("larger", "smaller"), CPU)
    assert (found["smaller"] == 1).all()
    # (40, 48) is cut to rows 4 to 36 and columns 8 to 40, which are 5 to 45 and 10 to 50 on the native grid; a pixel outside
    # whose centre is less than a resampled pixel away still gets a share, and nothing else has any
    rows, columns = np.flatnonzero(found["larger"][0].any(axis=1)), np.flatnonzero(found["larger"][0].any(axis=0))
    assert (rows[0], rows[-1] + 1) == (4, 46)
    assert (columns[0], columns[-1] + 1) == (9, 51)


@pytest.mark.parametrize("order", [("larger", "smaller", "mixed", "same"), ("mixed", "larger")])
def test_a_label_depends_on_its_own_volume_alone(store: SliceStore, order: tuple[str, ...]) -> None:
    net = build_network(NetworkConfig(channels=[4, 6, 8]), size=FRAME, classes=3, seed=0)
    found = predict(net, store, order, CPU)
    assert list(found) == list(order)
    for name in order:
        np.testing.assert_array_equal(found[name], predict(net, store, (name,), CPU)[name])


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_do_not_matter(store: SliceStore, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    net = build_network(NetworkConfig(channels=[4, 6, 8]), size=FRAME, classes=3, seed=0)
    whole = predict(net, store, tuple(SHAPES), CPU)
    monkeypatch.setattr(module, "BATCH", batch)
    for name, found in predict(net, store, tuple(SHAPES), CPU).items():
        assert np.mean(found != whole[name]) < 1e-3  # sums of other batches may round otherwise


def test_predicting_leaves_the_network_as_it_was(store: SliceStore) -> None:
    net = build_network(NetworkConfig(channels=[4, 6, 8]), size=FRAME, classes=3, seed=0).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    predict(net, store, ("smaller",), CPU)
    assert net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())


def wander(net: nn.Module) -> None:
    """Batch norms with averages and factors that are not 0 and 1."""
    g = torch.Generator().manual_seed(1)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            with torch.no_grad():
                for tensor in (m.running_mean, m.running_var, m.weight, m.bias):
                    tensor.copy_(torch.rand(len(tensor), generator=g) + 0.2)  # type: ignore[union-attr,arg-type]


def assert_folds(net: nn.Module) -> None:
    wander(net)
    x = torch.rand(3, 1, *FRAME, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected, found = net.eval()(x), inference_copy(net)(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_the_folded_copy_is_the_network_in_inference_mode() -> None:
    net = build_network(NetworkConfig(channels=[4, 6, 8, 8]), size=FRAME, classes=3, seed=0)
    assert_folds(net)
    folded = inference_copy(net)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in net.modules())


def test_timm_networks_fold_too() -> None:
    if ensure_torchvision() == "absent":
        pytest.skip("the extra 'timm' is not installed")
    assert_folds(build_network(NetworkConfig(encoder="timm:resnet18"), size=FRAME, classes=3, seed=0))
