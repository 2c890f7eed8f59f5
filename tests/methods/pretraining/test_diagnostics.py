"""The label-free tests find what was put in, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glocalseg.methods.pretraining.diagnostics import position_r2, same_place_share


def test_a_position_that_features_hold_is_found_on_other_subjects() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 10)).astype(np.float32)
    position = (0.5 + 0.1 * features[:, 3] - 0.05 * features[:, 7]).astype(np.float32)
    assert position_r2(features[:80], position[:80], features[80:], position[80:]) > 0.97


def test_noise_holds_no_position() -> None:
    rng = np.random.default_rng(1)
    features, position = rng.normal(size=(120, 40)).astype(np.float32), rng.random(120).astype(np.float32)
    assert position_r2(features[:80], position[:80], features[80:], position[80:]) < 0.15


def test_scales_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    features = rng.normal(size=(60, 5)).astype(np.float32)
    position = (0.5 + 0.1 * features[:, 0]).astype(np.float32)
    scaled = features * np.array([1e-4, 1, 10, 100, 1000], np.float32)
    a = position_r2(features[:40], position[:40], features[40:], position[40:])
    b = position_r2(scaled[:40], position[:40], scaled[40:], position[40:])
    assert a == pytest.approx(b, abs=1e-3)


def test_maps_that_tell_where_a_pixel_is_score_one() -> None:
    places = torch.randn(1, 32, 4, 6, generator=torch.Generator().manual_seed(0)).expand(5, -1, -1, -1)
    factors = torch.rand(5, 1, 1, 1, generator=torch.Generator().manual_seed(1)) + 0.5  # cosine: scale is nothing
    assert same_place_share(places, places * factors) == 1


def test_unrelated_maps_score_about_chance() -> None:
    a, b = (torch.randn(60, 16, 5, 5, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    assert same_place_share(a, b) == pytest.approx(1 / 25, abs=0.02)


def test_a_known_share_with_the_direction_from_first_to_second() -> None:
    first = torch.eye(4).view(1, 4, 2, 2)
    second = first.clone()
    second[0, :, 1, 1] = first[0, :, 0, 0]  # nothing of the second resembles place 3; places 0, 1, 2 stay the nearest
    assert same_place_share(first, second) == 0.75
    assert same_place_share(torch.cat([first, first]), torch.cat([second, first])) == (0.75 + 1) / 2
