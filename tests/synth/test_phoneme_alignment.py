"""Alignment finds the phonemes of a text in a recording of another voice, and it keeps the pauses."""

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.phoneme_alignment import align, cepstra, resample_to_16k, silent_frames, warp_time

TEXT = "Maybe people film those five views from above."


def test_warping_aligns_equal_sounds_frame_by_frame() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 8)).astype(np.float32)
    assert warp_time(features, features).tolist() == list(range(60))
    slow = np.repeat(features, 2, axis=0)
    assert warp_time(slow, features).tolist() == np.repeat(np.arange(60), 2).tolist()


def test_warping_refuses_a_text_much_longer_than_the_speech() -> None:
    with pytest.raises(DataError, match="is it the text"):
        warp_time(np.zeros((10, 4), np.float32), np.zeros((30, 4), np.float32))


def test_alignment_to_another_voice_at_another_pace(espeak: None) -> None:
    """Compare with the exact times of another espeak-ng voice: slower, with an inserted pause of half a second."""
    spoken = speak(TEXT, EspeakVoice("en", "f2", 130, 60))
    wave = resample_to_16k(spoken)
    cut = round(spoken.phonemes[9].end * 16000)
    wave = np.concatenate([wave[:cut], np.zeros(8000, np.float32), wave[cut:]])
    truth = [(p.ipa, p.start + (0.5 if i > 9 else 0)) for i, p in enumerate(spoken.phonemes) if p.ipa]
    found = [(p.ipa, p.start) for p in align(wave, TEXT, "en").phonemes if p.ipa]
    assert [ipa for ipa, _ in found] == [ipa for ipa, _ in truth]
    errors = np.abs([a - b for (_, a), (_, b) in zip(found, truth, strict=True)])
    assert np.median(errors) < 0.03
    assert np.quantile(errors, 0.9) < 0.09


def test_silent_frames_are_those_without_sound() -> None:
    tone = 0.3 * np.sin(np.arange(8000) * 0.3).astype(np.float32)
    wave = np.concatenate([np.zeros(8000, np.float32), tone, np.zeros(8000, np.float32)])
    silent = silent_frames(wave)
    assert silent[:45].all()
    assert not silent[55:95].any()
    assert silent[110:].all()
    assert silent_frames(np.zeros(16000, np.float32)).all()


def test_cepstra_have_zero_mean() -> None:
    features = cepstra(np.random.default_rng(1).normal(size=16000).astype(np.float32))
    assert features.shape == (101, 26)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-3)
