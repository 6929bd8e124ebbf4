"""Everything about a face that moves besides speech: head, gaze, blinks, brows, smile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dithead.synth.head.assets import Floats

RNG = np.random.Generator


@dataclass(frozen=True)
class Motion:
    """Per video frame: head angles (N, 3) yaw, pitch, roll in radians, shift (N, 3) dm, gaze (N, 2), weights."""

    head: Floats
    shift: Floats
    gaze: Floats
    weights: dict[str, Floats]  # expression key -> (N,)
    camera: Floats  # (N, 2) dm, the camera's own shake


def drift(rng: RNG, time: Floats, slowest: float, fastest: float, terms: int = 5) -> Floats:
    """Smooth zero-mean noise of unit variance: random sinusoids between two frequencies in hertz."""
    frequency = np.exp(rng.uniform(np.log(slowest), np.log(fastest), terms))
    phase, weight = rng.uniform(0, 2 * np.pi, terms), frequency**-0.5
    waves = weight * np.sin(2 * np.pi * time[:, None] * frequency + phase)
    return np.asarray(waves.sum(axis=1) / np.sqrt((weight**2).sum() / 2), np.float32)


def blinks(rng: RNG, time: Floats) -> Floats:
    """Lid closure 0..1: blinks every two to eight seconds, 80 ms down and 160 ms up."""
    closed = np.zeros_like(time)
    at = float(rng.uniform(-1, 3))
    while at < time[-1] + 0.2:
        since = time - at
        shape = np.where(since < 0, 1 + since / 0.08, 1 - since / 0.16)
        closed = np.maximum(closed, np.clip(shape, 0, 1))
        at += float(rng.choice([0.35, rng.gamma(3.0, 1.4)], p=[0.08, 0.92]))
    return np.asarray(closed * closed * (3 - 2 * closed), np.float32)


def gaze(rng: RNG, time: Floats) -> Floats:
    """Fixations near the camera with quick saccades: yaw and pitch (N, 2) in radians."""
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
    """Motion for ``frames`` pictures; ``loudness`` (N,) 0..1 makes heads nod and brows rise with the voice."""
    time = np.arange(frames, dtype=np.float32) / fps
    live = liveliness * float(np.exp(rng.normal(0, 0.35)))
    beat = np.convolve(loudness, np.ones(7) / 7, "same") if frames > 7 else loudness
    yaw = rng.normal(0, 0.09) + 0.055 * live * drift(rng, time, 0.1, 0.8)
    pitch = rng.normal(0.0, 0.05) + 0.035 * live * drift(rng, time, 0.15, 1.2) + 0.05 * live * (beat - beat.mean())
    roll = rng.normal(0, 0.035) + 0.03 * live * drift(rng, time, 0.1, 0.7)
    shift = np.stack([0.03 * live * drift(rng, time, 0.08, 0.5) for _ in range(3)], axis=1)
    lids, brow = blinks(rng, time), drift(rng, time, 0.1, 0.8)
    smile = np.clip(rng.uniform(0.02, 0.30) + 0.10 * drift(rng, time, 0.05, 0.4), 0, 0.6)
    raised = np.clip(0.25 * live * brow + 0.35 * (beat - beat.mean()) + rng.uniform(0.0, 0.4), -0.4, 1.0)
    lift = np.clip(rng.uniform(0.3, 0.75) + 0.1 * brow, 0, 1)  # what the head's own brows hang too low
    squint = float(rng.uniform(0, 0.35))
    weights = {"mouth-corner-puller": smile}
    for side in ("left", "right"):
        weights[f"eye-{side}-closure"] = lids * 0.98
        weights[f"eye-{side}-slit"] = squint * (1 - lids)
        weights[f"eyebrows-{side}-up"] = np.clip(raised, 0, 1)
        weights[f"eyebrows-{side}-down"] = np.clip(-raised, 0, 1) * 0.6
        weights[f"eyebrows-{side}-inner-up"] = lift
    weights["mouth-corner-puller~"] = smile * 0.35 * drift(rng, time, 0.05, 0.4)  # one corner, then the other
    shake = handheld * np.stack([drift(rng, time, 0.4, 4.0) for _ in range(2)], axis=1)
    return Motion(
        np.stack([yaw, pitch, roll], axis=1).astype(np.float32),
        shift.astype(np.float32),
        gaze(rng, time) - 0.6 * np.stack([yaw, -pitch], axis=1).astype(np.float32),
        {name: np.asarray(w, np.float32) for name, w in weights.items()},
        shake.astype(np.float32),
    )


def rotation(yaw: float, pitch: float, roll: float) -> Floats:
    """Rotation matrix (3, 3): roll, then pitch (nod down positive), then yaw (towards +x)."""
    cy, sy, cx, sx, cz, sz = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch), np.cos(roll), np.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return (about_y @ about_x @ about_z).astype(np.float32)
