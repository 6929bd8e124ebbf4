"""The protocols without talking frames: what they compare, and that nothing of a talking frame is lent."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.evaluate.baselines import most_closed
from dithead.evaluate.observe_video import observe
from dithead.evaluate.portrait import identity_kept, measure_untaught, open_sharpness, write_portrait
from dithead.inference.analyse.first_pass import AnalysisSettings, analyse_video
from dithead.media.audio import read_audio
from dithead.media.video import read_frames

PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "ben.mp4"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Thirty frames of a speaking presenter at a third of the size."""
    from dithead.media.video import probe
    from dithead.media.writer import VideoWriter

    path, info = tmp_path_factory.mktemp("clip") / "ben.mp4", probe(PRESENTER)
    small = replace(info, width=info.width // 6 * 2, height=info.height // 6 * 2)
    wave = read_audio(PRESENTER, 16000)[16000 : 16000 * 11 // 5]
    with VideoWriter(path, small, audio=(wave, 16000)) as writer:
        for frame in read_frames(PRESENTER):
            if 25 <= frame.index < 55:
                writer.write(cv2.resize(frame.pixels, (small.width, small.height), interpolation=cv2.INTER_AREA))
    return observe(path)


def faces(mean: float, spread: float, count: int = 40) -> np.ndarray:
    """Embeddings around a place, each ``spread`` away from it on the average."""
    noise = np.random.default_rng(0).normal(size=(count, 128))
    return np.float32(mean / np.sqrt(128) + spread * noise / np.linalg.norm(noise, axis=1, keepdims=True))


def test_the_same_person_keeps_the_identity_and_another_one_loses_it():
    true = faces(0.0, 0.2)
    assert identity_kept(true[1::2], true) == pytest.approx(1, abs=0.01)
    assert 0.3 < identity_kept(faces(0.3, 0.2), true) < 0.75
    assert identity_kept(faces(0.9, 0.2), true) < 0
    assert np.isnan(identity_kept(true[:0], true))


def test_the_clip_against_itself_is_perfect(clip):
    found = measure_untaught(clip, clip, read_audio(clip.path, 16000))
    assert found["lip_correlation"] == pytest.approx(1)
    assert found["sharpness_open"] == pytest.approx(1)
    assert found["identity_kept"] == pytest.approx(1, abs=0.15)


def test_the_picture_alone_keeps_what_the_frame_of_the_most_closed_mouth_does(clip):
    still = replace(clip, crops=[clip.crops[most_closed(clip)]] * clip.frames)
    found = measure_untaught(still, clip, read_audio(clip.path, 16000))
    assert found["identity_picture"] == pytest.approx(found["identity_kept"])
    moving = measure_untaught(clip, clip, read_audio(clip.path, 16000))
    assert moving["identity_picture"] == found["identity_picture"] != moving["identity_kept"]


def test_a_blurred_mouth_is_less_sharp(clip):
    soft = replace(clip, detail=clip.detail * 0.25)
    assert open_sharpness(soft) == pytest.approx(0.25 * open_sharpness(clip))


def test_the_portrait_is_the_most_closed_frame(clip, tmp_path):
    path = write_portrait(clip, tmp_path / "ben.png")
    frames = [frame.pixels for frame in read_frames(clip.path)]
    assert np.array_equal(cv2.imread(str(path))[..., ::-1], frames[int(np.nanargmin(clip.lips.openings))])
    path.write_bytes(b"kept")
    assert write_portrait(clip, path).read_bytes() == b"kept"


def test_hidden_talking_frames_lend_nothing(clip):
    settings = AnalysisSettings(size=96)
    shown, hidden = (
        analyse_video(read_frames(clip.path), each).tracklets[0]
        for each in (settings, replace(settings, hide_talking=True))
    )
    assert hidden.references.opened
    assert not shown.references.opened
    assert hidden.opening_spread < 0.01 < shown.opening_spread
    assert len(shown.sample_times) > len(hidden.sample_times) == 0  # its own speech calibrates nothing
    assert len(hidden.transforms) == len(shown.transforms)
    assert np.array_equal(hidden.polygon, shown.polygon)
