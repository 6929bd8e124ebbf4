"""Small raw videos, made from the synthetic presenters in the repository."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = sorted((Path(__file__).parents[2] / "examples" / "presenters").glob("*.mp4"))
FRAMES = 30


@pytest.fixture(scope="session")
def presenter() -> np.ndarray:
    """The first frames (30, 256, 256, 3) of a presenter."""
    import cv2

    if not PRESENTERS:
        pytest.skip("no presenter in examples/presenters; make them with examples/make_material.py")
    frames = [f.pixels for f in islice(read_frames(PRESENTERS[0]), FRAMES)]
    return np.stack([cv2.resize(f, (256, 256), interpolation=cv2.INTER_AREA) for f in frames])


@pytest.fixture(scope="session")
def write_video():
    """Write frames as a video, with noise of a given level for sound, or without a sound track."""

    def write(path: Path, frames: np.ndarray, *, fps: int = 25, sound: bool = True, level: float = 0.1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = frames.shape[1:3]
        rng = np.random.default_rng(0)
        wave = (level * rng.standard_normal(round(16000 * len(frames) / fps))).astype(np.float32)
        audio = (wave, 16000) if sound else None
        with VideoWriter(path, VideoInfo(width, height, Fraction(fps)), audio=audio) as writer:
            for frame in frames:
                writer.write(frame)
        return path

    return write


@pytest.fixture(scope="session")
def raw(tmp_path_factory, presenter, write_video) -> Path:
    """A raw folder with good and bad videos."""
    folder = tmp_path_factory.mktemp("raw")
    write_video(folder / "people" / "ann" / "hello there.mp4", presenter)
    write_video(folder / "people" / "bob" / "talk.mkv", presenter[::-1])
    write_video(folder / "silent.mp4", presenter[:5], sound=False)
    write_video(folder / "empty room.mp4", np.full((12, 128, 128, 3), 90, np.uint8))
    write_video(folder / "blink.mp4", presenter[:10])
    tiny = np.full((30, 256, 256, 3), 90, np.uint8)
    tiny[:, 100:156, 100:156] = presenter[:, 2::4, 2::4][:, :56, :56]
    write_video(folder / "far away.mp4", tiny)
    (folder / "text.mp4").write_text("this is no video")
    (folder / "notes.txt").write_text("not looked at")
    return folder
