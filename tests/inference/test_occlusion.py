"""Occluders of the mouth stay visible, and nothing else keeps the mouth from being drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from covered_mouth import collected, with_ball
from dithead.errors import ConfigError, FaceError
from dithead.face.alignment import crop_transform, transform_points, warp_crop
from dithead.face.hands import hand_mask
from dithead.face.landmarks import FaceLandmarker
from dithead.face.masks import jaw_line, polygon_mask
from dithead.face.mesh_indices import CHEEKS, INNER_LIPS, OUTER_LIPS
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.occlusion import (
    OcclusionDetector,
    detail_share,
    finding_in,
)
from dithead.inference.analyse.occlusion_colour import (
    occluder_before_lips,
    occluder_beside_lips,
    soft_lab,
    unlike_skin,
)
from dithead.inference.analyse.overlays import overlay_mask
from dithead.inference.pipeline import generate
from dithead.media.video import read_frames

SIZE = 160


def test_a_free_mouth_is_free(seen):
    crop, points, _ = seen
    unlike = unlike_skin(crop, points[list(CHEEKS)])
    assert not occluder_before_lips(unlike, points).any()
    assert not occluder_beside_lips(unlike, points, soft_lab(crop)).certain


@pytest.mark.parametrize("colour", [(15, 15, 18), (40, 60, 160), (60, 160, 60)], ids=["black", "blue", "green"])
def test_an_occluder_before_the_lower_lip_is_found_whole(seen, colour):
    crop, points, _ = seen
    centre, radius = points[17] + (0, 8), 22
    found = occluder_before_lips(unlike_skin(with_ball(crop, centre, radius, colour), points[list(CHEEKS)]), points)
    truth = with_ball(np.zeros_like(crop), centre, radius, (255,) * 3)[..., 0] > 128
    assert (found & truth).sum() / truth.sum() > 0.9
    face = polygon_mask(jaw_line(points), SIZE) > 0.5  # beyond it the source stays in any case
    assert (found & truth & face).sum() / (found & face).sum() > 0.6


def painted(picture, points, colour=(10, 8, 12)):
    """The picture with lips of another colour, shaded as they were."""
    lips = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(lips, [np.round(points[list(OUTER_LIPS)]).astype(np.int32)], 1)
    cv2.fillPoly(lips, [np.round(points[list(INNER_LIPS)]).astype(np.int32)], 0)
    shaded = picture.mean(axis=2, keepdims=True) / 255 * np.array(colour) * 1.6
    return np.where(lips[..., None] > 0, np.clip(shaded, 0, 255), picture).astype(np.uint8)


@pytest.mark.parametrize("colour", [(10, 8, 12), (230, 20, 190), (20, 40, 220)], ids=["black", "magenta", "blue"])
def test_paint_on_the_lips_is_no_occluder(seen, colour):
    crop, points, _ = seen
    finding = finding_in(painted(crop, points, colour), points, np.zeros((SIZE, SIZE), bool))
    assert finding.if_covered is not None
    assert (finding.cover, finding.reason) == (None, "")
    whole = collected(dict.fromkeys(range(20), finding), 20)
    assert not whole.hidden
    assert not whole.parts
    brief = collected(dict.fromkeys(range(8, 12), finding), 20)  # what comes and goes is no paint
    assert set(brief.parts) | brief.hidden == {8, 9, 10, 11}


def test_paint_that_a_shadow_joins_is_no_occluder(seen):
    """Light from the side: the far half of the face is as unlike skin as the paint, and touches it."""
    crop, points, _ = seen
    dark = (np.arange(SIZE) > points[291][0] - 3)[None, :, None]
    shaded = np.where(dark, 0.3 * crop, crop).astype(np.uint8)
    without = finding_in(shaded, points, np.zeros((SIZE, SIZE), bool))
    assert without.cover is None
    finding = finding_in(painted(shaded, points, (230, 20, 190)), points, np.zeros((SIZE, SIZE), bool))
    assert finding.if_covered is not None
    assert (finding.cover, finding.reason) == (None, "")


def test_a_ball_before_the_lips_is_no_paint(seen):
    crop, points, _ = seen
    finding = finding_in(with_ball(crop, points[17], 26), points, np.zeros((SIZE, SIZE), bool))
    assert finding.if_covered is None
    assert finding.cover is not None or finding.reason


def test_a_painted_portrait_speaks(pictures, speech, talker, tmp_path):
    with FaceLandmarker() as landmarker:
        points = landmarker.detect(pictures[4])[0][:, :2]
    cv2.imwrite(str(tmp_path / "p.png"), painted(pictures[4], points)[..., ::-1])
    result = generate(tmp_path / "p.png", speech, tmp_path / "out.mp4", model=talker)
    assert (result.frames, result.faces_missed) == (15, 0)


def test_a_video_in_which_nothing_can_be_drawn_is_refused(pictures, footage, speech, talker, tmp_path):
    source = footage([with_ball(picture, (128, 190), 46) for picture in pictures])
    with pytest.raises(FaceError, match="no mouth can be drawn in any of its 12 frames .*--occlusion off"):
        generate(source, speech, tmp_path / "out.mkv", model=talker)
    assert generate(source, speech, tmp_path / "out.mkv", model=talker, occlusion="off").faces_missed == 0


def captioned(picture, colour=(255, 220, 0)):
    """The picture with words over the chin, as short-video platforms write them."""
    picture, place = picture.copy(), (40, 196)
    for tint, width in (((0, 0, 0), 7), (colour, 2)):
        cv2.putText(picture, "HELLO ALL OF YOU", place, cv2.FONT_HERSHEY_DUPLEX, 0.65, tint, width, cv2.LINE_AA)
    return picture


@pytest.mark.parametrize("colour", [(255, 220, 0), (60, 255, 90)], ids=["yellow", "green"])
def test_captions_stay_and_are_never_lent(pictures, footage, speech, talker, tmp_path, colour):
    """On some frames: their letters stay, and no other frame gets any of them."""
    shown = [captioned(p, colour) if 3 <= k < 9 else p for k, p in enumerate(pictures)]
    source, plain = footage(shown, "captioned.mkv"), footage(pictures, "plain.mkv")
    outputs = []
    for name, video in (("a.mkv", source), ("b.mkv", plain)):
        generate(video, speech, tmp_path / name, model=talker, fit="silence", lossless=True)
        outputs.append([f.pixels.astype(int) for f in read_frames(tmp_path / name)])
    before = [f.pixels.astype(int) for f in read_frames(source)]
    letters = np.abs(captioned(pictures[0], colour).astype(int) - pictures[0]).max(axis=2) > 40
    kept = [np.abs(outputs[0][k] - before[k])[letters] for k in range(4, 8)]
    assert max(float(each.mean()) for each in kept) < 0.2
    assert max(int(each.max()) for each in kept) <= 16  # chroma that a letter shares with the skin beside it
    with FaceLandmarker() as landmarker:
        points = landmarker.detect(pictures[0])[0][:, :2]
    transform = crop_transform(np.pad(points, ((0, 0), (0, 1))), SIZE)
    for k in (0, 1, 11):
        crop = warp_crop(outputs[0][k].astype(np.uint8), transform, SIZE)
        assert not overlay_mask(crop, transform_points(points, transform)).any()


def test_skin_lips_and_teeth_are_no_text(seen):
    crop, points, _ = seen
    assert not overlay_mask(crop, points).any()
    assert overlay_mask(captioned_crop(crop, points), points).mean() > 0.02


def captioned_crop(crop, points):
    x, y = points[152] - (45, 10)
    crop = crop.copy()
    for tint, width in (((0, 0, 0), 5), ((255, 220, 0), 2)):
        cv2.putText(crop, "HELLO ALL", (int(x), int(y)), cv2.FONT_HERSHEY_DUPLEX, 0.5, tint, width, cv2.LINE_AA)
    return crop


def test_text_in_every_frame_is_filled_in_the_references(pictures, footage, speech, talker, tmp_path):
    with OcclusionDetector() as detector:
        frames = read_frames(footage([captioned(p) for p in pictures]))
        [tracklet] = analyse_video(frames, AnalysisSettings(SIZE), detector=detector).tracklets
    crops = tracklet.references.store.get(tracklet.references.images)[: len(tracklet.references.openings)]
    yellow = [np.mean((c[..., 0] > 200) & (c[..., 1] > 170) & (c[..., 2] < 90)) for c in crops]
    assert max(yellow) < 0.002


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


def lit_from_the_side(picture, points, shade):
    """The picture, whose right half another light reaches, from the middle of the mouth to its width farther on."""
    left, right = points[61][0], points[291][0]
    share = np.clip((np.arange(SIZE) - (left + right) / 2) / (right - left), 0, 1)[None, :, None]
    return np.clip(picture * (1 - share + share * np.array(shade)), 0, 255).astype(np.uint8)


SHADES = {"shade": (0.25, 0.25, 0.25), "yellow": (0.9, 0.95, 0.3), "green": (0.6, 0.95, 0.6)}


@pytest.mark.parametrize("shade", SHADES.values(), ids=SHADES)
def test_light_from_the_side_covers_no_mouth(seen, shade):
    crop, points, _ = seen
    lit = lit_from_the_side(crop, points, shade)
    found = finding_in(lit, points, np.zeros((SIZE, SIZE), bool))
    assert (found.cover, found.reason, found.certain) == (None, "", False)
    assert found.bearded or found.beside is not None  # its colour alone is that of an occluder


@pytest.mark.parametrize("shade", SHADES.values(), ids=SHADES)
def test_an_occluder_on_a_face_that_is_lit_from_the_side_is_found(seen, shade):
    crop, points, _ = seen
    width = np.linalg.norm(points[61] - points[291])
    beside = with_ball(crop, points[152] * 0.9 + points[14] * 0.1 + (0.75 * width, 0), 0.6 * width)
    nothing = np.zeros((SIZE, SIZE), bool)
    assert finding_in(lit_from_the_side(beside, points, shade), points, nothing).certain
    before = finding_in(lit_from_the_side(with_ball(crop, points[17], 26), points, shade), points, nothing)
    assert before.cover is not None or before.reason


def test_a_model_of_small_crops_finds_what_one_of_large_crops_finds(pictures, seen):
    _, points, face = seen
    picture = captioned(pictures[4])
    with OcclusionDetector() as detector:
        small, large = (
            detector.find(picture, points * np.float32(size / SIZE), crop_transform(face, size), size, 0)
            for size in (64, SIZE)
        )
    assert small.overlay is not None
    assert np.array_equal(small.overlay, large.overlay)


BESIDE = {
    "microphone": lambda p, w: ("ball", p[[61, 291]].mean(0) * 0.1 + p[152] * 0.9 - (0.75 * w, 0), 0.6 * w),
    "straw": lambda p, w: ("line", p[14], p[14] + (0.6 * w, 2.2 * w)),
    "boom": lambda p, w: ("line", p[291] + (0.1 * w, 0.3 * w), p[454] + (0.3 * w, 0)),
}


@pytest.mark.parametrize("name", BESIDE)
def test_an_occluder_beside_the_lips_is_found(seen, name):
    crop, points, _ = seen
    kind, start, end = BESIDE[name](points, float(np.linalg.norm(points[61] - points[291])))
    if kind == "ball":
        truth = cv2.circle(np.zeros_like(crop), start.astype(int).tolist(), int(end), (255,) * 3, -1)[..., 0] > 0
    else:
        truth = cv2.line(np.zeros_like(crop), start.astype(int).tolist(), end.astype(int).tolist(), (255,) * 3, 4)
        truth = truth[..., 0] > 0
    picture = crop.copy()
    picture[truth] = (15, 15, 18)
    found = occluder_beside_lips(unlike_skin(picture, points[list(CHEEKS)]), points, soft_lab(picture))
    assert found.certain
    face = polygon_mask(jaw_line(points), SIZE) > 0.5
    assert (found.occluder & truth & face).sum() / (truth & face).sum() > 0.7
    assert (found.occluder & ~truth & face).sum() / (truth & face).sum() < 0.6


def test_nothing_beside_the_lips_is_certain_where_a_head_is_turned_so_far_that_background_lies_within_its_jaw(seen):
    """The far half of the face is taken for background; beyond 35 degrees the landmarks' far jaw lies in it."""
    _, _, landmarks = seen
    dark = np.zeros((SIZE, SIZE), bool)
    for degrees, certain in ((0, True), (20, True), (45, False)):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        away = landmarks @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
        points = transform_points(away, crop_transform(away, SIZE)).astype(np.float32)
        far = points[list(OUTER_LIPS), 0].max() + 3 if degrees else points[291, 0] + 3
        dark[:] = np.arange(SIZE) > far
        lab = np.where(dark[..., None], 0, np.float32((60, 15, 20)))
        assert occluder_beside_lips(dark, points, lab).certain == certain, degrees


@pytest.fixture
def made(footage, pictures, speech, talker, tmp_path, seen):
    """Output frames for footage in which a ball hides the mouth from the fifth to the eighth frame."""
    face = seen[2]
    width = np.linalg.norm(face[61] - face[291])

    def generated(radius: float, occlusion: str):
        frames = [with_ball(p, face[14, :2], radius * width) if 4 <= k < 8 else p for k, p in enumerate(pictures)]
        source = footage(frames)
        result = generate(
            source,
            speech,
            tmp_path / f"{occlusion}.mkv",
            fit="silence",
            model=talker,
            occlusion=occlusion,
            lossless=True,
        )
        pairs = zip(read_frames(source), read_frames(result.output), strict=True)
        return result, [np.abs(a.pixels.astype(int) - b.pixels).max(axis=2) for a, b in pairs]

    return generated


def test_a_covered_mouth_passes_through_and_is_reported(made):
    result, changes = made(1.0, "auto")
    assert [(s.first, s.last, s.reason) for s in result.passed_through] == [(4, 7, "mouth covered")]
    assert max(c.max() for c in changes[4:8]) == 0
    assert min(c.max() for c in (changes[0], changes[-1])) > 20
    result, changes = made(1.0, "off")
    assert result.passed_through == []
    assert min(c.max() for c in changes[4:8]) > 20


def test_a_finger_on_the_lips_passes_through_and_is_reported(footage, pictures, speech, talker, tmp_path, seen):
    """A finger of skin, which MediaPipe does not take for a hand; a bright sleeve is seen in a corner."""
    face = seen[2][:, :2]
    width, mouth = np.linalg.norm(face[61] - face[291]), face[[61, 291]].mean(axis=0)
    x, y = face[50].astype(int)
    skin = cv2.resize(pictures[4][y - 5 : y + 5, x - 5 : x + 5], (256, 256), interpolation=cv2.INTER_CUBIC)
    where = np.zeros((256, 256), np.uint8)
    reach = np.array([0.25, 0.0]) * width
    ends = (mouth - reach, mouth + reach)
    cv2.line(where, *(end.astype(int).tolist() for end in ends), 1, int(0.7 * width))
    frames = [np.where(where[..., None] > 0, skin, p) if k in (6, 7) else p for k, p in enumerate(pictures)]
    for k in (6, 7):
        frames[k][224:, :32] = 250
    source = footage(frames)
    result = generate(source, speech, tmp_path / "out.mkv", fit="silence", model=talker, lossless=True)
    assert [(s.first, s.last, s.reason) for s in result.passed_through] == [(6, 7, "mouth covered")]
    pairs = zip(read_frames(source), read_frames(result.output), strict=True)
    changes = [np.abs(a.pixels.astype(int) - b.pixels).max() for a, b in pairs]
    assert changes[6] == changes[7] == 0
    assert min(changes[0], changes[-1]) > 20


def test_unknown_ways_are_refused(footage, pictures, speech, tmp_path):
    with pytest.raises(ConfigError, match="occlusion"):
        generate(footage(pictures[:2]), speech, tmp_path / "o.mp4", occlusion="maybe")
