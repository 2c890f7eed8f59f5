"""timm backbones as encoders: strategies and the decoder take them as they take the U-Net."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from glocalseg.config.model import ConfigError
from glocalseg.config.settings import NetworkConfig
from glocalseg.methods.pretraining.batches.pool import Pool
from glocalseg.methods.pretraining.contrast.loss import cosine_similarity, info_nce
from glocalseg.methods.pretraining.contrast.regions import Repulsion, local_loss, region_vectors
from glocalseg.methods.pretraining.decoder.lr import LocalRandom
from glocalseg.methods.pretraining.encoder.contrastive.gd import Partition
from glocalseg.networks.build import build_network, local_blocks
from glocalseg.networks.heads import GlobalHead, LocalHead
from glocalseg.networks.timm_encoder import TimmEncoder, _draws_random_numbers, ensure_torchvision, require_checkpoint
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, load_pretrained, parts_of, pretrained_tensors, save_weights

if ensure_torchvision() == "absent":
    pytest.skip("the extra 'timm' is not installed", allow_module_level=True)
timm = pytest.importorskip("timm")
RESNET = NetworkConfig(encoder="timm:resnet18")
SIZE = (64, 96)


def net(seed: int = 0, *, weights: str | None = None, levels: int | None = None) -> SegmentationNet:
    config = RESNET.model_copy(update={"levels": levels})
    return build_network(config, size=SIZE, classes=3, seed=seed, weights=Path(weights) if weights else None)


def pool() -> Pool:
    volume = torch.arange(4).repeat_interleave(8)
    return Pool(torch.arange(32), volume, torch.arange(4).repeat_interleave(2).repeat(4), torch.rand(32), 4, 4)


def test_maps_halve_and_the_output_is_the_frames() -> None:
    found = net().eval()
    assert found.encoder.reductions == [2, 4, 8, 16, 32]
    assert found.encoder.channels == [64, 64, 128, 256, 512]
    with torch.no_grad():
        maps = found.encoder(torch.zeros(2, 1, *SIZE))
        assert [tuple(m.shape) for m in maps] == [
            (2, c, 64 // r, 96 // r) for c, r in zip((64, 64, 128, 256, 512), (2, 4, 8, 16, 32), strict=True)
        ]
        assert found(torch.zeros(2, 1, *SIZE)).shape == (2, 3, *SIZE)
        assert found.decoder(maps, 2).shape == (2, 128, 8, 12)


def test_levels_that_a_frame_cannot_hold_are_left_out() -> None:
    found = build_network(RESNET, size=(48, 48), classes=2, seed=0).eval()
    assert found.encoder.reductions == [2, 4, 8, 16]
    with torch.no_grad():
        assert found(torch.zeros(1, 1, 48, 48)).shape == (1, 2, 48, 48)
    assert net(levels=3).encoder.reductions == [2, 4, 8]


def test_global_strategies_work_unchanged() -> None:
    found = net()
    strategy = Partition()
    views = strategy.draw(pool(), 24, torch.Generator().manual_seed(0))
    images = torch.rand(len(views), 1, *SIZE, generator=torch.Generator().manual_seed(1))
    maps = found.encoder(images)
    head = GlobalHead(*maps[-1].shape[1:])
    loss = info_nce(cosine_similarity(head(maps[-1])), strategy.positives(views), strategy.negatives(views), temperature=0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in found.encoder.parameters())


def test_local_strategies_work_unchanged() -> None:
    found = net()
    blocks = local_blocks(found, None)
    assert blocks == 3
    strategy = LocalRandom()
    views = strategy.draw(pool(), 4, torch.Generator().manual_seed(0))
    images = torch.rand(len(views), 1, *SIZE, generator=torch.Generator().manual_seed(1))
    head = LocalHead(found.decoder.channels[blocks - 1], region_size=3, project=False, momentum=0.1)
    vectors = region_vectors(head(found.decoder(found.encoder(images), blocks)), 3, None)
    repulsion = Repulsion.of(strategy.repelled())
    loss = local_loss(vectors, strategy.positives(views), repulsion, temperature=0.1)
    loss.backward()
    assert torch.isfinite(loss)
    assert all((p.grad is not None) == (i < blocks) for i, b in enumerate(found.decoder.blocks) for p in b.parameters())


def test_seeds_alone_decide_the_weights() -> None:
    a = net(5).state_dict()
    torch.manual_seed(1)
    b, c = net(5).state_dict(), net(6).state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["encoder.net.conv1.weight"], c["encoder.net.conv1.weight"])
    assert not torch.equal(a["decoder.blocks.0.up.1.weight"], c["decoder.blocks.0.up.1.weight"])


def test_the_global_generator_is_left_alone() -> None:
    before = torch.random.get_rng_state()
    TimmEncoder("resnet18", size=SIZE, levels=2, weights=None, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


# the second is made alike each time, and would be taken for one that came from the file
@pytest.mark.parametrize("name", ["layer2.0.conv1.weight", "layer2.0.bn1.running_mean"])
def test_a_checkpoint_without_a_layer_is_a_named_error(tmp_path: Path, name: str) -> None:
    tensors = timm.create_model("resnet18", pretrained=False).state_dict()
    del tensors[name]
    save_file(tensors, tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match=f"found none for {name} in .*part.safetensors"):
        net(weights=str(tmp_path / "part.safetensors"))


def test_a_checkpoint_with_numbers_that_are_none_is_a_named_error(tmp_path: Path) -> None:
    tensors = timm.create_model("resnet18", pretrained=False).state_dict()
    tensors["layer1.0.bn1.bias"].fill_(torch.inf)
    save_file(tensors, tmp_path / "inf.safetensors")
    with pytest.raises(ConfigError, match=r"weights: expected finite numbers, found others for layer1.0.bn1.bias in .*inf"):
        net(weights=str(tmp_path / "inf.safetensors"))


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth"])
@pytest.mark.parametrize("data", [b"", b"<html>", b"\xff" * 100])
def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(
        ConfigError, match=rf"^network: weights: expected a checkpoint of 'resnet18', found \S+{name}, [^\n]+$"
    ):
        net(weights=str(tmp_path / name))


def test_a_checkpoint_of_the_whole_timm_model_is_read(tmp_path: Path) -> None:
    torch.manual_seed(11)
    model = timm.create_model("resnet18", pretrained=False)
    path = tmp_path / "resnet18.safetensors"
    save_file(model.state_dict(), path)
    found, other = net(1, weights=str(path)), net(2, weights=str(path))
    source = model.state_dict()
    for name, tensor in found.encoder.net.state_dict().items():  # type: ignore[union-attr]
        expected = source[name].sum(dim=1, keepdim=True) if name == "conv1.weight" else source[name]
        torch.testing.assert_close(tensor, expected)
        assert torch.equal(tensor, other.encoder.net.state_dict()[name])  # type: ignore[union-attr]
    assert not torch.equal(found.state_dict()["head.2.weight"], other.state_dict()["head.2.weight"])


def test_weights_of_another_model_are_a_named_error(tmp_path: Path) -> None:
    path = tmp_path / "wrong.safetensors"
    save_file({"other.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(
        ConfigError, match=r"network: weights: expected all of 'resnet18', found none for .*wrong.safetensors"
    ):
        net(weights=str(path))


@pytest.mark.parametrize("model", ["resnet_18_does_not_exist", "vgg"])
def test_a_name_that_timm_does_not_know_is_a_named_error(model: str) -> None:
    with pytest.raises(ConfigError, match=f"network: encoder: expected a timm model with features_only, found '{model}'"):
        TimmEncoder(model, size=SIZE, levels=None, weights=None, seed=0)


def test_a_model_without_halving_maps_is_a_named_error() -> None:
    with pytest.raises(ConfigError, match="network: encoder: expected"):
        TimmEncoder("vit_tiny_patch16_224", size=(64, 64), levels=None, weights=None, seed=0)


@pytest.mark.parametrize("model", ["focalnet_tiny_srf", "nextvit_small"])  # stochastic depth by default
def test_a_model_that_draws_while_it_trains_is_a_named_error(model: str) -> None:
    with pytest.raises(ConfigError, match=f"expected a model without dropout and stochastic depth, found '{model}'"):
        TimmEncoder(model, size=SIZE, levels=None, weights=None, seed=0)


@pytest.mark.parametrize(("layer", "expected"), [(torch.nn.Dropout(0.1), True), (torch.nn.Dropout(0.0), False)])
def test_what_draws_is_found_by_trying(layer: torch.nn.Module, expected: bool) -> None:
    norm = torch.nn.BatchNorm2d(1)
    before = torch.random.get_rng_state()
    assert _draws_random_numbers(torch.nn.Sequential(norm, layer), (8, 8)) is expected
    assert torch.equal(torch.random.get_rng_state(), before)
    assert norm.num_batches_tracked == 0


def test_handed_on_weights_come_back(tmp_path: Path) -> None:
    source, target = net(1), net(2)
    save_weights(pretrained_tensors(source, parts_of("decoder", 1)), tmp_path / FILE)
    load_pretrained(target, tmp_path / FILE, running_averages=False)
    a, b = source.state_dict(), target.state_dict()
    assert torch.equal(a["encoder.net.layer4.0.conv1.weight"], b["encoder.net.layer4.0.conv1.weight"])
    assert torch.equal(a["decoder.blocks.0.up.1.weight"], b["decoder.blocks.0.up.1.weight"])
    assert not torch.equal(a["decoder.blocks.1.up.1.weight"], b["decoder.blocks.1.up.1.weight"])


def test_images_come_to_bought_in_weights_as_these_expect_them(tmp_path: Path) -> None:
    images = torch.rand(2, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    plain = net().eval()
    config = RESNET.model_copy(update={"input_statistics": (0.4, 0.25)})
    shifted = build_network(config, size=SIZE, classes=3, seed=0).eval()
    assert plain.state_dict().keys() == shifted.state_dict().keys()
    with torch.no_grad():
        assert torch.equal(shifted(images), plain((images - 0.4) / 0.25))
        assert not torch.equal(shifted(images), plain(images))


@pytest.mark.parametrize("model", ["test_vit", "test_resnet"])
def test_a_whole_checkpoint_fits_and_another_models_does_not(tmp_path: Path, model: str) -> None:
    path = tmp_path / "model.safetensors"
    save_file(timm.create_model(model, pretrained=False).state_dict(), path)
    before = torch.random.get_rng_state()
    require_checkpoint(model, path)
    assert torch.equal(torch.random.get_rng_state(), before)
    with pytest.raises(ConfigError, match=rf"^network: weights: expected [^\n]+{path.name}"):
        require_checkpoint("resnet18", path)
