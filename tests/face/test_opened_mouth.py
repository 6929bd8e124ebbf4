"""One picture of a mouth becomes pictures of that mouth closed and open."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.closed_mouth import Motion, closed_evenly
from dithead.face.landmarks import FaceLandmarker
from dithead.face.lip_opening import lip_opening, lip_width
from dithead.face.mesh_indices import (
    CHIN,
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    INNER_LIPS,
    LEFT_EYE,
    NOSE_TIP,
    OUTER_LIPS,
    RIGHT_EYE,
    eye_distance,
)
from dithead.face.opened_mouth import inside_of, moved_landmarks, opened_mouth
from dithead.face.rendered_inside import Light


@pytest.fixture(scope="module")
def closed(presenter: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a closed mouth, and its landmarks (478, 2)."""
    shut = opened_mouth(presenter[0], face[:, :2], 0.0)
    with FaceLandmarker(1) as landmarker:
        found = landmarker.track(shut)
    assert found is not None
    return shut, found[:, :2]


def seen_opening(picture: np.ndarray) -> float:
    with FaceLandmarker(1) as landmarker:
        found = landmarker.track(picture)
    assert found is not None
    return lip_opening(found)


def test_a_mouth_is_seen_to_open_as_far_as_wanted_and_to_close(closed: tuple[np.ndarray, np.ndarray]) -> None:
    seen = [seen_opening(opened_mouth(*closed, opening)) for opening in (0.0, 0.06, 0.12, 0.19)]
    assert seen[0] < 0.02
    assert np.diff(seen).min() > 0.02
    assert seen[2:] == pytest.approx([0.12, 0.19], abs=0.045)


def test_lips_are_seen_to_round_and_to_spread(closed: tuple[np.ndarray, np.ndarray]) -> None:
    widths = []
    for wider in (-0.07, 0.0, 0.05):
        with FaceLandmarker(1) as landmarker:
            found = landmarker.track(opened_mouth(*closed, 0.1, wider))
        assert found is not None
        widths.append(lip_width(found))
    assert np.diff(widths).min() > 0.02
    assert lip_width(moved_landmarks(closed[1], 0.1, 0.05)) > lip_width(moved_landmarks(closed[1], 0.1)) + 0.03


def test_teeth_that_show_between_the_lips_do_not_stay_on_them(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    unit = eye_distance(landmarks)
    seam = np.rint(landmarks[list(INNER_LIPS)][3:8]).astype(np.int32)
    toothed = picture.copy()
    cv2.polylines(toothed, [seam], False, (255, 255, 255), max(1, round(0.012 * unit)))
    moved = moved_landmarks(landmarks, 0.15)
    lips, gap = np.zeros((2, *picture.shape[:2]), np.uint8)
    cv2.fillPoly(lips, [np.rint(moved[list(OUTER_LIPS)]).astype(np.int32)], 1)
    cv2.fillPoly(gap, [np.rint(moved[list(INNER_LIPS)]).astype(np.int32)], 1)
    lips[cv2.dilate(gap, np.ones((3, 3), np.uint8)) > 0] = 0
    inside = inside_of(picture, landmarks)
    plain, changed = (opened_mouth(each, landmarks, 0.15, 0.0, inside)[lips > 0] for each in (picture, toothed))
    assert (toothed[..., 2] > 250).sum() > 30, "teeth show"
    assert changed.astype(int).max() < plain.max() + 25, "lips stay as they are"


def test_only_the_lower_face_changes(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    changed = opened_mouth(picture, landmarks, 0.15)
    above = int(landmarks[NOSE_TIP, 1] - 0.15 * eye_distance(landmarks))
    assert np.abs(changed[:above].astype(int) - picture[:above]).mean() < 1
    assert np.abs(changed[above:].astype(int) - picture[above:]).mean() > 3


def test_a_little_of_the_own_inside_is_not_stretched_into_streaks(closed: tuple[np.ndarray, np.ndarray]) -> None:
    apart = opened_mouth(*closed, 0.05)
    with FaceLandmarker(1) as landmarker:
        found = landmarker.track(apart)
    assert found is not None
    landmarks, own = found[:, :2], lip_opening(found)
    assert 0.025 < own < 0.075
    inside = np.zeros(apart.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(moved_landmarks(closed[1], 0.16)[list(INNER_LIPS)]).astype(np.int32)], 1)
    wanted, wide = (
        each[inside > 0].astype(int) for each in (opened_mouth(*closed, 0.16), opened_mouth(apart, landmarks, 0.16))
    )
    assert np.abs(wide - wanted).mean() < 20, "the rendered inside"
    kept = opened_mouth(apart, landmarks, own * 1.3).astype(int)
    assert np.abs(kept - apart)[inside > 0].mean() < 25, "the person's own"


def test_the_inside_is_darker_in_a_darker_picture(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    dark = (picture * 0.4).astype(np.uint8)
    inside = np.zeros(picture.shape[:2], np.uint8)
    lips = moved_landmarks(landmarks, 0.15)[list(INNER_LIPS)]
    cv2.fillPoly(inside, [np.rint(lips).astype(np.int32)], 1)
    inside = cv2.erode(inside, np.ones((3, 3), np.uint8))
    bright, dim = (opened_mouth(each, landmarks, 0.15)[inside > 0].mean() for each in (picture, dark))
    assert 0.4 < dim / bright < 0.75


def test_the_inside_is_brighter_where_the_whites_of_the_eyes_are(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    eyes = landmarks[list(RIGHT_EYE + LEFT_EYE), 1]
    rows, lips = slice(int(eyes.min()) - 1, int(eyes.max()) + 2), slice(int(landmarks[NOSE_TIP, 1]), None)
    made = []
    for factor in (0.75, 1.15):
        lit = picture.astype(np.float64)
        lit[rows] *= factor
        made.append(opened_mouth(lit.clip(0, 255).astype(np.uint8), landmarks, 0.15)[lips].astype(int))
    changed = (made[1] - made[0])[np.abs(made[1] - made[0]).max(axis=2) > 3]
    assert len(changed) > 100
    assert changed.mean() > 5


def test_the_inside_is_redder_in_redder_light_but_not_the_skin(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    inside = inside_of(picture, landmarks)
    made = [
        opened_mouth(picture, landmarks, 0.15, 0.0, inside._replace(light=Light(inside.light.brightness, colour)))
        for colour in ((-0.2, 0.0), (0.2, 0.0))
    ]
    changed = np.abs(made[1].astype(int) - made[0]).max(axis=2) > 3
    assert 100 < changed.sum() < 0.1 * changed.size
    red, green, blue = (made[1].astype(int) - made[0])[changed].mean(axis=0)
    assert red > 3
    assert max(green, blue) < 0
    assert red + green + blue == pytest.approx(0, abs=1), "as bright as before"


def test_the_rendered_inside_is_as_soft_as_its_picture(closed: tuple[np.ndarray, np.ndarray]) -> None:
    picture, landmarks = closed
    inside = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(inside, [np.rint(moved_landmarks(landmarks, 0.15)[list(INNER_LIPS)]).astype(np.int32)], 1)
    inside = cv2.erode(inside, np.ones((5, 5), np.uint8))
    blurs, detail = [], []
    for sigma in (0.6, 1.2, 3.0):
        soft = cv2.GaussianBlur(picture, (0, 0), sigma)
        blurs.append(inside_of(soft, landmarks).softness)
        opened = cv2.cvtColor(opened_mouth(soft, landmarks, 0.15), cv2.COLOR_RGB2GRAY)
        detail.append(cv2.Laplacian(opened, cv2.CV_32F)[inside > 0].var())
    assert np.diff(blurs).min() > 0.15
    assert detail[0] > 1.5 * detail[1]
    assert detail[1] > 1.1 * detail[2]


def test_what_is_told_of_the_inside_need_not_be_found_for_each_mouth(closed: tuple[np.ndarray, np.ndarray]) -> None:
    inside = inside_of(*closed)
    assert np.array_equal(opened_mouth(*closed, 0.12, 0.05, inside), opened_mouth(*closed, 0.12, 0.05))
    dark = opened_mouth(*closed, 0.12, 0.05, inside._replace(light=Light(inside.light.brightness / 2)))
    assert dark.mean() < opened_mouth(*closed, 0.12, 0.05).mean()


def test_landmarks_open_the_lips_and_lower_the_chin_also_of_a_tilted_head(
    closed: tuple[np.ndarray, np.ndarray],
) -> None:
    _, landmarks = closed
    c, s = np.cos(0.5), np.sin(0.5)
    turn = np.array([[c, s], [-s, c]])
    for face in (landmarks, landmarks @ turn):
        moved = moved_landmarks(face, 0.2)
        assert lip_opening(moved) == pytest.approx(0.2, abs=0.01)
        assert np.linalg.norm(moved[CHIN] - face[CHIN]) > 0.05 * eye_distance(face)
        assert np.abs(moved[NOSE_TIP] - face[NOSE_TIP]).max() < 0.02 * eye_distance(face)
    straight, tilted = (moved_landmarks(face, 0.2) for face in (landmarks, landmarks @ turn))
    assert np.abs(straight @ turn - tilted).max() < 0.01 * eye_distance(landmarks)
    assert np.linalg.norm(straight[INNER_LIP_TOP] - straight[INNER_LIP_BOTTOM]) > 0


def test_a_mouth_that_is_open_shows_its_own_inside(presenter: np.ndarray, face: np.ndarray) -> None:
    """Whoever shows teeth keeps them: red paint between open lips is still there when they open further."""
    landmarks = face[:, :2]
    picture = presenter[0].copy()
    lips = np.rint(landmarks[list(INNER_LIPS)]).astype(np.int32)
    assert lip_opening(landmarks) > 0.03
    cv2.fillPoly(picture, [lips], (250, 0, 200))
    wider = opened_mouth(picture, landmarks, lip_opening(landmarks) + 0.05)
    middle = moved_landmarks(landmarks, lip_opening(landmarks) + 0.05)[[INNER_LIP_TOP, INNER_LIP_BOTTOM]].mean(axis=0)
    x, y = np.rint(middle).astype(int)
    assert wider[y, x] == pytest.approx([250, 0, 200], abs=12)


def test_lips_that_close_cover_the_teeth_instead_of_squeezing_them(presenter: np.ndarray, face: np.ndarray) -> None:
    """Green paint between wide lips is gone when they are closed, and keeps its place and colour when half closed."""
    landmarks = face[:, :2]
    picture = opened_mouth(presenter[0], landmarks, 0.16)
    with FaceLandmarker(1) as landmarker:
        found = landmarker.track(picture)
    assert found is not None
    landmarks = found[:, :2]
    cv2.fillPoly(picture, [np.rint(landmarks[list(INNER_LIPS)]).astype(np.int32)], (0, 255, 0))

    def painted(each: np.ndarray) -> int:
        red, green, blue = np.moveaxis(each.astype(int), 2, 0)
        return int((green > 1.5 * np.maximum(red, blue)).sum())

    assert painted(picture) > 200
    assert painted(opened_mouth(picture, landmarks, 0.0)) < 0.05 * painted(picture)
    half = opened_mouth(picture, landmarks, lip_opening(landmarks) / 2)
    assert 0.3 < painted(half) / painted(picture) < 0.75


def test_a_gap_is_closed_evenly_also_where_the_lips_are_not_those_of_a_mean_person(face: np.ndarray) -> None:
    before = np.asarray(face[:, :2], np.float64)
    before[list(INNER_LIPS[11:20])] -= 0.05 * eye_distance(before) * np.linspace(0, 1, 9)[:, None]
    for share in (0.0, 0.5):
        closed_lips = closed_evenly(Motion(before, before), share).after
        for k in range(1, 10):
            pair = [INNER_LIPS[k], INNER_LIPS[-k]]
            apart = [np.subtract(*each[pair]) for each in (closed_lips, before)]
            assert apart[0] == pytest.approx(share * apart[1], abs=1e-6)
