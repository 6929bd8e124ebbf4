"""Parts of a picture are converted as they are in the whole picture, and the face is found in them as there."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.face.tracking import CutDetector
from dithead.media.colour import ColourEncoding
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.partial_rgb import PartialRGB
from dithead.media.planes import Planes, planes_of
from dithead.media.video import read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
BOXES = [(0, 0, 40, 40), (7, 3, 101, 77), (33, 65, 190, 257), (150, 200, 206, 310), (0, 0, 206, 310)]


@pytest.fixture(params=["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
def frame(request, tmp_path):
    """A frame of odd proportions in every format that can be converted in parts."""
    picture = next(read_frames(PRESENTERS / "mia.mp4")).pixels
    small = cv2.resize(picture, (310, 206), interpolation=cv2.INTER_AREA)
    info = VideoInfo(310, 206, Fraction(25), pix_fmt=request.param)
    with VideoWriter(tmp_path / "a.mkv", info, EncoderOptions(lossless=True)) as writer:
        writer.write(small)
    return next(read_frames(tmp_path / "a.mkv"))


@pytest.mark.parametrize("box", BOXES)
def test_a_part_has_the_bits_of_the_whole(frame, box):
    top, left, bottom, right = box
    assert isinstance(frame.quick_partial, PartialRGB)
    planes = planes_of(frame.native, frame.native.format.name.replace("yuvj", "yuv"), frame.encoding)
    exact = planes.rgb(0, 0, *frame.pixels.shape[:2])  # as the second pass converts its frames
    for partial, whole in ((frame.quick_partial, frame.quick_pixels), (frame.partial, exact)):
        assert partial.shape == whole.shape
        assert np.array_equal(partial[top:bottom, left:right], whole[top:bottom, left:right])


def test_a_part_within_an_earlier_one_is_not_converted_again(frame, monkeypatch):
    frame.quick_partial[0:100, 0:100]
    monkeypatch.setattr(Planes, "rgb", lambda *_, **__: pytest.fail("converted again"))
    assert np.array_equal(frame.quick_partial[10:50, 20:60], frame.quick_pixels[10:50, 20:60])


def test_a_copy_of_a_part_has_the_bits_of_the_whole_and_no_others(frame):
    whole, part = frame.partial, frame.partial.detached((33, 65, 120, 181))
    assert part.shape == whole.shape
    assert np.array_equal(part[40:100, 70:180], whole[40:100, 70:180])
    assert np.array_equal(part.averaged(34, 66, 118, 180, 3), whole.averaged(34, 66, 118, 180, 3))
    with pytest.raises(IndexError, match="not within the part"):
        part[40:100, 70:300]


def test_thumbnails_are_nearly_those_of_the_whole_picture(frame):
    reduced = cv2.resize(frame.quick_pixels, (32, 24), interpolation=cv2.INTER_AREA)
    apart = np.abs(frame.quick_partial.thumbnail(32, 24) - reduced)
    assert apart.mean() < 1.5


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_picture_is_turned_in_parts(frame, rotation):
    frame.rotation = rotation
    whole, partial = frame.quick_pixels, frame.quick_partial
    assert partial.shape == whole.shape
    assert isinstance(partial, PartialRGB) == ("422" not in frame.native.format.name or rotation == 180)
    assert np.abs(partial[33:190, 65:200].astype(int) - whole[33:190, 65:200]).mean() < 1


def test_landmarks_and_cuts_are_those_of_whole_pictures():
    frames = [*islice(read_frames(PRESENTERS / "mia.mp4"), 6), *islice(read_frames(PRESENTERS / "ben.mp4"), 3)]
    with FaceLandmarker() as one, FaceLandmarker() as other:
        cuts = CutDetector(), CutDetector()
        for frame in frames:
            assert cuts[0].is_cut(frame.quick_partial) == cuts[1].is_cut(frame.quick_pixels)
            partial, whole = one.track(frame.quick_partial), other.track(frame.quick_pixels)
            assert partial is not None
            assert whole is not None
            assert np.abs(partial - whole).max() < 0.05
    assert cuts[0].shot == 1


@pytest.mark.parametrize("side", [2, 3, 5])
def test_means_of_squares_are_those_of_the_converted_pixels(frame, side):
    box = (10, 20, 10 + 8 * side, 20 + 9 * side + 1)
    means = frame.quick_partial.averaged(*box, side)
    pixels = frame.pixels[box[0] : box[0] + 8 * side, box[1] : box[1] + 9 * side].astype(float)
    expected = pixels.reshape(8, side, 9, side, 3).mean(axis=(1, 3))
    assert means.shape == (8, 9, 3)
    assert np.abs(means - expected).mean() < 2


@pytest.mark.parametrize("full_range", [False, True])
def test_samples_of_8_bits_become_rgb_and_back_as_exact_numbers_do(full_range) -> None:
    encoding = ColourEncoding(1, full_range)
    rgb = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    samples = np.stack(encoding.samples_of(rgb), axis=-1)
    exact = np.rint(encoding.rgb_of(samples)).astype(int)
    assert np.abs(encoding.bytes_of(samples) - exact).max() <= 1
    assert (encoding.bytes_of(samples) != exact).mean() < 0.05
    assert np.abs(exact - rgb).max() <= 3
