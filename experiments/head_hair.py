"""Build hair on a bare head model, as proxies in MakeHuman's file format.

It answers no question: head_from_anny.py calls it. A style is made of layers that follow the skull from the hairline to
the top of the head; long hair hangs down from their fullest place.

    python experiments/head_hair.py HEAD

Letters: R rows and C columns of a grid. Lengths are decimetres on the neutral head.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from dithead.synth.head.assets import load_head
from dithead.synth.head.head_model import HeadModel
from head_proxies import Floats, Grid, cast_rays, face_outwards, join, make_grid, outer_skin, write_proxy
from shared import make_parser

CROWN = np.array([0.0, 7.40, 0.38])  # hair is described by directions as seen from here
# Azimuth in degrees (0 is the front, 180 the back) -> height of the hairline.
HAIRLINE = ((0, 8.02), (22, 8.03), (38, 8.00), (50, 7.80), (60, 7.46), (70, 7.20), (78, 7.20), (86, 7.50), (104, 7.50),
            (116, 7.18), (135, 6.92), (180, 6.84))  # fmt: skip
STAND_INS = {  # as in head_proxies.py
    "hair/short03": "hair/short04",
    "hair/bob01": "hair/long01",
    "hair/bob02": "hair/long01",
    "hair/braid01": "hair/ponytail01",
}


@dataclass(frozen=True)
class HairStyle:
    """How one style of hair is built from layers that follow the skull and may hang down.

    Attributes:
        depth: how far the outermost layer lies above the skull.
        layers: number of layers.
        top: additional height on the top of the head.
        rough: amplitude of bumps.
        sides: how thick the hair is at the sides, relative to the top.
        ends: height at which the hair ends, or None where it ends at the hairline.
        bun: whether a bun sits at the back of the head.
    """

    depth: float
    layers: int
    top: float = 0.0
    rough: float = 0.0
    sides: float = 1.0
    ends: float | None = None
    bun: bool = False


STYLES = {
    "short01": HairStyle(0.12, 3, top=0.06, rough=0.015, sides=0.4),
    "short02": HairStyle(0.16, 3, top=0.18, rough=0.03, sides=0.3),
    "short04": HairStyle(0.05, 2, sides=0.5),
    "afro01": HairStyle(0.36, 4, rough=0.06, sides=0.75),
    "long01": HairStyle(0.13, 2, top=0.02, rough=0.008, ends=6.02),
    "ponytail01": HairStyle(0.06, 2, rough=0.004, sides=0.6, bun=True),
}


def skull_radius(head: HeadModel, azimuth: Floats, elevation: Floats) -> Floats:
    """Distance (R, C) from CROWN to the skin without ears in the given directions, radians."""
    directions = direction_of(azimuth, elevation).reshape(-1, 3)
    far = cast_rays(head, np.tile(CROWN, (len(directions), 1)), directions, outer_skin(head, ears=False))
    known = np.isfinite(far)
    off, near = cKDTree(directions[known]).query(directions[~known], k=24)
    far[~known] = (far[known][near] / off**3).sum(axis=1) / (1 / off**3).sum(axis=1)
    _, y, z = (CROWN + far[:, None] * directions).T  # the ears' roots are no skull: sides are kept as narrow as above
    widest = 0.765 - 0.25 * np.clip(0.3 - z, 0, None) - 0.12 * np.clip(7.4 - y, 0, None) * (z < 0.5)
    far *= np.minimum(1, widest / np.maximum(np.abs(far * directions[:, 0]), 1e-6))
    return far.reshape(azimuth.shape)


def direction_of(azimuth: Floats, elevation: Floats) -> Floats:
    """Unit vectors (..., 3); azimuth 0 is the front."""
    flat = np.cos(elevation)
    return np.stack([flat * np.sin(azimuth), np.sin(elevation), flat * np.cos(azimuth)], axis=-1)


def hair(head: HeadModel, style: HairStyle) -> Grid:
    """Build the layers of one hair style from the hairline to the top of the head, and further down where it hangs."""
    # The innermost layer is finer, because skin is coloured by its distance from the hair's vertices.
    fine, coarse = measure_skull(head, style, 92, 12), measure_skull(head, style, 44, 9)
    grids = [bun()] if style.bun else []
    for layer in range(1, style.layers + 1):
        skull, share = fine if layer == 1 else coarse, layer / style.layers
        above = 0.022 + 0.006 * layer + share * skull.fullness  # layers never touch: where they end, hair thins out
        shell = CROWN + (skull.radius + above)[..., None] * skull.direction
        # The left half of the texture is dense; the right half, for the outermost layer, has gaps.
        across = np.abs(np.linspace(-1, 1, len(skull.degrees))) * 0.49 + (0.5 if layer == style.layers else 0)
        uv = np.stack(np.broadcast_arrays(across, 1 - skull.t), axis=-1)
        grids.append(face_outwards(make_grid(shell, uv, closed=True), CROWN))
        if style.ends is not None:
            grids.append(curtain(shell, across, skull.degrees, style.ends, 0.06 * share))
    return join(grids)


@dataclass(frozen=True)
class Skull:
    """The hairy part of the skull as a grid from the hairline (first row) to the top.

    Attributes:
        degrees: (C,) azimuth of each column, 0 the front to 180 the back.
        t: (R, 1) place between hairline and top, 0..1.
        direction: (R, C, 3) unit vectors from CROWN.
        radius: (R, C) distance of the skin from CROWN.
        fullness: (R, C) how far the outermost layer of the hair lies above the skin.
    """

    degrees: Floats
    t: Floats
    direction: Floats
    radius: Floats
    fullness: Floats


def measure_skull(head: HeadModel, style: HairStyle, columns: int, rows: int) -> Skull:
    """Measure the skull of the neutral head, and how full a hair style is on it."""
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)
    degrees = np.degrees(np.minimum(turn, 2 * np.pi - turn))
    t = np.linspace(0, 1, rows)[:, None]
    azimuth = np.broadcast_to(turn, (rows, columns))
    start = elevation_of_height(head, turn, np.interp(degrees, *np.array(HAIRLINE, float).T))
    elevation = start + t * (np.pi / 2 - 0.02 - start)
    radius = gaussian_filter(skull_radius(head, azimuth, elevation), (0.4, columns / 73), mode=("nearest", "wrap"))
    noise = np.random.default_rng(5).normal(size=(rows, columns))
    bumps = gaussian_filter(noise, (rows / 13, columns / 44), mode="wrap")
    fullness = style.depth + style.top * np.clip(elevation, 0, None) / 1.5 + style.rough * bumps / bumps.std()
    fullness *= np.clip(t / 0.35, 0, 1) * (style.sides + (1 - style.sides) * np.clip((elevation - 0.3) / 0.6, 0, 1))
    return Skull(degrees, t, direction_of(azimuth, elevation), radius, fullness)


def elevation_of_height(head: HeadModel, turn: Floats, height: Floats) -> Floats:
    """The elevation (C,) at which the skin has the given height (C,) in each direction."""
    elevation = np.tile(np.linspace(-0.9, 1.2, 43)[:, None], (1, len(turn)))
    y = CROWN[1] + skull_radius(head, np.broadcast_to(turn, elevation.shape), elevation) * np.sin(elevation)
    return np.array([np.interp(height[c], np.maximum.accumulate(y[:, c]), elevation[:, c]) for c in range(len(turn))])


def curtain(shell: Floats, across: Floats, degrees: Floats, ends: float, out: float) -> Grid:
    """Let hair hang from the fullest place of a layer (R, C, 3) at sides and back down to the height ``ends``."""
    hanging = np.flatnonzero(degrees > 58)
    full = np.linalg.norm(shell[:, hanging][..., [0, 2]] - CROWN[[0, 2]], axis=-1).argmax(axis=0)
    top = shell[full, hanging]
    away = (top - CROWN)[:, [0, 2]] / np.linalg.norm((top - CROWN)[:, [0, 2]], axis=1, keepdims=True)
    rows, uv = [], []
    for step in np.linspace(0, 1, 9):
        over_ears = np.where(np.abs(top[:, 0]) > 0.5, 0.10 * np.sin(np.pi * min(step * 1.3, 1)), 0)
        flare = out * step + over_ears - 0.10 * step**2
        point = top.copy()
        point[:, [0, 2]] += away * flare[:, None]
        point[:, 1] = top[:, 1] + step * (ends - top[:, 1])
        rows.append(point)
        uv.append(np.stack([across[hanging], np.full(len(hanging), 1 - 0.98 * step)], axis=1))
    grid = face_outwards(make_grid(np.stack(rows), np.stack(uv)), CROWN)
    return Grid(grid.vertices, grid.uv, grid.faces, np.tile(top, (9, 1)))


def bun(rows: int = 8, columns: int = 14) -> Grid:
    """A bun at the upper back of the head."""
    down, turn = np.meshgrid(np.linspace(0.05, np.pi - 0.05, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    centre = np.array([0.0, 8.28, -0.42])
    ball = np.stack([np.sin(down) * np.cos(turn), np.cos(down), np.sin(down) * np.sin(turn)], axis=-1)
    points = centre + ball * (0.30, 0.30, 0.26)
    grid = face_outwards(make_grid(points, np.stack([turn / (2 * np.pi), down / np.pi], axis=-1)), centre)
    return Grid(grid.vertices, grid.uv, grid.faces, np.tile(centre, (len(grid.vertices), 1)))


def write_hair(head: HeadModel, folder: Path) -> None:
    """Write all hair styles of a head."""
    for name, style in STYLES.items():
        write_proxy(folder, "hair", name, {"body": hair(head, style)}, head)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("head", type=Path, help="folder with head.npz; the hair is written into it")
    options = parser.parse_args()
    write_hair(load_head(options.head), options.head)


if __name__ == "__main__":
    main()
