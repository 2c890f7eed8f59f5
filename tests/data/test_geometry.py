"""Orientation, resampling and the way back."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glocalseg.data.slices.geometry import (
    canonical_grid,
    fit,
    resample_image,
    resample_label,
    resampled_size,
    to_canonical,
    window,
)
from glocalseg.data.slices.geometry_torch import label_of, to_native

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def disc(shape: tuple[int, int], radius: float) -> np.ndarray:
    """One slice with a disc (1) inside a ring (2) around the middle, (1, h, w) uint8."""
    rows, columns = (np.arange(n) + 0.5 - n / 2 for n in shape)
    distance = np.hypot(rows[:, None], columns[None, :])
    return np.where(distance < radius / 2, 1, np.where(distance < radius, 2, 0)).astype(np.uint8)[None]


@pytest.mark.parametrize(
    ("axis", "shape", "spacing"),
    [("R", (4, 5, 6), (1, 2, 3)), ("A", (5, 4, 6), (2, 1, 3)), ("S", (6, 4, 5), (3, 1, 2)), ("I", (6, 4, 5), (3, 1, 2))],
)
def test_depth_is_the_slice_axis_and_the_others_keep_their_order(axis, shape, spacing) -> None:
    array = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    turned, found = to_canonical(array, AFFINE, axis)
    assert turned.shape == shape
    assert found == pytest.approx(spacing)
    back = {"R": (0, 1, 2), "A": (1, 0, 2), "S": (1, 2, 0), "I": (1, 2, 0)}[axis]
    expected = np.transpose(turned if axis != "I" else turned[::-1], back)
    np.testing.assert_array_equal(expected, array)


@pytest.mark.parametrize("axis", ["R", "L", "A", "P", "S", "I"])
def test_every_way_to_store_a_volume_gives_the_same_canonical_one(axis) -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    image = nib.Nifti1Image(array.astype(np.int16), AFFINE)
    wanted, spacing = to_canonical(array, AFFINE, axis)
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            stored = image.as_reoriented(np.stack([order, signs], axis=1))
            found, found_spacing = to_canonical(np.asarray(stored.dataobj), stored.affine, axis)
            np.testing.assert_array_equal(found, wanted)
            assert found_spacing == pytest.approx(spacing)
            assert canonical_grid(stored.shape, stored.affine, axis) == (found.shape, found_spacing)


def test_an_affine_without_a_direction_is_an_error() -> None:
    with pytest.raises(ValueError, match="three directions"):
        to_canonical(np.zeros((2, 2, 2)), np.diag([1.0, 0.0, 1.0, 1.0]), "S")
    with pytest.raises(ValueError, match="three directions"):
        canonical_grid((2, 2, 2), np.diag([1.0, 0.0, 1.0, 1.0]), "S")


def test_size_follows_from_the_spacings() -> None:
    assert resampled_size((100, 90), (1.5, 1.5), (1.5, 1.5)) == (100, 90)
    assert resampled_size((100, 90), (0.75, 1.5), (1.5, 1.5)) == (50, 90)
    assert resampled_size((1, 1), (0.1, 0.1), (2.0, 2.0)) == (1, 1)


def test_the_same_size_changes_no_voxel() -> None:
    image = np.random.default_rng(0).normal(size=(3, 7, 9)).astype(np.float32)
    np.testing.assert_array_equal(resample_image(image, (7, 9)), image)


@given(st.integers(4, 40), st.integers(4, 40))
@settings(max_examples=50, deadline=None)
def test_pixel_centres_are_those_of_the_way_back(native: int, size: int) -> None:
    ramp = ((np.arange(native) + 0.5) / native).astype(np.float32)
    image = np.broadcast_to(ramp[None, :, None], (1, native, 5)).copy()
    found = resample_image(image, (size, 5))[0, :, 2]
    centres = (np.arange(size) + 0.5) / size
    inside = (centres >= ramp[0]) & (centres <= ramp[-1])
    np.testing.assert_allclose(found[inside], centres[inside], atol=1e-5)
    there = torch.from_numpy(centres.astype(np.float32))[None, None, :, None].expand(1, 1, size, 5)
    back = to_native(there, resampled=(size, 5), native=(native, 5))[0, 0, :, 2].numpy()
    inside = (ramp >= centres[0]) & (ramp <= centres[-1])
    np.testing.assert_allclose(back[inside], ramp[inside], atol=1e-5)


def test_beyond_the_border_is_zero() -> None:
    ones = np.ones((1, 4, 4), np.float32)
    np.testing.assert_allclose(resample_image(ones, (8, 4))[0, :, 0], [0.75, 1, 1, 1, 1, 1, 1, 0.75])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_resampled_labels_hold_no_new_value(height: int, width: int, seed: int) -> None:
    label = np.random.default_rng(seed).choice(np.array([0, 1, 3], np.uint8), (2, 11, 13))
    found = resample_label(label, (height, width))
    assert found.shape == (2, height, width)
    assert found.dtype == np.uint8
    assert set(np.unique(found)) <= {0, 1, 3}


@given(st.integers(1, 50), st.integers(1, 50))
def test_window_has_floor_offsets(length: int, frame: int) -> None:
    source, target = window(length, frame)
    assert source.stop - source.start == target.stop - target.start == min(length, frame)
    assert source.start == max(0, (length - frame) // 2)
    assert target.start == max(0, (frame - length) // 2)


def test_fit_cuts_and_pads() -> None:
    image = np.arange(1, 6, dtype=np.float32)[None, :, None] * np.ones((1, 5, 2), np.float32)
    found = fit(image, (2, 5))
    np.testing.assert_array_equal(found[0, :, 1], [2, 3])  # (5 - 2) // 2 = 1 is cut off first
    np.testing.assert_array_equal(found[0, 0], [0, 2, 2, 0, 0])  # (5 - 2) // 2 = 1 zero comes first


@pytest.mark.parametrize("native", [(40, 46), (97, 61), (64, 64), (150, 120)])
@pytest.mark.parametrize("spacing", [(1.0, 1.0), (1.37, 0.9), (0.7, 1.8)])
def test_a_label_survives_the_way_there_and_back(native, spacing) -> None:
    label = disc(native, 0.36 * min(native))
    size = resampled_size(native, spacing, (1.0, 1.0))
    frame = fit(resample_label(label, size), (288, 288))  # nothing is cut off
    onehot = torch.nn.functional.one_hot(torch.from_numpy(frame).long(), 3).permute(0, 3, 1, 2).float()
    back = label_of(to_native(onehot, resampled=size, native=native)).numpy()
    assert back.shape == label.shape
    for structure in (1, 2):
        both = np.count_nonzero((back == structure) & (label == structure))
        dice = 2 * both / (np.count_nonzero(back == structure) + np.count_nonzero(label == structure))
        assert dice > (0.999 if size == native else 0.93)


def test_what_the_frame_does_not_show_is_background() -> None:
    never_background = torch.zeros(1, 3, 16, 16)
    never_background[:, 2] = 1
    back = to_native(never_background, resampled=(30, 30), native=(30, 30))
    assert back[0, :, 0, 0].tolist() == [0, 0, 0]
    label = label_of(back)[0]
    assert int(label.count_nonzero()) == 16 * 16
    assert bool((label[7:23, 7:23] == 2).all())
