"""The source stays where the generated crop agrees with it, and never at the mouth."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.inference.compose.blend_mask import change_mask, mouth_core
from dithead.inference.compose.fallback import replace_lost_identity

SIZE = 160


@pytest.fixture
def source() -> np.ndarray:
    """Skin with fine grain."""
    grain = np.random.default_rng(0).normal(0, 6, (SIZE, SIZE, 3))
    return np.clip(150 + grain, 0, 255).astype(np.uint8)


@pytest.fixture
def core() -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    lips = np.stack([80 + 25 * np.cos(angles), 105 + 10 * np.sin(angles)], axis=1)
    return mouth_core(lips.astype(np.float32), SIZE)


def test_blur_alone_is_no_news(source, core):
    new = change_mask(cv2.GaussianBlur(source, (0, 0), 3), source, core)
    assert new[130:150].max() < 0.1
    assert new[:70].max() < 0.05
    assert new[105, 80] == pytest.approx(1.0)


def test_a_jaw_that_moved_is_new(source, core):
    mouth = source.copy()
    mouth[135:150, 50:110] = 60
    new = change_mask(mouth, source, core)
    assert new[142, 80] > 0.95
    assert new[:60].max() < 0.05


def test_lips_are_always_new(source, core):
    new = change_mask(source, source, core)
    assert np.array_equal(new, core)
    assert core[105, 80 - 25] > 0.9  # the corner of the mouth
    assert core[60, 80] < 0.01
    assert np.abs(np.diff(core, axis=0)).max() < 0.3  # no edge


def test_the_reference_replaces_a_drawing_of_another_person(source, core):
    source[110:150, 40:120] //= 3  # a beard
    around = np.zeros((SIZE, SIZE), np.float32)
    around[70:155, 35:125] = 1
    around *= 1 - core
    reference = np.roll(source, 2, axis=0)
    drawn, shaven = cv2.GaussianBlur(reference, (0, 0), 2), np.full_like(source, 150)
    assert replace_lost_identity(drawn, reference, source, around).mouth is drawn, (
        "a soft drawing is not another person"
    )
    assert np.array_equal(replace_lost_identity(shaven, reference, source, around).mouth, reference)
    partly = np.rint(0.87 * drawn + 0.13 * shaven).astype(np.uint8)
    assert replace_lost_identity(shaven, reference, source, around).share == 1
    mixed = replace_lost_identity(partly, reference, source, around).mouth.astype(int)
    assert 0.1 < np.abs(mixed - partly).mean() / np.abs(reference.astype(int) - partly).mean() < 0.9, (
        "the change is gradual"
    )


def test_another_head_is_no_better_than_what_was_drawn(source, core):
    turned = np.full_like(source, 90)
    drawn = cv2.GaussianBlur(source, (0, 0), 2)
    assert replace_lost_identity(drawn, turned, source, 1 - core).mouth is drawn
    assert replace_lost_identity(turned, turned // 2, source, 1 - core).mouth is turned, (
        "of two that are unlike, the nearer one"
    )
