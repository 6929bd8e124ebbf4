"""Tracklets from made landmarks: gaps, cuts, fades, reasons, and the analysis written and read again."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from dithead.errors import FaceError
from dithead.face.alignment import CANONICAL
from dithead.face.mesh_indices import ALIGNMENT_POINTS, INNER_LIP_BOTTOM, eye_distance
from dithead.face.pose import head_turn
from dithead.face.tracking import LONGEST_GAP
from dithead.inference.analyse.first_pass import AnalysisSettings, VideoAnalyser, VideoAnalysis, unusable
from dithead.inference.analyse.image_store import ImageStore
from dithead.inference.analyse.references import GRADES
from dithead.inference.analyse.serialise import load_analysis, save_analysis
from dithead.inference.analyse.tracklet import FADE, LEVELS, LipCalibration
from dithead.inference.synthesise.reference_set import ReferenceSet
from dithead.media.info import VideoInfo
from dithead.media.planes import planes_of_rgb
from dithead.media.video import VideoFrame

INFO = VideoInfo(128, 128, Fraction(25))


def face(x: float = 64.0, eyes: float = 50.0, yaw: float = 0.0) -> np.ndarray:
    """Landmarks (478, 3) of a head whose outer eye corners are ``eyes`` pixels apart, turned by ``yaw`` degrees."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (478, 3)) * (1, 1.5, 0.3) + (0, 0.7, 0)
    points[list(ALIGNMENT_POINTS)] = CANONICAL
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    points = points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T
    return (points * eyes + (x, 40, 0)).astype(np.float32)


def frame(index: int) -> VideoFrame:
    grey = np.full((128, 128, 3), 90, np.uint8)
    native = planes_of_rgb(grey, "yuv420p", INFO.encoding).to_frame()
    return VideoFrame(index, index / 25, index * 512, Fraction(1, 12800), native, INFO.encoding)


def analysed(
    faces: list[np.ndarray | None], shots: list[int] | None = None, store: ImageStore | None = None
) -> VideoAnalysis:
    analyser = VideoAnalyser(AnalysisSettings(64), store=store)
    for k, landmarks in enumerate(faces):
        analyser.step(frame(k), {0: landmarks}, 0 if shots is None else shots[k])
    return analyser.finish()


def test_a_frame_costs_few_bytes(monkeypatch):
    """Two hours at 25 fps are 180 000 frames: what is kept of each must be small, at the end of the run too."""
    monkeypatch.setattr("dithead.inference.analyse.face_pictures.warp_crop", lambda *_: np.zeros((8, 8, 3), np.uint8))
    monkeypatch.setattr(
        "dithead.inference.analyse.face_pictures.source_picture",
        lambda *_: (np.zeros((8, 8, 3), np.uint8), np.eye(2, 3)),
    )
    monkeypatch.setattr("dithead.media.partial_rgb.PartialRGB.detached", lambda frame, _: frame)
    analyser, closed, picture = VideoAnalyser(AnalysisSettings(64)), face(), frame(0)
    open_mouth = closed.copy()
    open_mouth[INNER_LIP_BOTTOM, 1] += 0.1 * eye_distance(closed)  # a mouth that never moves would be opened at the end
    for k in range(400):  # the samples are full, and what is made once is made
        analyser.step(picture, {0: (closed, open_mouth)[k.bit_count() % 2]}, 0)
    np.median(np.zeros(3))  # imports numpy.ma, which is no memory of ours
    tracemalloc.start()
    for k in range(4000):
        analyser.step(picture, {0: (closed, open_mouth)[k.bit_count() % 2]}, 0)
    kept, _ = tracemalloc.get_traced_memory()
    found = analyser.finish()
    finished, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.frames == found.tracklets[0].stop == 4400
    assert kept / 4000 < 240
    assert finished / 4400 < 300
    assert peak / 4400 < 900


def test_one_run_from_end_to_end_does_not_fade():
    found = analysed([face()] * 9)
    assert [(r.start, r.stop) for r in found.tracklets] == [(0, 9)]
    assert [found.tracklets[0].opacity(k) for k in range(9)] == [1.0] * 9
    assert found.faces_missed == 0
    assert found.stamps.tolist() == [512 * k for k in range(9)]


def test_a_short_gap_is_bridged_evenly():
    found = analysed([face(60), face(60), face(60), None, None, None, face(68), face(68), face(68)])
    assert [(r.start, r.stop) for r in found.tracklets] == [(0, 9)]
    assert found.faces_missed == 0
    shifts = [-m[0, 2] / m[0, 0] for m in found.tracklets[0].transforms]
    assert shifts == sorted(shifts)
    assert np.diff(shifts)[2:6] == pytest.approx([np.diff(shifts)[2:6].mean()] * 4, rel=0.05)


def test_a_long_gap_splits_and_fades():
    gap = LONGEST_GAP + 1
    found = analysed([face()] * 8 + [None] * gap + [face()] * 8)
    first, second = found.tracklets
    assert (first.start, first.stop) == (0, 8)
    assert (second.start, second.stop) == (8 + gap, 16 + gap)
    assert first.opacity(0) == 1.0
    assert [first.opacity(k) for k in range(4, 8)] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert second.opacity(second.start) == pytest.approx(1 / (FADE + 1))
    assert second.opacity(second.stop - 1) == 1.0
    assert [(s.first, s.last, s.reason) for s in found.passed_through] == [(8, 7 + gap, "no face")]


def test_a_cut_ends_a_run_at_once():
    found = analysed([face(50)] * 5 + [face(80)] * 5, shots=[0] * 5 + [1] * 5)
    assert [(r.start, r.stop) for r in found.tracklets] == [(0, 5), (5, 10)]
    assert found.tracklets[0].opacity(4) == found.tracklets[1].opacity(5) == 1.0
    shift = found.tracklets[1].transforms[0][0, 2] - found.tracklets[0].transforms[-1][0, 2]
    assert abs(shift) > 10  # no smoothing across the cut


@pytest.mark.parametrize(
    ("landmarks", "reason"),
    [
        (None, "no face"), (face(eyes=10), "face too small"), (face(yaw=60), "face turned away"),
        (face(yaw=-60), "face turned away"), (face(yaw=30), ""), (face(), ""),
    ],
)  # fmt: skip
def test_reasons(landmarks, reason):
    assert unusable(landmarks) == reason


@pytest.mark.parametrize("yaw", [-50.0, 0.0, 35.0])
def test_head_turn_is_the_sine_of_the_yaw(yaw):
    assert abs(head_turn(face(yaw=yaw))) == pytest.approx(abs(np.sin(np.radians(yaw))), abs=1e-3)


def test_no_usable_frame_says_why():
    with pytest.raises(FaceError, match=r"no usable face in any of its 3 frames \(face too small\)"):
        analysed([face(eyes=8)] * 3)


def test_many_frames_keep_few_samples():
    analyser = VideoAnalyser(AnalysisSettings(64))
    for k in range(300):
        analyser.step(frame(k), {0: face()}, 0)
        samples = [s.offset for s in analyser.open[0].samples]
        if k > 64:  # as if every frame had been sampled, and then thinned out
            assert samples == list(range(0, k + 1, 2 ** int(np.ceil(np.log2((k + 1) / 64)))))
        assert len(samples) <= 64
    assert len(samples) > 32


def test_a_short_tracklet_is_sampled_in_all_of_its_first_frames():
    assert len(analysed([face()] * 12).tracklets[0].sample_times) == 12
    assert len(analysed([face()] * 40).tracklets[0].sample_times) == 16 + 12


def test_round_trip_through_a_file(tmp_path):
    found = analysed([face()] * 4 + [None] * 20 + [face(70)] * 5, store=ImageStore(tmp_path / "mouths"))
    found.tracklets[1].calibration = LipCalibration(
        np.arange(9, dtype=np.float32), 0.7, 0.03, np.float32(LEVELS), 0.8, 0.01
    )
    found.tracklets[1].references = found.tracklets[1].references._replace(centre=None)
    save_analysis(tmp_path / "analysis.npz", found)
    back = load_analysis(tmp_path / "analysis.npz", ImageStore(tmp_path / "mouths", existing=True))
    for tracklet, other in zip(found.tracklets, back.tracklets, strict=True):
        assert tracklet.references.images == other.references.images
        assert tracklet.references.mean_opening == other.references.mean_opening
        assert tracklet.references.opened == other.references.opened
        assert np.array_equal(
            ReferenceSet.interpolated(tracklet.references).crops, ReferenceSet.interpolated(other.references).crops
        )
        assert np.array_equal(tracklet.references.transforms, other.references.transforms)
        for own, again in zip(
            ReferenceSet.interpolated(tracklet.references).pictures,
            ReferenceSet.interpolated(other.references).pictures,
            strict=True,
        ):
            assert np.array_equal(own.picture, again.picture)
        assert (tracklet.width_spread, tracklet.width_slope) == (other.width_spread, other.width_slope)
        assert np.array_equal(tracklet.references.centre, other.references.centre)
        assert np.array_equal(tracklet.opening_levels, other.opening_levels)
        for name in ("openings", "widths", "mean_opening", "mean_width", "narrow", "wide"):
            assert np.array_equal(getattr(tracklet.references, name), getattr(other.references, name))
    assert back.tracklets[0].calibration is None
    for a, b in zip(found.tracklets[1].calibration, back.tracklets[1].calibration, strict=True):
        assert np.array_equal(a, b)
    assert back.passed_through == found.passed_through
    assert np.array_equal(back.stamps, found.stamps)
    for a, b in zip(found.tracklets, back.tracklets, strict=True):
        assert (a.start, a.stop, a.fades_in, a.fades_out) == (b.start, b.stop, b.fades_in, b.fades_out)
        for name in ("transforms", "polygon", "lips", "reference"):
            assert np.array_equal(np.stack(getattr(a, name)), np.stack(getattr(b, name)))


def test_a_mouth_that_never_moves_gets_references_from_closed_to_open():
    moves = face()
    moves[INNER_LIP_BOTTOM, 1] += 0.3 * eye_distance(face())
    still, talking = (analysed([face(), other] * 12).tracklets[0].references for other in (face(), moves))
    assert (still.opened, talking.opened) == (True, False)
    assert len(still.narrow) == len(still.wide) == len(GRADES)
    assert len(still.openings) == 2 * len(GRADES)
    assert all(np.diff(still.openings[chain]).min() > 0 for chain in (still.narrow, still.wide))
    assert (still.widths[still.narrow] < still.widths[still.wide]).all()
    assert still.openings[-1] > still.openings[0] + 0.1
    assert still.mean_opening == pytest.approx(0.06)


def test_two_faces_make_two_runs_and_one_of_them_is_enough():
    analyser = VideoAnalyser(AnalysisSettings(64))
    for k in range(10):
        analyser.step(frame(k), {1: face(50) if k < 6 else None, 2: face(80) if k > 2 else None}, 0)
    found = analyser.finish()
    assert sorted((r.face, r.start, r.stop) for r in found.tracklets) == [(1, 0, 6), (2, 3, 10)]
    assert [r.face for r in found.tracklets_at(4)] != []
    assert {r.face for r in found.tracklets_at(4)} == {1, 2}
    assert found.faces_missed == 0
