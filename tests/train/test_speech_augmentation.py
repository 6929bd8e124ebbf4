"""Augmented speech is another recording of the same moment: as long, as loud within bounds, and not moved in time."""

import numpy as np
import pytest

from dithead.models.audio.mel import FLOOR
from dithead.train.data.speech_augmentation import augment_mel, augment_samples

RATE = 16_000


def bursts() -> np.ndarray:
    """A second with three bursts of noise."""
    sound = np.zeros(RATE, np.float32)
    for at in (3000, 7000, 12_000):
        sound[at : at + 400] = np.random.default_rng(at).normal(0, 0.2, 400)
    return sound


@pytest.mark.parametrize("seed", range(6))
def test_samples_stay_where_they_are_in_time(seed: int) -> None:
    sound = bursts()
    other = augment_samples(np.random.default_rng(seed), sound)
    assert other.shape == sound.shape
    assert other.dtype == np.float32
    assert 0.1 < other.std() / sound.std() < 10
    match = np.fft.irfft(np.fft.rfft(other, 2 * RATE) * np.fft.rfft(sound, 2 * RATE).conj())
    assert abs((int(np.argmax(np.abs(match))) + RATE) % (2 * RATE) - RATE) <= 8  # samples


def test_one_seed_gives_one_recording_and_another_another() -> None:
    sound = bursts()
    one, again, other = (augment_samples(np.random.default_rng(seed), sound) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.01


def test_silence_stays_silence() -> None:
    assert not augment_samples(np.random.default_rng(0), np.zeros(RATE, np.float32)).any()


def test_a_spectrum_keeps_its_size_and_floor() -> None:
    mel = np.full((96, 80), -1.0, np.float32)
    for seed in range(6):
        other = augment_mel(np.random.default_rng(seed), mel)
        assert other.shape == mel.shape
        assert np.isfinite(other).all()
        assert other.min() >= FLOOR - 1
