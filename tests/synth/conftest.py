"""What synthetic people need: a head model, and from the machine an OpenGL driver and espeak-ng, which may be absent.

The tests take the head that ships, or the folder that DITHEAD_HEAD_MODEL names.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DitheadError

HEAD_VARIABLE = "DITHEAD_HEAD_MODEL"
BASE_VERTICES = 19158  # of MakeHuman's base.obj, most of them below the shoulders
_TARGETS = {"macro": "macrodetails", "expression": "expression/units"}


@pytest.fixture(scope="session")
def head_folder() -> Path:
    from dithead.synth.head.assets import SHIPPED_HEAD

    return Path(os.environ.get(HEAD_VARIABLE) or SHIPPED_HEAD)


@pytest.fixture(scope="session")
def body(head_folder: Path):
    from dithead.synth.head.assets import load_head
    from dithead.synth.head.body import Body

    return Body(load_head(head_folder))


@pytest.fixture(scope="session")
def espeak() -> None:
    from dithead.synth.voice.espeak import version

    try:
        version()
    except DitheadError as error:
        pytest.skip(str(error))


@pytest.fixture
def renderer() -> Iterator:
    from dithead.synth.scene.renderer import Renderer

    try:
        renderer = Renderer(64, 48, supersample=1.0)
    except DitheadError as error:
        pytest.skip(str(error))
    with renderer:
        renderer.upload_texture("background", np.zeros((4, 4, 3), np.uint8))
        renderer.upload_texture("plain", np.full((4, 4, 4), 255, np.uint8))
        yield renderer


@pytest.fixture(scope="session")
def official(tmp_path_factory: pytest.TempPathFactory, head_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("makehuman")
    write_official(head_folder, root)
    return root


def write_official(compact: Path, root: Path) -> None:
    """Write the compact head as MakeHuman's ``data`` folder would hold it; vertices below the cut are zero."""
    with np.load(compact / "head.npz") as stored:
        data = {name: stored[name] for name in stored.files}
    if (compact / "faceunits.npz").is_file():
        with np.load(compact / "faceunits.npz") as stored:
            data |= {f"t/faceunits/{name[2:]}": stored[name] for name in stored.files}
    _write_obj(data, root / "3dobjs" / "base.obj")
    for name in (name[2:-4] for name in data if name.endswith("/idx")):
        first, _, rest = name.partition("/")
        path = root / "targets" / _TARGETS.get(first, first) / f"{rest}.target"
        path.parent.mkdir(parents=True, exist_ok=True)
        index = data["source_index"][data[f"t/{name}/idx"]]
        rows = zip(index, data[f"t/{name}/delta"].astype(np.float64).tolist(), strict=True)
        path.write_text("# MakeHuman target\n" + "".join(f"{i} {x!r} {y!r} {z!r}\n" for i, (x, y, z) in rows))
    if (compact / "stand_ins.json").is_file():
        shutil.copy(compact / "stand_ins.json", root)
    for kind in (compact / "proxies").iterdir():
        shutil.copytree(kind, root / kind.name)
    for kind in (compact / "textures").iterdir():
        if kind.name == "skin":
            for picture in kind.iterdir():
                (root / "skins" / picture.stem).mkdir(parents=True)
                shutil.copy(picture, root / "skins" / picture.stem)
        else:
            shutil.copytree(kind, root / kind.name / "materials")


def _write_obj(data: dict[str, np.ndarray], path: Path) -> None:
    vertices = np.zeros((BASE_VERTICES, 3))
    vertices[data["source_index"]] = data["vertices"]
    lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u!r} {v!r}" for u, v in data["uv"].tolist()]
    group = -1
    for face, corners, number in zip(data["faces"], data["face_uv"], data["face_group"], strict=True):
        if number != group:
            group = number
            lines.append(f"g {data['group_names'][number]}")
        points = data["source_index"][face] + 1
        lines.append("f " + " ".join(f"{p}/{c + 1}" for p, c in zip(points, corners, strict=True)))
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")
