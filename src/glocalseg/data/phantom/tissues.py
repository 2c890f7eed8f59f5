"""The phantom's body, plane by plane: which tissue is at which point."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glocalseg.data.phantom.anatomy import F, Heart, Surroundings, Tissue, profile


def tissues(heart: Heart, around: Surroundings, x: F, y: F, depth: float) -> NDArray[np.uint8]:
    """The tissue at every point of a plane, (n, m) uint8.

    Args:
        heart: ventricles in one phase.
        around: the rest.
        x, y: (n,) and (m,) float32, the plane's rows and columns in mm.
        depth: mm from the base along the long axis.
    """
    t = depth / heart.length
    bent_x = x[:, None] + np.float32(around.warp_size) * around.warp[0](x, y, depth)
    bent_y = y[None, :] + np.float32(around.warp_size) * around.warp[1](x, y, depth)
    grain = around.grain(x, y, depth)
    out = np.full(bent_x.shape, Tissue.LUNG, np.uint8)
    out[grain > 2.6] = Tissue.VESSEL
    _paint_organs(out, around, bent_x, bent_y, t)
    _paint_chest(out, around, bent_x, bent_y)
    _paint_heart(out, heart, around, bent_x, bent_y, t, around.patches(x, y, depth), grain)
    return out


def _paint_organs(out: NDArray[np.uint8], around: Surroundings, x: F, y: F, t: float) -> None:
    sx, sy, radius, begins = around.stomach
    if t > begins:
        from_stomach = np.hypot(x - np.float32(sx), y - np.float32(sy))
        out[from_stomach < radius + 3] = Tissue.MUSCLE
        out[from_stomach < radius] = Tissue.STOMACH
    angle, distance, rise = around.liver
    out[x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) > distance - rise * t] = Tissue.LIVER
    for (cx, cy, r), tissue in ((around.spine, Tissue.BONE), (around.aorta, Tissue.AORTA)):
        out[np.hypot(x - np.float32(cx), y - np.float32(cy)) < r] = tissue


def _paint_chest(out: NDArray[np.uint8], around: Surroundings, x: F, y: F) -> None:
    angle, distance, bend = around.chest
    muscle, fat = around.chest_layers
    cx, cy = (np.float32((distance - bend) * turn) for turn in (np.cos(angle), np.sin(angle)))
    beyond = np.hypot(x - cx, y - cy) - np.float32(bend)
    out[beyond > 0] = Tissue.MUSCLE
    out[beyond > muscle] = Tissue.FAT
    out[beyond > muscle + fat] = Tissue.LUNG  # outside the body: as dark as the lung


def _paint_heart(
    out: NDArray[np.uint8], heart: Heart, around: Surroundings, x: F, y: F, t: float, patches: F, grain: F
) -> None:
    along = min(1.0, max(0.0, t))
    dx = x - np.float32(heart.centre[0] + heart.drift[0] * along)
    dy = y - np.float32(heart.centre[1] + heart.drift[1] * along)
    rho, theta = np.hypot(dx, dy), np.arctan2(dy, dx)
    outer = heart.outer(t, theta)
    to_rv = _beyond_right_ventricle(heart, dx, dy, t)
    mean, variation = around.fat
    surface = np.minimum(rho - outer, to_rv - np.float32(heart.rv_wall))
    out[surface < np.float32(mean) + np.float32(variation) * patches] = Tissue.FAT
    if t >= 1:
        return
    out[to_rv < heart.rv_wall] = Tissue.RV_WALL
    out[to_rv < 0] = Tissue.RV
    out[(to_rv < 0) & (to_rv > -7) & (grain > heart.trabeculae)] = Tissue.RV_TRABECULA
    out[rho < outer] = Tissue.MYOCARDIUM
    inner = outer - heart.thickness(theta)
    out[rho < inner] = Tissue.LV
    out[(rho < inner) & (rho > inner - 4) & (grain < -heart.trabeculae)] = Tissue.PAPILLARY
    _paint_papillary(out, heart, dx, dy, inner, rho, t)


def _beyond_right_ventricle(heart: Heart, dx: F, dy: F, t: float) -> F:
    """Distance in mm, roughly, from the right ventricle's cavity (its part behind the septum included); negative inside."""
    share = profile(t / heart.rv_end, 2.0)
    if share == 0:
        return np.full(dx.shape, np.inf, np.float32)
    angle = heart.towards_rv + heart.twist * (t - 0.5)
    radius = (heart.cavity + heart.wall) * profile(t, heart.taper)
    front, back = radius + heart.rv_reach * share, 0.15 * radius
    half, breadth = (front - back) / 2, heart.rv_breadth * radius * (0.55 + 0.45 * share)
    u = dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle)) - np.float32((front + back) / 2)
    v = dy * np.float32(np.cos(angle)) - dx * np.float32(np.sin(angle))
    # A bend makes the crescent's horns reach around the septum.
    bent = u + np.float32(0.35 / breadth) * v**2
    radial: F = np.hypot(bent / np.float32(half), v / np.float32(breadth))
    return (radial - 1) * np.float32(min(half, breadth))


def _paint_papillary(out: NDArray[np.uint8], heart: Heart, dx: F, dy: F, inner: F, rho: F, t: float) -> None:
    """Two muscles in the middle third; nearer to the wall, and smaller, towards their ends."""
    first, second, size, distance = heart.papillary
    if not 0.2 < t < 0.75:
        return
    cavity = (heart.cavity + heart.wall) * profile(t, heart.taper) - heart.wall
    radius = min(size, 0.3 * cavity) * (1 - ((t - 0.5) / 0.35) ** 2)
    for angle in (heart.towards_rv + np.pi + first, heart.towards_rv + np.pi + second):
        px, py = distance * cavity * np.cos(angle), distance * cavity * np.sin(angle)
        out[(np.hypot(dx - np.float32(px), dy - np.float32(py)) < radius) & (rho < inner)] = Tissue.PAPILLARY
