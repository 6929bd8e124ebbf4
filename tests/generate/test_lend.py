"""Detail lent to a drawn mouth: it takes the grain of the picture that is as open, and where they differ nothing."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.generate.lend import lend, loan
from dithead.generate.references import Graded

SIZE = 160
CORE = np.zeros((SIZE, SIZE), np.float32)
CORE[60:120, 40:120] = 1


def face(seed: int = 0, side: int = SIZE, gap: float = 0.05) -> np.ndarray:
    """Skin with grain, and a mouth (side, side, 3)."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), 160, np.float32)
    y, x = np.mgrid[:side, :side] / side
    picture -= 90 * np.exp(-(((x - 0.5) / 0.2) ** 2) - ((y - 0.55) / gap) ** 2)[..., None]
    picture += cv2.GaussianBlur(rng.normal(0, 25, (side, side, 1)).astype(np.float32), (0, 0), 1)[..., None]
    return np.clip(picture, 0, 255).astype(np.uint8)


def soft(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 3)


def grain(picture: np.ndarray) -> float:
    part = picture[70:110, 45:115].astype(np.float32)
    return float((part - cv2.GaussianBlur(part, (0, 0), 2)).std())


def test_a_soft_mouth_becomes_as_crisp_as_the_picture():
    sharp = face()
    made = soft(sharp) + loan(soft(sharp), sharp, sharp).detail
    assert grain(soft(sharp)) < 0.3 * grain(sharp)
    assert 0.8 * grain(sharp) < grain(made) < 1.1 * grain(sharp)
    assert (
        np.abs(made - sharp)[40:120, 40:120].mean()
        < 0.5 * np.abs(soft(sharp) - sharp.astype(float))[40:120, 40:120].mean()
    )


def test_it_is_moved_to_where_the_mouth_is_drawn():
    sharp = face()
    lower = np.roll(sharp, 3, axis=0)
    made = soft(lower) + loan(soft(lower), sharp, sharp).detail
    gap = [np.abs(made - target)[40:120, 40:120].mean() for target in (lower.astype(float), sharp.astype(float))]
    assert gap[0] < 0.75 * gap[1]


def test_large_pictures_lend_at_their_own_size():
    large = face(side=2 * SIZE)
    small = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    lent = loan(soft(small), small, large)
    assert lent.detail.shape == (2 * SIZE, 2 * SIZE, 3)
    assert lent.share.shape == (SIZE, SIZE)
    assert abs(float(lent.detail.mean())) < 0.5, "fine contrast only, no other light"


def test_nothing_is_lent_where_they_differ():
    drawn = soft(face())
    drawn[:, :80, 0] += 70
    lent = loan(drawn, face(), face())
    assert lent.share[:, :60].max() == 0
    assert np.abs(lent.detail[:, :60]).max() == 0
    assert lent.share[:, 100:].min() > 0.99


def test_the_picture_that_is_as_open_lends_or_else_the_one_most_alike():
    pictures = np.stack([face(k, gap=gap) for k, gap in enumerate((0.02, 0.06, 0.14))])
    graded = Graded(pictures, np.float32([0, 0.1, 0.3]), 0.1, SIZE)
    drawn = soft(pictures[1])
    for opening, expected in ((0.31, 2), (0.12, 1), (-0.1, 0), (None, 1)):
        found = lend(graded, drawn, opening, CORE)
        assert np.array_equal(found.detail, loan(drawn, pictures[expected], pictures[expected]).detail)


def test_a_mouth_that_never_moves_lends_nothing_on_the_lips() -> None:
    drawn, still = soft(face()), Graded(face()[None], np.float32([0.05]), 0.05, SIZE)
    moving = Graded(np.stack([face(), face()]), np.float32([0.0, 0.2]), 0.05, SIZE)
    assert np.abs(lend(still, drawn, 0.05, CORE).detail[70:110, 50:110]).max() == 0
    assert np.abs(lend(moving, drawn, 0.0, CORE).detail[70:110, 50:110]).max() > 1
    outside = np.s_[10:50, 10:30]
    assert np.allclose(lend(still, drawn, 0.05, CORE).detail[outside], lend(moving, drawn, 0.0, CORE).detail[outside])
