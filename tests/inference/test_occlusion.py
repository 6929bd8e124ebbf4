"""What hides the mouth stays visible; what does not, is no reason to leave it alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.hands import hand_mask
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line, polygon_mask
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.inference.analyse.first_pass import Survey
from dithead.inference.analyse.image_store import Shelf
from dithead.inference.analyse.occlusion import Look, Watch, detail_share
from dithead.inference.analyse.occlusion_colour import (
    thing_before_lips,
    thing_beside_lips,
    tints_away,
    unlike_skin,
)
from dithead.inference.compose.blend_mask import mouth_core
from dithead.inference.pipeline import generate
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
    unlike = unlike_skin(crop, points[list(CHEEKS)])
    assert not thing_before_lips(unlike, points).any()
    assert not thing_beside_lips(unlike, points).sure


@pytest.mark.parametrize("colour", [(15, 15, 18), (40, 60, 160), (60, 160, 60)], ids=["black", "blue", "green"])
def test_a_thing_before_the_lower_lip_is_found_whole(seen, colour):
    crop, points, _ = seen
    centre, radius = points[17] + (0, 8), 22
    found = thing_before_lips(unlike_skin(with_ball(crop, centre, radius, colour), points[list(CHEEKS)]), points)
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


def watched(looks: dict[int, Look], frames: int):
    watch = Watch()
    for k in range(frames):
        watch.add(looks.get(k, Look()))
    return watch.close()


def spot(place: slice) -> np.ndarray:
    found = np.zeros((80, 80), bool)
    found[place, place] = True
    return found


def test_covers_come_and_go_over_a_few_frames():
    covers = watched({10: Look(spot(slice(30, 50))), 30: Look(reason="mouth covered")}, 40)
    shown = [covers.free(k, 64) for k in range(40)]
    assert shown[5] is None
    assert [round(float(1 - shown[k][32, 32]), 2) for k in (8, 9, 10, 11, 12)] == [0.33, 0.67, 1.0, 0.67, 0.33]
    assert shown[10][5, 5] == 1
    assert [round(float(shown[k].max()), 1) for k in (26, 28, 30, 33)] == [0.8, 0.4, 0.0, 0.6]


BESIDE = {
    "microphone": lambda p, w: ("ball", p[[61, 291]].mean(0) * 0.1 + p[152] * 0.9 - (0.75 * w, 0), 0.6 * w),
    "straw": lambda p, w: ("line", p[14], p[14] + (0.6 * w, 2.2 * w)),
    "boom": lambda p, w: ("line", p[291] + (0.1 * w, 0.3 * w), p[454] + (0.3 * w, 0)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_a_thing_beside_the_lips_is_found(seen, name):
    crop, points, _ = seen
    kind, start, end = BESIDE[name](points, float(np.linalg.norm(points[61] - points[291])))
    if kind == "ball":
        truth = cv2.circle(np.zeros_like(crop), start.astype(int).tolist(), int(end), (255,) * 3, -1)[..., 0] > 0
    else:
        truth = cv2.line(np.zeros_like(crop), start.astype(int).tolist(), end.astype(int).tolist(), (255,) * 3, 4)
        truth = truth[..., 0] > 0
    picture = crop.copy()
    picture[truth] = (15, 15, 18)
    found = thing_beside_lips(unlike_skin(picture, points[list(CHEEKS)]), points)
    assert found.sure
    face = polygon_mask(jaw_line(points), SIZE) > 0.5
    assert (found.thing & truth & face).sum() / (truth & face).sum() > 0.7
    assert (found.thing & ~truth & face).sum() / (truth & face).sum() < 0.6


def test_what_is_beside_the_lips_is_believed_near_a_sure_thing_and_on_shaven_faces_only():
    beside = {k: Look(beside=spot(slice(10, 20)), sure=k in (400, 401)) for k in range(1000)}
    covers = watched(beside, 1000)
    assert (min(covers.parts), max(covers.parts)) == (151, 651)
    assert covers.haunted
    once = {k: Look(beside=spot(slice(10, 20)), sure=k == 60) for k in range(100)}
    assert watched(once, 100).parts == {}
    bearded = {k: Look(beside=spot(slice(10, 20)), sure=k > 60, bearded=k % 3 == 0) for k in range(100)}
    assert watched(bearded, 100).parts == {}
    assert watched({k: Look(beside=spot(slice(10, 20))) for k in range(100)}, 100).parts == {}


def test_a_thing_of_skin_colour_takes_the_lips_colour_away():
    rng = np.random.default_rng(0)
    tints = rng.normal((-4, 14, 5), 1.5, (900, 3)).astype(np.float32)
    assert not tints_away(tints).any()
    tints[400:460] = rng.normal(0, 1.5, (60, 3))
    tints[500] = np.nan
    assert np.flatnonzero(tints_away(tints)).tolist() == list(range(400, 460))
    often = np.where(rng.random(900)[:, None] < 0.4, 0.0, (-4.0, 14.0, 5.0)).astype(np.float32)
    assert not tints_away(often).any()  # too often to be a thing
    looks = {k: Look(tint=tuple(tint)) for k, tint in enumerate(tints[460:])}
    looks[20] = looks[60] = looks[62] = Look(tint=(0.0, 0.0, 0.0))
    assert watched(looks, 440).whole == {60, 62}  # a single frame is no thing


def test_a_hand_on_a_single_frame_is_none():
    before_lips, hidden = Look(spot(slice(30, 50))), Look(reason="mouth covered")
    once = Look(spot(slice(10, 50)), handless=before_lips)
    covers = watched({10: once, 20: once, 22: once, 39: Look(reason="mouth covered", handless=Look()), 50: hidden}, 60)
    assert covers.whole == {50}
    bare = watched({10: before_lips}, 20).parts[10]
    assert sorted(covers.parts) == [10, 20, 22]
    assert covers.parts[10] == bare
    assert covers.parts[20] == covers.parts[22] != bare
    last = {58: Look(reason="mouth covered", handless=Look()), 59: Look(reason="mouth covered", handless=Look())}
    assert watched(last, 60).whole == {58, 59}


def test_a_thing_drawn_where_there_is_none_is_not_shown(seen):
    crop, points, _ = seen
    place = points[152] * 0.9 + points[14] * 0.1 - (16, 0)
    covers = watched({k: Look(beside=spot(slice(20, 75)), sure=True) for k in range(5)}, 5)
    drawn, cheeks, core = (
        with_ball(crop, place, 6),
        points[list(CHEEKS)],
        mouth_core(points[list(OUTER_LIPS)], SIZE),
    )
    shown = covers.ghostless(drawn, crop, cheeks, core)
    x, y = place.astype(int)
    assert shown[y, x] < 0.1
    assert shown[int(points[14][1]) - 30, 80] == 1
    assert (covers.ghostless(crop, crop, cheeks, core) == 1).all()
    assert (covers.ghostless(drawn, drawn, cheeks, core) == 1).all()
    opened = with_ball(crop, points[14] + (0, 3), 9)
    assert (covers.ghostless(opened, crop, cheeks, core) == 1).all()


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


def test_a_finger_on_the_lips_passes_through_and_is_reported(footage, pictures, speech, talker, tmp_path, seen):
    """A finger of skin, which MediaPipe does not take for a hand."""
    face = seen[2][:, :2]
    width, mouth = np.linalg.norm(face[61] - face[291]), face[[61, 291]].mean(axis=0)
    x, y = face[50].astype(int)
    skin = cv2.resize(pictures[4][y - 5 : y + 5, x - 5 : x + 5], (256, 256), interpolation=cv2.INTER_CUBIC)
    where = np.zeros((256, 256), np.uint8)
    reach = np.array([0.25, 0.0]) * width
    ends = (mouth - reach, mouth + reach)
    cv2.line(where, *(end.astype(int).tolist() for end in ends), 1, int(0.7 * width))
    frames = [np.where(where[..., None] > 0, skin, p) if k in (6, 7) else p for k, p in enumerate(pictures)]
    source = footage(frames)
    result = generate(source, speech, tmp_path / "out.mkv", model=talker, lossless=True)
    assert [(s.first, s.last, s.reason) for s in result.passed_through] == [(6, 7, "mouth covered")]
    pairs = zip(read_frames(source), read_frames(result.output), strict=True)
    changes = [np.abs(a.pixels.astype(int) - b.pixels).max() for a, b in pairs]
    assert changes[6] == changes[7] == 0
    assert min(changes[0], changes[-1]) > 20


def test_unknown_ways_are_refused(footage, pictures, speech, tmp_path):
    with pytest.raises(ConfigError, match="occlusion"):
        generate(footage(pictures[:2]), speech, tmp_path / "o.mp4", occlusion="maybe")


def test_covers_survive_on_disk(footage, pictures, tmp_path, seen):
    from dithead.inference.analyse.first_pass import survey
    from dithead.inference.analyse.occlusion import Lookout

    ball = [with_ball(p, seen[2][17, :2] + (0, 4), 14) for p in pictures[:4]]
    with Lookout() as lookout:
        found = survey(read_frames(footage(ball)), 96, lookout=lookout)
    found.save(tmp_path / "s.npz")
    back = Survey.load(tmp_path / "s.npz", Shelf())
    assert found.runs[0].covers.parts
    assert back.runs[0].covers == found.runs[0].covers
    assert np.array_equal(back.runs[0].cheeks, found.runs[0].cheeks)
    assert np.array_equal(back.runs[0].jaws, found.runs[0].jaws)
