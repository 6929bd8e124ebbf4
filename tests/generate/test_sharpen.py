"""Detail of the source: given back where the drawn mouth is the same or moved, not where it differs."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.face.composite import paste_patch
from dithead.generate.sharpen import crispened, detailed_patch

SIZE, SCALE = 96, 4
MOVE = np.array([[1 / SCALE, 0, 0], [0, 1 / SCALE, 0]])


def scene() -> np.ndarray:
    """A frame (384, 384, 3) with coarse shapes and fine grain."""
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.uniform(60, 190, (12, 12)).astype(np.float32), (384, 384), interpolation=cv2.INTER_CUBIC)
    grain = cv2.GaussianBlur(rng.normal(0, 30, (384, 384)).astype(np.float32), (0, 0), 0.8)
    return np.clip(np.repeat((coarse + grain)[..., None], 3, axis=2), 0, 255).astype(np.uint8)


def small(frame: np.ndarray) -> np.ndarray:
    return cv2.resize(frame, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def pasted(frame, mouth, how):
    patch = how(frame, mouth, MOVE, np.ones((SIZE, SIZE), np.float32))
    h, w = patch.difference.shape[:2]
    return (frame[patch.top : patch.top + h, patch.left : patch.left + w] + patch.difference)[40:-40, 40:-40]


def grain_of(picture) -> float:
    grey = picture.astype(np.float32)[..., 0]
    return float((grey - cv2.GaussianBlur(grey, (0, 0), 3)).std())


def test_the_same_mouth_is_as_sharp_as_the_source():
    frame = scene()
    plain = pasted(frame, small(frame), paste_patch)
    sharp = pasted(frame, small(frame), lambda f, m, t, k: detailed_patch(f, m, small(f), t, k))
    truth = frame[40:-40, 40:-40]
    assert grain_of(plain) < 0.6 * grain_of(truth)
    assert 0.85 * grain_of(truth) < grain_of(sharp) < 1.15 * grain_of(truth)
    assert np.abs(sharp - truth).mean() < 0.35 * np.abs(plain - truth).mean()


def test_another_mouth_borrows_nothing():
    frame = scene()
    other = 255 - small(frame)
    plain = pasted(frame, other, paste_patch)
    sharp = pasted(frame, other, lambda f, m, t, k: detailed_patch(f, m, small(f), t, k))
    borrowed = grain_of(sharp) - grain_of(plain)
    assert borrowed < 0.25 * grain_of(frame[40:-40, 40:-40])


def test_small_faces_are_left_alone():
    frame = scene()[:SIZE, :SIZE]
    still = np.array([[1.0, 0, 0], [0, 1, 0]])
    mask = np.ones((SIZE, SIZE), np.float32)
    a, b = paste_patch(frame, frame, still, mask), detailed_patch(frame, frame, frame, still, mask)
    assert np.array_equal(a.difference, b.difference)


def test_a_soft_mouth_gets_the_contrast_of_the_reference_where_it_is_drawn():
    reference = small(scene())
    soft, core = cv2.GaussianBlur(reference, (0, 0), 0.6), np.zeros((SIZE, SIZE), np.float32)
    core[30:70, 20:80] = 1
    made = crispened(soft, reference, core)
    fine = [grain_of(p[30:70, 20:80]) for p in (soft, made, reference)]
    assert fine[0] < fine[1] < 1.15 * fine[2]
    assert np.array_equal(made[:29], soft[:29])
    assert np.abs(crispened(reference, soft, core).astype(int) - reference).max() == 0  # nothing is made softer
