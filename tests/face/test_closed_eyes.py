"""The eyes of one picture close."""

from __future__ import annotations

import numpy as np
import pytest

from dithead.face.closed_eyes import with_closed_eyes
from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import LEFT_BROW, LEFT_EYE, MOUTH_CORNERS, RIGHT_BROW, RIGHT_EYE, outline_aspect


def seen_aspects(picture: np.ndarray) -> list[float]:
    """Height over width of both eyes, as the tracker sees them."""
    with FaceLandmarker(1) as landmarker:
        found = landmarker.track(picture)
    assert found is not None
    return [outline_aspect(found[list(eye), :2]) for eye in (RIGHT_EYE, LEFT_EYE)]


def test_both_eyes_are_seen_to_close_step_by_step(presenter: np.ndarray, face: np.ndarray) -> None:
    seen = np.array([seen_aspects(with_closed_eyes(presenter[0], face, share)) for share in (0, 0.5, 1)])
    assert (seen[0] > 0.2).all()
    assert (np.diff(seen, axis=0) < -0.03).all()
    assert (seen[2] < 0.5 * seen[0]).all()


def test_nothing_moves_but_the_lids(presenter: np.ndarray, face: np.ndarray) -> None:
    closed = with_closed_eyes(presenter[0], face, 1.0)
    changed = np.abs(closed.astype(int) - presenter[0]).max(axis=2) > 8
    assert changed.sum() > 100
    y, x = np.nonzero(changed)
    brows, eyes = (face[[*right, *left], :2] for right, left in ((RIGHT_BROW, LEFT_BROW), (RIGHT_EYE, LEFT_EYE)))
    assert y.min() > brows[:, 1].min()
    assert y.max() < face[list(MOUTH_CORNERS), 1].min()
    assert x.min() > eyes[:, 0].min() - 3
    assert x.max() < eyes[:, 0].max() + 3


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_open_eyes_are_left_alone_and_closed_ones_stay(presenter: np.ndarray, face: np.ndarray, share: float) -> None:
    assert np.array_equal(with_closed_eyes(presenter[0], face, 0.0), presenter[0])
    shut = face.copy()
    for eye in (RIGHT_EYE, LEFT_EYE):
        shut[list(eye), 1] = shut[list(eye), 1].mean()
    assert np.array_equal(with_closed_eyes(presenter[0], shut, share), presenter[0])


def test_lids_close_along_the_eyes_of_a_tilted_head(presenter: np.ndarray, face: np.ndarray) -> None:
    turned, landmarks = np.rot90(presenter[0]).copy(), face[:, :2][:, ::-1].copy()
    landmarks[:, 1] = presenter[0].shape[1] - 1 - landmarks[:, 1]
    upright = with_closed_eyes(presenter[0], face, 1.0)
    assert np.abs(np.rot90(upright).astype(int) - with_closed_eyes(turned, landmarks, 1.0)).max() <= 2


def test_eyes_at_the_edge_of_the_picture_need_no_room(presenter: np.ndarray, face: np.ndarray) -> None:
    top = int(face[list(RIGHT_EYE), 1].mean())
    cut, landmarks = presenter[0][top:].copy(), face[:, :2] - (0, top)
    assert with_closed_eyes(cut, landmarks, 1.0).shape == cut.shape
