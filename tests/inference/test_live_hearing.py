"""What live speech needs of the future is what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dithead.inference.live_hearing import SpeechBuffer, live_latency, needed_speech
from dithead.models.audio.context_encoder import ContextEncoderConfig
from dithead.models.audio.mel_encoder import MelEncoderConfig

_PIECE = 16  # samples: 1 ms
_CONTEXT = ContextEncoderConfig(
    window=32, tokens=12, width=16, hidden=24, heads=2, layers=1, past=64,
    lip_predictor_hidden=40, lip_predictor_heads=2, lip_predictor_layers=1,
)  # fmt: skip


@pytest.mark.parametrize("config", [_CONTEXT, MelEncoderConfig(window=16, width=16, layers=1)], ids=["lips", "mel"])
def test_a_frame_takes_as_much_speech_as_it_is_said_to_need(config) -> None:
    torch.manual_seed(0)
    encoder = config.build().eval()
    reach, given = config.window // 2 + 1, 0
    ahead = 0.0 if encoder.past else 0.015

    def pieces():
        nonlocal given
        for _ in range(2000):
            given += _PIECE
            yield np.zeros(_PIECE, np.float32)

    buffer = SpeechBuffer(pieces(), None, reach, encoder)
    for time in np.arange(30) * 0.0317:
        with torch.inference_mode():
            buffer.around(np.array([time, time + ahead]))
            buffer.lips_at(np.array([time]))
        needed = needed_speech(time, encoder, reach)
        assert given / 16_000 == pytest.approx(needed, abs=0.0011)
        assert time < needed <= time + live_latency(encoder, reach) + 1e-9
