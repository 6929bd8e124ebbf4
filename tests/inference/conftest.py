"""A tiny untrained model, a few frames of a rendered presenter, and files made from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.landmarks import FaceLandmarker
from dithead.media.audio import write_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.planes import planes_of_rgb
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.types import RGB, Landmarks

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"


@pytest.fixture(scope="session")
def pictures() -> list[RGB]:
    """The first 12 frames of a presenter, at half size."""
    return [
        cv2.resize(f.pixels, (256, 256), interpolation=cv2.INTER_AREA)
        for f in islice(read_frames(PRESENTERS / "mia.mp4"), 12)
    ]


@pytest.fixture(scope="session")
def seen(pictures: list[RGB]) -> tuple[RGB, Landmarks, Landmarks]:
    """Crop (160, 160, 3) of one of the pictures, the landmarks (478, 2) in it, and those in the picture."""
    with FaceLandmarker() as landmarker:
        face = landmarker.detect(pictures[4])[0]
    move = crop_transform(face, 160)
    return warp_crop(pictures[4], move, 160), transform_points(face, move).astype(np.float32), face


@pytest.fixture
def footage(tmp_path: Path) -> Callable[..., Path]:
    """Write pictures losslessly as a video and return its path."""

    def write(frames: Iterable[RGB], name: str = "source.mkv", stamps: list[int] | None = None, **tags) -> Path:
        frames = list(frames)
        height, width = frames[0].shape[:2]
        info = VideoInfo(width, height, tags.pop("fps", Fraction(25)), **tags)
        with VideoWriter(tmp_path / name, info, EncoderOptions(lossless=True)) as writer:
            for k, frame in enumerate(frames):
                writer.write(frame, None if stamps is None else stamps[k], info.time_base)
        return tmp_path / name

    return write


@pytest.fixture
def turned_footage(tmp_path: Path) -> Callable[[Iterable[RGB], int], Path]:
    """Write pictures as phones do: stored lying on their side, with the quarter turn that players undo."""

    def write(frames: Iterable[RGB], turn: int) -> Path:
        lying = [np.ascontiguousarray(np.rot90(frame, -turn // 90)) for frame in frames]
        height, width = lying[0].shape[:2]
        encoding = VideoInfo(width, height, Fraction(25)).encoding
        with av.open(str(tmp_path / "turned.mp4"), "w") as media:
            stream = media.add_stream("libx264", rate=25, options={"qp": "0"})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
            stream.set_display_rotation(turn)
            for k, picture in enumerate(lying):
                frame = planes_of_rgb(picture, "yuv444p", encoding).to_frame()
                frame.pts = k
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
        return tmp_path / "turned.mp4"

    return write


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    """0.6 seconds of sound."""
    t = np.arange(9600) / 16000
    write_audio(tmp_path / "speech.wav", (0.3 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32), 16000)
    return tmp_path / "speech.wav"
