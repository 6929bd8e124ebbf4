"""Log-mel, level normalisation and windows for known signals."""

import math

import pytest
import torch

from dithead.models.audio.mel import (
    FLOOR,
    HOP,
    SAMPLE_RATE,
    TARGET_LEVEL,
    frame_levels,
    log_mel,
    mel_filters,
    normalise_level,
    speech_level,
    windows,
)


def tone(hz: float, seconds: float = 1.0, gain: float = 0.5) -> torch.Tensor:
    return gain * torch.sin(2 * math.pi * hz * torch.arange(int(SAMPLE_RATE * seconds)) / SAMPLE_RATE)


def test_a_tone_is_strongest_in_the_filter_centred_on_it() -> None:
    mel = log_mel(tone(1000.0))
    band = int(mel[50].argmax())
    bins = torch.linspace(0, SAMPLE_RATE / 2, mel_filters().shape[1])
    assert bins[mel_filters()[band].argmax()].item() == pytest.approx(1000, abs=40)


def test_frames_are_ten_milliseconds_apart_and_centred() -> None:
    wave = torch.zeros(SAMPLE_RATE)
    wave[50 * HOP] = 1.0
    mel = log_mel(wave)
    assert len(mel) == 101
    assert int(mel.mean(1).argmax()) == 50


def test_digital_silence_is_the_floor_and_is_not_amplified() -> None:
    mel = log_mel(torch.zeros(4000))
    assert (mel == FLOOR).all()
    assert torch.equal(normalise_level(mel), mel)


def test_ten_times_the_amplitude_is_two_decades_of_power_and_the_level_is_normalised() -> None:
    quiet, loud = log_mel(tone(500, gain=0.05)), log_mel(tone(500, gain=0.5))
    band = int(loud[50].argmax())
    assert (loud[50, band] - quiet[50, band]).item() == pytest.approx(2.0, abs=1e-3)
    noise = log_mel(torch.randn(SAMPLE_RATE) * 0.02)
    assert speech_level(frame_levels(normalise_level(noise))) == pytest.approx(TARGET_LEVEL, abs=1e-4)


def test_only_digital_silence_stays_at_the_floor_when_the_level_is_normalised() -> None:
    """Also in a track without silence: its least value is not the floor."""
    noise = log_mel(torch.randn(SAMPLE_RATE) * 0.02)
    assert noise.min() > FLOOR
    assert (normalise_level(noise) - noise).abs().min() > 0.1, "the quietest value is shifted as all others are"
    padded = log_mel(torch.cat([torch.randn(SAMPLE_RATE) * 0.02, torch.zeros(SAMPLE_RATE // 4)]))
    assert (normalise_level(padded)[-10:] == FLOOR).all()


def test_windows_are_centred_and_padded_with_silence() -> None:
    mel = torch.arange(10.0)[:, None].expand(10, 80)
    cut = windows(mel, torch.tensor([5.2, 0.0]), 4)
    assert cut[0, :, 0].tolist() == [3, 4, 5, 6]
    assert cut[1, :, 0].tolist() == [FLOOR, FLOOR, 0, 1]
