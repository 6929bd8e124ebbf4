"""A head model is read alike from both layouts, and errors name what is missing."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.head.assets import find_texture, load_head, load_proxy, proxy_names
from dithead.synth.head.head_model import proxy_scale
from dithead.synth.head.makehuman_files import read_target

# A unit square at head height, a second one below the cut, one shape key, one proxy floating before the first square.
OBJ = """v 0 7 0
v 1 7 0
v 1 8 0
v 0 8 0
v 0 1 0
v 1 1 0
v 1 2 0
v 0 2 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
g body
f 1/1 2/2 3/3 4/4
f 5/1 6/2 7/3 8/4
g helper-tongue
f 4/1 3/2 2/3
"""
PROXY_OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 9 9 9\nvt 0 0\nf 1/1 2/1 3/1\nf 2/1 3/1 4/1\n"
PROXY = """# comment
x_scale 0 1 2.0
verts 0
0 1 2 0.5 0.5 0.0 0.0 0.0 0.3
1
2
4 5 6 0.2 0.3 0.5 0 0 0
delete_verts
"""


@pytest.fixture
def official(tmp_path: Path) -> Path:
    (tmp_path / "3dobjs").mkdir()
    (tmp_path / "3dobjs" / "base.obj").write_text(OBJ)
    (tmp_path / "targets" / "nose").mkdir(parents=True)
    (tmp_path / "targets" / "nose" / "nose-up.target").write_text("# basemesh hm08\n2 0 .5 0\n6 1 1 1\n")
    (tmp_path / "hair" / "cap").mkdir(parents=True)
    (tmp_path / "hair" / "cap" / "cap.mhclo").write_text(PROXY)
    (tmp_path / "hair" / "cap" / "cap.obj").write_text(PROXY_OBJ)
    return tmp_path


def test_the_official_layout_is_cut_at_the_shoulders(official: Path) -> None:
    head = load_head(official)
    assert head.vertices.tolist() == [[0, 7, 0], [1, 7, 0], [1, 8, 0], [0, 8, 0]]
    assert head.source_index.tolist() == [0, 1, 2, 3]
    assert {name: len(faces) for name, faces in head.groups.items()} == {"body": 1, "helper-tongue": 1}
    assert head.mesh.faces[head.groups["helper-tongue"]].tolist() == [[3, 2, 1, 1]]


def test_a_target_keeps_what_lies_above_the_cut(official: Path) -> None:
    head = load_head(official)
    key = head.key("nose/nose-up")
    assert key.index.tolist() == [2]
    np.testing.assert_allclose(key.delta, [[0, 0.5, 0]])
    index, delta = read_target(official / "targets" / "nose" / "nose-up.target")
    assert index.tolist() == [2, 6]
    assert delta.shape == (2, 3)


def test_compressed_targets_are_read_alike(official: Path) -> None:
    expected = load_head(official).key("nose/nose-up")
    plain = official / "targets" / "nose" / "nose-up.target"
    plain.with_suffix(".target.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    head = load_head(official)
    assert head.key_names == {"nose/nose-up"}
    np.testing.assert_array_equal(head.key("nose/nose-up").index, expected.index)
    np.testing.assert_array_equal(head.key("nose/nose-up").delta, expected.delta)


def test_both_layouts_give_the_same_head(official: Path, tmp_path: Path) -> None:
    expected = load_head(official)
    small = tmp_path / "small"
    small.mkdir()
    group = np.zeros(len(expected.mesh.faces), np.int16)
    group[expected.groups["helper-tongue"]] = 1
    np.savez(
        small / "head.npz",
        vertices=expected.vertices, faces=expected.mesh.faces, face_uv=expected.mesh.face_uv, uv=expected.mesh.uv,
        face_group=group, group_names=np.array(["body", "helper-tongue", "unused"]), source_index=expected.source_index,
        **{"t/nose/nose-up/idx": np.array([2]), "t/nose/nose-up/delta": np.array([[0, 0.5, 0]], np.float16)},
    )  # fmt: skip
    loaded = load_head(small)
    np.testing.assert_array_equal(loaded.vertices, expected.vertices)
    np.testing.assert_array_equal(loaded.mesh.faces, expected.mesh.faces)
    assert set(loaded.groups) == set(expected.groups)
    np.testing.assert_allclose(loaded.key("nose/nose-up").delta, expected.key("nose/nose-up").delta)
    np.savez(small / "faceunits.npz", **{"u/jawOpen/idx": np.array([3]), "u/jawOpen/delta": np.array([[0, -1, 0]])})
    assert load_head(small).key_names == {"nose/nose-up", "faceunits/jawOpen"}
    assert load_head(small).key("faceunits/jawOpen").index.tolist() == [3]


def test_a_proxy_follows_the_head_and_loses_faces_below_the_cut(official: Path) -> None:
    head = load_head(official)
    assert proxy_names(head, "hair") == ["cap"]
    proxy = load_proxy(head, "hair", "cap")
    np.testing.assert_allclose(proxy_scale(proxy, head.vertices), [0.5, 1, 1])
    at = (head.vertices[proxy.index] * proxy.weight[..., None]).sum(axis=1) + proxy.offset
    np.testing.assert_allclose(at[:3], [[0.5, 7, 0.3], [1, 7, 0], [1, 8, 0]])
    assert len(proxy.mesh.faces) == 1, "the face bound below the cut is left out"


def test_another_part_stands_in_where_the_folder_says_so(official: Path) -> None:
    (official / "stand_ins.json").write_text('{"hair/wig": "hair/cap", "eyes/red.png": "eyes/blue.png"}')
    (official / "textures" / "eyes").mkdir(parents=True)
    (official / "textures" / "eyes" / "blue.png").write_bytes(b"")
    head = load_head(official)
    np.testing.assert_array_equal(load_proxy(head, "hair", "wig").offset, load_proxy(head, "hair", "cap").offset)
    assert find_texture(official, "eyes", "red.png").name == "blue.png"
    with pytest.raises(DataError, match="beret"):
        load_proxy(head, "hair", "beret")


@pytest.mark.parametrize("content", [None, b"", b"not a zip"])
def test_no_head_model_is_one_clear_error(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "head.npz").write_bytes(content)
    with pytest.raises(DataError, match=str(tmp_path)):
        load_head(tmp_path)


def test_unknown_keys_and_proxies_are_named(official: Path) -> None:
    head = load_head(official)
    with pytest.raises(DataError, match="nose/none"):
        head.key("nose/none")
    with pytest.raises(DataError, match="wig"):
        load_proxy(head, "hair", "wig")
