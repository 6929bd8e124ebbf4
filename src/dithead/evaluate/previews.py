"""Writes what a report shows of each clip: a sheet of stills over time, and a short video of source and output."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter
from dithead.types import RGB, Wave

STILLS = 8  # columns of a sheet
_SIDE = 192  # pixels of one picture
_BAR = 20  # pixels, height of a label
_CRF = 26.0  # small files, because the report's page holds all of them

Crops = NDArray[np.uint8]  # (N, S, S, 3)


def still_sheet(rows: dict[str, Crops], columns: int = STILLS, side: int = _SIDE) -> RGB:
    """Return a sheet with a labelled line of pictures for each entry, evenly spaced in time."""
    return np.concatenate([_strip(label, crops, columns, side) for label, crops in rows.items()])


def save_jpeg(path: Path, picture: RGB, quality: int = 88) -> None:
    """Write a picture (H, W, 3) whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    done, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "a JPEG of an 8-bit picture always encodes"
    temporary = path.with_name(f".{path.name}.part")
    temporary.write_bytes(data.tobytes())
    temporary.replace(path)


def side_by_side(path: Path, crops: list[Crops], fps: Fraction, audio: tuple[Wave, int] | None) -> None:
    """Write a small video of several crops side by side, and its middle frame as .jpg.

    Args:
        path: The video.
        crops: Aligned crops (N, S, S, 3) of each; the video is as long as the shortest.
        fps: Frame rate.
        audio: Sound (n,) and its rate, or None.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    middle = min(map(len, crops)) // 2
    save_jpeg(path.with_suffix(".jpg"), _beside([c[middle] for c in crops]), 80)
    like = VideoInfo(width=_SIDE * len(crops), height=_SIDE, fps=fps, pix_fmt="yuv420p")
    with VideoWriter(path, like, EncoderOptions(crf=_CRF), audio=audio) as writer:
        for pictures in zip(*crops, strict=False):
            writer.write(_beside(pictures))


def _beside(pictures: Sequence[RGB]) -> RGB:
    return np.concatenate([_small(picture, _SIDE) for picture in pictures], axis=1)


def _strip(label: str, crops: Crops, columns: int, side: int) -> RGB:
    picks = np.linspace(0, len(crops) - 1, columns + 2).round().astype(int)[1:-1]
    pictures = np.concatenate([_small(crops[i], side) for i in picks], axis=1)
    bar = np.full((_BAR, pictures.shape[1], 3), 32, np.uint8)
    cv2.putText(bar, label, (6, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
    return np.concatenate([bar, pictures])


def _small(picture: RGB, side: int) -> RGB:
    return np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
