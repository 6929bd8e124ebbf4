"""Makes the source videos that are measured: presenters, scaled and padded to a size, played back and forth."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np

from dithead.bench.options import BenchCase
from dithead.errors import ConfigError
from dithead.media.audio import read_audio
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter
from dithead.types import RGB

FPS = Fraction(25)
CRF = 20.0
"""Quality of the source videos: about that of a phone or a platform, 2 to 8 Mb/s at 1080p (our choice)."""
_SHIPPED = Path(__file__).parents[3] / "examples" / "presenters"  # in a clone; an installed package has none
_RATE = 16_000  # of the sound, Hz


def presenter_videos(folder: Path | None, count: int) -> list[Path]:
    """Return ``count`` videos of a folder, or the shipped presenters. Raises ConfigError when there are fewer."""
    found = sorted((folder or _SHIPPED).glob("*.mp4"))
    if len(found) < count:
        raise ConfigError(
            f"{folder or _SHIPPED}: needs {count} videos (.mp4) of people who speak; "
            "give such a folder with --presenters"
        )
    return found[:count]


def write_clip(path: Path, case: BenchCase, presenters: list[Path], seconds: float) -> None:
    """Write one source video, with the first presenter's sound repeated as often as needed.

    Args:
        path: The video to write.
        case: Its size and number of faces.
        presenters: A video for each face.
        seconds: Its length.
    """
    count = round(seconds * FPS)
    voice = np.resize(read_audio(presenters[0], _RATE), round(seconds * _RATE))
    pictures = zip(*(_back_and_forth(each) for each in presenters), strict=False)
    info, quality = VideoInfo(case.width, case.height, FPS), EncoderOptions(crf=CRF)
    with VideoWriter(path, info, quality, audio=(voice, _RATE)) as writer:
        for faces in islice(pictures, count):
            writer.write(arranged(list(faces), case))


def arranged(faces: list[RGB], case: BenchCase) -> RGB:
    """Place pictures (h, w, 3) side by side at the bottom of a picture of the case's size.

    The rest shows the first one, enlarged and heavily blurred.
    """
    if (case.width, case.height) == (case.side, case.side):
        return _scaled(faces[0], case.side)
    small = cv2.GaussianBlur(_scaled(faces[0], 48), (0, 0), 6)
    picture = cv2.resize(small, (case.width, case.height), interpolation=cv2.INTER_CUBIC)
    gap = (case.width - case.side * len(faces)) // (len(faces) + 1)
    for k, face in enumerate(faces):
        left = gap + k * (case.side + gap)
        picture[case.height - case.side :, left : left + case.side] = _scaled(face, case.side)
    return np.asarray(picture, np.uint8)


def _back_and_forth(video: Path) -> Iterator[RGB]:
    frames = [frame.pixels for frame in read_frames(video)]
    return cycle([*frames, *frames[-2:0:-1]])


def _scaled(picture: RGB, side: int) -> RGB:
    if picture.shape[0] == side:
        return picture
    how = cv2.INTER_CUBIC if side > picture.shape[0] else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)
