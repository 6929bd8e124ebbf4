"""Detectors of faces and palms: one network each, whose boxes are decoded from anchors and merged.

They are single-shot detectors as described for BlazeFace (Bazarevsky et al. 2019, arXiv 1907.05047): every anchor
gives a score, a box and key points, and overlapping boxes are averaged with their scores as weights instead of being
suppressed. Letters: A anchors, K key points, D detections.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dithead.face.networks.region import as_input, crop, letterbox
from dithead.face.networks.runtime import Network
from dithead.types import RGBLike

_SAME = 0.3  # intersection over union from which boxes are averaged: MediaPipe's value
_LARGEST_LOGIT = 80.0  # beyond it the sigmoid is 0 or 1 and its exponential overflows 32 bits


Array = NDArray[np.float32]


@dataclass(frozen=True)
class DetectorKind:
    """A detector's network and the layout of its anchors."""

    network: str
    side: int  # of its square input, pixels
    layers: tuple[tuple[int, int], ...]  # of each layer: stride in pixels, anchors at each place
    darkest: float  # value of a black pixel in its input; a white one is 1


SHORT_RANGE = DetectorKind("face_detection_short_range", 128, ((8, 2), (16, 6)), darkest=-1)
"""Faces within about two metres of the camera. Key points: right eye, left eye, nose, mouth, right ear, left ear."""
FULL_RANGE = DetectorKind("face_detection_full_range_sparse", 192, ((4, 1),), darkest=-1)
"""Small faces too; the same key points."""
PALM = DetectorKind("palm_detection_lite", 192, ((8, 2), (16, 6)), darkest=0)
"""Palms. Key points: wrist, knuckles of index, middle, ring and little finger, two joints of the thumb."""


@dataclass(frozen=True)
class Detection:
    """One face or palm; all coordinates are relative to the picture's width and height."""

    score: float
    corner: Array  # (2,): x and y of the box's upper left corner
    size: Array  # (2,): its width and height
    points: Array  # (K, 2)


class Detector:
    """Finds faces or palms in pictures.

    Args:
        kind: What it finds.
        confidence: Score from which an anchor counts, 0 to 1.
    """

    def __init__(self, kind: DetectorKind, confidence: float) -> None:
        self.kind, self.confidence = kind, confidence
        self._network = Network(kind.network)
        self._anchors = anchor_centres(kind)

    def detect(self, image: RGBLike) -> list[Detection]:
        """Return what is found in a picture (H, W, 3), highest score first."""
        square = crop(image, letterbox(image), self.kind.side, border="black")
        raw, logits = self._network(as_input(square, self.kind.darkest))
        boxes, scores = decode(raw[0], logits[0, :, 0], self._anchors, self.kind.side, self.confidence)
        return [_in_picture(mean, score, image) for mean, score in merge(boxes, scores)]


def anchor_centres(kind: DetectorKind) -> Array:
    """Return the centres (A, 2) of a detector's anchors, relative to its input, in the order of its outputs."""
    layers = []
    for stride, each in kind.layers:
        count = -(-kind.side // stride)
        rows, columns = np.mgrid[:count, :count]
        centres = (np.stack([columns, rows], axis=-1).reshape(-1, 2) + 0.5) / count
        layers.append(np.repeat(centres, each, axis=0))
    return np.concatenate(layers).astype(np.float32)


def decode(raw: Array, logits: Array, anchors: Array, side: int, confidence: float) -> tuple[Array, Array]:
    """Decode the outputs of a detector.

    Args:
        raw: (A, 4 + 2 K): x and y of the centre, width, height and x and y of each key point, in pixels of the
            input; positions are relative to the anchor.
        logits: (A,) of the scores.
        anchors: (A, 2) from ``anchor_centres``.
        side: Side of the input in pixels.
        confidence: Score from which an anchor counts.

    Returns:
        Boxes (D, 2 + K, 2) relative to the input: upper left corner, size, key points; and scores (D,).
    """
    limited = np.clip(logits, -_LARGEST_LOGIT, _LARGEST_LOGIT).astype(np.float64)
    scores = np.float32(1) / (np.float32(1) + np.exp(-limited).astype(np.float32))
    kept = (scores >= confidence) & (raw[:, 2] >= 0) & (raw[:, 3] >= 0)
    boxes = raw[kept].reshape(-1, raw.shape[1] // 2, 2) / np.float32(side)
    half = boxes[:, 1] / np.float32(2)
    boxes += anchors[kept][:, None]
    low, high = boxes[:, 0] - half, boxes[:, 0] + half
    boxes[:, 0], boxes[:, 1] = low, high - low
    return boxes, scores[kept]


def merge(boxes: Array, scores: Array) -> list[tuple[Array, float]]:
    """Average detections that overlap the best one, then those that overlap the best of the rest, and so on.

    Args:
        boxes: (D, 2 + K, 2) from ``decode``.
        scores: (D,).

    Returns:
        The averaged boxes (2 + K, 2), weighted by score, and the highest score of each group; best first.
    """
    groups = []
    rest = np.argsort(-scores, kind="stable")
    while len(rest):
        same = _overlaps(boxes[rest[0]], boxes[rest]) > _SAME
        same[0] = True  # a box without area overlaps nothing, not even itself
        group = rest[same]
        groups.append((_mean(boxes[group], scores[group]), float(scores[rest[0]])))
        rest = rest[~same]
    return groups


def _mean(boxes: Array, scores: Array) -> Array:
    """The mean (2 + K, 2) of boxes (D, 2 + K, 2) weighted by score; sums run in order, as in MediaPipe."""
    ends = boxes.copy()
    ends[:, 1] += boxes[:, 0]
    total = np.cumsum(scores)[-1]
    mean: Array = np.cumsum(ends * scores[:, None, None], axis=0)[-1] / total
    mean[1] -= mean[0]
    return mean


def _overlaps(one: Array, others: Array) -> Array:
    """Intersection over union of one box (2 + K, 2) with others (D, 2 + K, 2): (D,)."""
    low = np.maximum(one[0], others[:, 0])
    high = np.minimum(one[0] + one[1], others[:, 0] + others[:, 1])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    union = np.prod(one[1]) + np.prod(others[:, 1], axis=1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def _in_picture(box: Array, score: float, image: RGBLike) -> Detection:
    """Map a box (2 + K, 2) from the letterboxed input to the picture."""
    size = np.array([image.shape[1], image.shape[0]], np.float32)
    side, inverse = size.max(), np.float32(1) / size
    scale, offset = side * inverse, (np.float32(0.5) * size - np.float32(0.5) * side) * inverse
    low, high = box[0] * scale + offset, (box[0] + box[1]) * scale + offset
    return Detection(score, low, high - low, box[2:] * scale + offset)
