"""Lip measures are ratios: they do not change with the size or place of the face."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import INNER_LIPS, LIP_INDICES, OUTER_LIPS


def lips(opening: float, width: float) -> np.ndarray:
    points = np.zeros((478, 3))
    points[33, 0], points[263, 0] = 0, 100
    points[13], points[14] = (50, 80, 9), (50, 80 + opening, -9)
    points[61, :2], points[291, :2] = (50 - width / 2, 80), (50 + width / 2, 80)
    return points


@pytest.mark.parametrize("scale", [0.1, 1, 7])
def test_ratios(scale):
    face = lips(12, 55) * scale + 31
    assert lip_opening(face) == pytest.approx(0.12)
    assert lip_width(face) == pytest.approx(0.55)


def test_indices_are_the_40_lip_points():
    assert len(set(OUTER_LIPS)) == len(set(INNER_LIPS)) == 20
    assert len(set(LIP_INDICES)) == 40


def test_on_a_real_picture(face):
    assert 0 <= lip_opening(face) < 0.5
    assert 0.3 < lip_width(face) < 0.9
    inner, outer = (np.ptp(face[list(i), 0]) for i in (INNER_LIPS, OUTER_LIPS))
    assert inner < outer
