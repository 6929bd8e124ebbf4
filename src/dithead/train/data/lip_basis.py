"""What the lips do, in a few numbers that mean the same for everybody: the target of the audio encoder and a condition
of the transformer.

Letters: N frames. A shape is 80 coordinates of the lips' outline, seen from the person's own resting mouth, and the
opening between the inner lips; coefficients are its principal components and the opening, in units of their spread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import ModelError
from dithead.face.lip_opening import inner_lip_gaps
from dithead.face.mesh_indices import LIP_INDICES, eye_distances

COMPONENTS = 8
COEFFICIENTS = COMPONENTS + 1
"""The opening comes last."""
_RESTING = 0.25  # share of a clip's frames, the most closed ones, that stand for the resting mouth

Floats = NDArray[np.floating[Any]]


def lip_shapes(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shapes (N, 81) from a clip's crop landmarks (N, 478, 2), in distances between the outer eye corners."""
    unit = float(np.median(eye_distances(landmarks)))
    lips = landmarks[:, list(LIP_INDICES)] / unit  # (N, 40, 2)
    lips = lips - lips.mean(1, keepdims=True)
    opening = inner_lip_gaps(landmarks) / unit
    resting = opening <= np.quantile(opening, _RESTING)
    lips = lips - lips[resting].mean(0, keepdims=True)
    return np.concatenate([lips.reshape(len(lips), -1), opening[:, None]], 1).astype(np.float32)


@dataclass(frozen=True)
class LipBasis:
    """Principal lip shapes (80, 8) and what one unit of each coefficient (9,) is.

    Guesses are milder than the truth; ``gain`` and ``shift`` (9,) give them its spread and mean, ``centre``
    (``calibrated_by``).
    """

    directions: NDArray[np.float32]
    scale: NDArray[np.float32]
    gain: NDArray[np.float32] = field(default_factory=lambda: np.ones(COEFFICIENTS, np.float32))
    shift: NDArray[np.float32] = field(default_factory=lambda: np.zeros(COEFFICIENTS, np.float32))
    centre: NDArray[np.float32] = field(default_factory=lambda: np.zeros(COEFFICIENTS, np.float32))

    @classmethod
    def fit(cls, shapes: Sequence[Floats]) -> LipBasis:
        """From the shapes (N, 81) of many clips."""
        every = np.concatenate([s[::4] for s in shapes]).astype(np.float32)
        every = every[:: max(1, len(every) // 20_000)]
        _, _, found = np.linalg.svd(every[:, :-1], full_matrices=False)
        directions = np.zeros((every.shape[1] - 1, COMPONENTS), np.float32)
        directions[:, : min(COMPONENTS, len(found))] = found[:COMPONENTS].T
        first = float((every[:, :-1] @ directions[:, :1]).std()) or 1.0
        opening = float(every[:, -1].std()) or 1.0
        return cls(directions, np.array([first] * COMPONENTS + [opening], np.float32))

    def coefficients(self, shapes: Floats) -> NDArray[np.float32]:
        """Shapes (N, 81) to coefficients (N, 9)."""
        shapes = shapes.astype(np.float32)
        return np.concatenate([shapes[:, :-1] @ self.directions, shapes[:, -1:]], 1) / self.scale

    def calibrated_by(self, truth: Floats, guess: Floats) -> LipBasis:
        """The same basis with the gain and shift that fit guesses (N, 9) of held-out people to the truth (N, 9).

        A coefficient that can hardly be heard keeps its mild guess: a gain would only make noise louder.
        """
        r = np.array([np.corrcoef(truth[:, k], guess[:, k])[0, 1] for k in range(COEFFICIENTS)])
        trust = np.clip((np.nan_to_num(r) - 0.3) / 0.3, 0, 1)
        gain = 1 + (truth.std(0) / np.maximum(guess.std(0), 1e-3) - 1).clip(0, 1) * trust
        centre = truth.mean(0)
        shift = centre - gain * guess.mean(0)
        return replace(
            self, **{k: v.astype(np.float32) for k, v in {"gain": gain, "shift": shift, "centre": centre}.items()}
        )

    def save(self, path: Path) -> None:
        with path.open("wb") as file:
            np.savez(file, **{f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def load(cls, path: Path) -> LipBasis:
        """Raises ModelError when ``path`` is missing or not a basis."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(**{f.name: stored[f.name] for f in fields(cls)})
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path}: no lip basis ({error}); train the audio encoder: dithead train audio") from None
