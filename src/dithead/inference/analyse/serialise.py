"""Writes a video analysis to one ``.npz`` file and reads it back, so that a resumed job skips the first pass.

Per-frame arrays of all tracklets lie one after the other; ``spans`` says where each tracklet begins and ends. The
reference pictures stay in their image store.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from struct import error as StructError
from typing import Any
from zipfile import BadZipFile
from zlib import error as ZlibError

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.image_store import ImageStore, StoredImages
from dithead.inference.analyse.occlusion_masks import RESIDUAL_BYTES, OcclusionMasks
from dithead.inference.analyse.references import StoredReferences
from dithead.inference.analyse.tracklet import LEVELS, LipCalibration, Tracklet
from dithead.inference.result import FrameSpan
from dithead.limits import require_unpacked
from dithead.media.files import printable, save_arrays

_LEVELS = len(LEVELS)
Arrays = Mapping[str, NDArray[Any]]
_FAULTS = (ValueError, TypeError, KeyError, IndexError, OSError, EOFError, AttributeError, OverflowError, MemoryError,
           SyntaxError, RuntimeError, StructError, ZlibError, BadZipFile)  # fmt: skip
"""What numpy and the code below raise for damaged files."""


def save_analysis(path: Path, analysis: VideoAnalysis) -> None:
    """Write an analysis as ``.npz``; the file appears whole or not at all."""
    tracklets = analysis.tracklets
    spans = [(t.start, t.stop, t.fades_in, t.fades_out, t.face) for t in tracklets]
    spans_of = [[(s.first, s.last, s.reason) for s in part] for part in (analysis.passed_through, analysis.damaged)]
    reports = [*spans_of, analysis.remarks]
    known = [(k, t.calibration) for k, t in enumerate(tracklets) if t.calibration]
    calibrations = [
        (
            k,
            c.spread,
            c.width_spread,
            c.width_slope,
            c.share,
            *(np.zeros(_LEVELS) if c.levels is None else c.levels),
            *c.mean,
        )
        for k, c in known
    ]
    save_arrays(
        path,
        stamps=analysis.stamps,
        spans=np.array(spans, np.int64),
        transforms=np.concatenate([t.transforms for t in tracklets]),
        polygons=np.stack([t.polygon for t in tracklets]),
        lips=np.stack([t.lips for t in tracklets]),
        lip_spreads=np.array([(t.opening_spread, t.width_spread, t.width_slope) for t in tracklets]),
        opening_levels=np.stack([t.opening_levels for t in tracklets if t.opening_levels is not None]),
        cheeks=np.stack([t.cheeks for t in tracklets if t.cheeks is not None]),
        references=np.stack([t.reference for t in tracklets]),
        calibrations=np.array(calibrations),
        jaws=np.concatenate([t.jaws for t in tracklets if t.jaws is not None]),
        frame_polygons=np.concatenate(
            [np.zeros((0, 2)) if t.frame_polygons is None else t.frame_polygons for t in tracklets]
        ),
        reports=np.array(json.dumps(reports)),
        views=np.concatenate([np.zeros(t.stop - t.start, np.uint8) if t.views is None else t.views for t in tracklets]),
        turned=np.array([len(t.turned_references) for t in tracklets]),
        **_stored_references([r for t in tracklets if t.references for r in (t.references, *t.turned_references)]),
        **_occlusion([t.occlusion for t in tracklets]),
    )


def load_analysis(path: Path, store: ImageStore) -> VideoAnalysis:
    """Read what ``save_analysis`` wrote; pictures stay in ``store``. Raises DataError where it is damaged."""
    require_unpacked(path, printable(path), DataError)
    try:
        return _loaded(path, store)
    except _FAULTS as error:
        raise DataError(f"{printable(path)}: is no analysis of this version, or damaged ({error!r})") from None


def _loaded(path: Path, store: ImageStore) -> VideoAnalysis:
    with np.load(path, allow_pickle=False) as data:
        tracklets = _tracklets(data)
        _read_references(tracklets, data, store)
        for k, spread, width_spread, width_slope, share, *numbers in data["calibrations"].tolist():
            levels, mean = (np.array(part, np.float32) for part in (numbers[:_LEVELS], numbers[_LEVELS:]))
            known = levels if share else None
            tracklets[int(k)].calibration = LipCalibration(mean, spread, width_spread, known, share, width_slope)
        _read_occlusion(tracklets, data)
        *parts, remarks = json.loads(str(data["reports"]))
        passed, damaged = ([FrameSpan(*item) for item in part] for part in parts)
        return VideoAnalysis(data["stamps"], tracklets, passed, damaged, remarks)


def _tracklets(data: Arrays) -> list[Tracklet]:
    spans = data["spans"].tolist()
    cuts = np.cumsum([stop - start for start, stop, *_ in spans])[:-1]
    frame_polygons = np.split(data["frame_polygons"], cuts) if len(data["frame_polygons"]) else [None] * len(spans)
    return [
        Tracklet(
            start, stop, transforms, polygon, lips, reference, bool(fades_in), bool(fades_out), face, jaws,
            opening_spread=opening_spread, width_spread=width_spread, width_slope=width_slope, opening_levels=levels,
            cheeks=cheeks, frame_polygons=polygons,
        )
        for (start, stop, fades_in, fades_out, face), transforms, polygon, lips, reference, jaws, (opening_spread,
        width_spread, width_slope), levels, cheeks, polygons in zip(
            spans, np.split(data["transforms"], cuts), data["polygons"], data["lips"], data["references"],
            np.split(data["jaws"], cuts), data["lip_spreads"].tolist(), data["opening_levels"],
            data["cheeks"], frame_polygons, strict=True,
        )
    ]  # fmt: skip


def _stored_references(stored: list[StoredReferences]) -> dict[str, NDArray[Any]]:
    return {
        "reference_sets": np.array(
            [
                (r.mean_opening, r.mean_width, r.images.offset, len(r.openings), len(r.narrow), len(r.wide), r.opened)
                + ((np.nan, np.nan) if r.centre is None else tuple(r.centre))
                for r in stored
            ]
        ),
        "reference_openings": np.concatenate([r.openings for r in stored]),
        "reference_widths": np.concatenate([r.widths for r in stored]),
        "reference_narrow": np.concatenate([r.narrow for r in stored]),
        "reference_wide": np.concatenate([r.wide for r in stored]),
        "reference_transforms": np.concatenate([r.transforms for r in stored]),
        "reference_lengths": np.concatenate([np.reshape(r.images.lengths, (2, -1)).T for r in stored]),
    }


def _read_references(tracklets: list[Tracklet], data: Arrays, store: ImageStore) -> None:
    sets = data["reference_sets"]
    counts = {"openings": 3, "widths": 3, "transforms": 3, "lengths": 3, "narrow": 4, "wide": 5}  # columns of ``sets``
    parts = (
        np.split(data[f"reference_{name}"], np.cumsum(sets[:-1, column]).astype(int)) for name, column in counts.items()
    )
    every = []
    for (opening, width, offset, *_, opened, x, y), openings, widths, moves, lengths, narrow, wide in zip(
        sets, *parts, strict=True
    ):
        if not all(set(chain.tolist()) <= set(range(len(openings))) and len(chain) for chain in (narrow, wide)):
            raise ValueError("a reference picture that is not there")
        images, means = StoredImages(int(offset), tuple(lengths.T.ravel().tolist())), (float(opening), float(width))
        centre = None if np.isnan(x) else np.array([x, y], np.float32)
        chains = narrow, wide
        every.append(StoredReferences(store, images, openings, widths, *means, *chains, moves, bool(opened), centre))
    views = np.split(data["views"], np.cumsum([t.stop - t.start for t in tracklets])[:-1])
    for tracklet, turned, own in zip(tracklets, data["turned"].tolist(), views, strict=True):
        if own.max(initial=0) > turned:
            raise ValueError("a frame takes references that are not there")
        tracklet.references, *others = every[: turned + 1]
        every, tracklet.turned_references, tracklet.views = every[turned + 1 :], tuple(others), own


def _occlusion(masks: list[OcclusionMasks]) -> dict[str, NDArray[Any]]:
    return {
        "covers": np.frombuffer(b"".join(data for m in masks for data in m.parts.values()), np.uint8),
        "covered": np.array([(k, i, len(data)) for k, m in enumerate(masks) for i, data in m.parts.items()]),
        "hidden": np.array([(k, i) for k, m in enumerate(masks) for i in sorted(m.hidden)]),
        "residual": np.array([list(m.residual.ljust(RESIDUAL_BYTES, b"\0")) for m in masks], np.uint8),
    }


def _read_occlusion(tracklets: list[Tracklet], data: Arrays) -> None:
    covers, place = data["covers"].tobytes(), 0
    for k, offset, length in data["covered"].tolist():
        tracklets[k].occlusion.parts[offset] = covers[place : place + length]
        place += length
    for k, offset in data["hidden"].tolist():
        tracklets[k].occlusion.hidden.add(offset)
    for tracklet, residual in zip(tracklets, data["residual"], strict=True):
        tracklet.occlusion.residual = residual.tobytes() if residual.any() else b""
