"""The networks of faces and hands: their files are checked, and the steps around them are what they should be."""

from __future__ import annotations

import math
import sys

import cv2
import numpy as np
import pytest

from dithead.errors import ModelError
from dithead.face import mesh_indices as mesh
from dithead.face.landmarks import FaceLandmarker
from dithead.face.networks import face_mesh, refined_points, region, runtime
from dithead.face.networks.detector import FULL_RANGE, PALM, SHORT_RANGE, anchor_centres, decode, merge
from dithead.face.networks.face_mesh import Window, place_window, resample
from dithead.face.networks.hand_model import HandModel
from dithead.face.networks.region import Growth, Region, angle_of, crop, distinct, letterbox, region_around, to_picture
from dithead.face.networks.region_tracker import RegionTracker

PICTURE = np.zeros((300, 400, 3), np.uint8)


def box(x: float, y: float, width: float, height: float, angle: float = 0) -> Region:
    return Region(*(np.float32(value) for value in (x, y, width, height, angle)))


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_files_that_are_shipped_are_those_that_are_expected():
    assert {file.stem for file in runtime.DATA.glob("*.tflite")} == set(runtime.NETWORKS)
    for name in runtime.NETWORKS:
        runtime.read_network(name)


def test_a_changed_file_is_refused(tmp_path, monkeypatch):
    content = bytearray(runtime.read_network("face_mesh"))
    content[1000] ^= 1
    (tmp_path / "face_mesh.tflite").write_bytes(content)
    monkeypatch.setattr(runtime, "DATA", tmp_path)
    with pytest.raises(ModelError, match=r"face_mesh\.tflite is damaged or was replaced.*; reinstall dithead$"):
        runtime.Network("face_mesh")


def test_a_missing_file_is_named(tmp_path, monkeypatch, presenter):
    monkeypatch.setattr(runtime, "DATA", tmp_path)
    with (
        FaceLandmarker() as landmarker,
        pytest.raises(ModelError, match="cannot be read.*No such file.*; reinstall dithead$"),
    ):
        landmarker.track(presenter[0])


def test_a_platform_without_litert_is_told_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ModelError, match="run: pip install 'ai-edge-litert") as caught:
        runtime.Network("face_mesh")
    assert "\n" not in str(caught.value)


def test_a_file_that_holds_another_network_is_refused(tmp_path, monkeypatch):
    (tmp_path / "face_mesh.tflite").write_bytes(runtime.read_network("palm_detection_lite"))
    monkeypatch.setattr(runtime, "DATA", tmp_path)
    with pytest.raises(ModelError, match=r"face_mesh\.tflite is damaged or was replaced.*; reinstall dithead$"):
        runtime.Network("face_mesh")


@pytest.mark.parametrize(
    ("module", "version", "message"),
    [
        ("numpy", "1.25.2", r"NumPy 1\.25\.2 is installed, but dithead needs 1\.26 or later; run: pip install 'numpy>"),
        ("cv2", "4.7.0", r"OpenCV 4\.7\.0 .* needs 4\.8 or later, before 5; run: pip install 'opencv-python-headless"),
        ("cv2", "5.0.0-dev", r"OpenCV 5\.0\.0-dev is installed, but dithead needs 4\.8 or later, before 5; run: pip"),
    ],
)
def test_a_library_of_another_version_is_named_with_its_repair(module, version, message, monkeypatch):
    monkeypatch.setattr(sys.modules[module], "__version__", version)
    with pytest.raises(ModelError, match=message) as caught:
        runtime.Network("face_mesh")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["1.26.0", "2.4.6", "3.0.0.dev0"])
def test_later_versions_of_numpy_fit(version, monkeypatch):
    monkeypatch.setattr(np, "__version__", version)
    assert runtime.wrong_version("numpy") is None


def test_a_network_uses_one_thread(monkeypatch):
    asked = []
    original = runtime.load_interpreter()

    def spy(**options):
        asked.append(options["num_threads"])
        return original(**options)

    monkeypatch.setattr(runtime, "load_interpreter", lambda: spy)
    runtime.Network("face_detection_short_range")
    assert asked == [1]


# --- regions ---------------------------------------------------------------------------------------------------------


def test_a_point_comes_back_from_the_cut_out_region():
    picture = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(picture, (250, 120), 3, (255, 255, 255), -1)
    where = box(0.55, 0.45, 0.5, 0.5 * 400 / 300, 0.6)
    cut = crop(picture, where, 192)[..., 0].astype(float)
    rows, columns = np.indices(cut.shape)
    centre = np.array([[(cut * columns).sum(), (cut * rows).sum()]]) / cut.sum() / 192
    found = to_picture(centre.astype(np.float32), where)[0] * (400, 300)
    np.testing.assert_allclose(found, (250, 120), atol=0.6)


def test_depth_is_scaled_like_the_width():
    points = np.array([[0.5, 0.5, -0.25]], np.float32)
    np.testing.assert_allclose(to_picture(points, box(0.2, 0.3, 0.4, 0.6, 1)), [[0.2, 0.3, -0.1]], rtol=1e-6)


def test_beyond_the_edge_there_is_black_or_the_edge():
    white = np.full((100, 200, 3), 255, np.uint8)
    assert crop(white, letterbox(white), 64, border="black")[0, 32, 0] == 0
    assert crop(white, letterbox(white), 64)[0, 32, 0] == 255


def test_a_region_is_square_grown_and_moved_along_its_own_axis():
    corner, size = np.array([0.4, 0.4], np.float32), np.array([0.1, 0.1], np.float32)  # 40 by 30 pixels
    grown = region_around(corner, size, np.float32(math.pi / 2), Growth(2, shift=-1), PICTURE)
    assert (grown.width * 400, grown.height * 300) == pytest.approx((80, 80))
    assert (grown.x * 400, grown.y * 300) == pytest.approx((180 + 30, 135), abs=1e-3)  # turned clockwise: up is right


def test_a_line_that_points_as_wanted_needs_no_turn():
    start, end = np.array([0.2, 0.5], np.float32), np.array([0.4, 0.5], np.float32)
    assert angle_of(start, end, 0.0, PICTURE) == 0
    assert angle_of(end, start, 0.0, PICTURE) == pytest.approx(-math.pi, abs=1e-6)
    assert angle_of(start, end, math.pi / 2, PICTURE) == pytest.approx(math.pi / 2)


def test_of_two_regions_that_overlap_by_more_than_half_the_later_stays():
    first, close, far = box(0.3, 0.5, 0.2, 0.2), box(0.32, 0.5, 0.2, 0.2), box(0.42, 0.5, 0.2, 0.2)
    assert distinct([first, close]) == [close]
    assert distinct([first, far]) == [first, far]
    assert distinct([]) == []


def test_pixels_span_the_range_of_the_network():
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    values = region.as_input(ramp, darkest=-1)
    assert values.shape == (1, 16, 16, 3)
    assert (values.min(), values.max()) == pytest.approx((-1, 1))
    np.testing.assert_allclose(values[0, ..., 0].ravel(), np.linspace(-1, 1, 256), atol=1e-6)


# --- detectors -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "count"), [(SHORT_RANGE, 896), (FULL_RANGE, 2304), (PALM, 2016)])
def test_anchors_are_as_many_as_outputs(kind, count):
    network = runtime.Network(kind.network)
    raw, scores = network(np.zeros((1, kind.side, kind.side, 3), np.float32))
    anchors = anchor_centres(kind)
    assert anchors.shape == (count, 2) == (*raw.shape[1:2], 2) == (*scores.shape[1:2], 2)
    assert anchors.min() > 0
    assert anchors.max() < 1


def test_a_box_is_decoded_relative_to_its_anchor():
    anchors = np.array([[0.25, 0.5], [0.5, 0.5]], np.float32)
    raw = np.zeros((2, 6), np.float32)
    raw[0] = (12.8, -12.8, 25.6, 51.2, 6.4, 0)  # pixels of 128
    boxes, scores = decode(raw, np.array([2, -2], np.float32), anchors, 128, 0.5)
    np.testing.assert_allclose(boxes, [[[0.25, 0.2], [0.2, 0.4], [0.3, 0.5]]], atol=1e-6)
    assert scores == pytest.approx([1 / (1 + math.exp(-2))])


def test_extreme_scores_and_negative_sizes_do_no_harm():
    raw = np.ones((3, 6), np.float32)
    raw[2, 2] = -1
    boxes, scores = decode(raw, np.array([1e9, -1e9, 5], np.float32), np.zeros((3, 2), np.float32), 1, 0.5)
    assert (len(boxes), scores.tolist()) == (1, [1])


def test_boxes_that_overlap_are_averaged_by_score():
    boxes = np.array([[[0.1, 0.1], [0.2, 0.2]], [[0.12, 0.1], [0.2, 0.2]], [[0.6, 0.6], [0.2, 0.2]]], np.float32)
    groups = merge(boxes, np.array([0.6, 0.9, 0.7], np.float32))
    assert [score for _, score in groups] == pytest.approx([0.9, 0.7])
    np.testing.assert_allclose(groups[0][0], [[0.112, 0.1], [0.2, 0.2]], atol=1e-6)
    np.testing.assert_allclose(groups[1][0], boxes[2], rtol=1e-6)


def test_boxes_without_area_end():
    assert len(merge(np.zeros((3, 2, 2), np.float32), np.full(3, 0.9, np.float32))) == 3


# --- the attention mesh ----------------------------------------------------------------------------------------------


def test_a_window_holds_its_landmarks_level_and_in_its_middle():
    angle = 0.4
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    corners = np.array([[-6, -2], [6, -2], [6, 2], [-6, 2]]) @ turn.T + (20, 25)
    points = corners.astype(np.float32)
    window = place_window(points, points[0], points[1])
    inside = np.linalg.solve(window.matrix, (points - window.offset).T).T  # pixels of the window
    low, high = 8 - 8 / 1.5, 8 + 8 / 1.5
    np.testing.assert_allclose(inside, [[low, low], [high, low], [high, high], [low, high]], atol=1e-3)


def test_resampling_reproduces_a_plane_and_is_zero_outside():
    rows, columns = np.mgrid[:48, :48].astype(np.float32)
    features = np.stack([columns + 0.5, rows + 0.5, np.ones_like(rows)], axis=-1)
    window = Window(np.array([[1.2, -0.3], [0.3, 1.2]], np.float32), np.array([20, 10], np.float32))
    (found,) = resample(features, [window])
    y, x = np.mgrid[:16, :16] + 0.5
    at = np.stack([1.2 * x - 0.3 * y + 20, 0.3 * x + 1.2 * y + 10], axis=-1)
    inside = (at > 0.5).all(axis=-1) & (at < 47.5).all(axis=-1)
    assert inside.any()
    np.testing.assert_allclose(found[inside][:, :2], at[inside], atol=1e-4)
    far = Window(window.matrix, np.array([500, 500], np.float32))
    assert not resample(features, [far]).any()


def test_refined_landmarks_are_each_predicted_once():
    parts = (refined_points.LIPS, refined_points.RIGHT_EYE, refined_points.LEFT_EYE)
    together = [point for part in parts for point in part]
    assert len(set(together)) == len(together) == 80 + 71 + 71
    assert set(refined_points.LIPS) > set(mesh.LIP_INDICES)
    assert {mesh.RIGHT_EYE_OUTER, mesh.RIGHT_EYE_INNER} < set(refined_points.RIGHT_EYE)
    assert {mesh.LEFT_EYE_OUTER, mesh.LEFT_EYE_INNER} < set(refined_points.LEFT_EYE)
    assert (*refined_points.RIGHT_IRIS, *refined_points.LEFT_IRIS) == tuple(range(mesh.MESH_LANDMARKS, mesh.LANDMARKS))


def test_irises_lie_between_the_eyelids(face):
    for iris, eye in ((468, refined_points.RIGHT_EYE), (473, refined_points.LEFT_EYE)):
        lids = face[list(eye[: refined_points.EYELID_POINTS])]
        assert (lids[:, :2].min(axis=0) < face[iris, :2]).all()
        assert (face[iris, :2] < lids[:, :2].max(axis=0)).all()
        assert face[iris, 2] == pytest.approx(lids[:, 2].mean(), abs=1e-3)


def test_a_region_without_a_face_has_no_landmarks():
    assert face_mesh.FaceMesh(0.5).locate(PICTURE, letterbox(PICTURE)) is None


# --- from frame to frame ---------------------------------------------------------------------------------------------


class Shapes:
    """A model of what a test says is there: it finds regions, and their landmarks are their centres."""

    def __init__(self) -> None:
        self.found: list[Region] = []
        self.gone: set[float] = set()
        self.searches = 0

    def find(self, image):
        self.searches += 1
        return self.found

    def locate(self, image, region):
        return None if float(region.x) in self.gone else np.array([[region.x, region.y]])

    def next_region(self, points, image):
        return box(*points[0], 0.2, 0.2)


def test_the_detector_rests_while_enough_are_followed():
    shapes = Shapes()
    tracker = RegionTracker(shapes, count=2)
    shapes.found = [box(0.25, 0.5, 0.2, 0.2)]
    assert [len(tracker.step(PICTURE)) for _ in range(3)] == [1, 1, 1]
    assert shapes.searches == 3, "one of two is missing: search every frame"
    shapes.found = [box(0.75, 0.5, 0.2, 0.2), box(0.25, 0.5, 0.22, 0.2)]
    assert len(tracker.step(PICTURE)) == 2, "what is followed is not found twice"
    tracker.step(PICTURE)
    assert shapes.searches == 4
    shapes.gone = {0.75}
    assert len(tracker.step(PICTURE)) == 1
    tracker.step(PICTURE)
    assert shapes.searches == 5, "the search begins again after a loss"


def test_no_more_than_asked_for_are_detected_and_reset_forgets():
    shapes = Shapes()
    shapes.found = [box(0.25, 0.5, 0.2, 0.2), box(0.75, 0.5, 0.2, 0.2)]
    tracker = RegionTracker(shapes, count=1)
    (points,) = tracker.step(PICTURE)
    assert points[0, 0] == 0.25
    tracker.reset()
    shapes.found = shapes.found[1:]
    (points,) = tracker.step(PICTURE)
    assert points[0, 0] == 0.75


def test_the_next_region_of_a_hand_points_along_it():
    hand = np.full((21, 2), 0.5, np.float32)
    hand[0] = (0.5, 0.8)  # the wrist below the knuckles
    upright = HandModel(0.6, 0.5).next_region(hand, PICTURE)
    assert upright.angle == pytest.approx(0, abs=1e-6)
    hand[0] = (0.8, 0.5)
    turned = HandModel(0.6, 0.5).next_region(hand, PICTURE)
    assert turned.angle == pytest.approx(-math.pi / 2)
    assert turned.width * 400 == pytest.approx(turned.height * 300)
