"""Writes contact sheets: a picture with frames of several videos in rows, taken at the same moments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import cv2
import numpy as np

from dithead.errors import OutputError
from dithead.media.files import printable, replacing, require_output
from dithead.media.video import probe, read_frames
from dithead.types import RGB

Video = str | PathLike[str]


def write_sheet(
    rows: Sequence[tuple[str, Video]], output: str | PathLike[str], columns: int = 8, height: int = 192
) -> Path:
    """Write a contact sheet.

    Args:
        rows: Label and video of each row.
        output: A name that ends in .png or .jpg.
        columns: Frames of each row, spread evenly over the first video; every row shows the same moments.
        height: Height of a row in pixels.

    Returns:
        The file written.
    """
    moments = _moments(rows[0][1], columns)
    return _save_strips([_row(label, video, moments, height) for label, video in rows], output)


def write_comparison_sheet(
    source: tuple[str, Video],
    made: tuple[str, Video],
    output: str | PathLike[str],
    *,
    start: float = 0.0,
    columns: int = 8,
    height: int = 192,
) -> Path:
    """Write a contact sheet of a source and of what was made of a part of it, or of a picture.

    Args:
        source: Label and video, or picture, of the upper row.
        made: Label and video of the lower row, over which the moments are spread.
        output: A name that ends in .png or .jpg.
        start: Seconds of the source at which the part begins.
        columns: Frames of each row.
        height: Height of a row in pixels.

    Returns:
        The file written. The upper row is black where the source has ended.
    """
    moments, info = _moments(made[1], columns), probe(source[1])
    offset = round(start * float(info.fps))
    shown = [0] * columns if info.still else [moment + offset for moment in moments]
    return _save_strips([_row(*source, shown, height), _row(*made, moments, height)], output)


def _save_strips(strips: Sequence[RGB], output: str | PathLike[str]) -> Path:
    """Write rows (height, W, 3) of any widths one below the other."""
    width = max(strip.shape[1] for strip in strips)
    sheet = np.concatenate([np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0))) for s in strips])
    return save_picture(sheet, output)


def save_picture(picture: RGB, output: str | PathLike[str]) -> Path:
    """Write a picture (H, W, 3) as PNG or JPEG by suffix; the file appears whole or not at all."""
    output = Path(output)
    require_picture_name(output)
    encoded, data = cv2.imencode(output.suffix, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    assert encoded
    with replacing(output) as temporary:
        temporary.write_bytes(data.tobytes())
    return output


def require_picture_name(path: Path) -> None:
    """Raise OutputError unless the name ends as that of a picture that can be written."""
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise OutputError(f"{printable(path)}: write the picture to a name that ends in .png or .jpg")


def require_picture_output(path: Path, inputs: Iterable[Path]) -> None:
    """Raise OutputError unless a picture can be made at ``path``, and it is none of the ``inputs``."""
    require_picture_name(path)
    require_output(path, inputs)


def _moments(video: Video, count: int) -> list[int]:
    """Indices of ``count`` frames spread evenly over a video."""
    frames = sum(1 for _ in read_frames(video))
    return [round((i + 0.5) * frames / count - 0.5) for i in range(count)]


def _row(label: str, video: Video, moments: list[int], height: int) -> RGB:
    """The frames of the moments side by side (height, W, 3), labelled, black where the video has ended."""
    found = {f.index: _scaled(f.pixels, height) for f in read_frames(video) if f.index in moments}
    info = probe(video)
    blank = _scaled(np.zeros((info.height, info.width, 3), np.uint8), height)
    row = np.ascontiguousarray(np.concatenate([found.get(i, blank) for i in moments], axis=1))
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(row, label, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
    return row


def _scaled(pixels: RGB, height: int) -> RGB:
    width = round(pixels.shape[1] * height / pixels.shape[0])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
