"""Everything about a face that moves besides speech: head, gaze, blinks, brows, smile, and the camera's shake.

Letters: N frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.face.units import SIDES
from dithead.synth.types import RNG, Floats


@dataclass(frozen=True)
class Motion:
    """Motion of one clip, one row a frame.

    Attributes:
        head: (N, 3) yaw, pitch and roll in radians, see `rotation_matrix`.
        shift: (N, 3) displacement of the head in decimetres.
        gaze: (N, 2) yaw and pitch of the eyes in radians.
        weights: face unit -> its weight (N,).
        camera: (N, 2) shake of a handheld camera, decimetres right and up.
    """

    head: Floats
    shift: Floats
    gaze: Floats
    weights: dict[str, Floats]
    camera: Floats


def random_curve(rng: RNG, time: Floats, slowest: float, fastest: float, terms: int = 5) -> Floats:
    """Draw a smooth zero-mean curve of unit variance: a sum of sinusoids.

    Args:
        rng: source of randomness.
        time: (N,) in seconds.
        slowest: lowest frequency in hertz.
        fastest: highest frequency in hertz.
        terms: how many sinusoids.

    Returns:
        (N,) values at ``time``.
    """
    frequency = np.exp(rng.uniform(np.log(slowest), np.log(fastest), terms))
    phase, weight = rng.uniform(0, 2 * np.pi, terms), frequency**-0.5
    waves = weight * np.sin(2 * np.pi * time[:, None] * frequency + phase)
    return np.asarray(waves.sum(axis=1) / np.sqrt((weight**2).sum() / 2), np.float32)


def blink_curve(rng: RNG, time: Floats) -> Floats:
    """Draw lid closure (N,) in 0..1: blinks every two to eight seconds, 80 ms down and 160 ms up."""
    closed = np.zeros_like(time)
    at = float(rng.uniform(-1, 3))
    while at < time[-1] + 0.2:
        since = time - at
        shape = np.where(since < 0, 1 + since / 0.08, 1 - since / 0.16)
        closed = np.maximum(closed, np.clip(shape, 0, 1))
        at += float(rng.choice([0.35, rng.gamma(3.0, 1.4)], p=[0.08, 0.92]))
    return np.asarray(closed * closed * (3 - 2 * closed), np.float32)


def gaze_curve(rng: RNG, time: Floats) -> Floats:
    """Draw fixations near the camera with quick saccades: yaw and pitch (N, 2) in radians."""
    target = np.zeros((len(time), 2), np.float32)
    at, where = 0.0, rng.normal(0, 0.03, 2)
    while at < time[-1]:
        hold = float(rng.gamma(2.0, 0.6)) + 0.15
        target[(time >= at) & (time < at + hold)] = where
        at += hold
        where = rng.normal(0, [0.05, 0.03]) * (3.5 if rng.random() < 0.12 else 1.0)
    return target


def sample_motion(
    rng: RNG, frames: int, fps: float, loudness: Floats, *, liveliness: float = 1.0, handheld: float = 0.0
) -> Motion:
    """Draw the motion of one clip. The amplitudes are our choice.

    Args:
        rng: source of randomness.
        frames: how many frames.
        fps: frames a second.
        loudness: (N,) level of the voice in 0..1, with which heads nod and brows rise.
        liveliness: factor on the movement of head and brows.
        handheld: standard deviation of the camera's shake in decimetres.
    """
    time = np.arange(frames, dtype=np.float32) / fps
    lively = liveliness * float(np.exp(rng.normal(0, 0.35)))
    beat = np.convolve(loudness, np.ones(7) / 7, "same") if frames > 7 else loudness
    emphasis = beat - beat.mean()
    yaw = rng.normal(0, 0.09) + 0.055 * lively * random_curve(rng, time, 0.1, 0.8)
    pitch = rng.normal(0.0, 0.05) + 0.035 * lively * random_curve(rng, time, 0.15, 1.2) + 0.05 * lively * emphasis
    roll = rng.normal(0, 0.035) + 0.03 * lively * random_curve(rng, time, 0.1, 0.7)
    shift = np.stack([0.03 * lively * random_curve(rng, time, 0.08, 0.5) for _ in range(3)], axis=1)
    weights = _face_weights(rng, time, lively, emphasis)
    shake = handheld * np.stack([random_curve(rng, time, 0.4, 4.0) for _ in range(2)], axis=1)
    steady_gaze = 0.6 * np.stack([yaw, -pitch], axis=1).astype(np.float32)  # eyes stay on the camera as the head turns
    return Motion(
        np.stack([yaw, pitch, roll], axis=1).astype(np.float32),
        shift.astype(np.float32),
        gaze_curve(rng, time) - steady_gaze,
        weights,
        shake.astype(np.float32),
    )


def _face_weights(rng: RNG, time: Floats, lively: float, emphasis: Floats) -> dict[str, Floats]:
    """Weights (N,) of the units of smile, lids and brows."""
    lids, brow = blink_curve(rng, time), random_curve(rng, time, 0.1, 0.8)
    smile = np.clip(rng.uniform(0.02, 0.30) + 0.10 * random_curve(rng, time, 0.05, 0.4), 0, 0.6)
    raised = np.clip(0.25 * lively * brow + 0.35 * emphasis + rng.uniform(0.0, 0.4), -0.4, 1.0)
    lift = np.clip(rng.uniform(0.3, 0.75) + 0.1 * brow, 0, 1)  # the head model's own brows hang too low
    squint = float(rng.uniform(0, 0.35))
    # A smile begins at one corner of the mouth, now at this one and then at the other.
    lead = 0.35 * random_curve(rng, time, 0.05, 0.4)
    weights = {"browInnerUp": lift}
    for side, ahead in zip(SIDES, (1 + lead, 1 - lead), strict=True):
        weights[f"mouthSmile{side}"] = smile * ahead
        weights[f"eyeBlink{side}"] = lids * 0.98
        weights[f"eyeSquint{side}"] = squint * (1 - lids)
        weights[f"browOuterUp{side}"] = np.clip(raised, 0, 1)
        weights[f"browDown{side}"] = np.clip(-raised, 0, 1) * 0.6
    return {name: np.asarray(weight, np.float32) for name, weight in weights.items()}


def rotation_matrix(yaw: float, pitch: float, roll: float) -> Floats:
    """Return the rotation (3, 3) of a head: roll, then pitch (positive nods down), then yaw (positive towards +x).

    Args:
        yaw: turn about the vertical axis in radians.
        pitch: nod in radians.
        roll: tilt in radians.
    """
    cy, sy, cx, sx, cz, sz = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_y @ about_x @ about_z).astype(np.float32)
