"""How many levels a U-Net has on a frame; no torch is needed for it, so that a dry run can say where a frame does not fit."""

from __future__ import annotations

from glocalseg.config.model import ConfigError

SMALLEST_BOTTLENECK = 3  # 160 / 2^5 = 5 has six levels, 64 x 64 five, 48 x 48 five, 32 x 32 four
TIMM_HALVINGS, TIMM_SMALLEST = 5, 2  # of the models with ``features_only``; networks.timm_encoder leaves smaller maps out


def unet_levels(size: tuple[int, int], most: int) -> int:
    """The largest number of levels whose bottleneck is whole and at least 3 x 3. Raises ConfigError if there are not two."""
    fits = [n for n in range(2, most + 1) if all(s % 2 ** (n - 1) == 0 for s in size) and n <= roomy_levels(size, most)]
    if not fits:
        raise ConfigError(f"frame: size: expected multiples of 2 of at least {2 * SMALLEST_BOTTLENECK}, found {size}")
    return max(fits)


def roomy_levels(size: tuple[int, int], most: int) -> int:
    """The levels that a frame of about this size has room for, whether or not its sides can be halved so often; at least 1."""
    return max(n for n in range(1, most + 1) if n == 1 or min(size) >> (n - 1) >= SMALLEST_BOTTLENECK)


def roomy_halvings(size: tuple[int, int]) -> int:
    """How often an encoder of timm halves a frame of about this size: five times, or until its maps are 2 x 2; at least once."""
    return max(n for n in range(1, TIMM_HALVINGS + 1) if n == 1 or min(size) >> n >= TIMM_SMALLEST)


def fitting(size: tuple[int, int], halvings: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """For rows and columns: the sizes next to this one that can be halved so often, the smaller first."""
    step = 2**halvings
    rows, columns = (tuple(dict.fromkeys(n for n in (s // step * step, -(-s // step) * step) if n)) for s in size)
    return rows, columns
