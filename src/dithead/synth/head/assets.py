"""The parametric head on disk -> arrays. Reads the compact ``head.npz`` and MakeHuman's own layout.

Lengths are MakeHuman's decimetres, y up, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

HEAD_FLOOR = 5.4  # decimetres; MakeHuman's official body is cut here (shoulders)


@dataclass(frozen=True)
class Key:
    """A sparse shape key: ``vertices[index] += weight * delta``."""

    index: Ints  # (k,)
    delta: Floats  # (k, 3)


@dataclass(frozen=True)
class Mesh:
    """Quads (triangles repeat their last corner) with per-corner texture coordinates."""

    faces: Ints  # (F, 4) into the vertices
    face_uv: Ints  # (F, 4) into uv
    uv: Floats  # (U, 2), v upwards


@dataclass(frozen=True)
class Proxy:
    """A mesh fitted to the head: vertex = sum_j weight_j * head[index_j] + offset * scale."""

    mesh: Mesh
    index: Ints  # (V, 3) into the head's vertices
    weight: Floats  # (V, 3)
    offset: Floats  # (V, 3)
    scale: tuple[tuple[int, int, float], ...]  # per axis: two head vertices and their reference distance


@dataclass(frozen=True)
class HeadModel:
    """Base vertices, faces by group, and the folder everything else is read from on demand."""

    folder: Path
    vertices: Floats  # (V, 3)
    mesh: Mesh
    groups: dict[str, Ints]  # name -> face numbers
    source_index: Ints  # (V,) vertex numbers in base.obj
    load_key: Callable[[str], Key]
    key_names: frozenset[str]

    def key(self, name: str) -> Key:
        """The shape key called ``name``; raises DataError when the model has none of that name."""
        if name not in self.key_names:
            raise DataError(f"{self.folder}: the head model has no shape key {name!r}")
        return self.load_key(name)

    def vertex(self, source: int) -> int:
        """This model's number of vertex ``source`` of MakeHuman's base.obj."""
        return int(np.searchsorted(self.source_index, source))


def load_head(folder: str | Path) -> HeadModel:
    """Read a head model folder; raises DataError naming what is missing."""
    root = Path(folder)
    if (root / "head.npz").is_file():
        return _load_npz(root)
    if (root / "3dobjs" / "base.obj").is_file():
        return _load_makehuman(root)
    raise DataError(
        f"{root}: no head model here (needs head.npz, or MakeHuman's 3dobjs/base.obj and targets/); "
        "pass --head-model DIR"
    )


def _load_npz(root: Path) -> HeadModel:
    try:
        with np.load(root / "head.npz", allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{root / 'head.npz'}: not a readable head model ({error})") from error
    names = [str(name) for name in arrays["group_names"]]
    groups = {n: np.flatnonzero(arrays["face_group"] == i).astype(np.int32) for i, n in enumerate(names)}
    keys = frozenset(n[2:-4] for n in arrays if n.startswith("t/") and n.endswith("/idx"))

    def load(name: str) -> Key:
        index = arrays[f"t/{name}/idx"].astype(np.int32)
        return Key(index, arrays[f"t/{name}/delta"].astype(np.float32))

    return HeadModel(
        root,
        arrays["vertices"].astype(np.float32),
        Mesh(arrays["faces"].astype(np.int32), arrays["face_uv"].astype(np.int32), arrays["uv"]),
        {n: f for n, f in groups.items() if len(f)},
        arrays["source_index"].astype(np.int32),
        load,
        keys,
    )


_OFFICIAL_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth",
                    "helper-tongue", "helper-l-eyelashes-1", "helper-l-eyelashes-2",
                    "helper-r-eyelashes-1", "helper-r-eyelashes-2", "helper-hair")  # fmt: skip
_OFFICIAL_FOLDERS = {"macro": "macrodetails", "expression": "expression/units"}


def _official_name(name: str) -> str:
    head, _, rest = name.partition("/")
    return f"{_OFFICIAL_FOLDERS.get(head, head)}/{rest}.target"


def _load_makehuman(root: Path) -> HeadModel:
    """MakeHuman's ``data`` folder: the head, neck and shoulders of base.obj and its .target files."""
    vertices, mesh, groups = read_obj(root / "3dobjs" / "base.obj")
    wanted = np.concatenate([groups[n] for n in _OFFICIAL_GROUPS if n in groups])
    low = vertices[mesh.faces[wanted]][..., 1].min(axis=1) < HEAD_FLOOR
    kept = np.sort(wanted[~low])
    source = np.unique(mesh.faces[kept]).astype(np.int32)
    renumber = np.full(len(vertices), -1, np.int32)
    renumber[source] = np.arange(len(source), dtype=np.int32)
    place = np.full(len(mesh.faces), -1, np.int32)
    place[kept] = np.arange(len(kept), dtype=np.int32)
    inside = {n: place[f][place[f] >= 0] for n, f in groups.items() if n in _OFFICIAL_GROUPS}
    targets = root / "targets"
    names = {p.relative_to(targets).with_suffix("").as_posix() for p in targets.rglob("*.target")}
    for short, long in _OFFICIAL_FOLDERS.items():
        names |= {short + n[len(long) :] for n in names if n.startswith(long + "/")}

    def load(name: str) -> Key:
        index, delta = read_target(targets / _official_name(name))
        index = renumber[index]
        return Key(index[index >= 0], delta[index >= 0])

    cut = Mesh(renumber[mesh.faces[kept]], mesh.face_uv[kept], mesh.uv)
    return HeadModel(root, vertices[source], cut, inside, source, load, frozenset(names))


def read_target(path: Path) -> tuple[Ints, Floats]:
    """A MakeHuman ``.target``: lines of vertex number and offset."""
    rows = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    index = np.array([int(row[0]) for row in rows], np.int32)
    return index, np.array([[float(x) for x in row[1:4]] for row in rows], np.float32).reshape(-1, 3)


def read_obj(path: Path) -> tuple[Floats, Mesh, dict[str, Ints]]:
    """Vertices, quads and face groups of a Wavefront .obj file."""
    vertices: list[list[float]] = []
    uv: list[list[float]] = []
    faces: list[list[int]] = []
    corners: list[list[int]] = []
    groups: dict[str, list[int]] = {}
    group = "body"
    for line in path.read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif word == "vt":
            uv.append([float(x) for x in rest.split()[:2]])
        elif word == "g":
            group = rest.strip()
        elif word == "f":
            parts = [[*part.split("/"), "1"][:2] for part in rest.split()]
            parts = (parts + parts[-1:])[:4]
            groups.setdefault(group, []).append(len(faces))
            faces.append([int(p[0]) - 1 for p in parts])
            corners.append([int(p[1] or 1) - 1 for p in parts])
    mesh = Mesh(np.array(faces, np.int32), np.array(corners, np.int32), np.array(uv or [[0, 0]], np.float32))
    return np.array(vertices, np.float32), mesh, {n: np.array(f, np.int32) for n, f in groups.items()}


@lru_cache(maxsize=256)
def find_texture(folder: Path, kind: str, name: str) -> Path:
    """The texture of that name, in either layout; raises DataError naming what is missing."""
    if found := next(_textures(folder, kind, name), None):
        return found
    raise DataError(f"{folder}: texture {name} missing, neither in textures/{kind} nor below {kind}")


def find_textures(folder: Path, kind: str, pattern: str) -> list[Path]:
    """The textures whose names match ``pattern``, each name once, by name; raises DataError when there is none."""
    if found := {path.name: path for path in reversed(list(_textures(folder, kind, pattern)))}:
        return [found[name] for name in sorted(found)]
    raise DataError(f"{folder}: no texture {pattern}, neither in textures/{kind} nor below {kind}")


def _textures(folder: Path, kind: str, pattern: str) -> Iterator[Path]:
    """First those in ``textures/KIND``, then wherever below ``KIND`` or ``KINDs`` MakeHuman's own folders have them."""
    yield from sorted((folder / "textures" / kind).glob(pattern))
    for place in (kind, f"{kind}s"):
        yield from sorted((folder / place).rglob(pattern))


def load_proxy(head: HeadModel, kind: str, name: str) -> Proxy:
    """`read_proxy`, remembered for the process."""
    key = (str(head.folder), kind, name)
    if key not in _PROXIES:
        _PROXIES[key] = read_proxy(head, kind, name)
    return _PROXIES[key]


_PROXIES: dict[tuple[str, str, str], Proxy] = {}


def read_proxy(head: HeadModel, kind: str, name: str) -> Proxy:
    """Read ``proxies/KIND/NAME/NAME.{mhclo,obj}`` (or MakeHuman's ``KIND/NAME``) fitted to ``head``."""
    for base in (head.folder / "proxies" / kind / name, head.folder / kind / name):
        if (base / f"{name}.mhclo").is_file():
            _, mesh, _ = read_obj(base / f"{name}.obj")
            return _read_mhclo(head, base / f"{name}.mhclo", mesh)
    raise DataError(f"{head.folder}: no {kind} proxy {name!r}")


def proxy_names(head: HeadModel, kind: str) -> list[str]:
    """Names of the proxies of ``kind`` the model has, sorted."""
    folders = [head.folder / "proxies" / kind, head.folder / kind]
    return sorted({p.stem for f in folders if f.is_dir() for p in f.glob("*/*.mhclo")})


def _read_mhclo(head: HeadModel, path: Path, mesh: Mesh) -> Proxy:
    """The fit file: one line per vertex, either one vertex number or three with weights and an offset."""
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
    full = np.array([r if len(r) == 9 else [r[0], r[0], r[0], 1, 0, 0, 0, 0, 0] for r in rows], np.float32)
    wanted = full[:, :3].astype(np.int64)
    index = np.searchsorted(head.source_index, wanted).clip(0, len(head.source_index) - 1).astype(np.int32)
    lost = (head.source_index[index] != wanted).any(axis=1)  # bound to the body below the cut
    kept = ~lost[mesh.faces].any(axis=1)
    mesh = Mesh(mesh.faces[kept], mesh.face_uv[kept], mesh.uv)
    axes = tuple(scale.get(a, (-1, -1, 1.0)) for a in "xyz")
    pairs = tuple(_in_head(head, a, b, d) for a, b, d in axes)
    return Proxy(mesh, index, full[:, 3:6], full[:, 6:9], pairs)


def _in_head(head: HeadModel, first: int, second: int, distance: float) -> tuple[int, int, float]:
    known = np.isin([first, second], head.source_index).all()
    return (head.vertex(first), head.vertex(second), distance) if known else (-1, -1, 1.0)


def fit_scale(proxy: Proxy, vertices: Floats) -> Floats:
    """(3,) how much larger than the reference head this one is, along each axis."""
    sizes = [
        abs(float(vertices[a, i] - vertices[b, i])) / d if a >= 0 else 1.0 for i, (a, b, d) in enumerate(proxy.scale)
    ]
    return np.array(sizes, np.float32)
