"""HDR pictures are looked at as screens of standard range show them, and drawn on in their own values."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.inference.pipeline import generate
from dithead.media.colour import encoding_of
from dithead.media.planes import planes_of, planes_of_rgb
from dithead.media.tone_mapping import BT2020, HLG, PQ, tone_mapping, white_level
from dithead.media.video import probe, read_frames

HDR = {"pix_fmt": "yuv420p10le", "color_space": 9, "color_primaries": BT2020, "color_range": 1}
KINDS = pytest.mark.parametrize("transfer", [PQ, HLG], ids=["pq", "hlg"])


@KINDS
def test_white_is_white_and_every_value_comes_back(transfer):
    tones = tone_mapping(transfer, BT2020)
    assert tones is not None
    white = {PQ: 0.5807, HLG: 0.75}[transfer]  # of 203 nits, ITU-R BT.2408
    assert np.allclose(tones.develop(np.full((1, 1, 3), white, np.float32)), white_level(), atol=0.002)
    grey = np.linspace(0.02, 0.9 if transfer == HLG else 0.74, 500, dtype=np.float32)
    signal = (grey[:, None] * [[1.0, 0.97, 0.9]]).astype(np.float32)[None]
    developed = tones.develop(signal)
    assert (np.diff(developed, axis=1) > 0).all()
    assert np.abs(tones.restore(developed) - signal).max() < 1e-3
    nothing = tones.differences(signal, np.zeros_like(signal))
    assert not nothing.any()


@KINDS
@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p10le", "yuv420p"])
def test_a_change_of_the_picture_becomes_one_of_the_values(pictures, transfer, pix_fmt):
    encoding = encoding_of(9, 1, pix_fmt, 256, transfer, BT2020)
    planes = planes_of_rgb(pictures[0], pix_fmt, encoding)
    old, before = planes.rgb(0, 0, 256, 256).astype(np.float32), [a.copy() for a in planes.arrays]
    change = np.zeros((51, 63, 3), np.float32)
    change[8:40, 8:40] = cv2.GaussianBlur(np.full((32, 32, 3), 25, np.float32), (0, 0), 3) * [1, 0.6, -0.4]
    planes.add_rgb_difference(change, 151, 97)
    new = planes.rgb(0, 0, 256, 256).astype(np.float32)
    apart = np.abs(new - old)[151:202, 97:160] - np.abs(change)
    assert np.abs(apart[10:38, 10:38]).mean() < (3.0 if pix_fmt == "yuv420p" else 1.0)
    touched = np.zeros((256, 256), bool)
    touched[151 + 8 : 151 + 40, 97 + 8 : 97 + 40] = True
    assert not (planes.arrays[0] != before[0])[~touched].any()


def test_standard_range_has_no_mapping():
    assert tone_mapping(1, 1) is None
    assert tone_mapping(14, BT2020) is None


@KINDS
def test_faces_are_found_as_in_standard_range(footage, pictures, transfer):
    plain = footage(pictures[:2], "plain.mkv", pix_fmt="yuv420p10le", color_space=1)
    deep = footage(pictures[:2], "deep.mkv", color_trc=transfer, **HDR)
    found = []
    for path in (plain, deep):
        with FaceLandmarker() as landmarker:
            frame = next(read_frames(path))
            [face] = landmarker.detect(frame.quick_pixels)
            found.append((face, frame))
    assert np.abs(found[0][0] - found[1][0])[:, :2].mean() < 0.5
    assert np.abs(found[0][1].pixels.astype(int) - found[1][1].pixels).mean() < 1.5
    part = found[1][1].partial[64:128, 64:160]
    assert np.abs(part.astype(int) - found[1][1].pixels[64:128, 64:160]).mean() < 1.5
    apart = found[0][1].quick_partial.thumbnail(16, 16) - found[1][1].quick_partial.thumbnail(16, 16)
    assert np.abs(apart).mean() < 3


@KINDS
def test_mouths_have_the_colours_they_have_in_standard_range(footage, pictures, speech, talker, tmp_path, transfer):
    made = []
    kinds = {"plain": {"color_space": 1}, "deep": {**HDR, "color_trc": transfer}}
    for name, tags in kinds.items():
        source = footage(pictures[:4], f"{name}.mkv", **tags | {"pix_fmt": "yuv444p10le"})
        output = tmp_path / f"out_{name}.mkv"
        generate(source, speech, output, model=talker, lossless=True, fit="cut", watermark=False, credentials=False)
        made.append([list(read_frames(path)) for path in (source, output)])
        assert probe(output).color_trc == probe(source).color_trc
    (plain, drawn_plain), (deep, drawn_deep) = made
    for old, new, a, b in zip(deep, drawn_deep, plain, drawn_plain, strict=True):
        before, after = (planes_of(f.native, "yuv444p10le", f.encoding).arrays[0] for f in (old, new))
        changed = np.abs(b.pixels.astype(int) - a.pixels).max(axis=2) > 20
        assert changed.sum() > 200
        assert not (before != after)[:96].any()  # above the face's lower half every bit is the source's
        apart = new.pixels[changed].mean(axis=0) - b.pixels[changed].mean(axis=0)
        assert np.abs(apart).max() < 4  # of the mean only: the untrained model draws noise in glaring colours
