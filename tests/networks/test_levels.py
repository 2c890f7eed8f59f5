"""How many levels a frame has room for, and which sizes keep them."""

from __future__ import annotations

import pytest

from glocalseg.config.model import ConfigError
from glocalseg.networks.levels import fitting, roomy_halvings, roomy_levels, unet_levels

Size = tuple[int, int]


@pytest.mark.parametrize(
    ("size", "roomy", "whole"),
    [((192, 192), 6, 6), ((160, 160), 6, 6), ((150, 150), 6, 2), ((100, 90), 5, 2), ((48, 48), 5, 5), ((32, 32), 4, 4)],
)
def test_levels_that_a_frame_has_room_for_and_those_that_its_size_allows(size: Size, roomy: int, whole: int) -> None:
    assert (roomy_levels(size, 6), unet_levels(size, 6)) == (roomy, whole)


def test_an_odd_frame_has_none() -> None:
    assert roomy_levels((33, 47), 6) == 4
    with pytest.raises(ConfigError, match="multiples of 2"):
        unet_levels((33, 47), 6)


@pytest.mark.parametrize(
    ("size", "halvings"), [((224, 224), 5), ((64, 64), 5), ((63, 224), 4), ((48, 48), 4), ((32, 32), 4)]
)
def test_how_often_an_encoder_of_timm_halves_a_frame(size: Size, halvings: int) -> None:
    assert roomy_halvings(size) == halvings


@pytest.mark.parametrize(
    ("size", "halvings", "rows", "columns"),
    [
        ((150, 150), 5, (128, 160), (128, 160)),
        ((100, 90), 4, (96, 112), (80, 96)),
        ((33, 47), 3, (32, 40), (40, 48)),
        ((160, 20), 5, (160,), (32,)),
    ],
)
def test_the_sizes_next_to_one_that_can_be_halved_so_often(
    size: Size, halvings: int, rows: tuple[int, ...], columns: tuple[int, ...]
) -> None:
    assert fitting(size, halvings) == (rows, columns)
