"""The leak through the mask, with models that are known to use its shape and not to: the measure must separate them."""

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

from dithead.checkpoint import build_model
from dithead.config import PRESETS
from dithead.errors import FaceError
from dithead.evaluate import mask_leak
from dithead.evaluate.lip_series import chance_level, partial_correlation
from dithead.evaluate.observe_video import observe
from dithead.media.audio import read_audio
from dithead.media.video import probe, read_frames
from dithead.media.writer import VideoWriter

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"
RATE, START, FRAMES = 16000, 25, 30
CHANCE = 2 / math.sqrt(FRAMES - 3)
"""Two standard errors of the partial correlation of so many frames of noise: 0.38. With no leak, nothing else is left
to correlate, so a smaller limit would be passed or failed by chance."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    speaker = sorted(PRESENTERS.glob("*.mp4"))[0]
    path, info = tmp_path_factory.mktemp("clip") / "clip.mp4", probe(speaker)
    wave = read_audio(speaker, RATE)[START * RATE // 25 :][: FRAMES * RATE // 25]
    with VideoWriter(path, replace(info, width=info.width // 2, height=info.height // 2), audio=(wave, RATE)) as writer:
        for frame in islice(read_frames(speaker), START, START + FRAMES):
            writer.write(frame.pixels[::2, ::2])
    return observe(path), wave


@pytest.fixture(scope="module")
def talker():
    return build_model(PRESETS["tiny"].model)


def draw_with(monkeypatch, draw):
    monkeypatch.setattr(mask_leak.MouthSampler, "draw", draw)


def test_a_model_that_ignores_the_mask_leaks_nothing(clip, talker, monkeypatch):
    draw_with(monkeypatch, lambda self, tracklet, crops, times: crops)
    scores = mask_leak.mask_leak(*clip, talker, 1)
    assert scores["shift"] == pytest.approx(0, abs=1e-6)
    assert scores["agreement"] == pytest.approx(1)
    assert abs(scores["partial"]) < CHANCE  # the noise of the landmarks: -0.06 to 0.17 over five noisy copies


def test_a_model_that_copies_the_masks_depth_is_caught(clip, talker, monkeypatch):
    def follow_mask(self, tracklet, crops, times):
        """Stretches the mouth by how far down the mask reaches."""
        low = float(tracklet.polygon[:, 1].max()) / crops.shape[1]
        return np.stack([stretched(crop, 1 + 6 * (low - 0.9)) for crop in crops])

    draw_with(monkeypatch, follow_mask)
    scores = mask_leak.mask_leak(*clip, talker, 1)
    assert abs(scores["shift"]) > 0.3
    assert scores["partial"] > CHANCE  # 0.59; 0.68 and 0.54 with the other two presenters


def stretched(crop, factor):
    side = crop.shape[0]
    top = round(0.45 * side)
    rows = np.clip(top + (np.arange(side - top) / factor), 0, side - 1).astype(np.float32)
    low = cv2.remap(crop, *np.meshgrid(np.arange(side, dtype=np.float32), rows), cv2.INTER_LINEAR)
    return np.concatenate([crop[:top], low])


def test_a_missing_face_is_an_error_and_not_zero(clip, talker):
    source, wave = clip
    blind = replace(source, landmarks=[None, *source.landmarks[1:]])
    with pytest.raises(FaceError, match="is not tested"):
        mask_leak.mask_leak(blind, wave, talker, 1)


def test_the_chance_level_is_passed_by_a_leak_and_seldom_without_one():
    passed = {"leaking": 0, "honest": 0}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        source, driver, other = (np.convolve(rng.normal(size=200), np.ones(6) / 6, "same") for _ in range(3))
        for case, lips in (("leaking", driver + 0.6 * source), ("honest", driver + 0.6 * other)):
            passed[case] += abs(partial_correlation(lips, source, driver)) > chance_level(lips, source, driver)
    assert passed["leaking"] == 40
    assert passed["honest"] <= 6  # one in twenty is expected
