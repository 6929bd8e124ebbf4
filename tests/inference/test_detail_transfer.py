"""Transferred detail: a drawn mouth gets the grain of the picture that is as open, and none where they differ."""

from __future__ import annotations

import cv2
import numpy as np

from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import StoredReferences, enlarged
from dithead.inference.analyse.tracklet import Tracklet
from dithead.inference.compose.detail_transfer import DetailTransfer, detail_from, transfer_detail
from dithead.inference.compose.fallback import replace_smeared_lips
from dithead.inference.compose.patch import FrameCrop, patch_with_detail
from dithead.inference.synthesise.reference_bank import ReferenceBank
from dithead.inference.synthesise.reference_set import LipTarget, SourcePicture

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


def own(picture: np.ndarray, large: np.ndarray | None = None) -> SourcePicture:
    large = picture if large is None else large
    return SourcePicture(picture, large, enlarged(np.eye(2, 3), SIZE / large.shape[0]))


def kept_pictures(pictures: list[np.ndarray], openings: list[float]) -> tuple[ReferenceBank, Tracklet]:
    """A tracklet of which these pictures are kept."""
    store, nothing = ImageStore(), np.zeros((4, 2), np.float32)
    images = store.put([*pictures, *pictures])
    every, widths = np.arange(len(pictures)), np.full(len(pictures), 0.5, np.float32)
    transforms = np.stack([np.eye(2, 3)] * len(pictures))
    kept = StoredReferences(store, images, np.float32(openings), widths, 0.1, 0.5, every, every, transforms)
    moves = np.zeros((1, 2, 3))
    return ReferenceBank(), Tracklet(0, 1, moves, nothing, nothing, pictures[0], False, False, references=kept)


def reference(bank: ReferenceBank, tracklet: Tracklet, opening: float | None):
    return bank.frame_reference(tracklet, None if opening is None else LipTarget(opening, 0.5))


def with_detail(mouth: np.ndarray, transfer: DetailTransfer, side: int = SIZE) -> np.ndarray:
    """The frame (side, side, 3) that shows ``mouth`` with what is transferred."""
    frame = np.zeros((side, side, 3), np.uint8)
    patch = patch_with_detail(
        FrameCrop(frame, mouth, enlarged(np.eye(2, 3), SIZE / side)), mouth, np.ones((SIZE, SIZE)), transfer
    )
    return patch.difference


def soft(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), 3)


def grain(picture: np.ndarray) -> float:
    part = picture[70:110, 45:115].astype(np.float32)
    return float((part - cv2.GaussianBlur(part, (0, 0), 2)).std())


def test_a_soft_mouth_becomes_as_crisp_as_the_picture():
    sharp = face()
    made = with_detail(soft(sharp), detail_from(soft(sharp), own(sharp)))
    assert grain(soft(sharp)) < 0.3 * grain(sharp)
    assert 0.8 * grain(sharp) < grain(made) < 1.1 * grain(sharp)
    assert (
        np.abs(made - sharp)[40:120, 40:120].mean()
        < 0.5 * np.abs(soft(sharp) - sharp.astype(float))[40:120, 40:120].mean()
    )


def test_it_is_moved_to_where_the_mouth_is_drawn():
    sharp = face()
    lower = np.roll(sharp, 3, axis=0)
    made = with_detail(soft(lower), detail_from(soft(lower), own(sharp)))
    gap = [np.abs(made - target)[40:120, 40:120].mean() for target in (lower.astype(float), sharp.astype(float))]
    assert gap[0] < 0.75 * gap[1]


def test_a_large_face_is_as_sharp_as_its_picture():
    large = face(side=2 * SIZE)
    small = cv2.resize(large, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    made = with_detail(soft(small), detail_from(soft(small), own(small, large)), 2 * SIZE)
    part, truth = made[140:220, 90:230], large[140:220, 90:230].astype(float)
    assert 0.9 < laplacian(part) / laplacian(truth) < 1.1
    assert abs(float((part - truth).mean())) < 2, "fine contrast only, no other light"


def laplacian(picture: np.ndarray) -> float:
    return float(cv2.Laplacian(picture.astype(np.float32), cv2.CV_32F).var())


def test_no_detail_is_transferred_where_they_differ():
    drawn = soft(face())
    drawn[:, :80, 0] += 70
    transfer = detail_from(drawn, own(face()))
    assert transfer.weight[:, :60].max() == 0
    assert np.abs(with_detail(drawn, transfer) - drawn)[:, 5:60].max() < 1
    assert transfer.weight[:, 100:].min() > 0.99


def test_detail_comes_from_the_picture_that_is_as_open_or_else_the_most_similar_one():
    pictures = [face(k, gap=gap) for k, gap in enumerate((0.02, 0.06, 0.14))]
    bank, tracklet = kept_pictures(pictures, [0, 0.1, 0.3])
    drawn = soft(pictures[1])
    for opening, expected in ((0.31, 2), (0.12, 1), (-0.1, 0), (None, 1)):
        assert np.array_equal(
            transfer_detail(reference(bank, tracklet, opening), drawn, CORE).picture, pictures[expected]
        )


def test_no_detail_is_transferred_where_no_picture_was_kept() -> None:
    bank, tracklet = kept_pictures([face()], [0.05])
    tracklet.references = None
    assert reference(bank, tracklet, 0.05) is None


def test_the_reference_replaces_a_smear_on_the_lips_but_not_a_good_drawing() -> None:
    good = face()
    smeared = good.copy()
    smeared[80:96, 60:72] = (20, 60, 40)
    repaired, share = replace_smeared_lips(smeared, good, CORE)
    assert 0.005 < share < 0.5
    spot = np.s_[83:93, 63:69]
    assert np.abs(repaired[spot].astype(float) - good[spot]).mean() < 10
    assert np.abs(smeared[spot].astype(float) - good[spot]).mean() > 40
    close = np.clip(good + 6.0, 0, 255).astype(np.uint8)
    assert np.array_equal(replace_smeared_lips(close, good, CORE).mouth, close)
    assert replace_smeared_lips(close, good, CORE).share < 1e-6
    beside = good.copy()
    beside[20:36, 60:72] = 0  # not on the lips
    assert np.array_equal(replace_smeared_lips(beside, good, CORE).mouth[:50], beside[:50])
