"""Choose training clips from prepared datasets, with people balanced, and load the frames of the autoencoder's stage.

Letters: N frames, S0 side of the stored crop, S side that the model works at, K corners of the mask polygon.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
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
from dithead.train.data.damaged_clips import DamagedClips
from dithead.train.data.picture_augmentation import PictureAugmentation
from dithead.types import RGB

HELD_OUT_CLIPS = 18
"""Clips of held-out people whose latents the denoiser's stage caches. Our choice."""
_WHOLE_CLIPS = 10**9  # frames per person: no limit
BALANCE = 0.5
"""A person with n frames is drawn in proportion to n to this power. Our choice."""


@dataclass(frozen=True)
class DataSource:
    """A dataset, a folder or URL, with its weight in the mixture: ``A:0.7`` on the command line.

    Attributes:
        path: The dataset's folder or URL.
        weight: Its share of the training rows, relative to the other sources.
        final: The weight at the end of the training, ``A:0.7..0.2``; the weight changes evenly. None: as ``weight``.
        speech_only: Clips without speech are left out.
    """

    path: Path | str
    weight: float = 1.0
    final: float | None = None
    speech_only: bool = False

    @classmethod
    def parse(cls, text: str) -> DataSource:
        """Parse ``FOLDER``, ``FOLDER:WEIGHT`` or ``FOLDER:WEIGHT..FINAL``.

        Raises:
            DataError: A weight is negative, or both are 0.
        """
        head, colon, tail = text.rpartition(":")
        first, _, last = tail.partition("..")
        try:
            weight, final = (float(first), float(last) if last else None) if colon else (1.0, None)
        except ValueError:
            return cls(_folder_or_url(text))  # a colon inside a path
        if min(weight, weight if final is None else final) < 0 or not weight + (final or 0):
            raise DataError(f"the weight in '{text}' must be positive")
        return cls(_folder_or_url(head if colon else text), weight, final)

    @property
    def last_weight(self) -> float:
        """The weight at the end of the training."""
        return self.weight if self.final is None else self.final

    def describe(self) -> dict[str, Any]:
        """Return the source as a run's configuration records it."""
        described: dict[str, Any] = {"path": str(self.path), "weight": self.weight}
        return described if self.final is None else described | {"final": self.final}

    def clips(self, split: str | None = None) -> list[Clip]:
        """Return the dataset's clips of ``split``: "train", "val" or None for all."""
        return [clip for clip in Dataset(self.path).clips(split) if clip.has_speech or not self.speech_only]


def _folder_or_url(text: str) -> Path | str:
    return text if "://" in text else Path(text)


class Mixture:
    """How often each item is drawn: with given weights at the start of a training, with others at its end."""

    def __init__(self, start: Sequence[float], end: Sequence[float]) -> None:
        """Set the weights of the items; between start and end they change in proportion to the progress.

        Raises:
            DataError: All weights are 0 at the start or at the end.
        """
        self._ends, self._cumulative = [], []
        for weights in (np.array(start, np.float64), np.array(end, np.float64)):
            if not weights.sum() > 0:
                raise DataError("all datasets have weight 0 at one end of the training; give one of them more")
            self._ends.append(weights / weights.sum())
            self._cumulative.append(np.cumsum(self._ends[-1]))

    def probabilities(self, progress: float) -> NDArray[np.float64]:
        """Return how likely each item is when ``progress`` of the training, 0 to 1, is done."""
        start, end = self._ends
        return start + progress * (end - start)

    def pick(self, rng: np.random.Generator, progress: float = 0.0) -> int:
        """Draw the number of one item when ``progress`` of the training, 0 to 1, is done."""
        which, draw = rng.random(2)
        cumulative = self._cumulative[int(which < progress)]
        return min(int(np.searchsorted(cumulative, draw)), len(cumulative) - 1)


@dataclass(frozen=True)
class WeightedClip:
    """A clip with its probability in the mixture and the frames of it that are used.

    Attributes:
        clip: The clip.
        probability: Of drawing it at the start of the training.
        final: Of drawing it at the end.
        frames: The neighbouring frames that the later stages use.
        stride: Every how many frames the autoencoder's stage uses one, so that as many frames spread over the clip.
    """

    clip: Clip
    probability: float
    final: float
    frames: slice
    stride: int


def choose_clips(sources: Sequence[DataSource], split: str, cap: int, power: float = BALANCE) -> list[WeightedClip]:
    """Choose the clips of ``split`` with their probabilities, people balanced.

    Args:
        sources: The datasets.
        split: "train" or "val".
        cap: At most so many frames of a person count and are used.
        power: A person with n frames is drawn in proportion to n ** power.

    Raises:
        DataError: There is no clip.
    """
    chosen: list[tuple[Clip, float, float, int]] = []
    for source in sources:
        people: dict[str, list[Clip]] = defaultdict(list)
        for clip in source.clips(split):
            people[clip.identity].append(clip)
        counts = {person: sum(c.length for c in clips) for person, clips in people.items()}
        total = sum(min(n, cap) ** power for n in counts.values())
        for person, clips in people.items():
            share = min(counts[person], cap) ** power / total
            keep = min(1.0, cap / counts[person])
            for clip in clips:
                part = share * clip.length / counts[person]
                frames = max(2, round(clip.length * keep))
                chosen.append((clip, source.weight * part, source.last_weight * part, frames))
    if not chosen:
        speech = " with speech" if any(source.speech_only for source in sources) else ""
        raise DataError(f"no clip of split '{split}'{speech} in: {', '.join(str(s.path) for s in sources)}")
    start, end = sum(item[1] for item in chosen), sum(item[2] for item in chosen)
    return [_weighted(clip, first / start, last / max(end, 1e-12), keep) for clip, first, last, keep in chosen]


def _weighted(clip: Clip, probability: float, final: float, keep: int) -> WeightedClip:
    """Use ``keep`` frames in a row, so that neighbours stay neighbours, from a place that differs between clips."""
    keep = min(keep, clip.length)
    first = zlib.crc32(clip.id.encode()) % (clip.length - keep + 1)
    return WeightedClip(clip, probability, final, slice(first, first + keep), max(1, clip.length // keep))


def held_out_split(sources: Sequence[DataSource]) -> str:
    """Return the split to measure on: ``val``, held-out people; ``train`` where no source holds anybody out."""
    return "val" if any(source.clips("val") for source in sources) else "train"


def choose_held_out_clips(sources: Sequence[DataSource], count: int = HELD_OUT_CLIPS) -> list[WeightedClip]:
    """Choose ``count`` clips of as many held-out people as there are; of the training people where there are none."""
    people: dict[str, list[WeightedClip]] = defaultdict(list)
    for item in choose_clips(sources, held_out_split(sources), _WHOLE_CLIPS):
        people[item.clip.identity].append(item)
    turns = [clips[turn] for turn in range(count) for clips in people.values() if turn < len(clips)]
    return turns[:count]


def lip_boxes(landmarks: NDArray[np.float32], grow: float = 0.35) -> NDArray[np.float32]:
    """Compute boxes around the lips (N, 4) as x0, y0, x1, y1 from crop landmarks (N, 478, 2).

    Args:
        landmarks: In crop pixels.
        grow: Share of the larger side by which the box is wider and higher than the lips.
    """
    lips = landmarks[:, list(OUTER_LIPS)]
    low, high = lips.min(1), lips.max(1)
    margin = (high - low).max(1, keepdims=True) * grow / 2
    return np.concatenate([low - margin, high + margin], 1)


def region_image(size: int, polygon: NDArray[np.float32], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw mask and mouth as a two-channel image (S0, S0, 2), so that they can be warped with the crop.

    Args:
        size: Side S0 of the crop.
        polygon: Of the mask (K, 2), in crop pixels.
        box: Of the mouth, x0, y0, x1, y1.
    """
    mask = (polygon_mask(polygon, size) * 255).astype(np.uint8)
    mouth = np.zeros((size, size), np.uint8)
    x0, y0, x1, y1 = (int(v) for v in box)
    cv2.rectangle(mouth, (x0, y0), (x1, y1), 255, -1)
    return np.stack([mask, mouth], -1)


@dataclass(frozen=True)
class FrameSpeech:
    """What a transformer is told of some frames of one clip: audio tokens and measured lips."""

    tokens: NDArray[np.float16]  # (N, L, A)
    lips: NDArray[np.float32]  # (N, 9)
    heard: bool = True
    """False for a clip without speech, whose tokens and lips are zeros."""


Hear = Callable[[Clip, NDArray[np.intp]], FrameSpeech]
"""Computes the speech of some frames (N,) of a clip."""


@dataclass(frozen=True)
class ClipFrames:
    """Some frames of one clip in memory, with the mask's polygon, the landmarks and the boxes of the lips."""

    crops: NDArray[np.uint8]  # (N, S0, S0, 3)
    polygon: NDArray[np.float32]  # (K, 2)
    boxes: NDArray[np.float32]  # (N, 4)
    landmarks: NDArray[np.float32]  # (N, 478, 2)
    id: str = ""
    speech: FrameSpeech | None = None
    """Only where a share of the latents is drawn."""


class FrameDataset:
    """The frames of the autoencoder's stage, in memory: spread over each clip, people balanced."""

    def __init__(
        self, sources: Sequence[DataSource], split: str, cap: int, places: int = 1, hear: Hear | None = None
    ) -> None:
        """Load the frames.

        Args:
            sources: The datasets.
            split: "train" or "val".
            cap: Frames of a person that are used, at most.
            places: Rows of the whole training, over which the mixture changes.
            hear: Computes the frames' speech, where it is needed.

        Raises:
            DataError: No clip has two usable frames, or too many clips are damaged.
        """
        chosen, self._places = choose_clips(sources, split, cap), places
        damaged = DamagedClips(len(chosen))
        with ThreadPoolExecutor(2) as pool:
            loaded = pool.map(lambda w: damaged.read(w.clip, lambda: load_frames(w, hear)), chosen)
            found = [(frames, w) for frames, w in zip(loaded, chosen, strict=True) if frames is not None]
        pairs = [(frames, w) for frames, w in found if len(frames.crops) > 1]
        if not pairs:
            raise DataError("no clip has two usable frames; the autoencoder needs a frame and a reference frame")
        self.clips = [frames for frames, _ in pairs]
        self._mixture = Mixture([w.probability for _, w in pairs], [w.final for _, w in pairs])

    def pick(self, rng: np.random.Generator, place: int = 0) -> tuple[ClipFrames, int, int]:
        """Draw a clip, a target frame and another frame as reference, for the training's row ``place``."""
        clip = self.clips[self._mixture.pick(rng, place / self._places)]
        return clip, *pick_two_frames(clip, rng)


def pick_two_frames(clip: ClipFrames, rng: np.random.Generator) -> tuple[int, int]:
    """Draw a target and another frame."""
    target, reference = rng.choice(len(clip.crops), 2, replace=False)
    return int(target), int(reference)


def load_frames(item: WeightedClip, hear: Hear | None = None) -> ClipFrames:
    """Load every ``stride``-th frame whose landmarks are not interpolated; ``hear`` computes their speech, if given."""
    track = item.clip.track()
    index = np.flatnonzero(track.valid)[:: item.stride]
    landmarks = track.landmarks[index]
    speech = None if hear is None else hear(item.clip, index)
    crops = item.clip.frames()[index]
    return ClipFrames(crops, track.polygon, lip_boxes(landmarks), landmarks, item.clip.id, speech)


def augment_frames(
    clip: ClipFrames, target: int, reference: RGB, augmentation: PictureAugmentation
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Augment target (S, S, 3), reference (S, S, 3) and their regions (S, S, 2, mask and mouth) alike."""
    side = clip.crops.shape[1]
    regions = augmentation.warp(region_image(side, clip.polygon, clip.boxes[target]))
    return augmentation.apply(clip.crops[target]), augmentation.apply(reference), regions
