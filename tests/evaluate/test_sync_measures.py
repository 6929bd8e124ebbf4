"""Sync numbers of a video: our expert and the original, with random weights in the published form."""

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from dithead.critics.sync_expert import SyncExpert
from dithead.critics.syncnet import SyncNet
from dithead.evaluate import sync_measures as speaking
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.observe_video import observe
from dithead.media.audio import read_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
RATE, FRAMES = 16000, 16


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    source = sorted(PRESENTERS.glob("*.mp4"))[0]
    path, info = tmp_path_factory.mktemp("clip") / "clip.mp4", probe(source)
    wave = read_audio(source, RATE)[RATE:][: FRAMES * RATE // 25]
    with VideoWriter(path, replace(info, width=info.width // 2, height=info.height // 2), audio=(wave, RATE)) as writer:
        for frame in islice(read_frames(source), 25, 25 + FRAMES):
            writer.write(frame.pixels[::2, ::2])
    return observe(path)


@pytest.fixture
def ours(monkeypatch):
    torch.manual_seed(1)
    expert = SyncExpert().eval()
    monkeypatch.setattr(speaking, "load_shipped_expert", lambda: expert)
    monkeypatch.setattr("dithead.critics.sync_offset.load_shipped_expert", lambda: expert)


@pytest.mark.usefixtures("ours")
def test_our_expert_names_its_numbers(video):
    scores = speaking.measure_sync(video)
    assert set(scores) == set(speaking.SHIPPED_EXPERT)
    assert all(np.isfinite(list(scores.values())))
    assert -8 <= scores["sync_offset"] <= 8


@pytest.mark.usefixtures("ours")
def test_without_sound_or_face_it_fails_and_is_not_zero(video):
    assert np.isnan(speaking.measure_sync(video, np.zeros(RATE, np.float32))["sync_confidence"])
    blind = replace(video, transforms=[None] * video.frames, landmarks=[None] * video.frames)
    assert np.isnan(speaking.measure_sync(blind)["sync_distance"])


def test_a_tick_gets_the_nearest_frame_with_a_face_and_of_two_the_earlier(video):
    faces = [3, 4, 6, 9, 10, 11, 12, 13, 15]
    seen = replace(video, transforms=[video.transforms[5] if i in faces else None for i in range(video.frames)])
    wanted = [min(faces, key=lambda k: (abs(k - tick), k)) for tick in range(FRAMES)]
    assert speaking._frames_at_25(seen).tolist() == wanted
    assert speaking._frames_at_25(replace(seen, transforms=[None] * video.frames)) is None


@pytest.mark.slow
def test_the_original_measures_when_its_weights_are_given(video, tmp_path):
    torch.manual_seed(0)
    save_file(SyncNet().state_dict(), tmp_path / "syncnet.safetensors")
    experts = NetworkMeasures({"syncnet": tmp_path / "syncnet.safetensors"})
    assert not set(speaking.ORIGINAL_SYNCNET) & set(experts.missing())
    scores = experts.sync(video)
    assert set(speaking.ORIGINAL_SYNCNET) <= set(scores)
    assert np.isfinite(scores["lse_d"])


def test_missing_weights_are_missing():
    assert set(speaking.ORIGINAL_SYNCNET) <= set(NetworkMeasures().missing())


def test_syncnets_square_holds_the_whole_face(video):
    x, y, side = speaking.face_squares(video)[0]
    face = video.landmarks[0][:, :2]
    low, high = face.min(axis=0), face.max(axis=0)
    assert (low > [x - side / 2, y - side / 2]).all()
    assert (high < [x + side / 2, y + side / 2]).all()
    assert side < 2.2 * (high[1] - low[1])
