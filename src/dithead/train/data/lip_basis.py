"""Describe lips by nine coefficients that mean the same for everybody: eight principal shapes and the opening.

They are the target of the audio encoder and a condition of the denoiser. A lip *shape* is 80 coordinates of the lips'
outline, relative to the person's own resting mouth, and the opening between the inner lips. Its *coefficients* are the
principal components of the outline and the opening, in units of their spread over the training people.
Letters: N frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ModelError
from dithead.face.mesh_indices import (
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    LIP_INDICES,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    eye_distances,
)

COMPONENTS = 8
"""Principal components of the outline. Our choice."""
BASIS = "lips.npz"
"""The file in the run folder of the audio encoder's stage that holds its basis."""
COEFFICIENTS = COMPONENTS + 1
"""The components, then the opening."""
_RESTING = 0.25  # share of a clip's frames, the most closed ones, whose mean is the resting mouth; our choice
_FIT_EVERY, _FIT_FRAMES = 4, 20_000  # frames that a basis is fitted to: every so many of a clip, about so many in all
_NO_GAIN, _FULL_GAIN = 0.3, 0.6  # correlations up to which no gain applies, and from which all of it applies

Floats = NDArray[np.floating[Any]]


def lip_shapes(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the lip shapes (N, 81) of a whole clip's crop landmarks (N, 478, 2).

    Lengths are in distances between the outer eye corners, the clip's median.
    """
    unit = float(np.median(eye_distances(landmarks)))
    return shapes_of_lips(landmarks[:, list(LIP_INDICES)] / unit)


def shapes_of_lips(lips: Floats) -> NDArray[np.float32]:
    """Compute the lip shapes (N, 81) of a whole clip's lips (N, 40, 2), which are in the order of `LIP_INDICES`."""
    lips = lips - lips.mean(1, keepdims=True)
    top, bottom = (lips[:, LIP_INDICES.index(i)] for i in (INNER_LIP_TOP, INNER_LIP_BOTTOM))
    opening = np.linalg.norm(top - bottom, axis=-1)
    resting = opening <= np.quantile(opening, _RESTING)
    lips = lips - lips[resting].mean(0, keepdims=True)
    return np.concatenate([lips.reshape(len(lips), -1), opening[:, None]], 1).astype(np.float32)


def correlations(truth: Floats, predicted: Floats) -> NDArray[np.floating[Any]]:
    """Compute the correlation (9,) of each coefficient (N, 9); 0 where one never changes, as in a tiny dataset."""
    with np.errstate(invalid="ignore", divide="ignore"):
        r = [np.corrcoef(truth[:, k], predicted[:, k])[0, 1] for k in range(COEFFICIENTS)]
    return np.nan_to_num(np.array(r))


@dataclass(frozen=True)
class LipBasis:
    """The principal lip shapes, the unit of each coefficient, and the calibration of predicted coefficients.

    Predictions vary less than the truth; ``gain`` and ``shift`` give them its spread and mean (``calibrated_to``).

    Attributes:
        directions: Principal components of the outline (80, 8).
        scale: What 1 of each coefficient (9,) means, in distances between the outer eye corners.
        gain: Factor of each predicted coefficient (9,).
        shift: Added to each predicted coefficient (9,) after the gain.
        centre: Mean of each true coefficient (9,).
    """

    directions: NDArray[np.float32]
    scale: NDArray[np.float32]
    gain: NDArray[np.float32] = field(default_factory=lambda: np.ones(COEFFICIENTS, np.float32))
    shift: NDArray[np.float32] = field(default_factory=lambda: np.zeros(COEFFICIENTS, np.float32))
    centre: NDArray[np.float32] = field(default_factory=lambda: np.zeros(COEFFICIENTS, np.float32))

    @classmethod
    def fit(cls, shapes: Sequence[Floats]) -> LipBasis:
        """Fit a basis to the lip shapes (N, 81) of many clips."""
        sample = np.concatenate([s[::_FIT_EVERY] for s in shapes]).astype(np.float32)
        sample = sample[:: max(1, len(sample) // _FIT_FRAMES)]
        _, _, components = np.linalg.svd(sample[:, :-1], full_matrices=False)
        directions = np.zeros((sample.shape[1] - 1, COMPONENTS), np.float32)
        directions[:, : min(COMPONENTS, len(components))] = components[:COMPONENTS].T
        first = float((sample[:, :-1] @ directions[:, :1]).std()) or 1.0
        opening = float(sample[:, -1].std()) or 1.0
        return cls(directions, np.array([first] * COMPONENTS + [opening], np.float32))

    def coefficients(self, shapes: Floats) -> NDArray[np.float32]:
        """Turn shapes (N, 81) into coefficients (N, 9)."""
        shapes = shapes.astype(np.float32)
        return np.asarray(
            np.concatenate([shapes[:, :-1] @ self.directions, shapes[:, -1:]], 1) / self.scale, np.float32
        )

    @property
    def width_units(self) -> NDArray[np.float32]:
        """What 1 of each coefficient (9,) adds to the width of the lips, in distances between the outer eye corners."""
        left, right = (2 * LIP_INDICES.index(corner) for corner in (MOUTH_LEFT, MOUTH_RIGHT))
        widths = self.directions[left] - self.directions[right]  # along x, because crops are upright
        return np.asarray(np.append(widths, 0) * self.scale, np.float32)

    def calibrated_to(self, truth: Floats, predicted: Floats) -> LipBasis:
        """Return this basis with the gain and shift that fit predictions for held-out people to the truth.

        A coefficient that can hardly be predicted from speech keeps its small spread: a gain would only amplify noise.

        Args:
            truth: Measured coefficients (N, 9).
            predicted: Predicted coefficients (N, 9).
        """
        trust = np.clip((correlations(truth, predicted) - _NO_GAIN) / (_FULL_GAIN - _NO_GAIN), 0, 1)
        gain = 1 + (truth.std(0) / np.maximum(predicted.std(0), 1e-3) - 1).clip(0, 1) * trust
        centre = truth.mean(0)
        shift = centre - gain * predicted.mean(0)
        return replace(
            self, **{k: v.astype(np.float32) for k, v in {"gain": gain, "shift": shift, "centre": centre}.items()}
        )

    def save(self, path: Path) -> None:
        """Write the basis as ``.npz``."""
        with path.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> LipBasis:
        """Read a basis.

        Raises:
            ModelError: The file is missing or holds no basis.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{f.name: stored[f.name] for f in fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: no lip basis ({error}); train the audio encoder: dithead train audio") from None
