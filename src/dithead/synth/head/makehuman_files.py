"""Readers of MakeHuman's file formats: .obj meshes, .target shape keys and .mhclo proxies."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from dithead.errors import DataError
from dithead.limits import MAX_TEXT
from dithead.synth.head.head_model import HeadModel, Mesh, Proxy
from dithead.synth.types import Floats, Ints


def read_target(path: Path) -> tuple[Ints, Floats]:
    """Read a .target or .target.gz file, whose lines are a vertex number and its displacement: (k,) and (k, 3)."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        content = file.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise DataError(f"{path}: is larger than {MAX_TEXT >> 20} MiB when unpacked; copy MakeHuman's files again")
    text = content.decode()
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    index = np.array([int(row[0]) for row in rows], np.int32)
    return index, np.array([[float(x) for x in row[1:4]] for row in rows], np.float32).reshape(-1, 3)


def read_obj(path: Path) -> tuple[Floats, Mesh, dict[str, Ints]]:
    """Read a Wavefront .obj file.

    Returns:
        Vertices (V, 3), the mesh, and the numbers of each group's faces.
    """
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    groups: dict[str, list[int]] = {}
    group = "body"
    for line in path.read_text().splitlines():
        keyword, _, rest = line.partition(" ")
        if keyword == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif keyword == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif keyword == "g":
            group = rest.strip()
        elif keyword == "f":
            parts = [[*part.split("/"), "1"][:2] for part in rest.split()]
            parts = (parts + parts[-1:])[:4]
            groups.setdefault(group, []).append(len(faces))
            faces.append([int(p[0]) - 1 for p in parts])
            corners.append([int(p[1] or 1) - 1 for p in parts])
    mesh = Mesh(np.array(faces, np.int32), np.array(corners, np.int32), np.array(uv or [[0, 0]], np.float32))
    return np.array(vertices, np.float32), mesh, {n: np.array(f, np.int32) for n, f in groups.items()}


def read_mhclo(head: HeadModel, path: Path, mesh: Mesh) -> Proxy:
    """Read a .mhclo file and bind ``mesh`` to ``head`` with it.

    Each vertex has one line: one number of a head vertex, or three numbers with their weights and an offset.
    Faces bound to the body below the head model's cut are left out.
    """
    scale, rows = _parse_mhclo(path)
    full = np.array([r if len(r) == 9 else [r[0], r[0], r[0], 1, 0, 0, 0, 0, 0] for r in rows], np.float32)
    wanted = full[:, :3].astype(np.int64)
    index = np.searchsorted(head.source_index, wanted).clip(0, len(head.source_index) - 1).astype(np.int32)
    cut_off = (head.source_index[index] != wanted).any(axis=1)
    kept = ~cut_off[mesh.faces].any(axis=1)
    mesh = Mesh(mesh.faces[kept], mesh.face_uv[kept], mesh.uv)
    axes = tuple(scale.get(axis, (-1, -1, 1.0)) for axis in "xyz")
    pairs = tuple(_renumbered(head, first, second, distance) for first, second, distance in axes)
    return Proxy(mesh, index, full[:, 3:6], full[:, 6:9], pairs)


def _parse_mhclo(path: Path) -> tuple[dict[str, tuple[int, int, float]], list[list[float]]]:
    """The reference distances by axis, and the numbers of each vertex's line."""
    scale: dict[str, tuple[int, int, float]] = {}
    rows: list[list[float]] = []
    reading = False
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] in ("x_scale", "y_scale", "z_scale"):
            scale[words[0][0]] = (int(words[1]), int(words[2]), float(words[3]))
        elif words[0] == "verts":
            reading = True
        elif reading and len(words) in (1, 9) and words[0].isdigit():
            rows.append([float(x) for x in words])
        elif reading and rows:
            break
    return scale, rows


def _renumbered(head: HeadModel, first: int, second: int, distance: float) -> tuple[int, int, float]:
    """The pair in the head's own numbers; (-1, -1, 1) where the head lacks one of the two vertices."""
    known = np.isin([first, second], head.source_index).all()
    return (head.vertex_number(first), head.vertex_number(second), distance) if known else (-1, -1, 1.0)
