"""Log-mel spectrograms of speech, their level normalisation, and the windows that are cut out of them.

Letters: n samples at 16 kHz, T mel frames (100 a second), F numbers in each (80, or 240 with the samples), B batch, W
frames of a window.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

SAMPLE_RATE = 16_000
"""Samples a second, in Hz."""
HOP = 160
"""Samples from one mel frame to the next (10 ms)."""
WINDOW = 400
"""Samples of the Hann window (25 ms)."""
N_FFT = 512
"""Samples of a spectrum for our own bands."""
N_FFT_WHISPER = 400
"""Samples of a spectrum for Whisper's bands."""
N_MELS = 80
"""Mel bands."""
MelScale = Literal["own", "whisper"]
"""``own`` bands, or ``whisper``: those of Radford et al. 2022 (Slaney's, of equal area) times 100, as loud as ours."""
MEL_RATE = SAMPLE_RATE / HOP
"""Mel frames a second, in Hz."""
FLOOR = -4.0
"""Value of digital silence after normalisation: log10 power 8 decades below full scale, see ``log_mel``."""
TARGET_LEVEL = 2.0
"""Loudness that every speech track is brought to before the encoder, in units of ``speech_level`` (our choice)."""
QUIETEST_SPEECH = -1.5
"""A track whose ``speech_level`` is below this is taken for silence and not amplified (our choice)."""
_BLOCK = 4  # mel frames computed at once by a stream: 40 ms, so that live speech waits no longer
_MARGIN = 2  # mel frames on either side whose samples a frame's spectrum touches


def _hz_to_mel(hz: Tensor) -> Tensor:
    return 2595.0 * torch.log10(1.0 + hz / 700.0)


def _htk_edges() -> Tensor:
    """Edges of the bands (N_MELS + 2,) in Hz, from 50 Hz to 7.6 kHz on the HTK mel scale."""
    low, high = _hz_to_mel(torch.tensor([50.0, 7600.0])).tolist()
    return 700.0 * (10 ** (torch.linspace(low, high, N_MELS + 2) / 2595.0) - 1.0)


def _slaney_edges() -> Tensor:
    """Edges from 0 to 8 kHz on Slaney's scale: 200/3 Hz a mel up to 1 kHz, logarithmic above."""
    top = 15.0 + 27.0 * math.log(SAMPLE_RATE / 2 / 1000.0) / math.log(6.4)
    mels = torch.linspace(0.0, top, N_MELS + 2)
    above = 1000.0 * torch.exp((mels - 15.0) * (math.log(6.4) / 27.0))
    return torch.where(mels < 15.0, mels * 200.0 / 3.0, above)


@lru_cache(maxsize=2)
def mel_filters(scale: MelScale = "own") -> Tensor:
    """Make triangular filters (80, frequencies) of height 1, or Whisper's; there are ``N_FFT // 2 + 1`` frequencies."""
    whisper = scale == "whisper"
    hz = _slaney_edges() if whisper else _htk_edges()
    bins = torch.linspace(0, SAMPLE_RATE / 2, (N_FFT_WHISPER if whisper else N_FFT) // 2 + 1)
    rising = (bins[None] - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    falling = (hz[2:, None] - bins[None]) / (hz[2:] - hz[1:-1])[:, None]
    filters = torch.minimum(rising, falling).clamp_min(0.0)
    return filters * (200.0 / (hz[2:] - hz[:-2]))[:, None] if whisper else filters


@lru_cache(maxsize=1)
def _hann() -> Tensor:
    return torch.hann_window(WINDOW)


def log_mel(wave: Tensor, scale: MelScale = "own") -> Tensor:
    """Compute the log-mel spectrogram.

    Args:
        wave: Speech (n,) in [-1, 1].
        scale: The mel bands.

    Returns:
        (T, 80) with T = n // 160 + 1; frame i is centred on sample 160 * i. Values are log10 power plus 4, at least -4
        (digital silence), so speech lies roughly in [-2, 6].
    """
    n_fft = N_FFT_WHISPER if scale == "whisper" else N_FFT
    spectrum = torch.stft(wave.float(), n_fft, HOP, WINDOW, _hann(), center=True,
                          pad_mode="constant", return_complex=True)  # fmt: skip
    power = mel_filters(scale) @ spectrum.abs().square()  # (80, T)
    return (power.clamp_min(1e-8).log10() - FLOOR).clamp_min(FLOOR).T


def with_samples(mel: Tensor, wave: Tensor) -> Tensor:
    """Append to each frame of ``mel`` (T, 80) the 160 samples of ``wave`` (n,) from its centre on: (T, 80 + 160)."""
    samples = F.pad(wave.float(), (0, max(0, len(mel) * HOP - len(wave))))[: len(mel) * HOP]
    return torch.cat([mel, samples.view(-1, HOP)], 1)


def samples_of(features: Tensor) -> Tensor:
    """Return the samples (..., 160 W) in features (..., W, 80 + 160) that hold them behind their log-mel."""
    return features[..., N_MELS:].flatten(-2)


def frame_levels(features: Tensor) -> Tensor:
    """Compute the mean log power (T,) over the mel bands of features (T, F), F at least 80."""
    return torch.from_numpy(features[:, :N_MELS].numpy().mean(axis=1))  # numpy's sum: outputs depend on its last bit


def speech_level(levels: Tensor) -> float:
    """Compute the loudness of a track's loud parts: the 95th percentile of ``frame_levels`` (T,); FLOOR for none."""
    return float(torch.quantile(levels, 0.95)) if len(levels) else FLOOR


def level_shift(level: float) -> float:
    """Return what to add to the log-mel of a track of this ``speech_level``; silence is not made louder."""
    return 0.0 if level < QUIETEST_SPEECH else TARGET_LEVEL - level


def shift_level(features: Tensor, shift: float) -> Tensor:
    """Add ``shift`` to the log-mel of ``features`` (T, F); digital silence and the samples stay as they are."""
    spectrum = features[:, :N_MELS]
    return torch.cat([torch.where(spectrum <= FLOOR, spectrum, spectrum + shift), features[:, N_MELS:]], 1)


def normalise_level(features: Tensor) -> Tensor:
    """Shift the log-mel of a whole track (T, F) so that its loud parts reach ``TARGET_LEVEL``."""
    return shift_level(features, level_shift(speech_level(frame_levels(features))))


class MelStream:
    """Samples in, log-mel frames out as soon as they are certain, with their samples where wanted.

    Blocks always cover the same samples, so speech that arrives in chunks gives the very numbers that a file gives.
    """

    def __init__(self, scale: MelScale, *, with_samples: bool = False) -> None:
        self._scale: MelScale = scale
        self._with_samples = with_samples
        self._wave = torch.zeros(0)
        self._start = 0  # the mel frame at whose centre the kept samples begin
        self._made = 0  # mel frames that have been yielded

    @staticmethod
    def samples_for(frames: int) -> int:
        """Return how many samples must have come before the first ``frames`` mel frames have been yielded."""
        return (-(-frames // _BLOCK) * _BLOCK + _MARGIN) * HOP

    def push(self, samples: Tensor) -> Iterator[Tensor]:
        """Yield the blocks (4, F) that ``samples`` (n,) complete."""
        self._wave = torch.cat([self._wave, samples.float()])
        while len(self._wave) >= (self._made + _BLOCK + _MARGIN - self._start) * HOP:
            yield self._block(_BLOCK)

    def finish(self) -> Iterator[Tensor]:
        """Yield what is left: silence follows the last sample, and the last frame lies on it."""
        left = self._start + len(self._wave) // HOP + 1 - self._made
        while left > 0:
            yield self._block(min(_BLOCK, left))
            left -= _BLOCK

    def _block(self, count: int) -> Tensor:
        first = self._made - self._start
        wave = self._wave[: (first + count + _MARGIN) * HOP]
        mel = log_mel(wave, self._scale)[first : first + count]
        features = with_samples(mel, wave[first * HOP :]) if self._with_samples else mel
        self._made += count
        keep = max(0, self._made - _MARGIN - self._start)
        self._wave, self._start = self._wave[keep * HOP :], self._start + keep
        return features


def windows(features: Tensor, centres: Tensor, size: int, pad: float = FLOOR, past: int = 0) -> Tensor:
    """Cut windows out of a track's features.

    Args:
        features: (T, F).
        centres: Fractional frame numbers (B,).
        size: Frames W around each centre.
        pad: Value of the first 80 numbers beyond the ends; all others (samples, a network's features) are 0 there.
        past: Frames before the W that are cut out, too.

    Returns:
        (B, past + W, F).
    """
    start = centres.round().long() - size // 2 - past
    index = start[:, None] + torch.arange(past + size)
    inside = (index >= 0) & (index < len(features))
    cut = features[index.clamp(0, max(len(features) - 1, 0))]
    silence = torch.full_like(features[:1], pad)
    silence[:, N_MELS:] = 0
    return torch.where(inside[..., None], cut, silence)
