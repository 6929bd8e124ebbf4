"""Turns predicted lips into one person's: how far this mouth opens and closes, and how it widens as it opens.

The numbers of a person come from the calibration of the voice and from what the source shows. Letters: B frames, K lip
coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dithead.inference.analyse.tracklet import LipCalibration, Tracklet

STILL_MOUTH = 0.012
"""Standard deviation of the lip opening, in eye distances, below which a mouth moves too little to calibrate.

Our choice."""
GAIN_LIMITS = (0.5, 2.2)
"""Least and greatest ``motion_gain`` (docs/log)."""
WIDTH_GAIN_LIMITS = (0.4, 2.5)
"""Least and greatest ``width_gain`` (our choice)."""
_WIDTH_TRUST = 0.85  # how much counts of the predicted width that the opening does not explain (docs/log)
_SHUT, _APART = 0.015, 0.045  # eye distances: openings that become 0, and from which none is changed (docs/log)


def widths_of(lips: NDArray[np.float32], units: Sequence[float]) -> NDArray[np.float32]:
    """Return what lip coefficients (N, K) add to the width of the lips (N,), in eye distances.

    Args:
        lips: The coefficients, or their differences from a mean.
        units: K numbers, ``ModelConfig.width_units``; none where the model does not say, so that no width changes.
    """
    parts = (lips[:, k] * np.float32(unit) for k, unit in enumerate(units))  # no product of matrices: its last bits
    return sum(parts, np.zeros(len(lips), np.float32))  # would depend on the batch


def motion_gain(calibration: LipCalibration, opening_spread: float, unit: float) -> float:
    """Compute the factor by which the lips must move more widely than predicted.

    It is one number for a whole tracklet, so that the mouth moves as widely as this person's does, while its motion
    depends on the new speech alone.

    Args:
        calibration: Of the person's voice.
        opening_spread: Standard deviation of the source's lip opening, in eye distances.
        unit: Eye distances that one unit of the predicted opening stands for.
    """
    if calibration.spread * unit <= 0 or opening_spread < STILL_MOUTH:
        return 1.0
    return float(np.clip(opening_spread / (calibration.spread * unit), *GAIN_LIMITS))


def personal_openings(
    predicted: NDArray[np.float32], calibration: LipCalibration, tracklet: Tracklet, slope: float
) -> NDArray[np.float64]:
    """Turn predicted openings (B,) in the model's units into this person's, in eye distances.

    An opening that the prediction exceeds in a given share of the moments becomes the one that the person exceeds in
    that share, so that lips close as often as this person closes them. Where too little was measured, and beyond the
    outermost levels, offset and factor alone count.

    Args:
        predicted: The openings.
        calibration: Of the person's voice.
        tracklet: With what is known of the person's own lips; it must have references.
        slope: Eye distances of the person's opening for one unit of the predicted one.
    """
    stored = tracklet.references
    mean = 0.0 if stored is None else stored.mean_opening
    centre, x = float(calibration.mean[-1]), predicted.astype(np.float64)
    seen = tracklet.opening_levels
    still = tracklet.opening_spread < STILL_MOUTH or (stored is not None and stored.opened)
    if calibration.levels is None or seen is None or still:
        return mean + (x - centre) * slope
    straight = centre + (seen - mean) / slope
    levels = calibration.share * calibration.levels + (1 - calibration.share) * straight
    beyond = np.minimum(x - levels[0], 0) + np.maximum(x - levels[-1], 0)
    return np.asarray(np.interp(x, levels, seen) + beyond * slope)


def with_closures(openings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Close lips that are predicted to be nearly closed.

    A prediction is a mean of what may be, so it hardly ever closes the lips as briefly and fully as people do.

    Args:
        openings: (B,) in eye distances.
    """
    steeper = (openings - _SHUT) * (_APART / (_APART - _SHUT))
    return np.asarray(np.where(openings < _APART, np.maximum(steeper, 0.0), openings))


def width_gain(calibration: LipCalibration, width_spread: float) -> float:
    """Compute the factor by which the width of the lips must change more than predicted, see ``motion_gain``.

    Args:
        calibration: Of the person's voice.
        width_spread: Standard deviation of the source's lip width that its opening does not explain, in eye distances.
    """
    if calibration.width_spread <= 0:
        return 1.0
    return float(np.clip(width_spread / calibration.width_spread, *WIDTH_GAIN_LIMITS))


def personal_widths(
    predicted: NDArray[np.float32],
    openings: NDArray[np.float64],
    calibration: LipCalibration,
    tracklet: Tracklet,
    units: Sequence[float],
) -> NDArray[np.float64]:
    """Turn predicted lips into the widths (B,) of this person's, in eye distances.

    How much wider lips get as they open differs from person to person, and the source shows it. So the prediction adds
    only that part of its width which its own opening does not explain.

    Args:
        predicted: Lip coefficients (B, K).
        openings: (B,) that are wanted for this person, in eye distances.
        calibration: Of the person's voice.
        tracklet: With what is known of the person's own lips; it must have references.
        units: See ``widths_of``.
    """
    stored = tracklet.references
    assert stored is not None, "only tracklets with pictures get here"
    change = predicted - calibration.mean
    wider = widths_of(change, units) - np.float32(calibration.width_slope) * change[:, -1]
    gain = 1.0 if stored.opened else _WIDTH_TRUST * width_gain(calibration, tracklet.width_spread)
    return stored.mean_width + tracklet.width_slope * (openings - stored.mean_opening) + gain * wider.astype(np.float64)
