"""Second pass over the video: frames stream through the model and into the output. S: crop side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dithead.face.alignment import invert, transform_points, transform_scale, warp_crop
from dithead.face.compositing import match_colour
from dithead.face.masks import jaw_mask, polygon_mask
from dithead.inference.analyse.first_pass import Survey
from dithead.inference.analyse.tracklet import Run
from dithead.inference.compose.blend_mask import faithful, mouth_core, newness
from dithead.inference.compose.detail_transfer import Loan, lend, mended
from dithead.inference.compose.source_detail import detailed_patch
from dithead.inference.source.timeline import Shown
from dithead.inference.synthesise.frame_interpolation import Interpolator
from dithead.inference.synthesise.sampler import MouthMaker
from dithead.media.planes import Planes, planes_of
from dithead.types import RGB, Mask, Similarity

Maker: TypeAlias = MouthMaker | Interpolator
FEATHER = 0.06  # width of the blend inside the mask's edge, as a fraction of S


def render(
    shown: Iterable[Shown], survey: Survey, maker: Maker, pix_fmt: str, batch: int, *, detail: bool = True
) -> Iterator[tuple[Shown, Planes]]:
    """Yield each frame with its new planes, in order; at most ``batch`` frames are held, three if interpolated.

    detail: give drawn mouths the fine contrast of the person's own pictures.
    """
    maker.begin()
    held: list[Shown] = []
    runs: list[Run] = []
    room = maker.room(batch, first=True)
    for item in shown:
        here = survey.runs_at(item.index)
        if here != runs:
            yield from _flush(held, runs, maker, pix_fmt, detail)
            maker.begin()
            held, runs, room = [], here, maker.room(batch, first=True)
        held.append(item)
        if len(held) >= room:
            yield from _flush(held, runs, maker, pix_fmt, detail)
            held, room = [], maker.room(batch, first=False)
    yield from _flush(held, runs, maker, pix_fmt, detail)


def _flush(
    held: list[Shown], runs: list[Run], maker: Maker, pix_fmt: str, detail: bool
) -> Iterator[tuple[Shown, Planes]]:
    if not held:
        return
    planes = [planes_of(s.frame.native, pix_fmt, s.frame.encoding, s.frame.rotation) for s in held]
    for run in runs:
        _draw(held, planes, run, maker, detail)
    yield from zip(held, planes, strict=True)


def _draw(held: list[Shown], planes: list[Planes], run: Run, maker: Maker, detail: bool) -> None:
    """Put the mouths of one face into the planes of the held frames."""
    size = maker.talker.size
    views = [_view(p, run.transforms[s.index - run.start], size) for s, p in zip(held, planes, strict=True)]
    crops = np.stack([warp_crop(v.pixels, v.move, size) for v in views])
    core = mouth_core(run.lips, size)
    times = np.array([s.time for s in held])
    drawn = maker.draw(run, crops, times, [s.index for s in held])
    masks, graded = _masks(held, run, size), maker.gallery.of(run) if detail else None
    meant = None if graded is None else maker.meant(run, times)
    openings: Sequence[float | None] = meant or [None] * len(held)
    for s, p, view, crop, mouth, opening, (whole, soft) in zip(
        held, planes, views, crops, drawn, openings, masks, strict=True
    ):
        allowed = soft * _allowed(run, s.index, size)
        if graded is not None and opening is not None and not graded.still:
            shown = graded.shown(opening)
            mouth = mended(faithful(mouth, shown, crop, allowed * (1 - core)), shown, core)
        tinted = match_colour(mouth, crop, whole)
        mask = allowed * newness(tinted, crop, core)
        if run.cheeks is not None and (real := run.covers.ghostless(mouth, crop, run.cheeks, core)) is not None:
            mask *= real
        lent = lend(maker.gallery, run, tinted, opening, core) if detail else None
        _put(p, view, tinted, crop, mask, lent)


def _masks(held: list[Shown], run: Run, size: int) -> list[tuple[Mask, Mask]]:
    """Each held frame's mask (S, S), hard-edged and feathered."""
    polygons = [run.polygon] if run.outlines is None else [run.mask_polygon(s.index) for s in held]
    masks = [(polygon_mask(p, size), polygon_mask(p, size, feather=FEATHER * size)) for p in polygons]
    return masks * (len(held) // len(masks))


def _allowed(run: Run, index: int, size: int) -> Mask:
    """(S, S): how much may be new in a frame: near a run's ends, beyond the face and over what hides it, less."""
    offset = index - run.start
    mask = np.full((size, size), run.strength(index), np.float32)
    if run.jaws is not None:
        mask *= jaw_mask(run.jaws[offset], size)
    free = run.covers.free(offset, size)
    return mask if free is None else mask * free


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


def _put(planes: Planes, view: _View, mouth: RGB, crop: RGB, mask: Mask, lent: Loan | None) -> None:
    patch = detailed_patch(view.pixels, mouth, crop, view.move, mask, lent)
    if patch is not None:
        planes.add_rgb_difference(patch.difference, view.top + patch.top, view.left + patch.left)
