"""Log-mel spectrogram of 16 kHz speech, 100 frames a second. No learned part, no download."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400
N_FFT = 512
N_FFT_WHISPER = 400
N_MELS = 80
MelScale = Literal["own", "whisper"]
"""``whisper``: the bands of Radford et al. 2022 (Slaney's, of equal area), 100 times stronger: as loud as ours."""
MEL_RATE = SAMPLE_RATE / HOP
"""Mel frames a second."""
FLOOR = -4.0
"""Value of digital silence after normalisation: log10 power 8 decades below full scale, see ``log_mel``."""


def _hz_to_mel(hz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hz / 700.0)


def _htk_edges() -> Tensor:
    """Edges of the bands (N_MELS + 2,) in Hz, from 50 Hz to 7.6 kHz on the HTK mel scale."""
    low, high = _hz_to_mel(torch.tensor([50.0, 7600.0])).tolist()
    return 700.0 * (10 ** (torch.linspace(low, high, N_MELS + 2) / 2595.0) - 1.0)


def _slaney_edges() -> Tensor:
    """The same from 0 to 8 kHz on Slaney's scale: 200/3 Hz a mel up to 1 kHz, logarithmic above."""
    top = 15.0 + 27.0 * math.log(SAMPLE_RATE / 2 / 1000.0) / math.log(6.4)
    mels = torch.linspace(0.0, top, N_MELS + 2)
    above = 1000.0 * torch.exp((mels - 15.0) * (math.log(6.4) / 27.0))
    return torch.where(mels < 15.0, mels * 200.0 / 3.0, above)


@lru_cache(maxsize=2)
def mel_filters(scale: MelScale = "own") -> Tensor:
    """Triangular filters (N_MELS, F): F is N_FFT // 2 + 1 frequencies, of height 1, or Whisper's."""
    whisper = scale == "whisper"
    hz = _slaney_edges() if whisper else _htk_edges()
    bins = torch.linspace(0, SAMPLE_RATE / 2, (N_FFT_WHISPER if whisper else N_FFT) // 2 + 1)
    rising = (bins[None] - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    falling = (hz[2:, None] - bins[None]) / (hz[2:] - hz[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    return filters * (200.0 / (hz[2:] - hz[:-2]))[:, None] if whisper else filters


def log_mel(wave: Tensor, scale: MelScale = "own") -> Tensor:
    """Speech (n,) in [-1, 1] to log-mel (T, 80) with T = n // 160 + 1; frame i is centred on sample 160 * i.

    Values are log10 power plus 4, floored at -4 (digital silence), so speech lies roughly in [-2, 6].
    """
    n_fft = N_FFT_WHISPER if scale == "whisper" else N_FFT
    spectrum = torch.stft(wave.float(), n_fft, HOP, WINDOW, torch.hann_window(WINDOW), center=True,
                          pad_mode="constant", return_complex=True)  # fmt: skip
    power = mel_filters(scale) @ spectrum.abs().square()  # (80, T)
    return (power.clamp_min(1e-8).log10() - FLOOR).clamp_min(FLOOR).T


def with_sound(mel: Tensor, wave: Tensor) -> Tensor:
    """Log-mel (T, 80) of ``wave`` (n,) with each frame's 160 samples behind it, from its centre on: (T, 80 + 160)."""
    samples = F.pad(wave.float(), (0, max(0, len(mel) * HOP - len(wave))))[: len(mel) * HOP]
    return torch.cat([mel, samples.view(-1, HOP)], 1)


def sound_in(features: Tensor) -> Tensor:
    """The samples (..., 160 W) in features (..., W, 80 + 160) that hold them behind their log-mel."""
    return features[..., N_MELS:].flatten(-2)


def speech_level(mel: Tensor) -> float:
    """Loudness of the loud parts of (T, 80): the 95th percentile over time of the mean log power."""
    return float(torch.quantile(mel.mean(1), 0.95)) if len(mel) else FLOOR


def windows(mel: Tensor, centres: Tensor, size: int, pad: float = FLOOR, past: int = 0) -> Tensor:
    """Cut (B, past + size, 80) out of (T, 80): ``size`` around fractional frame numbers ``centres`` (B,), and ``past``
    before them; beyond the ends is ``pad``, and in what lies behind 80 numbers (sound, other networks' features) 0.
    """
    start = centres.round().long() - size // 2 - past
    index = start[:, None] + torch.arange(past + size)
    inside = (index >= 0) & (index < len(mel))
    cut = mel[index.clamp(0, max(len(mel) - 1, 0))]
    silent = torch.full_like(mel[:1], pad)
    silent[:, N_MELS:] = 0
    return torch.where(inside[..., None], cut, silent)
