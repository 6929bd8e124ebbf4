"""Sync experts: networks that measure whether mouth images and speech belong together, and their time offset.

As in SyncNet, a mouth image with its neighbours and the speech around it each become a point on the unit sphere; the
two lie near one another when they belong together. There are two independent experts, so that the one that measures was
never trained against:

    score   grey, the clip's mean image subtracted, three frames at once, then context over time
    loss    colour, five frames at once, no statistics of a whole clip: for a loss on images of a few frames

Letters: B batch, T frames at 25 a second, C channels, K side of the mouth image, E embedding, M mel frames (4 T).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.errors import ConfigError

FPS = 25
"""Frame rate in Hz at which experts are trained and applied, as SyncNet's."""
MEL_PER_FRAME = 4
"""Mel frames (``models.audio.mel``) a video frame."""
MAX_OFFSET = 15
"""Frames that are searched to either side for the offset, as SyncNet's authors do."""
_GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue in luma (BT.601)
_CONTRAST_FLOOR = 0.05  # added to the standard deviation that images are divided by (our choice)
_CONTRAST_FLOOR_CENTRED = 0.02  # the same where the mean image is subtracted: movement has less contrast


@dataclass(frozen=True)
class SyncConfig:
    """Architecture of an expert.

    Attributes:
        side: Side K of the mouth images in pixels.
        colour: Whether images keep their colour.
        centred: Whether the clip's mean image is subtracted, which removes the person and leaves the movement.
        frames: Neighbouring frames that enter the image network at once.
        context: Layers over time after it, three frames wide each.
        width: Channels of the first layer.
        embedding: Length E of an embedding.

    Raises:
        ConfigError: A size is impossible.
    """

    side: int = 40
    colour: bool = False
    centred: bool = True
    frames: int = 3
    context: int = 2
    width: int = 32
    embedding: int = 128

    def __post_init__(self) -> None:
        if self.frames % 2 == 0 or self.side < 32 or min(self.width, self.embedding) < 8:
            raise ConfigError(f"{self}: `frames` must be odd, `side` 32 or more, widths 8 or more")


EXPERTS = {
    "score": SyncConfig(),
    "loss": SyncConfig(colour=True, centred=False, frames=5, context=0),
}
"""Architectures of the two experts by name."""


@dataclass(frozen=True)
class Offset:
    """The time offset of a clip's speech. Distances are between unit vectors: 0 equal, 1.41 unrelated."""

    frames: int
    """By how many frames the sound runs late (negative: early)."""
    confidence: float
    """Median distance over all offsets less ``distance`` (LSE-C); near 0 the mouth does not speak this sound."""
    distance: float
    """Mean distance at that offset (LSE-D)."""
    curve: tuple[float, ...]
    """Mean distance at each offset from -reach to reach."""


class SyncExpert(nn.Module):
    """Embeds mouth images and speech. Source: Chung and Zisserman, Out of Time (2016); sizes and training are ours."""

    def __init__(self, config: SyncConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SyncConfig()
        w = config.width
        inputs = config.frames * (3 if config.colour else 1)
        widths = (inputs, w, 2 * w, 3 * w, 4 * w)
        self.picture = nn.Sequential(*(_downsample(a, b) for a, b in pairwise(widths)))
        cells = math.ceil(config.side / 16)
        self.flat = nn.Linear(4 * w * cells**2, 6 * w)
        self.moving = nn.Sequential(*(_TemporalBlock(6 * w) for _ in range(config.context)))
        self.to_picture = nn.Linear(6 * w, config.embedding)
        self.sound = nn.Sequential(
            nn.Conv1d(80, 4 * w, 5, 2, 2), nn.GELU(), nn.Conv1d(4 * w, 5 * w, 5, 2, 2), nn.GELU(),
            *(_TemporalBlock(5 * w) for _ in range(3)),
        )  # fmt: skip
        self.to_sound = nn.Linear(5 * w, config.embedding)
        self.log_scale = nn.Parameter(torch.tensor(math.log(12.0)))

    @property
    def scale(self) -> Tensor:
        """Factor of the cosines before a softmax: learned, and bounded so that it cannot diverge."""
        return self.log_scale.clamp(0, math.log(40.0)).exp()

    def embed_mouths(self, mouths: Tensor) -> Tensor:
        """Embed mouth images (B, T, C, K, K) in [-1, 1], colour or grey, as unit vectors (B, T, E)."""
        b, t = mouths.shape[:2]
        x = self._normalise(_to_channels(mouths, self.config.colour))  # (B, T, C, K, K)
        half = self.config.frames // 2
        x = torch.cat([x[:, :1]] * half + [x] + [x[:, -1:]] * half, 1)  # the first and last frame are repeated
        x = torch.cat([x[:, i : i + t] for i in range(self.config.frames)], 2)  # (B, T, frames * C, K, K)
        x = self.flat(self.picture(x.flatten(0, 1)).flatten(1)).view(b, t, -1)
        x = self.moving(x.transpose(1, 2)).transpose(1, 2)
        return F.normalize(self.to_picture(x).float(), dim=-1)

    def embed_speech(self, mel: Tensor) -> Tensor:
        """Embed level-normalised log-mel (B, M, 80), video frame i at mel frame 4 i, as unit vectors (B, T, E)."""
        x = self.sound(mel.transpose(1, 2)).transpose(1, 2)  # (B, T, 5 w)
        return F.normalize(self.to_sound(x).float(), dim=-1)

    def similarity(self, mouths: Tensor, mel: Tensor) -> Tensor:
        """Return the cosine (B, T) of mouth images (B, T, C, K, K) and speech (B, M, 80), differentiable in both."""
        return (self.embed_mouths(mouths) * self.embed_speech(mel)).sum(-1)

    def _normalise(self, x: Tensor) -> Tensor:
        """Remove brightness and contrast, per clip; where ``centred``, the mean image too."""
        mean = x.mean((1,) if self.config.centred else (1, 2, 3, 4), keepdim=True)
        x = x - mean
        floor = _CONTRAST_FLOOR_CENTRED if self.config.centred else _CONTRAST_FLOOR
        return x / (x.square().mean((1, 2, 3, 4), keepdim=True).sqrt() + floor)


def _to_channels(mouths: Tensor, colour: bool) -> Tensor:
    """Images (B, T, C, K, K) with three channels or one, as ``colour`` says."""
    if not colour and mouths.shape[2] == 3:
        return (mouths * mouths.new_tensor(_GREY).view(1, 1, 3, 1, 1)).sum(2, keepdim=True)
    if colour and mouths.shape[2] == 1:
        return mouths.expand(-1, -1, 3, -1, -1)
    return mouths


def _downsample(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.GELU())


class _TemporalBlock(nn.Module):
    """A residual convolution over time, three frames wide."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv1d(width, width, 3, 1, 1)
        self.gain = nn.Parameter(torch.full((width, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) to the same shape."""
        return x + self.gain * F.gelu(self.conv(self.norm(x)))


def contrastive_losses(mouths: Tensor, speech: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropies of finding the speech that belongs to a mouth, and the mouth that belongs to speech.

    Among the frames of one clip every negative has the same person, voice and light: only the movement distinguishes
    it.

    Args:
        mouths: Embeddings of the mouth (B, T, E).
        speech: Embeddings of the speech (B, T, E).
        scale: Factor of the cosines.

    Returns:
        The loss among all frames of the batch (chance is log(B T)) and that within each clip (chance is log(T)).
    """
    b, t = mouths.shape[:2]
    batch_logits = scale * mouths.flatten(0, 1) @ speech.flatten(0, 1).T  # (B T, B T)
    clip_logits = scale * mouths @ speech.transpose(1, 2)  # (B, T, T)
    of_batch, of_clip = torch.arange(b * t, device=mouths.device), torch.arange(t, device=mouths.device).repeat(b)
    batch_loss = F.cross_entropy(batch_logits, of_batch) + F.cross_entropy(batch_logits.T, of_batch)
    clip_loss = F.cross_entropy(clip_logits.flatten(0, 1), of_clip) + F.cross_entropy(
        clip_logits.transpose(1, 2).flatten(0, 1), of_clip
    )
    return batch_loss / 2, clip_loss / 2


def pair_loss(mouths: Tensor, speech: Tensor, scale: Tensor, least: int = 3) -> Tensor:
    """Compute the binary cross-entropy of telling the true speech from speech of another moment; chance is 0.693.

    Args:
        mouths: Embeddings of the mouth (B, T, E).
        speech: Embeddings of the speech (B, T, E).
        scale: Factor of the cosines.
        least: Distance in frames from which speech counts as wrong.
    """
    logits = scale * mouths @ speech.transpose(1, 2)  # (B, T, T)
    frame = torch.arange(logits.shape[1], device=mouths.device)
    far = (frame[:, None] - frame).abs() >= least
    margin = logits.diagonal(dim1=1, dim2=2)[..., None] - logits
    return F.softplus(-margin)[:, far].mean()


def find_offset(mouths: Tensor, speech: Tensor, reach: int = MAX_OFFSET) -> Offset:
    """Find the offset at which the embeddings of the speech lie nearest to those of the mouth.

    As SyncNet's authors do: the mean distance at every offset, its minimum, and the median less the minimum.

    Args:
        mouths: Embeddings of the mouth (T, E).
        speech: Embeddings of the speech (T, E).
        reach: Frames searched to either side; at most half of a short clip.

    Raises:
        ConfigError: There are fewer than five frames.
    """
    n = min(len(mouths), len(speech))
    if n < 5:
        raise ConfigError(f"{n} frames are too few to find an offset; give five or more")
    reach = min(reach, n // 2)
    curve = torch.stack([_mean_distance(mouths[:n], speech[:n], late) for late in range(-reach, reach + 1)])
    best = int(curve.argmin())
    confidence = float(curve.median() - curve[best])
    return Offset(best - reach, confidence, float(curve[best]), tuple(curve.tolist()))


def _mean_distance(mouths: Tensor, speech: Tensor, late: int) -> Tensor:
    """Mean distance where the sound runs ``late`` frames late."""
    n = len(mouths)
    a, b = (mouths[: n - late], speech[late:]) if late >= 0 else (mouths[-late:], speech[: n + late])
    return (a - b).norm(dim=-1).mean()
