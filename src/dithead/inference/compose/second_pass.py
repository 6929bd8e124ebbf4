"""Second pass over the video: frames stream through the model and into the output. S: crop side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from dithead.face.alignment import invert, transform_points, transform_scale, warp_crop
from dithead.face.compositing import match_colour
from dithead.face.masks import jaw_mask, polygon_mask
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.blend_mask import change_mask, mouth_core, replace_lost_identity
from dithead.inference.compose.detail_transfer import DetailTransfer, replace_smeared_lips, transfer_detail
from dithead.inference.compose.source_detail import patch_with_detail
from dithead.inference.source.timeline import ScheduledFrame
from dithead.inference.synthesise.frame_interpolation import FrameInterpolator
from dithead.inference.synthesise.sampler import MouthSampler
from dithead.media.planes import Planes, planes_of
from dithead.types import RGB, Mask, Similarity

Sampler: TypeAlias = MouthSampler | FrameInterpolator
FEATHER = 0.06  # width of the blend inside the mask's edge, as a fraction of S


def render(
    shown: Iterable[ScheduledFrame],
    analyse_video: VideoAnalysis,
    sampler: Sampler,
    pix_fmt: str,
    batch: int,
    *,
    detail: bool = True,
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    """Yield each frame with its new planes, in order; at most ``batch`` frames are held, three if interpolated.

    detail: give drawn mouths the fine contrast of the person's own pictures.
    """
    sampler.begin()
    held: list[ScheduledFrame] = []
    tracklets: list[Tracklet] = []
    room = sampler.room(batch, first=True)
    for item in shown:
        here = analyse_video.tracklets_at(item.index)
        if here != tracklets:
            yield from _flush(held, tracklets, sampler, pix_fmt, detail)
            sampler.begin()
            held, tracklets, room = [], here, sampler.room(batch, first=True)
        held.append(item)
        if len(held) >= room:
            yield from _flush(held, tracklets, sampler, pix_fmt, detail)
            held, room = [], sampler.room(batch, first=False)
    yield from _flush(held, tracklets, sampler, pix_fmt, detail)


def _flush(
    held: list[ScheduledFrame], tracklets: list[Tracklet], sampler: Sampler, pix_fmt: str, detail: bool
) -> Iterator[tuple[ScheduledFrame, Planes]]:
    if not held:
        return
    planes = [planes_of(s.frame.native, pix_fmt, s.frame.encoding, s.frame.rotation) for s in held]
    for tracklet in tracklets:
        _draw(held, planes, tracklet, sampler, detail)
    yield from zip(held, planes, strict=True)


def _draw(held: list[ScheduledFrame], planes: list[Planes], tracklet: Tracklet, sampler: Sampler, detail: bool) -> None:
    """Put the mouths of one face into the planes of the held frames."""
    size = sampler.talker.size
    views = [_view(p, tracklet.transforms[s.index - tracklet.start], size) for s, p in zip(held, planes, strict=True)]
    crops = np.stack([warp_crop(v.pixels, v.move, size) for v in views])
    core = mouth_core(tracklet.lips, size)
    times = np.array([s.time for s in held])
    drawn = sampler.draw(tracklet, crops, times, [s.index for s in held])
    masks, reference_set = _masks(held, tracklet, size), sampler.reference_bank.of(tracklet) if detail else None
    target_openings = None if reference_set is None else sampler.target_openings(tracklet, times)
    openings: Sequence[float | None] = target_openings or [None] * len(held)
    for s, p, view, crop, mouth, opening, (whole, soft) in zip(
        held, planes, views, crops, drawn, openings, masks, strict=True
    ):
        allowed = soft * _allowed(tracklet, s.index, size)
        if reference_set is not None and opening is not None and not reference_set.still:
            shown = reference_set.shown(opening)
            mouth = replace_smeared_lips(replace_lost_identity(mouth, shown, crop, allowed * (1 - core)), shown, core)
        tinted = match_colour(mouth, crop, whole)
        mask = allowed * change_mask(tinted, crop, core)
        if (
            tracklet.cheeks is not None
            and (real := tracklet.occlusion.without_residual_occluder(mouth, crop, tracklet.cheeks, core)) is not None
        ):
            mask *= real
        lent = transfer_detail(sampler.reference_bank, tracklet, tinted, opening, core) if detail else None
        _put(p, view, tinted, crop, mask, lent)


def _masks(held: list[ScheduledFrame], tracklet: Tracklet, size: int) -> list[tuple[Mask, Mask]]:
    """Each held frame's mask (S, S), hard-edged and feathered."""
    polygons = [tracklet.polygon] if tracklet.outlines is None else [tracklet.mask_polygon(s.index) for s in held]
    masks = [(polygon_mask(p, size), polygon_mask(p, size, feather=FEATHER * size)) for p in polygons]
    return masks * (len(held) // len(masks))


def _allowed(tracklet: Tracklet, index: int, size: int) -> Mask:
    """(S, S): how much may be new in a frame: near a run's ends, beyond the face and over what hides it, less."""
    offset = index - tracklet.start
    mask = np.full((size, size), tracklet.strength(index), np.float32)
    if tracklet.jaws is not None:
        mask *= jaw_mask(tracklet.jaws[offset], size)
    free = tracklet.occlusion.free(offset, size)
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


def _put(planes: Planes, view: _View, mouth: RGB, crop: RGB, mask: Mask, lent: DetailTransfer | None) -> None:
    patch = patch_with_detail(view.pixels, mouth, crop, view.move, mask, lent)
    if patch is not None:
        planes.add_rgb_difference(patch.difference, view.top + patch.top, view.left + patch.left)
