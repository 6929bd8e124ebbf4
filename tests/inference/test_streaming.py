"""Live speech makes the pixels of the offline path, and each frame comes as soon as it may."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dithead.checkpoint import build_model
from dithead.config import get_preset
from dithead.inference.pipeline import generate
from dithead.inference.streaming import LiveHead
from dithead.inference.synthesise.audio_features import loudness_of
from dithead.media.audio import read_audio
from dithead.media.planes import planes_of
from dithead.media.video import read_frames
from dithead.models.audio.context_encoder import ContextEncoderConfig


@pytest.fixture
def with_lip_predictor():
    """A tiny model whose lip predictor uses more of the past than the speech is long."""
    torch.manual_seed(1)
    tiny = get_preset("tiny").model
    audio = ContextEncoderConfig(
        window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64,
        lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=1,
    )  # fmt: skip
    model = build_model(tiny.model_copy(update={"audio": audio, "opening_unit": 0.05}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("model", ["talker", "with_lip_predictor"])
def test_live_and_offline_agree_by_the_bit(footage, pictures, speech, model, tmp_path, request):
    talker = request.getfixturevalue(model)
    source = footage(pictures[:6])
    made = generate(
        source, speech, tmp_path / "out.mkv", model=talker, seed=3, fit="loop", lossless=True, batch=1, watermark=False
    )  # the marks say from which kind of job they are, so they differ
    wave = read_audio(speech)
    head = LiveHead(source, model=talker, seed=3, watermark=False)
    live = list(head.frames(np.array_split(wave, 23), loudness=loudness_of(speech, talker.audio)))
    assert len(live) == made.frames == 15  # six frames, played two and a half times
    for frame, kept in zip(live, read_frames(made.output), strict=True):
        there = planes_of(kept.native, head.pix_fmt, kept.encoding)
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes.arrays, there.arrays, strict=True))
        assert abs(frame.time - kept.time) < 1e-3
    assert live[0].pixels.shape == pictures[0].shape


def test_latency_is_bounded(footage, pictures, talker):
    head = LiveHead(footage(pictures[:6]), model=talker)
    given = 0

    def chunks():
        nonlocal given
        for _ in range(60):
            given += 320
            yield np.zeros(320, np.float32)

    waits = [given / 16000 - frame.time for frame in head.frames(chunks())]
    assert len(waits) == 30
    assert max(waits) <= head.latency + 0.02
    assert head.latency < 0.4
