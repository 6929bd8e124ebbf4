"""A still picture becomes a video of the speech's length."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import pytest

from dithead.inference.pipeline import generate
from dithead.inference.source.still_image import with_idle_motion
from dithead.media.video import probe, read_frames


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp"])
def test_a_picture_lasts_as_long_as_the_speech(pictures, speech, talker, tmp_path, suffix):
    cv2.imwrite(str(tmp_path / f"p{suffix}"), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    result = generate(tmp_path / f"p{suffix}", speech, tmp_path / "out.mp4", model=talker, idle=False)
    info = probe(tmp_path / "out.mp4")
    assert result.frames == math.ceil(0.6 * 25)
    assert (info.width, info.height, info.fps, info.pix_fmt) == (256, 256, 25, "yuv420p")
    corners = np.stack([f.pixels[:40] for f in read_frames(tmp_path / "out.mp4")]).astype(int)
    assert np.abs(corners - pictures[0][:40]).mean() < 3
    assert np.abs(corners - corners[:1]).max() < 16  # nothing there moves


def test_sway_is_slight_smooth_and_endless(pictures):
    warp_by_flow = [with_idle_motion(pictures[0], k / 25) for k in range(60)]
    flow = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(warp_by_flow)]
    assert 0 < max(flow) < 2.0
    shift = cv2.phaseCorrelate(*(np.float32(m[..., 1]) for m in (warp_by_flow[0], warp_by_flow[-1])))[0]
    assert 0.05 < np.hypot(*shift) < 0.02 * 256
