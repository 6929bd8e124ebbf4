"""Mel features in blocks are those of the whole, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dithead.generate.hearing import SpeechFile, loudness_of, mel_blocks, shift_for, speech_seconds
from dithead.media.audio import write_audio
from dithead.models.mel import FLOOR, log_mel, windows
from dithead.models.talking_head import normalise_level


def noise(count: int) -> np.ndarray:
    wave = np.random.default_rng(count).normal(0, 0.1, count).astype(np.float32)
    wave[: count // 3] = 0
    return wave


@pytest.mark.parametrize("count", [1, 159, 160, 161, 640, 16000, 16079])
def test_blocks_are_the_whole(count):
    wave = noise(count)
    blocks = np.concatenate(list(mel_blocks([wave])))
    assert blocks.shape == (count // 160 + 1, 80)
    np.testing.assert_allclose(blocks, log_mel(torch.from_numpy(wave)).numpy(), atol=2e-4)


@pytest.mark.parametrize("chunk", [1, 37, 160, 999, 16000])
def test_chunks_do_not_matter_by_a_bit(chunk):
    wave = noise(5000)
    pieces = [wave[k : k + chunk] for k in range(0, len(wave), chunk)]
    assert np.array_equal(np.concatenate(list(mel_blocks(pieces))), np.concatenate(list(mel_blocks([wave]))))


def test_a_file_is_heard_as_the_model_would(tmp_path):
    wave = noise(40000)
    write_audio(tmp_path / "a.wav", wave, 16000)
    heard = SpeechFile(tmp_path / "a.wav", tmp_path / "a.mel")
    whole = normalise_level(log_mel(torch.from_numpy(wave)))
    times = np.array([0.0, 0.04, 1.0, 1.04, 2.5, 2.9])
    for pair in (times[:2], times[2:4], times[4:]):
        features, moved = heard.around(pair)
        here = windows(features, moved.float() * 100, 48)
        there = windows(whole, torch.from_numpy(pair).float() * 100, 48)
        assert len(features) < 200
        torch.testing.assert_close(here, there, atol=2e-3, rtol=0)
    assert speech_seconds(tmp_path / "a.wav") == 2.5
    assert shift_for(loudness_of(tmp_path / "a.wav")) == heard.shift


def test_silence_is_not_made_louder(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(8000, np.float32), 16000)
    heard = SpeechFile(tmp_path / "a.wav", tmp_path / "a.mel")
    features, _ = heard.around(np.array([0.2]))
    assert heard.shift == 0
    assert (features == FLOOR).all()
