"""Loads the parametric head, its textures and its proxies from a folder.

Two layouts are read: the compact one with ``head.npz``, ``textures/`` and ``proxies/``, and MakeHuman's own ``data``
folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from dithead.errors import DataError
from dithead.synth.head.head_model import HeadModel, Mesh, Proxy, ShapeKey
from dithead.synth.head.makehuman_files import read_mhclo, read_obj, read_target
from dithead.synth.types import Floats, Ints

SHOULDER_CUT = 5.4
"""Height in decimetres at which MakeHuman's body is cut off; our choice, at the shoulders."""

_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth",
           "helper-tongue", "helper-l-eyelashes-1", "helper-l-eyelashes-2",
           "helper-r-eyelashes-1", "helper-r-eyelashes-2", "helper-hair")  # fmt: skip
_TARGET_FOLDERS = {"macro": "macrodetails", "expression": "expression/units"}  # our prefix -> MakeHuman's folder


def load_head(folder: str | Path) -> HeadModel:
    """Read a head model folder of either layout.

    Raises:
        DataError: when a file is missing or unreadable.
    """
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
        raise DataError(f"{root / 'head.npz'}: not a readable head model ({error}); copy it again") from error
    names = [str(name) for name in arrays["group_names"]]
    groups = {n: np.flatnonzero(arrays["face_group"] == i).astype(np.int32) for i, n in enumerate(names)}
    keys = frozenset(n[2:-4] for n in arrays if n.startswith("t/") and n.endswith("/idx"))

    def load(name: str) -> ShapeKey:
        index = arrays[f"t/{name}/idx"].astype(np.int32)
        return ShapeKey(index, arrays[f"t/{name}/delta"].astype(np.float32))

    return HeadModel(
        root,
        arrays["vertices"].astype(np.float32),
        Mesh(arrays["faces"].astype(np.int32), arrays["face_uv"].astype(np.int32), arrays["uv"]),
        {n: f for n, f in groups.items() if len(f)},
        arrays["source_index"].astype(np.int32),
        load,
        keys,
    )


def _load_makehuman(root: Path) -> HeadModel:
    """Read MakeHuman's ``data`` folder: head, neck and shoulders of base.obj, and the .target files."""
    vertices, mesh, groups = read_obj(root / "3dobjs" / "base.obj")
    kept = _faces_above_cut(vertices, mesh, groups)
    source = np.unique(mesh.faces[kept]).astype(np.int32)
    new_vertex = np.full(len(vertices), -1, np.int32)
    new_vertex[source] = np.arange(len(source), dtype=np.int32)
    new_face = np.full(len(mesh.faces), -1, np.int32)
    new_face[kept] = np.arange(len(kept), dtype=np.int32)
    kept_groups = {n: new_face[f][new_face[f] >= 0] for n, f in groups.items() if n in _GROUPS}
    targets = root / "targets"

    def load(name: str) -> ShapeKey:
        index, delta = read_target(targets / _target_file(name))
        index = new_vertex[index]
        return ShapeKey(index[index >= 0], delta[index >= 0])

    cut = Mesh(new_vertex[mesh.faces[kept]], mesh.face_uv[kept], mesh.uv)
    return HeadModel(root, vertices[source], cut, kept_groups, source, load, _target_names(targets))


def _faces_above_cut(vertices: Floats, mesh: Mesh, groups: dict[str, Ints]) -> Ints:
    """Numbers of the faces of the wanted groups that lie wholly above the cut, ascending."""
    wanted = np.concatenate([groups[n] for n in _GROUPS if n in groups])
    below = vertices[mesh.faces[wanted]][..., 1].min(axis=1) < SHOULDER_CUT
    return np.sort(wanted[~below])


def _target_names(targets: Path) -> frozenset[str]:
    """Names of all shape keys below a folder, those of renamed folders under both names."""
    names = {p.relative_to(targets).with_suffix("").as_posix() for p in targets.rglob("*.target")}
    for short, long in _TARGET_FOLDERS.items():
        names |= {short + n[len(long) :] for n in names if n.startswith(long + "/")}
    return frozenset(names)


def _target_file(name: str) -> str:
    first, _, rest = name.partition("/")
    return f"{_TARGET_FOLDERS.get(first, first)}/{rest}.target"


@lru_cache(maxsize=256)
def find_texture(folder: Path, kind: str, name: str) -> Path:
    """Return the path of one texture, in either layout.

    Args:
        folder: the head model's folder.
        kind: such as "eyes" or "skin".
        name: file name.

    Raises:
        DataError: when there is no such file.
    """
    if found := next(_textures(folder, kind, name), None):
        return found
    raise DataError(
        f"{folder}: texture {name} missing, neither in textures/{kind} nor below {kind}; use a complete head model"
    )


def find_textures(folder: Path, kind: str, pattern: str) -> list[Path]:
    """Return the textures whose names match a pattern, each name once, sorted by name.

    Args:
        folder: the head model's folder.
        kind: such as "skin".
        pattern: a glob pattern for file names.

    Raises:
        DataError: when there is none.
    """
    if found := {path.name: path for path in reversed(list(_textures(folder, kind, pattern)))}:
        return [found[name] for name in sorted(found)]
    raise DataError(
        f"{folder}: no texture {pattern}, neither in textures/{kind} nor below {kind}; use a complete head model"
    )


def _textures(folder: Path, kind: str, pattern: str) -> Iterator[Path]:
    """First those in ``textures/KIND``, then those anywhere below ``KIND`` or ``KINDs``, as MakeHuman has them."""
    yield from sorted((folder / "textures" / kind).glob(pattern))
    for place in (kind, f"{kind}s"):
        yield from sorted((folder / place).rglob(pattern))


_PROXIES: dict[tuple[str, str, str], Proxy] = {}


def load_proxy(head: HeadModel, kind: str, name: str) -> Proxy:
    """Read a proxy as `read_proxy` does, once a process."""
    key = (str(head.folder), kind, name)
    if key not in _PROXIES:
        _PROXIES[key] = read_proxy(head, kind, name)
    return _PROXIES[key]


def read_proxy(head: HeadModel, kind: str, name: str) -> Proxy:
    """Read ``proxies/KIND/NAME/NAME.{mhclo,obj}`` (or MakeHuman's ``KIND/NAME``) and bind it to a head.

    Args:
        head: the head model, in whose folder the proxy lies.
        kind: such as "hair" or "teeth".
        name: such as "short01".

    Raises:
        DataError: when there is no such proxy.
    """
    for base in (head.folder / "proxies" / kind / name, head.folder / kind / name):
        if (base / f"{name}.mhclo").is_file():
            _, mesh, _ = read_obj(base / f"{name}.obj")
            return read_mhclo(head, base / f"{name}.mhclo", mesh)
    raise DataError(f"{head.folder}: no {kind} proxy {name!r}; use a complete head model")


def proxy_names(head: HeadModel, kind: str) -> list[str]:
    """Return the names of the model's proxies of one ``kind``, sorted."""
    folders = [head.folder / "proxies" / kind, head.folder / kind]
    return sorted({p.stem for f in folders if f.is_dir() for p in f.glob("*/*.mhclo")})
