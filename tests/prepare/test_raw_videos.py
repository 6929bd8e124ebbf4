"""The identity and licence of every raw video, and its side of the split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dithead.errors import DataError
from dithead.prepare.raw_videos import choose_validation_people, find_raw_videos


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find(raw: Path, **options):
    return find_raw_videos(raw, raw / "dataset", **options)


def test_identity_is_the_folder_unless_the_sidecar_says_otherwise(tmp_path):
    touch(tmp_path, "people/s23/a.mkv", "mixed/x.mp4", "mixed/y.mp4", "one/b.MOV", "top.avi")
    sidecar = {"mixed": {"identity": "file"}, "one": {"identity": "anna"}}
    (tmp_path / "SOURCES.json").write_text(json.dumps(sidecar))
    identities = {s.relative: s.identity for s in find(tmp_path)}
    assert identities == {
        "mixed/x.mp4": "x",
        "mixed/y.mp4": "y",
        "one/b.MOV": "anna",
        "people/s23/a.mkv": "s23",
        "top.avi": tmp_path.name,
    }
    by_file = {s.relative: s.identity for s in find(tmp_path, identity="file")}
    assert by_file["people/s23/a.mkv"] == "a"
    assert by_file["one/b.MOV"] == "anna"  # the sidecar counts more


def test_the_longest_prefix_decides_and_options_fill_in(tmp_path):
    touch(tmp_path, "a/b/1.mp4", "a/2.mp4", "c/3.mp4")
    sidecar = {"a": {"licence": "CC BY 4.0", "source": "A"}, "a/b": {"licence": "CC0", "audio_offset": 0.08}}
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(sidecar))
    found = {s.relative: s for s in find(tmp_path, sidecar=elsewhere, source="mine", licence="private")}
    assert [found[n].licence for n in ("a/b/1.mp4", "a/2.mp4", "c/3.mp4")] == ["CC0", "CC BY 4.0", "private"]
    assert [found[n].source for n in ("a/b/1.mp4", "a/2.mp4", "c/3.mp4")] == ["mine", "A", "mine"]
    assert found["a/b/1.mp4"].audio_offset == 0.08


def test_only_videos_count_in_a_fixed_order_and_never_the_output(tmp_path):
    touch(tmp_path, "b.mp4", "a.mkv", "c.txt", ".hidden.mp4", ".git/d.mp4", "dataset/clips/x/crop.mp4")
    assert [s.relative for s in find(tmp_path)] == ["a.mkv", "b.mp4"]


def test_slugs_are_safe_and_unique(tmp_path):
    touch(tmp_path, "a/b.mp4", "a-b.mp4", "A/B.mkv", "a/b.mkv", "é ö.mp4", "a/b.c.mp4")
    slugs = [s.slug for s in find(tmp_path)]
    assert len({s.lower() for s in slugs}) == len(slugs) == 6
    assert all(s.isascii() and "/" not in s and " " not in s and not s.startswith(".") for s in slugs)
    assert slugs == [s.slug for s in find(tmp_path)]


@pytest.mark.parametrize("text", ["[1, 2]", "{", '{"a": {"license": "typo"}}', '{"a": 3}'])
def test_a_sidecar_that_is_not_understood_is_named(tmp_path, text):
    touch(tmp_path, "a.mp4")
    (tmp_path / "SOURCES.json").write_text(text)
    with pytest.raises(DataError, match=r"SOURCES\.json"):
        find(tmp_path)


def test_missing_and_empty_folders_are_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        find(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no video"):
        find(tmp_path)
    touch(tmp_path, "a.mp4")
    with pytest.raises(DataError, match="no such file"):
        find(tmp_path, sidecar=tmp_path / "gone.json")


def test_held_out_people():
    people = [f"p{i}" for i in range(400)]
    held = choose_validation_people(people, 0.1, ())
    assert 20 < len(held) < 60
    assert choose_validation_people(people[:200], 0.1, ()) == held & set(people[:200])  # newcomers move nobody
    assert choose_validation_people(people, 0.1, ["p3"]) == {"p3"}
    assert choose_validation_people(people, 0, ()) == frozenset()
    assert all(len(choose_validation_people([f"{i}a", f"{i}b"], 0.1, ())) == 1 for i in range(20))
    assert choose_validation_people(["only"], 0.5, ()) == frozenset()
    with pytest.raises(DataError, match="nobody"):
        choose_validation_people(people, 0.1, ["nobody"])
