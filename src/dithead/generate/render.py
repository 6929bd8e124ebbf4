"""Second pass over the video: frames stream through the model and into the output. S: crop side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dithead.face.align import invert, transform_points, transform_scale, warp_crop
from dithead.face.composite import match_colour, paste_patch
from dithead.face.masks import polygon_mask
from dithead.generate.mouths import MouthMaker
from dithead.generate.survey import Run, Survey
from dithead.media.planes import Planes, planes_of
from dithead.media.video import VideoFrame
from dithead.types import RGB, Mask, Similarity

FEATHER = 0.06  # width of the blend inside the mask's edge, as a fraction of S


@dataclass
class Shown:
    """A source frame on its way out: which frame of the survey it is, and what is heard meanwhile."""

    frame: VideoFrame
    index: int  # of the surveyed frame
    time: float  # seconds in the speech track


def render(
    shown: Iterable[Shown], survey: Survey, maker: MouthMaker, pix_fmt: str, batch: int
) -> Iterator[tuple[Shown, Planes]]:
    """Yield each frame with its new planes, in order; at most ``batch`` frames are held."""
    held: list[Shown] = []
    run: Run | None = None
    for item in shown:
        here = survey.run_at(item.index)
        if held and (here is not run or len(held) >= batch):
            yield from _flush(held, run, maker, pix_fmt)
            held = []
        run = here
        held.append(item)
    yield from _flush(held, run, maker, pix_fmt)


def _flush(held: list[Shown], run: Run | None, maker: MouthMaker, pix_fmt: str) -> Iterator[tuple[Shown, Planes]]:
    planes = [planes_of(s.frame.native, pix_fmt, s.frame.encoding, s.frame.rotation) for s in held]
    if run is not None and held:
        size = maker.talker.size
        moves = [run.transforms[s.index - run.start] for s in held]
        views = [_view(p, move, size) for p, move in zip(planes, moves, strict=True)]
        crops = np.stack([warp_crop(v.pixels, v.move, size) for v in views])
        drawn = maker.draw(run, crops, np.array([s.time for s in held]))
        whole, soft = polygon_mask(run.polygon, size), polygon_mask(run.polygon, size, feather=FEATHER * size)
        for s, p, view, crop, mouth in zip(held, planes, views, crops, drawn, strict=True):
            tinted = match_colour(mouth, crop, whole)
            _put(p, view, tinted, soft * np.float32(run.strength(s.index)))
    yield from zip(held, planes, strict=True)


@dataclass
class _View:
    """The part of a frame around the face in RGB: converting all of a large frame would cost more than drawing."""

    pixels: RGB  # (h, w, 3)
    top: int
    left: int
    move: Similarity  # from these pixels to the crop


def _view(planes: Planes, move: Similarity, size: int) -> _View:
    height, width = planes.arrays[0].shape
    corners = transform_points(np.array([[0, 0], [size, 0], [0, size], [size, size]]), invert(move))
    margin = 8 + 3 / transform_scale(move)  # more than warping and chroma interpolation reach
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    left, top = (int(np.clip(v, 0, limit - 2)) // 2 * 2 for v, limit in zip(low, (width, height), strict=True))
    right, bottom = min(width, max(left + 2, int(high[0]))), min(height, max(top + 2, int(high[1])))
    local = move.copy()
    local[:, 2] += move[:, :2] @ (left, top)
    return _View(planes.rgb(top, left, bottom, right), top, left, local)


def _put(planes: Planes, view: _View, mouth: RGB, mask: Mask) -> None:
    patch = paste_patch(view.pixels, mouth, view.move, mask)
    if patch is not None:
        planes.add_rgb_difference(patch.difference, view.top + patch.top, view.left + patch.left)
