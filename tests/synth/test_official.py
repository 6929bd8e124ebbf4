"""MakeHuman's own layout gives the same person, to the pixel, as the compact form of the same head."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.assets import find_texture, load_head
from dithead.synth.body import Body
from dithead.synth.clip import camera_of
from dithead.synth.identity import sample_identity
from dithead.synth.motion import rotation
from dithead.synth.person import Person, uniforms
from dithead.synth.scene import sample_setting

BASE_VERTICES = 19158  # of MakeHuman's base.obj, most of them below the shoulders
_TARGETS = {"macro": "macrodetails", "expression": "expression/units"}


def write_official(compact: Path, root: Path) -> None:
    """Write the compact head as MakeHuman's ``data`` folder would hold it; what lies below the cut is made up."""
    with np.load(compact / "head.npz") as stored:
        data = {name: stored[name] for name in stored.files}
    _write_obj(data, root / "3dobjs" / "base.obj")
    for name in (name[2:-4] for name in data if name.endswith("/idx")):
        first, _, rest = name.partition("/")
        path = root / "targets" / _TARGETS.get(first, first) / f"{rest}.target"
        path.parent.mkdir(parents=True, exist_ok=True)
        index = data["source_index"][data[f"t/{name}/idx"]]
        rows = zip(index, data[f"t/{name}/delta"].astype(np.float64), strict=True)
        path.write_text("# MakeHuman target\n" + "".join(f"{i} {x!r} {y!r} {z!r}\n" for i, (x, y, z) in rows))
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


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory, head_folder: Path) -> Path:
    root = tmp_path_factory.mktemp("makehuman")
    write_official(head_folder, root)
    return root


def test_the_same_head(official: Path, head_folder: Path) -> None:
    here, there = load_head(official), load_head(head_folder)
    np.testing.assert_array_equal(here.source_index, there.source_index)
    np.testing.assert_array_equal(here.vertices, there.vertices)
    np.testing.assert_array_equal(here.mesh.faces, there.mesh.faces)
    assert there.key_names <= here.key_names
    for name in ("macro/african-female-old", "expression/asian/mouth-open"):
        np.testing.assert_array_equal(here.key(name).index, there.key(name).index)
        np.testing.assert_allclose(here.key(name).delta, there.key(name).delta, atol=1e-6)


def test_the_same_person_to_the_pixel(official: Path, head_folder: Path, stage) -> None:
    drawn = []
    for folder in (head_folder, official):
        body = Body(load_head(folder))
        who = sample_identity(21, frozenset(load_head(head_folder).key_names))
        person, setting = Person(body, who), sample_setting(21)
        person.dress(stage, setting, np.random.default_rng(3))
        person.pose({"mouth-open": 0.3})
        still = np.zeros(3, np.float32)
        scene = uniforms(person, setting, rotation(0, 0, 0), still)
        drawn.append(stage.draw(camera_of(person, setting, still[:2]), scene))
    np.testing.assert_array_equal(drawn[0], drawn[1])


def test_a_missing_texture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"brown_eye\.png"):
        find_texture(tmp_path, "eyes", "brown_eye.png")
