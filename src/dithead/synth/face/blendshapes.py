"""Recorded blendshape weights as weights of the face units: those of ARKit by name, those of FACEGOOD by a table.

Letters: N frames of a recording, C its weights.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError
from dithead.limits import require_unpacked
from dithead.synth.face.units import UNITS, columns_of
from dithead.synth.types import Floats

# FACEGOOD's Audio2Face (MIT) names 116 weights; those that move lips, jaw, cheeks, nose, brows and lids, and the units
# that 1 of each is. A name without _l or _r has a left and a right weight. The amounts were set by hand: extremes of
# the published recordings become extremes of speech.
_FACEGOOD: dict[str, dict[str, float]] = {
    "mouth_stretch_c": {"jawOpen": 0.45}, "mouth_chew_c": {"jawOpen": 0.15}, "jaw_thrust_c": {"jawForward": 1.0},
    "jaw_sideways_l": {"jawLeft": 1.0}, "jaw_sideways_r": {"jawRight": 1.0},
    "mouth_sideways_l": {"mouthLeft": 1.0}, "mouth_sideways_r": {"mouthRight": 1.0},
    "mouth_oh_c": {"mouthFunnel": 0.30, "mouthPucker": 0.45, "jawOpen": 0.10},
    "mouth_oo_c": {"mouthFunnel": 0.20, "mouthPucker": 0.90},
    "mouth_funnel_dl": {"mouthFunnel": 0.25}, "mouth_funnel_dr": {"mouthFunnel": 0.25},
    "mouth_funnel_ul": {"mouthFunnel": 0.25}, "mouth_funnel_ur": {"mouthFunnel": 0.25},
    "mouth_pucker_l": {"mouthPucker": 0.60}, "mouth_pucker_r": {"mouthPucker": 0.60},
    "mouth_suck_dl": {"mouthRollLower": 0.50}, "mouth_suck_dr": {"mouthRollLower": 0.50},
    "mouth_suck_ul": {"mouthRollUpper": 0.50}, "mouth_suck_ur": {"mouthRollUpper": 0.50},
    "mouth_chinRaise_d": {"mouthShrugLower": 1.0}, "mouth_chinRaise_u": {"mouthShrugUpper": 1.0},
    "mouth_lowerLipProtrude_c": {"mouthShrugLower": 0.70}, "brow_raise_c": {"browInnerUp": 1.0},
    "cheek_puff_l": {"cheekPuff": 0.50}, "cheek_puff_r": {"cheekPuff": 0.50},
    "mouth_lowerLipDepress": {"mouthLowerDown": 1.30}, "mouth_upperLipRaise": {"mouthUpperUp": 1.30},
    "mouth_lipCornerPull": {"mouthSmile": 0.80}, "mouth_lipCornerDepress": {"mouthFrown": 1.0},
    "mouth_lipStretch": {"mouthStretch": 1.0}, "mouth_dimple": {"mouthDimple": 1.0}, "mouth_press": {"mouthPress": 0.7},
    "nose_wrinkle": {"noseSneer": 1.0}, "cheek_raise": {"cheekSquint": 1.0}, "brow_lower": {"browDown": 1.0},
    "brow_raise": {"browOuterUp": 1.0}, "eye_blink1": {"eyeBlink": 1.0}, "eye_lidTight": {"eyeSquint": 1.0},
    "eye_upperLidRaise": {"eyeWide": 1.0},
}  # fmt: skip
LATE = 1 / 30
"""Seconds by which FACEGOOD's weights come after the sound: the lag that fits best in all seven recordings."""
_SIDES = {"_l": "Left", "_r": "Right"}


@dataclass(frozen=True)
class UnitRecording:
    """Recorded face units: (N, 52) weights, and frames per second."""

    units: Floats
    fps: float

    def at(self, seconds: NDArray[np.floating[Any]]) -> Floats:
        """Interpolate the weights at moments (T,): (T, 52)."""
        moments = np.arange(len(self.units)) / self.fps
        return np.stack([np.interp(seconds, moments, curve) for curve in self.units.T], axis=1).astype(np.float32)


def read_blendshapes(path: Path) -> UnitRecording:
    """Read an ``.npz`` of a blendshape recording: ``weights`` (N, C), ``names`` (C,) and ``fps``.

    Raises:
        DataError: The file cannot be read, or no name in it is known.
    """
    require_unpacked(path, str(path), DataError)
    try:
        with np.load(path, allow_pickle=False) as stored:
            weights, names, fps = stored["weights"].astype(np.float32), stored["names"], float(stored["fps"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: no blendshape recording ({error}); it needs weights, names and fps") from None
    table = np.stack([_units_of_name(str(name)) for name in names])
    if not table.any():
        raise DataError(f"{path}: none of its {len(names)} names is a unit of ARKit or of FACEGOOD")
    return UnitRecording(weights @ table, fps)


def _units_of_name(name: str) -> Floats:
    """What 1 of a recorded weight is in units (52,); zero for weights that move nothing that is known."""
    if name in UNITS:
        return columns_of({name: 1.0})
    if name in _FACEGOOD:
        return columns_of(_FACEGOOD[name])
    stem, side = name[:-2], _SIDES.get(name[-2:], "")
    return columns_of({f"{unit}{side}": weight for unit, weight in _FACEGOOD.get(stem, {}).items() if side})
