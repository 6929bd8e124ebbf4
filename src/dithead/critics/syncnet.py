"""The original SyncNet, for its published weights: LSE-C and LSE-D as papers report them.

Architecture and features follow the authors' public code (Chung and Zisserman, Out of Time, 2016; MIT licence), and the
tensors have the names of ``syncnet_v2.model``. Convert that file once, on a machine where you trust it:

    python -c "import torch, safetensors.torch as s; s.save_file({k: v.contiguous() for k, v in torch.load(
        'syncnet_v2.model', weights_only=True).items()}, 'syncnet_v2.safetensors')"

Letters: N windows, T frames at 25 a second, M feature frames at 100 a second, n samples at 16 kHz, E embedding (1024).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dithead.errors import ModelError

# All sizes are those of the authors' code, and of python_speech_features' defaults for the sound.
FACE = 224
"""Side of a face image in pixels."""
WINDOW = 5
"""Video frames of a window; four times as many feature frames of the sound belong to it."""
EMBEDDING = 1024
"""Length E of an embedding."""
_RATE, _STEP, _LENGTH, _FFT = 16000, 160, 400, 512  # Hz; samples between frames, in a frame, and in its spectrum
_FILTERS, _CEPSTRA, _LIFTER = 26, 13, 22
_BATCH = 16  # windows that are embedded at once (our choice)


class SyncNet(nn.Module):
    """Embeds windows of five face images and of twenty feature frames of sound."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_conv2d(1, 64, 3, 1), nn.MaxPool2d(1, 1),
            *_conv2d(64, 192, 3, 1), nn.MaxPool2d(3, (1, 2)),
            *_conv2d(192, 384, 3, 1), *_conv2d(384, 256, 3, 1), *_conv2d(256, 256, 3, 1), nn.MaxPool2d(3, 2),
            *_conv2d(256, 512, (5, 4), 0),
        )  # fmt: skip
        self.netfcaud, self.netfclip = _embedding_head(), _embedding_head()
        self.netcnnlip = nn.Sequential(
            *_conv3d(3, 96, (5, 7, 7), (1, 2, 2), 0), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)), *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_conv3d(256, 256, (1, 3, 3), 1, (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_conv3d(256, 512, (1, 6, 6), 1, 0),
        )  # fmt: skip

    def forward_lip(self, faces: Tensor) -> Tensor:
        """Embed face images (N, 3, 5, 224, 224), blue first, 0 to 255, as (N, E)."""
        return torch.as_tensor(self.netfclip(self.netcnnlip(faces).flatten(1)))

    def forward_aud(self, sound: Tensor) -> Tensor:
        """Embed cepstra (N, 1, 13, 20) as (N, E)."""
        return torch.as_tensor(self.netfcaud(self.netcnnaud(sound).flatten(1)))

    @torch.inference_mode()
    def embed(self, faces: NDArray[np.uint8], wave: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Embed a clip.

        Args:
            faces: Face images (T, 224, 224, 3) in RGB at 25 frames a second.
            wave: Samples (n,) in [-1, 1] at 16 kHz.

        Returns:
            Embeddings of the face images and of the sound, (T - 5, E) each.
        """
        count = min(len(faces), len(wave) * 25 // _RATE) - WINDOW
        pictures = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).permute(3, 0, 1, 2)  # (3, T, H, W)
        sound = torch.from_numpy(mfcc(wave).T.astype(np.float32))  # (13, M)
        face_embeddings, sound_embeddings = [], []
        for first in range(0, count, _BATCH):
            at = range(first, min(first + _BATCH, count))
            face_embeddings.append(self.forward_lip(torch.stack([pictures[:, i : i + WINDOW] for i in at]).float()))
            sound_embeddings.append(self.forward_aud(torch.stack([sound[None, :, 4 * i : 4 * i + 20] for i in at])))
        return torch.cat(face_embeddings), torch.cat(sound_embeddings)


def load_syncnet(path: Path | str) -> SyncNet:
    """Load the original's weights, converted to safetensors as the module describes. Raises ModelError for others."""
    net = SyncNet()
    try:
        net.load_state_dict(load_file(str(path)))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path}: not SyncNet's weights as safetensors, see critics/syncnet.py ({reason})") from None
    return net.eval().requires_grad_(False)


def mfcc(wave: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute cepstra (M, 13) of samples (n,) in [-1, 1], as ``python_speech_features.mfcc`` does for 16-bit sound."""
    x = np.round(np.asarray(wave, np.float64) * 32768)
    x = np.append(x[:1], x[1:] - 0.97 * x[:-1])
    count = 1 + max(0, -(-(len(x) - _LENGTH) // _STEP))
    x = np.pad(x, (0, max(0, (count - 1) * _STEP + _LENGTH - len(x))))
    frames = np.lib.stride_tricks.sliding_window_view(x, _LENGTH)[::_STEP][:count]  # (M, 400)
    power = np.abs(np.fft.rfft(frames, _FFT)) ** 2 / _FFT
    tiny = np.finfo(float).eps
    bands, energy = power @ _filterbank().T, power.sum(axis=1)
    logs = np.log(np.where(bands == 0, tiny, bands))  # (M, 26)
    n, k = np.arange(_FILTERS), np.arange(_CEPSTRA)
    basis = np.cos(np.pi * k[:, None] * (2 * n + 1) / (2 * _FILTERS)) * np.sqrt(2 / _FILTERS)
    cepstra = logs @ basis.T * (1 + _LIFTER / 2 * np.sin(np.pi * k / _LIFTER))  # orthonormal DCT II, then the lifter
    cepstra[:, 0] = np.log(np.where(energy == 0, tiny, energy))
    return np.asarray(cepstra)


def _filterbank() -> NDArray[np.float64]:
    """Triangular mel filters (26, 257) from 0 to 8 kHz, whose corners lie on whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + _RATE / 2 / 700), _FILTERS + 2)
    corners = np.floor((_FFT + 1) * 700 * (10 ** (mels / 2595) - 1) / _RATE)
    bins = np.arange(_FFT // 2 + 1)
    low, middle, high = (corners[i : i + _FILTERS, None] for i in range(3))
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    inside = (bins >= low) & (bins < high)
    return np.where(inside, np.where(bins < middle, rising, falling), 0.0)


def _conv2d(before: int, after: int, size: int | tuple[int, int], padding: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, size, padding=padding), nn.BatchNorm2d(after), nn.ReLU()]


def _conv3d(
    before: int, after: int, size: tuple[int, int, int], stride: int | tuple[int, int, int],
    padding: int | tuple[int, int, int],
) -> list[nn.Module]:  # fmt: skip
    return [nn.Conv3d(before, after, size, stride, padding), nn.BatchNorm3d(after), nn.ReLU()]


def _embedding_head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, EMBEDDING))
