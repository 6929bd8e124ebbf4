"""Training pictures from prepared datasets: which clips, how often each person, and the frames of stage one.

Letters: N frames, S0 side of the stored crop, S side the model works at.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError
from dithead.face.masks import polygon_mask
from dithead.face.mesh_indices import OUTER_LIPS
from dithead.prepare.dataset import Clip, Dataset
from dithead.train.data.damaged_clips import Damaged
from dithead.train.data.picture_augmentation import Augmentation

HELD_OUT_CLIPS = 18  # by which stage two is measured


@dataclass(frozen=True)
class Source:
    """A dataset, a folder or URL, and its weight in the mixture: ``A:0.7`` on the command line.

    With a ``final`` weight, ``A:0.7..0.2``, it changes evenly over the training.
    """

    path: Path | str
    weight: float = 1.0
    final: float | None = None

    @classmethod
    def parse(cls, text: str) -> Source:
        """``FOLDER``, ``FOLDER:WEIGHT`` or ``FOLDER:WEIGHT..FINAL``. Raises DataError for weights that are none."""
        head, colon, tail = text.rpartition(":")
        first, _, last = tail.partition("..")
        try:
            weight, final = (float(first), float(last) if last else None) if colon else (1.0, None)
        except ValueError:
            return cls(_place(text))  # a colon inside a path
        if min(weight, weight if final is None else final) < 0 or not weight + (final or 0):
            raise DataError(f"the weight in '{text}' must be positive")
        return cls(_place(head if colon else text), weight, final)

    def describe(self) -> dict[str, Any]:
        """As a run's configuration records it."""
        told: dict[str, Any] = {"path": str(self.path), "weight": self.weight}
        return told if self.final is None else told | {"final": self.final}


class Mixture:
    """What is drawn how often, at the start of a training and at its end; between them in proportion."""

    def __init__(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Raises DataError when nothing has a weight at the start or at the end."""
        self._cumulative = []
        for weights in (np.array(start, np.float64), np.array(end, np.float64)):
            if not weights.sum() > 0:
                raise DataError("all datasets have weight 0 at one end of the training; give one of them more")
            self._cumulative.append(np.cumsum(weights / weights.sum()))

    def pick(self, rng: np.random.Generator, progress: float = 0.0) -> int:
        """The number of one item when ``progress`` of the training, 0 to 1, is done."""
        which, draw = rng.random(2)
        cumulative = self._cumulative[int(which < progress)]
        return min(int(np.searchsorted(cumulative, draw)), len(cumulative) - 1)


def _place(text: str) -> Path | str:
    return text if "://" in text else Path(text)


@dataclass(frozen=True)
class WeightedClip:
    """A clip with its probability in the mixture, at the end too, and the frames of it that are used."""

    clip: Clip
    probability: float
    final: float
    frames: slice
    stride: int


def choose_clips(sources: Sequence[Source], split: str, cap: int, power: float) -> list[WeightedClip]:
    """Clips of ``split`` with identities balanced: a person with n frames counts n ** power, n at most ``cap``.

    Raises DataError when there is none.
    """
    chosen: list[tuple[Clip, float, float, int]] = []
    for source in sources:
        last = source.weight if source.final is None else source.final
        people: dict[str, list[Clip]] = defaultdict(list)
        for clip in Dataset(source.path).clips(split):
            people[clip.identity].append(clip)
        counts = {who: sum(c.length for c in clips) for who, clips in people.items()}
        total = sum(min(n, cap) ** power for n in counts.values())
        for who, clips in people.items():
            share = min(counts[who], cap) ** power / total
            keep = min(1.0, cap / counts[who])
            for clip in clips:
                part = share * clip.length / counts[who]
                chosen.append((clip, source.weight * part, last * part, max(2, round(clip.length * keep))))
    if not chosen:
        raise DataError(f"no clip of split '{split}' in: {', '.join(str(s.path) for s in sources)}")
    scale, end = sum(item[1] for item in chosen), sum(item[2] for item in chosen)
    return [_window(clip, share / scale, last / max(end, 1e-12), keep) for clip, share, last, keep in chosen]


def held_out_split(sources: Sequence[Source]) -> str:
    """The split to measure on: ``val``, people held out; ``train`` where nobody is held out in any source."""
    return "val" if any(Dataset(source.path).clips("val") for source in sources) else "train"


def held_out_people(sources: Sequence[Source], count: int = HELD_OUT_CLIPS) -> list[WeightedClip]:
    """``count`` clips of people held out, of as many people as there are; of the training people where nobody is."""
    people: dict[str, list[WeightedClip]] = defaultdict(list)
    for item in choose_clips(sources, held_out_split(sources), 10**9, 0.5):
        people[item.clip.identity].append(item)
    turns = [clips[turn] for turn in range(count) for clips in people.values() if turn < len(clips)]
    return turns[:count]


def _window(clip: Clip, probability: float, final: float, keep: int) -> WeightedClip:
    """``keep`` frames in a row, so that neighbours stay neighbours, from a place that differs from clip to clip."""
    keep = min(keep, clip.length)
    first = zlib.crc32(clip.id.encode()) % (clip.length - keep + 1)
    return WeightedClip(clip, probability, final, slice(first, first + keep), max(1, clip.length // keep))


def lip_boxes(landmarks: NDArray[np.float32], grow: float = 0.35) -> NDArray[np.float32]:
    """Boxes around the lips (N, 4) as x0, y0, x1, y1 from crop landmarks (N, 478, 2)."""
    lips = landmarks[:, list(OUTER_LIPS)]
    low, high = lips.min(1), lips.max(1)
    margin = (high - low).max(1, keepdims=True) * grow / 2
    return np.concatenate([low - margin, high + margin], 1)


def region_picture(size: int, polygon: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Mask and mouth as a two-channel picture (S0, S0, 2), so that they can be warped with the crop."""
    mask = (polygon_mask(polygon, size) * 255).astype(np.uint8)
    mouth = np.zeros((size, size), np.uint8)
    x0, y0, x1, y1 = (int(v) for v in box)
    cv2.rectangle(mouth, (x0, y0), (x1, y1), 255, -1)
    return np.stack([mask, mouth], -1)


@dataclass(frozen=True)
class ClipFrames:
    """Some frames of one clip in memory."""

    crops: NDArray[np.uint8]  # (N, S0, S0, 3)
    polygon: NDArray[np.float32]  # (K, 2)
    boxes: NDArray[np.float32]  # (N, 4)
    id: str = ""


class FrameBank:
    """The frames of stage one, in memory: spread over each clip, identities balanced."""

    def __init__(self, sources: Sequence[Source], split: str, cap: int, places: int = 1) -> None:
        """``places`` is how many rows the whole training has."""
        chosen, self._places = choose_clips(sources, split, cap, power=0.5), places
        damaged = Damaged(len(chosen))
        with ThreadPoolExecutor(2) as pool:
            loaded = pool.map(lambda w: damaged.read(w.clip, lambda: spread_frames(w)), chosen)
            found = [(frames, w) for frames, w in zip(loaded, chosen, strict=True) if frames is not None]
        pairs = [(frames, w) for frames, w in found if len(frames.crops) > 1]
        if not pairs:
            raise DataError("no clip has two usable frames; stage one needs a frame and a reference")
        self.clips = [frames for frames, _ in pairs]
        self._mixture = Mixture([w.probability for _, w in pairs], [w.final for _, w in pairs])

    def pick(self, rng: np.random.Generator, place: int = 0) -> tuple[ClipFrames, int, int]:
        """A clip, a target frame and another frame of the clip as reference, for the training's row ``place``."""
        clip = self.clips[self._mixture.pick(rng, place / self._places)]
        return clip, *two_frames(clip, rng)


def two_frames(clip: ClipFrames, rng: np.random.Generator) -> tuple[int, int]:
    """A target and another frame."""
    target, reference = rng.choice(len(clip.crops), 2, replace=False)
    return int(target), int(reference)


def spread_frames(item: WeightedClip) -> ClipFrames:
    track = item.clip.track()
    index = np.flatnonzero(track.valid)[:: item.stride]
    return ClipFrames(item.clip.frames()[index], track.polygon, lip_boxes(track.landmarks[index]), item.clip.id)


def augmented(
    clip: ClipFrames, target: int, reference: int, change: Augmentation
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Target (S, S, 3), reference (S, S, 3) and regions (S, S, 2) under one augmentation."""
    side = clip.crops.shape[1]
    region = change.geometry(region_picture(side, clip.polygon, clip.boxes[target]))
    return change.picture(clip.crops[target]), change.picture(clip.crops[reference]), region


def stack(items: Iterable[NDArray[Any]]) -> NDArray[Any]:
    return np.stack(list(items))
