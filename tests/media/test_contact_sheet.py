"""Sheets of frames from two videos, side by side."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dithead.media.contact_sheet import write_comparison_sheet
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter


def white(path: Path, frames: int) -> Path:
    with VideoWriter(path, VideoInfo(96, 64, Fraction(25))) as writer:
        for _ in range(frames):
            writer.write(np.full((64, 96, 3), 255, np.uint8))
    return path


def test_a_source_that_ends_before_the_first_moment_of_the_output_is_a_black_row(tmp_path: Path) -> None:
    videos = white(tmp_path / "short.mp4", 5), white(tmp_path / "long.mp4", 400)
    pairs = [(label, path) for label, path in zip(("source", "output"), videos, strict=True)]
    sheet = cv2.imread(str(write_comparison_sheet(*pairs, tmp_path / "sheet.png")))
    above, below = np.split(sheet, 2)
    assert (above.max(axis=2) == 0).mean() > 0.9
    assert (below.min(axis=2) > 250).mean() > 0.9
    assert above.shape == below.shape
