"""A still picture becomes a video of the speech's length."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise

import cv2
import numpy as np
import pytest

from dithead.face.landmarks import FaceLandmarker
from dithead.face.mesh_indices import LEFT_EYE, outline_aspect
from dithead.inference.pipeline import generate
from dithead.inference.source.still_image import StillClip, blinks, closed_share, still_video, with_idle_motion
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


def test_people_blink_a_few_times_a_minute_and_each_face_by_itself():
    first, second = blinks(60.0, 0), blinks(60.0, 1)
    assert first == blinks(60.0, 0)
    assert first != second
    for starts in (first, second):
        assert 10 <= len(starts) <= 30
        assert min(b - a for a, b in pairwise([0.0, *starts])) >= 1
        assert starts[-1] < 60
    assert blinks(0.5, 0) == []


def test_lids_come_down_faster_than_they_go_up():
    moments = np.arange(0, 0.5, 0.01)
    closed = np.array([closed_share(1.0 + moment, [1.0]) for moment in moments])
    assert closed.max() == 1
    assert closed_share(0.99, [1.0]) == 0
    down, up = (closed == 1).argmax(), (closed == 1).nonzero()[0][-1]
    assert (np.diff(closed[: down + 1]) > 0).all()
    assert moments[closed > 0][-1] - moments[up] > 1.5 * moments[down]
    assert closed[-1] == 0


def test_a_portrait_blinks_unless_it_is_to_be_still(pictures, tmp_path):
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    clip = StillClip(path, still_video(probe(path)), seconds=6.0)
    moment = round((blinks(6.0, 0)[0] + 0.1) * 25)
    height = []
    with FaceLandmarker(1) as landmarker:
        for frame in clip.frames():
            if frame.index in (0, moment):
                found = landmarker.detect(frame.pixels)[0]
                height.append(outline_aspect(found[list(LEFT_EYE), :2]))
    assert height[1] < 0.6 * height[0]
    still = [f.pixels for f in StillClip(path, clip.info, seconds=6.0, idle=False).frames()]
    assert np.array_equal(still[0], still[moment])


def test_another_process_is_sent_the_name_and_not_the_pixels(pictures, tmp_path):
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    clip = StillClip(path, still_video(probe(path)), seconds=0.2)
    frames = [f.pixels for f in clip.frames()]
    sent = pickle.dumps(clip)
    assert len(sent) < 4000
    assert all(np.array_equal(a, b.pixels) for a, b in zip(frames, pickle.loads(sent).frames(), strict=True))


def test_backwards_the_same_frames_come_the_other_way_round(pictures, tmp_path):
    path = tmp_path / "person.png"
    cv2.imwrite(str(path), cv2.cvtColor(pictures[0], cv2.COLOR_RGB2BGR))
    clip = StillClip(path, still_video(probe(path)), seconds=3.7)
    forwards = [f.pixels for f in clip.frames()]
    backwards = [f.pixels for f in clip.frames_backwards(np.arange(len(forwards)))]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
