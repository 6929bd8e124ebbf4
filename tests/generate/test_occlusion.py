"""What hides the mouth stays visible; what does not, is no reason to leave it alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.face.align import crop_transform, transform_points, warp_crop
from dithead.face.hands import hand_mask
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line, polygon_mask
from dithead.generate.occlusion import Covers, Look, detail_share, thing_before_lips
from dithead.generate.pipeline import generate
from dithead.generate.survey import Survey
from dithead.media.video import read_frames

SIZE = 160


@pytest.fixture(scope="module")
def seen(pictures):
    """Crop and its landmarks of one frame of a presenter, and what cut it."""
    with FaceLandmarker() as landmarker:
        face = landmarker.detect(pictures[4])[0]
    move = crop_transform(face, SIZE)
    return warp_crop(pictures[4], move, SIZE), transform_points(face, move), face


def with_ball(picture, centre, radius, colour=(15, 15, 18)):
    return cv2.circle(picture.copy(), tuple(int(v) for v in centre), int(radius), colour, -1, cv2.LINE_AA)


def test_a_free_mouth_is_free(seen):
    crop, points, _ = seen
    assert not thing_before_lips(crop, points).any()


@pytest.mark.parametrize("colour", [(15, 15, 18), (40, 60, 160), (60, 160, 60)], ids=["black", "blue", "green"])
def test_a_thing_before_the_lower_lip_is_found_whole(seen, colour):
    crop, points, _ = seen
    centre, radius = points[17] + (0, 8), 22
    found = thing_before_lips(with_ball(crop, centre, radius, colour), points)
    truth = with_ball(np.zeros_like(crop), centre, radius, (255,) * 3)[..., 0] > 128
    assert (found & truth).sum() / truth.sum() > 0.9
    face = polygon_mask(jaw_line(points), SIZE) > 0.5  # beyond it the source stays in any case
    assert (found & truth & face).sum() / (found & face).sum() > 0.6


def test_blur_is_seen(seen):
    crop, *_ = seen
    assert detail_share(crop) > 0.15
    assert detail_share(cv2.GaussianBlur(crop, (0, 0), 8)) < 0.08


def test_a_hand_is_a_mask():
    hand = np.stack([np.linspace(20, 60, 21), np.linspace(100, 20, 21)], axis=1).astype(np.float32)
    mask = hand_mask([hand], 128)
    assert mask[60, 40] == 1
    assert mask[5, 120] == 0
    assert not hand_mask([], 64).any()


def test_covers_come_and_go_over_a_few_frames():
    covers, spot = Covers(), np.zeros((80, 80), bool)
    spot[30:50, 30:50] = True
    covers.add(10, Look(spot))
    covers.add(30, Look(reason="mouth covered"))
    shown = [covers.free(k, 64) for k in range(40)]
    assert shown[5] is None
    assert [round(float(1 - shown[k][32, 32]), 2) for k in (8, 9, 10, 11, 12)] == [0.33, 0.67, 1.0, 0.67, 0.33]
    assert shown[10][5, 5] == 1
    assert [round(float(shown[k].max()), 1) for k in (26, 28, 30, 33)] == [0.8, 0.4, 0.0, 0.6]


@pytest.fixture
def made(footage, pictures, speech, talker, tmp_path, seen):
    """Output frames for footage in which a ball hides the mouth from the fifth to the eighth frame."""
    face = seen[2]
    width = np.linalg.norm(face[61] - face[291])

    def run(radius: float, occlusion: str):
        frames = [with_ball(p, face[14, :2], radius * width) if 4 <= k < 8 else p for k, p in enumerate(pictures)]
        source = footage(frames)
        result = generate(
            source, speech, tmp_path / f"{occlusion}.mkv", model=talker, occlusion=occlusion, lossless=True
        )
        pairs = zip(read_frames(source), read_frames(result.output), strict=True)
        return result, [np.abs(a.pixels.astype(int) - b.pixels).max(axis=2) for a, b in pairs]

    return run


def test_a_covered_mouth_passes_through_and_is_reported(made):
    result, changes = made(1.0, "auto")
    assert [(s.first, s.last, s.reason) for s in result.passed_through] == [(4, 7, "mouth covered")]
    assert max(c.max() for c in changes[4:8]) == 0
    assert min(c.max() for c in (changes[0], changes[-1])) > 20
    result, changes = made(1.0, "off")
    assert result.passed_through == []
    assert min(c.max() for c in changes[4:8]) > 20


def test_unknown_ways_are_refused(footage, pictures, speech, tmp_path):
    with pytest.raises(ConfigError, match="occlusion"):
        generate(footage(pictures[:2]), speech, tmp_path / "o.mp4", occlusion="maybe")


def test_covers_survive_on_disk(footage, pictures, tmp_path, seen):
    from dithead.generate.occlusion import Lookout
    from dithead.generate.survey import survey

    ball = [with_ball(p, seen[2][17, :2] + (0, 4), 14) for p in pictures[:4]]
    with Lookout() as lookout:
        found = survey(read_frames(footage(ball)), 96, lookout=lookout)
    found.save(tmp_path / "s.npz")
    back = Survey.load(tmp_path / "s.npz")
    assert found.runs[0].covers.parts
    assert back.runs[0].covers == found.runs[0].covers
    assert np.array_equal(back.runs[0].jaws, found.runs[0].jaws)
