"""Masks of what hides a mouth: they come and go softly, single frames are doubted, and they survive on disk."""

from __future__ import annotations

import numpy as np
import pytest

from covered_mouth import collected, with_ball
from dithead.face.mesh_indices import CHEEKS, OUTER_LIPS
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.occlusion import OcclusionDetector, OcclusionFinding
from dithead.inference.analyse.occlusion_colour import tints_away
from dithead.inference.analyse.serialise import load_analysis, save_analysis
from dithead.inference.compose.blend_mask import mouth_core
from dithead.media.video import read_frames

SIZE = 160


def spot(place: slice) -> np.ndarray:
    found = np.zeros((80, 80), bool)
    found[place, place] = True
    return found


def test_covers_come_and_go_over_a_few_frames():
    occlusion = collected({10: OcclusionFinding(spot(slice(30, 50))), 30: OcclusionFinding(reason="mouth covered")}, 40)
    visible = [occlusion.visible(k, 64) for k in range(40)]
    assert visible[5] is None
    assert [round(float(1 - visible[k][32, 32]), 2) for k in (8, 9, 10, 11, 12)] == [0.33, 0.67, 1.0, 0.67, 0.33]
    assert visible[10][5, 5] == 1
    assert [round(float(visible[k].max()), 1) for k in (26, 28, 30, 33)] == [0.8, 0.4, 0.0, 0.6]


@pytest.mark.parametrize("covered", [OcclusionFinding(spot(slice(30, 50))), OcclusionFinding(reason="mouth covered")])
def test_paint_is_none_where_it_comes_and_goes(covered):
    painted = OcclusionFinding(if_covered=covered)
    whole = collected(dict.fromkeys(range(20), painted), 20)
    assert not whole.hidden
    assert not whole.parts
    brief = collected(dict.fromkeys(range(8, 12), painted), 20)
    assert set(brief.parts) | brief.hidden == {8, 9, 10, 11}


def test_an_uncertain_occluder_counts_near_a_certain_one_and_on_shaven_faces_only():
    beside = {k: OcclusionFinding(beside=spot(slice(10, 20)), certain=k in (400, 401)) for k in range(1000)}
    occlusion = collected(beside, 1000)
    assert (min(occlusion.parts), max(occlusion.parts)) == (151, 651)
    assert occlusion.residual
    once = {k: OcclusionFinding(beside=spot(slice(10, 20)), certain=k == 60) for k in range(100)}
    assert collected(once, 100).parts == {}
    bearded = {k: OcclusionFinding(beside=spot(slice(10, 20)), certain=k > 60, bearded=k % 3 == 0) for k in range(100)}
    assert collected(bearded, 100).parts == {}
    assert collected({k: OcclusionFinding(beside=spot(slice(10, 20))) for k in range(100)}, 100).parts == {}


def test_an_occluder_of_skin_colour_is_found_by_the_missing_lip_colour():
    rng = np.random.default_rng(0)
    tints = rng.normal((-4, 14, 5), 1.5, (900, 3)).astype(np.float32)
    assert not tints_away(tints).any()
    tints[400:460] = rng.normal(0, 1.5, (60, 3))
    tints[500] = np.nan
    assert np.flatnonzero(tints_away(tints)).tolist() == list(range(400, 460))
    often = np.where(rng.random(900)[:, None] < 0.4, 0.0, (-4.0, 14.0, 5.0)).astype(np.float32)
    assert not tints_away(often).any()  # too often to be an occluder
    findings = {k: OcclusionFinding(tint=tuple(tint)) for k, tint in enumerate(tints[460:])}
    findings[20] = findings[60] = findings[62] = OcclusionFinding(tint=(0.0, 0.0, 0.0))
    assert collected(findings, 440).hidden == {60, 62}  # a single frame is no occluder


def test_a_hand_on_a_single_frame_is_none():
    before_lips, hidden = OcclusionFinding(spot(slice(30, 50))), OcclusionFinding(reason="mouth covered")
    once = OcclusionFinding(spot(slice(10, 50)), without_hands=before_lips)
    occlusion = collected(
        {
            10: once,
            20: once,
            22: once,
            39: OcclusionFinding(reason="mouth covered", without_hands=OcclusionFinding()),
            50: hidden,
        },
        60,
    )
    assert occlusion.hidden == {50}
    bare = collected({10: before_lips}, 20).parts[10]
    assert sorted(occlusion.parts) == [10, 20, 22]
    assert occlusion.parts[10] == bare
    assert occlusion.parts[20] == occlusion.parts[22] != bare
    last = {
        58: OcclusionFinding(reason="mouth covered", without_hands=OcclusionFinding()),
        59: OcclusionFinding(reason="mouth covered", without_hands=OcclusionFinding()),
    }
    assert collected(last, 60).hidden == {58, 59}


def test_an_occluder_that_the_model_drew_again_is_left_out(seen):
    crop, points, _ = seen
    place = points[152] * 0.9 + points[14] * 0.1 - (16, 0)
    occlusion = collected({k: OcclusionFinding(beside=spot(slice(20, 75)), certain=True) for k in range(5)}, 5)
    drawn, cheeks, core = with_ball(crop, place, 6), points[list(CHEEKS)], mouth_core(points[list(OUTER_LIPS)], SIZE)
    visible = occlusion.without_residual_occluder(drawn, crop, cheeks, core)
    x, y = place.astype(int)
    assert visible[y, x] < 0.1
    assert visible[int(points[14][1]) - 30, 80] == 1
    assert (occlusion.without_residual_occluder(crop, crop, cheeks, core) == 1).all()
    assert (occlusion.without_residual_occluder(drawn, drawn, cheeks, core) == 1).all()
    opened = with_ball(crop, points[14] + (0, 3), 9)
    assert (occlusion.without_residual_occluder(opened, crop, cheeks, core) == 1).all()


def test_covers_survive_on_disk(footage, pictures, tmp_path, seen):
    ball = [with_ball(p, seen[2][17, :2] + (0, 4), 14) for p in pictures[:4]]
    with OcclusionDetector() as detector:
        found = analyse_video(read_frames(footage(ball)), AnalysisSettings(96), detector=detector)
    save_analysis(tmp_path / "s.npz", found)
    back = load_analysis(tmp_path / "s.npz", ImageStore())
    assert found.tracklets[0].occlusion.parts
    assert back.tracklets[0].occlusion == found.tracklets[0].occlusion
    assert np.array_equal(back.tracklets[0].cheeks, found.tracklets[0].cheeks)
    assert np.array_equal(back.tracklets[0].jaws, found.tracklets[0].jaws)
