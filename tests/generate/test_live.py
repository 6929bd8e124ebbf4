"""Live speech makes the pixels of the offline path, and each frame comes as soon as it may."""

from __future__ import annotations

import numpy as np

from dithead.generate.hearing import loudness_of
from dithead.generate.live import LiveHead
from dithead.generate.pipeline import generate
from dithead.media.audio import read_audio
from dithead.media.planes import planes_of
from dithead.media.video import read_frames


def test_live_and_offline_agree_by_the_bit(footage, pictures, speech, talker, tmp_path):
    source = footage(pictures[:6])
    made = generate(source, speech, tmp_path / "out.mkv", model=talker, seed=3, fit="loop", lossless=True, batch=1)
    wave = read_audio(speech)
    head = LiveHead(source, model=talker, seed=3)
    live = list(head.frames(np.array_split(wave, 23), loudness=loudness_of(speech)))
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
