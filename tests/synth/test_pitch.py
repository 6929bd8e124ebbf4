"""Whose voice is it? High or low, and nothing where nobody speaks."""

import numpy as np
import pytest

from dithead.synth.head.identity import sample_identity
from dithead.synth.voice.espeak import Voice, speak
from dithead.synth.voice.phoneme_alignment import _at_16k
from dithead.synth.voice.pitch import median_pitch, sounds_male


def voice(pitch: float) -> np.ndarray:
    """A second of a buzz with ten harmonics, louder and softer as syllables are."""
    time = np.arange(16000) / 16000
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 11))
    return (0.2 * buzz * (0.2 + np.abs(np.sin(2 * np.pi * 2 * time)))).astype(np.float32)


@pytest.mark.parametrize("pitch", [82.0, 110.0, 140.0, 190.0, 240.0, 310.0])
def test_the_pitch_is_found_without_octaves(pitch: float) -> None:
    noise = np.random.default_rng(0).normal(size=16000) * 0.01
    assert median_pitch((voice(pitch) + noise).astype(np.float32), 16000) == pytest.approx(pitch, rel=0.03)


def test_noise_and_silence_are_nobody() -> None:
    assert sounds_male(np.zeros(16000, np.float32), 16000) is None
    assert sounds_male(np.zeros(10, np.float32), 16000) is None
    assert sounds_male(np.random.default_rng(0).normal(size=16000).astype(np.float32), 16000) is None


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize(("variant", "male"), [("m1", True), ("m3", True), ("m7", True), ("f1", False), ("f4", False)])
def test_voices_of_men_and_women_are_told_apart(variant: str, male: bool) -> None:
    said = speak("Put the blue box by the window before supper.", Voice("en", variant))
    assert sounds_male(_at_16k(said), 16000) is male


def test_a_person_can_be_asked_to_be_a_man_or_a_woman() -> None:
    for seed in range(8):
        man, woman = (sample_identity(seed, frozenset(), man=m) for m in (True, False))
        assert man.male > 0.5 > woman.male
        assert sample_identity(seed, frozenset()) in (man, woman), "all else as it is for the seed"
