"""The pitch of a voice is found, and it tells men from women; without a voice there is no estimate."""

import numpy as np
import pytest

from dithead.synth.head.identity import sample_identity
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.phoneme_alignment import resample_to_16k
from dithead.synth.voice.pitch import median_pitch, sounds_male


def voice(pitch: float) -> np.ndarray:
    """Make a second of a buzz with ten harmonics whose loudness varies as that of syllables."""
    time = np.arange(16000) / 16000
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 11))
    return (0.2 * buzz * (0.2 + np.abs(np.sin(2 * np.pi * 2 * time)))).astype(np.float32)


@pytest.mark.parametrize("pitch", [82.0, 110.0, 140.0, 190.0, 240.0, 310.0])
def test_the_pitch_is_found_without_octave_errors(pitch: float) -> None:
    noise = np.random.default_rng(0).normal(size=16000) * 0.01
    assert median_pitch((voice(pitch) + noise).astype(np.float32), 16000) == pytest.approx(pitch, rel=0.03)


def test_noise_and_silence_have_no_pitch() -> None:
    assert sounds_male(np.zeros(16000, np.float32), 16000) is None
    assert sounds_male(np.zeros(10, np.float32), 16000) is None
    assert sounds_male(np.random.default_rng(0).normal(size=16000).astype(np.float32), 16000) is None


@pytest.mark.usefixtures("espeak")
@pytest.mark.parametrize(("variant", "male"), [("m1", True), ("m3", True), ("m7", True), ("f1", False), ("f4", False)])
def test_voices_of_men_and_women_are_distinguished(variant: str, male: bool) -> None:
    utterance = speak("Put the blue box by the window before supper.", EspeakVoice("en", variant))
    assert sounds_male(resample_to_16k(utterance), 16000) is male


def test_the_sex_of_a_random_person_can_be_chosen() -> None:
    for seed in range(8):
        man, woman = (sample_identity(seed, frozenset(), man=m) for m in (True, False))
        assert man.male > 0.5 > woman.male
        assert sample_identity(seed, frozenset()) in (man, woman), "everything else depends on the seed alone"
