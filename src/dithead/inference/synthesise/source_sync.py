"""Measures how late the source's own sound is, by the sync expert that also scores results.

How a person's mouth moves when speaking is learned from the source's own sound. That would teach nonsense where the
sound belongs to other moments, or to another person. Letters: n mouths, R frames searched to either side, E embedding.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.critics.sync_expert import FPS, SyncExpert
from dithead.critics.sync_offset import crop_mouths, load_shipped_expert, mouths_to_tensor, speech_mel
from dithead.inference.analyse.mouth_strips import REGION, MouthStrip
from dithead.media.audio import audio_blocks
from dithead.stages import stage
from dithead.types import Wave

SURE = 0.12
"""Confidence from which an offset counts, as in ``prepare`` (docs/log)."""
LEAST = 40
"""Mouths that are needed for it, 1.6 s (our choice)."""
NOTICEABLE = 2
"""Frames from which the result notes an offset; the expert is right to one frame."""
REACH = 20
"""Frames at 25 a second that are searched to either side; an offset at the edge is not sure (our choice)."""
_RATE = 16000
_MOST = 12  # strips that are measured (our choice)


@dataclass(frozen=True)
class SourceSync:
    """How the source's own sound fits its picture."""

    frames: int  # by which the sound is late, at 25 a second; negative: early
    confidence: float  # median distance over all offsets less the least one
    mouths: int  # that were measured

    @property
    def sure(self) -> bool:
        """Whether the sound belongs to the mouths, at this offset."""
        return self.confidence >= SURE and self.mouths >= LEAST and abs(self.frames) < REACH

    @property
    def seconds(self) -> float:
        """By how many seconds the sound is late."""
        return self.frames / FPS

    @property
    def remark(self) -> str:
        """A clause for the notes where viewers would see it, else an empty string."""
        if not self.sure or abs(self.frames) < NOTICEABLE:
            return ""
        how = "late" if self.frames > 0 else "early"
        return (
            f"its own sound is about {abs(self.seconds):.2f} s {how}; the way of speaking is learned with that undone"
        )


def measure_source_sync(path: Path, strips: Iterable[MouthStrip], start: float = 0.0) -> SourceSync | None:
    """Measure the offset of a file's own sound.

    Args:
        path: The video.
        strips: Mouths of its faces.
        start: Seconds of the video at which the strips' times begin.

    Returns:
        The measurement; None where there are too few mouths to measure.
    """
    longest = sorted(strips, key=lambda strip: -len(strip.times))[:_MOST]
    if sum(len(strip.times) for strip in longest) < LEAST:
        return None
    with stage("source sync"), torch.inference_mode():
        expert = load_shipped_expert()
        even = sorted((strip.even() for strip in longest), key=lambda part: part[0])
        waves = _spans(path, [(start + first, len(mouths)) for first, mouths, _ in even])
        curves = [_curve(expert, mouths, centre, wave) for (_, mouths, centre), wave in zip(even, waves, strict=True)]
    counts = np.array([len(mouths) for _, mouths, _ in even], np.float64)
    return combine(np.stack(curves), counts)


def combine(curves: NDArray[np.float64], counts: NDArray[np.float64]) -> SourceSync:
    """Find one offset from the curves of several strips.

    Strips in which somebody visibly speaks count most.

    Args:
        curves: (strips, 2 R + 1) mean distance at each offset.
        counts: (strips,) mouths of each.
    """
    depth = np.median(curves, axis=1) - curves.min(axis=1)
    weights = counts * depth**2 + 1e-9
    curve = weights @ curves / weights.sum()
    best = int(curve.argmin())
    return SourceSync(best - len(curve) // 2, float(np.median(curve) - curve[best]), int(counts.sum()))


def _spans(path: Path, spans: Sequence[tuple[float, int]]) -> list[Wave]:
    """The sound around each span (first second, mouths), with what the search needs on both sides.

    The spans are in the order of time; the file is read once, in constant memory, and no further than needed.
    """
    bounds = [(round((first - REACH / FPS) * _RATE), n + 2 * REACH) for first, n in spans]
    waves = [np.zeros(n * _RATE // FPS, np.float32) for _, n in bounds]
    place, end = 0, max(low + len(wave) for (low, _), wave in zip(bounds, waves, strict=True))
    for block in audio_blocks(path, _RATE, channels=1):
        for (low, _), wave in zip(bounds, waves, strict=True):
            a, b = max(low, place), min(low + len(wave), place + len(block))
            if a < b:
                wave[a - low : b - low] = block[a - place : b - place, 0]
        place += len(block)
        if place >= end:
            break
    return waves


def _curve(
    expert: SyncExpert, mouths: NDArray[np.uint8], centre: tuple[float, float], wave: Wave
) -> NDArray[np.float64]:
    """The mean distance between mouths and speech at each offset (2 R + 1,), late sound at the end."""
    side = expert.config.side
    pictures = crop_mouths(np.repeat(mouths[..., None], 3, axis=3), centre, side, 0.46 / REGION)
    seen = expert.embed_mouths(mouths_to_tensor(pictures[None]))[0]
    heard = expert.embed_speech(speech_mel(wave, len(mouths) + 2 * REACH)[None])[0]
    distances = [(seen - heard[k : k + len(seen)]).norm(dim=-1).mean() for k in range(2 * REACH + 1)]
    return np.array([float(d) for d in distances])
