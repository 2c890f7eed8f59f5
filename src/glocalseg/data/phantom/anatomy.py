"""The phantom's anatomy: the measures of one made-up patient's heart and of what lies around it, in mm.

Coordinates: x right, y anterior, both from the middle of the image; t runs along the long axis of the left ventricle, 0 at the
base, 1 at the tip of the apex. Sizes are those of adult short-axis cine, about a tenth smaller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

F = NDArray[np.float32]


class Tissue(IntEnum):
    """What a point is made of. From RV on it is labelled; muscle inside a cavity counts as the cavity, as in ACDC."""

    LUNG = 0
    VESSEL = 1
    FAT = 2
    MUSCLE = 3
    LIVER = 4
    BONE = 5
    STOMACH = 6
    AORTA = 7
    RV_WALL = 8
    RV = 9
    RV_TRABECULA = 10
    MYOCARDIUM = 11
    LV = 12
    PAPILLARY = 13


GROUPS = ("NOR", "MINF", "DCM", "HCM", "RV")
# Ranges in mm: cavity radius at the base, wall, reach of the right ventricle beyond the septum; then the share of the
# cavity's radius that is left at end-systole.
RANGES = {
    "NOR": ((18.0, 22.0), (7.0, 9.0), (19.0, 26.0), (0.62, 0.72)),
    "MINF": ((20.0, 25.0), (7.0, 9.0), (17.0, 24.0), (0.75, 0.85)),
    "DCM": ((25.0, 29.0), (5.5, 7.5), (17.0, 25.0), (0.85, 0.92)),
    "HCM": ((15.0, 19.0), (11.0, 14.5), (16.0, 23.0), (0.50, 0.62)),
    "RV": ((17.0, 21.0), (7.0, 9.0), (28.0, 34.0), (0.65, 0.75)),
}


@dataclass(frozen=True)
class SmoothField:
    """A random smooth function of (x, y, z): a sum of plane waves, each of amplitude 1. Used scaled."""

    waves: NDArray[np.float64]  # (K, 3), radians per mm
    phases: NDArray[np.float64]  # (K,)

    def __call__(self, x: F, y: F, z: float) -> F:
        """The function on a grid: x (n,), y (m,) to (n, m); mean 0, standard deviation about sqrt(K / 2).

        sin(u + v) = sin u cos v + cos u sin v, so that a grid costs two outer products a wave and no sine.
        """
        total = np.zeros((len(x), len(y)), np.float32)
        for (a, b, c), phase in zip(self.waves, self.phases, strict=True):
            u, v = np.float32(a) * x + np.float32(c * z + phase), np.float32(b) * y
            total += np.outer(np.sin(u), np.cos(v)) + np.outer(np.cos(u), np.sin(v))
        return total


def draw_field(rng: Generator, terms: int, wavelength: tuple[float, float]) -> SmoothField:
    """A random field whose in-plane wavelengths (mm) lie in a range; it varies three times slower along z."""
    number = 2 * np.pi / rng.uniform(*wavelength, terms)
    angle = rng.uniform(0, 2 * np.pi, terms)
    waves = np.stack([number * np.cos(angle), number * np.sin(angle), number * rng.uniform(-1, 1, terms) / 3], axis=1)
    return SmoothField(waves, rng.uniform(0, 2 * np.pi, terms))


@dataclass(frozen=True)
class Heart:
    """The ventricles in one phase: mm and radians."""

    centre: tuple[float, float]  # of the left ventricle at the base
    drift: tuple[float, float]  # of that centre from base to apex
    length: float  # base to apex
    towards_rv: float  # angle from the left ventricle's centre to the right ventricle's
    twist: float  # how much that angle changes from base to apex
    cavity: float  # radius at the base
    wall: float
    asymmetry: tuple[float, float]  # of the wall: share and angle
    scar: tuple[float, float, float]  # of the wall: share that is lost, angle, half-width
    shape: tuple[float, float, float, float]  # second and third harmonic of the outline: shares and angles
    taper: float  # exponent of the outline along t; the larger the blunter
    rv_reach: float  # beyond the septum at the base
    rv_breadth: float  # share of the left ventricle's outer radius
    rv_end: float  # t where the right ventricle ends
    rv_wall: float
    trabeculae: float  # how high the grain must be for one; the lower the more there are
    papillary: tuple[float, float, float, float]  # angles from towards_rv + pi of the two, radius, distance share

    def outer(self, t: float, theta: F) -> F:
        """Outer radius of the left ventricle's wall at each angle."""
        a, at_a, b, at_b = self.shape
        outline = 1 + a * np.cos(2 * (theta - np.float32(at_a))) + b * np.cos(3 * (theta - np.float32(at_b)))
        return np.float32((self.cavity + self.wall) * profile(t, self.taper)) * outline

    def thickness(self, theta: F) -> F:
        """Thickness of the left ventricle's wall at each angle."""
        share, at = self.asymmetry
        lost, scar, width = self.scar
        away = np.abs((theta - np.float32(scar) + np.pi) % (2 * np.pi) - np.pi)
        healthy = 1 - lost / (1 + np.exp((away - np.float32(width)) * 8))
        return np.float32(self.wall) * (1 + np.float32(share) * np.cos(theta - np.float32(at))) * healthy


@dataclass(frozen=True)
class Surroundings:
    """Everything around the ventricles that stays where it is: mm and radians."""

    chest: tuple[float, float, float]  # direction, distance and curvature radius of the chest wall's inner side
    chest_layers: tuple[float, float]  # thickness of muscle and of the fat below the skin
    liver: tuple[float, float, float]  # direction, distance at the base, how much nearer it is at the apex
    aorta: tuple[float, float, float]  # x, y, radius
    spine: tuple[float, float, float]
    stomach: tuple[float, float, float, float]  # x, y, radius, t where it begins to be seen
    fat: tuple[float, float]  # thickness around the heart: mean and variation
    warp: tuple[SmoothField, SmoothField]
    warp_size: float
    patches: SmoothField  # of fat
    grain: SmoothField  # vessels of the lung and trabeculae of the ventricles


def profile(t: float, taper: float) -> float:
    """Share of the basal radius at t: 1 at the base's end, 0 at the apex and beyond."""
    return float(np.sqrt(max(0.0, 1 - min(1.0, max(0.0, t)) ** taper)))


def draw_heart(rng: Generator, group: str) -> Heart:
    """The end-diastolic heart of a patient of one of GROUPS."""
    cavity, wall, reach, _ = RANGES[group]
    size = rng.uniform(0.9, 1.1)
    towards_rv = np.deg2rad(rng.normal(35, 22))
    thick = rng.uniform(0.15, 0.3) if group == "HCM" else rng.uniform(0.0, 0.12)
    scar = (rng.uniform(0.3, 0.42) if group == "MINF" else 0.0, rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.8))
    reach_now = size * rng.uniform(*reach)
    away = -0.45 * reach_now  # the middle of both ventricles, not of the left, lies near the middle of the image
    offset = rng.normal(0, 5.5, 2).clip(-11, 11)
    return Heart(
        centre=(float(away * np.cos(towards_rv) + offset[0]), float(away * np.sin(towards_rv) + offset[1])),
        drift=(float(rng.normal(-3, 4)), float(rng.normal(-2, 4))),
        length=size * rng.uniform(72, 92),
        towards_rv=float(towards_rv),
        twist=rng.uniform(-0.6, 0.1),
        cavity=size * rng.uniform(*cavity),
        wall=size * rng.uniform(*wall),
        asymmetry=(thick, float(towards_rv + rng.normal(0, 0.5))),
        scar=scar,
        shape=(rng.uniform(0, 0.07), rng.uniform(0, np.pi), rng.uniform(0, 0.035), rng.uniform(0, np.pi)),
        taper=rng.uniform(2.0, 3.2),
        rv_reach=reach_now,
        rv_breadth=rng.uniform(0.85, 1.1),
        rv_end=rng.uniform(0.68, 0.86),
        rv_wall=rng.uniform(2.0, 3.5),
        trabeculae=rng.uniform(1.3, 2.6),
        papillary=(rng.uniform(0.7, 1.3), rng.uniform(-1.3, -0.7), rng.uniform(2.5, 4.5), rng.uniform(0.55, 0.75)),
    )


def contract(heart: Heart, rng: Generator, group: str) -> Heart:
    """The same heart at end-systole: smaller cavities, thicker wall, shorter."""
    left = rng.uniform(*RANGES[group][3])
    return replace(
        heart,
        length=heart.length * (0.75 + 0.25 * left),
        cavity=heart.cavity * left,
        wall=heart.wall * (1 + 0.9 * (1 - left)),
        rv_reach=heart.rv_reach * (0.35 + 0.65 * left),
    )


def draw_surroundings(rng: Generator) -> Surroundings:
    """What lies around the heart of one patient."""
    return Surroundings(
        chest=(np.deg2rad(rng.normal(62, 12)), rng.uniform(36, 54), rng.uniform(90, 180)),
        chest_layers=(rng.uniform(5, 11), rng.uniform(5, 16)),
        liver=(np.deg2rad(rng.normal(-70, 18)), rng.uniform(34, 54), rng.uniform(4, 16)),
        aorta=(rng.uniform(-58, -42), rng.uniform(-44, -8), rng.uniform(8, 11.5)),
        spine=(rng.uniform(-70, -58), rng.uniform(-66, -48), rng.uniform(15, 20)),
        stomach=(rng.uniform(-58, -40), rng.uniform(34, 62), rng.uniform(8, 18), rng.uniform(0.2, 0.9)),
        fat=(rng.uniform(1.0, 5.0), rng.uniform(1.0, 2.5)),
        warp=(draw_field(rng, 3, (45, 110)), draw_field(rng, 3, (45, 110))),
        warp_size=rng.uniform(0.6, 1.3),
        patches=draw_field(rng, 3, (18, 45)),
        grain=draw_field(rng, 4, (9, 22)),
    )
