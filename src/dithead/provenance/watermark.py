"""Hide an invisible mark in every redrawn mouth, and say what it carries.

Embedding, one call for each face and frame, after the new mouth is in the frame's planes::

    marker = Watermarker(Payload.of_model("small", job="video"))
    marker.apply(planes, transform, allowed, seconds)

``transform`` leads from frame pixels to the face's aligned crop (the tracklet's), ``allowed`` (S, S) is how much of the
crop may be redrawn, and ``seconds`` is the frame's place in the output. The mark depends on the frame's pixels, these
three, the payload and the key, and on nothing that came before.

Detecting, with ``dithead.provenance.detect_watermark.detect(path, key)``, needs neither the original nor the place.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np

from dithead.errors import ConfigError
from dithead.media.planes import Planes
from dithead.provenance.watermark_grid import Grid, add_to_frame, grid_transform, hidden_by, sample, texture
from dithead.provenance.watermark_pattern import shown_field
from dithead.types import Mask, Similarity

PUBLIC_KEY = b"dithead public watermark, version 1"
"""The key of everyone: any copy of this tool finds marks made with it, and could forge or remove them."""
SCHEME = "org.dithead.watermark.1"
"""Name of this kind of mark, as credentials say it; another pattern or code needs another."""
JOBS = ("video", "portrait", "live")
"""What the output was made from, as the payload says it; the place in this list is the number."""
LEAST_SECONDS, LEAST_FACE = 3.0, 180.0
"""Length of a face's appearance, and width of the face in pixels, below which nothing is promised: what the narrowest
faces measured had that were found after every usual encoding (docs/results/watermark.md)."""
_MODELS = 2**12
_LEAST_PSNR = 43.0  # dB over the redrawn part of the grid, and so of the frame
_REACH = np.ones((5, 5), np.uint8)  # grid pixels around each that interpolation mixes


@dataclass(frozen=True)
class Payload:
    """The 16 bits that the mark carries."""

    model: int  # 0 to 4095
    job: int  # 0 to 15, see ``JOBS``

    def __post_init__(self) -> None:
        if not (0 <= self.model < _MODELS and 0 <= self.job < 16):
            raise ConfigError(f"a payload's model lies below {_MODELS} and its job below 16, not {self}")

    @property
    def number(self) -> int:
        """The payload as one number of 16 bits."""
        return self.model * 16 + self.job

    @classmethod
    def of_number(cls, number: int) -> Payload:
        """Return the payload that ``number`` stands for."""
        return cls(number // 16, number % 16)

    @classmethod
    def of_model(cls, name: str, job: str) -> Payload:
        """Return the payload of a model, by its name, and a kind of job, one of ``JOBS``."""
        return cls(model_number(name), JOBS.index(job))


def model_number(name: str) -> int:
    """Return the number of 12 bits that stands for a model: the head of the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") % _MODELS


class Watermarker:
    """Marks redrawn mouths.

    Args:
        payload: What the mark says.
        key: Whoever detects the mark needs the same.
    """

    def __init__(self, payload: Payload, key: bytes = PUBLIC_KEY) -> None:
        self.payload, self.key = payload, key

    def prepare(self) -> None:
        """Compute the pattern, which otherwise the first call of ``apply`` does."""
        shown_field(self.key, self.payload.number, 0.0)

    def apply(self, planes: Planes, transform: Similarity, allowed: Mask, seconds: float) -> None:
        """Mark one face of one frame in place; only luma changes, and nothing where ``allowed`` is 0.

        Args:
            planes: The frame, its mouth drawn already.
            transform: (2, 3) from frame pixels to the face's aligned crop.
            allowed: (S, S) how much of the crop may be redrawn, 0 to 1.
            seconds: Since the output began.
        """
        luma, unit = planes.arrays[0], float(2 ** (planes.depth - 8))
        to_grid = grid_transform(transform, allowed.shape[0])
        weight = sample(allowed, grid_transform(np.eye(2, 3), allowed.shape[0]))
        weight = np.asarray(cv2.erode(weight, _REACH), np.float32)
        seen, slope = planes.encoding.seen_luma(sample(luma, to_grid) / np.float32(unit))
        strength = _strength(seen, weight) / slope
        change = strength * shown_field(self.key, self.payload.number, seconds)
        add_to_frame(luma, change * np.float32(unit), to_grid, 2**planes.depth - 1)


def _strength(grid: Grid, weight: Grid) -> Grid:
    """How strong the mark may be (h, w), in 8-bit levels of standard range: as much as the texture hides."""
    strength = hidden_by(texture(grid)) * weight
    mean = float((strength**2 * weight).sum() / max(float(weight.sum()), 1e-6))
    limit = 255 / 10 ** (_LEAST_PSNR / 20)
    return np.asarray(strength * min(1.0, limit / max(np.sqrt(mean), 1e-6)), np.float32)
