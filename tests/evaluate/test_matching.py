"""Names of a tool's videos are matched loosely, and never in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from dithead.errors import DataError
from dithead.evaluate.matching import match_videos, videos_of


def paths(*names: str) -> dict[str, Path]:
    return {Path(name).stem: Path(name) for name in names}


@pytest.mark.parametrize(
    ("made", "true", "pairs"),
    [
        (["a.mp4"], ["a.mkv", "b.mkv"], {"a": "a.mp4"}),
        (["Clip-1.mp4"], ["clip_1.mkv", "clip_2.mkv"], {"clip_1": "Clip-1.mp4"}),
        (["clip1_musetalk.mp4", "clip2_musetalk.mp4"], ["clip1.mp4", "clip2.mp4"],
         {"clip1": "clip1_musetalk.mp4", "clip2": "clip2_musetalk.mp4"}),
        (["out_clip1.mp4", "out_clip12.mp4"], ["clip1.mp4", "clip12.mp4"],
         {"clip1": "out_clip1.mp4", "clip12": "out_clip12.mp4"}),
        (["anna_001_x.mp4"], ["anna.mp4", "anna_001.mp4"], {"anna_001": "anna_001_x.mp4"}),
        (["a_v1.mp4", "a_v2.mp4", "b.mp4"], ["a.mp4", "b.mp4"], {"b": "b.mp4"}),
        (["whatever.mp4"], ["truth.mp4"], {"truth": "whatever.mp4"}),
        (["a.mp4", "a_new.mp4"], ["a.mp4", "b.mp4"], {"a": "a.mp4"}),
        (["Zoe\u0301.mp4", "b.mp4"], ["Zo\u00e9.mp4", "b.mp4"], {"Zo\u00e9": "Zoe\u0301.mp4", "b": "b.mp4"}),
    ],
)  # fmt: skip
def test_which_video_belongs_to_which(made: list[str], true: list[str], pairs: dict[str, str]) -> None:
    found = match_videos("tool", paths(*made), paths(*true))
    assert {name: str(path) for name, path in found.videos.items()} == pairs


def test_what_was_matched_loosely_and_what_was_left_out_is_said() -> None:
    made = paths("one_x.mp4", "two.mp4", "odd.mp4", "three_v1.mp4", "three_v2.mp4")
    found = match_videos("tool", made, paths("one.mp4", "two.mp4", "three.mp4"))
    assert found.notes == [
        "tool: one_x.mp4 is measured as one",
        "tool: odd.mp4 is left out, no true video is called 'odd'",
        "tool: three_v1.mp4 is left out, no true video is called 'three_v1'; is it three? Then rename it",
        "tool: three_v2.mp4 is left out, no true video is called 'three_v2'; is it three? Then rename it",
    ]


def test_no_pair_is_an_error_that_names_some() -> None:
    with pytest.raises(DataError, match=r"tool: no video is named like a true one \(x, y against a, b\)"):
        match_videos("tool", paths("x.mp4", "y.mp4"), paths("a.mp4", "b.mp4"))


def test_a_single_file_is_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    (tmp_path / "a.txt").touch()
    assert videos_of(tmp_path / "a.mp4") == {"a": tmp_path / "a.mp4"}
    assert list(videos_of(tmp_path)) == ["a"]
    with pytest.raises(DataError, match="is no video"):
        videos_of(tmp_path / "a.txt")
