"""What was made from a video goes when another file takes the video's name; everything else stays."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dithead.evaluate.source_files import discard_replaced, noted_sources
from dithead.media.files import file_fingerprint

DRIVERS = {"a": "a.b", "a.b": "a"}
MADE = (
    "clips/{}.json",
    "clips/{}.npz",
    "videos/copy_input/self/{}.mp4",
    "videos/ours/cross/{}.mp4",
    "videos/ours/cross/{}.json",
    "videos/portraits/{}.png",
    "previews/{}_self.mp4",
    "previews/{}_cross.jpg",
)
MEASURED_AND_DRIVEN = {MADE[0], MADE[1], MADE[3], MADE[4], MADE[7]}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    for clip in DRIVERS:
        (tmp_path / f"{clip}.mp4").write_text(clip)
        for name in MADE:
            path = tmp_path / "report" / name.format(clip)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return tmp_path / "report"


def discard(report: Path, drivers: dict[str, str] = DRIVERS) -> tuple[str, ...]:
    files = {clip: [file_fingerprint(report.parent / f"{clip}.mp4")] for clip in drivers}
    return discard_replaced(report, files, drivers)


def gone(report: Path, clip: str) -> set[str]:
    return {name for name in MADE if not (report / name.format(clip)).exists()}


def test_a_report_without_notes_stays_and_gets_them(report: Path) -> None:
    assert not noted_sources(report)
    assert discard(report) == ()
    assert noted_sources(report).keys() == DRIVERS.keys()
    assert discard(report) == ()
    assert gone(report, "a") == gone(report, "a.b") == set()


def test_all_that_was_made_of_a_replaced_video_goes_and_what_its_speech_drove(report: Path) -> None:
    discard(report)
    (report.parent / "a.mp4").write_text("another")
    assert discard(report) == ("a", "a.b")
    assert gone(report, "a") == set(MADE)
    assert gone(report, "a.b") == MEASURED_AND_DRIVEN
    assert discard(report) == ()


def test_a_video_of_the_same_size_is_known_by_its_time(report: Path) -> None:
    discard(report, {"a": "a"})
    os.utime(report.parent / "a.mp4", ns=(1, 1))
    assert discard(report, {"a": "a"}) == ("a",)


def test_another_driver_discards_what_the_earlier_one_drove(report: Path) -> None:
    discard(report)
    assert discard(report, {"a": "a", "a.b": "a"}) == ("a",)
    assert gone(report, "a") == MEASURED_AND_DRIVEN
    assert gone(report, "a.b") == set()


def test_a_missing_file_is_left_to_whoever_reads_it(report: Path) -> None:
    (report.parent / "a.mp4").unlink()
    assert discard(report) == ()
