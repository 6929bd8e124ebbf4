"""Sync experts: networks that say whether a mouth speaks what is heard, and by how many frames it is off.

SyncNet-style: a picture of the mouth and the speech around it each become a point on the unit sphere, near one
another when they belong together. Two independent experts, so that what scores was never trained against:

    score   grey, the clip's mean mouth taken away, three frames at once, then context over time
    loss    colour, five frames at once, nothing of the clip needed: for a pixel-space loss on a few frames

Letters: B batch, T frames at 25 a second, C channels, K side of the mouth picture, E embedding, M mel frames (4 T).
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
MEL_PER_FRAME = 4
MAX_OFFSET = 15  # frames searched to either side, as SyncNet's authors do


@dataclass(frozen=True)
class SyncConfig:
    """Architecture. Raises ConfigError for an impossible one.

    ``frames`` at once enter the picture network; ``context`` layers over time (3 frames each) follow.
    ``centred``: take the clip's mean picture away, which removes the person and leaves the movement.
    """

    side: int = 40  # K, pixels
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


@dataclass(frozen=True)
class Offset:
    """What an expert says of a clip. Distances are between unit vectors: 0 the same, 1.41 unrelated.

    ``frames``: by how many the sound runs late (negative: early).  ``distance``: mean at that offset (LSE-D).
    ``confidence``: the median over all offsets less that (LSE-C); near 0 the picture does not speak this sound.
    """

    frames: int
    confidence: float
    distance: float
    curve: tuple[float, ...]  # mean distance at each offset from -reach to reach


class SyncExpert(nn.Module):
    """Embeds mouths and speech. Source: Chung and Zisserman, Out of Time (2016); sizes and training are ours."""

    def __init__(self, config: SyncConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SyncConfig()
        w = config.width
        inputs = config.frames * (3 if config.colour else 1)
        widths = (inputs, w, 2 * w, 3 * w, 4 * w)
        self.picture = nn.Sequential(*(_halve(a, b) for a, b in pairwise(widths)))
        cells = math.ceil(config.side / 16)
        self.flat = nn.Linear(4 * w * cells**2, 6 * w)
        self.moving = nn.Sequential(*(_Residual(6 * w) for _ in range(config.context)))
        self.to_picture = nn.Linear(6 * w, config.embedding)
        self.sound = nn.Sequential(
            nn.Conv1d(80, 4 * w, 5, 2, 2), nn.GELU(), nn.Conv1d(4 * w, 5 * w, 5, 2, 2), nn.GELU(),
            *(_Residual(5 * w) for _ in range(3)),
        )  # fmt: skip
        self.to_sound = nn.Linear(5 * w, config.embedding)
        self.log_scale = nn.Parameter(torch.tensor(math.log(12.0)))

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by before a softmax; learned, bounded so that it cannot run away."""
        return self.log_scale.clamp(0, math.log(40.0)).exp()

    def see(self, mouths: Tensor) -> Tensor:
        """Mouths (B, T, C, K, K) in [-1, 1], colour or grey -> unit vectors (B, T, E)."""
        b, t = mouths.shape[:2]
        x = self._normal(_channels(mouths, self.config.colour))  # (B, T, C, K, K)
        half = self.config.frames // 2
        x = torch.cat([x[:, :1]] * half + [x] + [x[:, -1:]] * half, 1)  # ends repeat
        x = torch.cat([x[:, i : i + t] for i in range(self.config.frames)], 2)  # (B, T, frames * C, K, K)
        x = self.flat(self.picture(x.flatten(0, 1)).flatten(1)).view(b, t, -1)
        x = self.moving(x.transpose(1, 2)).transpose(1, 2)
        return F.normalize(self.to_picture(x).float(), dim=-1)

    def hear(self, mel: Tensor) -> Tensor:
        """Level-normalised log-mel (B, 4 T, 80), frame i of the video at mel frame 4 i -> unit vectors (B, T, E)."""
        x = self.sound(mel.transpose(1, 2)).transpose(1, 2)  # (B, T, 5 w)
        return F.normalize(self.to_sound(x).float(), dim=-1)

    def likeness(self, mouths: Tensor, mel: Tensor) -> Tensor:
        """Cosine (B, T) of mouths (B, T, C, K, K) with their speech (B, 4 T, 80); differentiable in both."""
        return (self.see(mouths) * self.hear(mel)).sum(-1)

    def _normal(self, x: Tensor) -> Tensor:
        """Light and contrast taken out, per clip; with ``centred`` the mean picture too."""
        mean = x.mean((1,) if self.config.centred else (1, 2, 3, 4), keepdim=True)
        x = x - mean
        return x / (x.square().mean((1, 2, 3, 4), keepdim=True).sqrt() + (0.02 if self.config.centred else 0.05))


def _channels(mouths: Tensor, colour: bool) -> Tensor:
    if not colour and mouths.shape[2] == 3:
        weights = mouths.new_tensor([0.299, 0.587, 0.114]).view(1, 1, 3, 1, 1)
        return (mouths * weights).sum(2, keepdim=True)
    if colour and mouths.shape[2] == 1:
        return mouths.expand(-1, -1, 3, -1, -1)
    return mouths


def _halve(before: int, after: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.GELU())


class _Residual(nn.Module):
    """Three frames wide; the identity at start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.conv = nn.Conv1d(width, width, 3, 1, 1)
        self.gain = nn.Parameter(torch.full((width, 1), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, T) to the same shape."""
        return x + self.gain * F.gelu(self.conv(self.norm(x)))


def contrast(seen: Tensor, heard: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropies of picking the right frame (B, T, E each): among all of the batch, and within the clip.

    Within the clip every negative has the same person, voice and light: only the movement tells it apart.
    Chance is log(B T) and log(T).
    """
    b, t = seen.shape[:2]
    every = scale * seen.flatten(0, 1) @ heard.flatten(0, 1).T  # (B T, B T)
    own = scale * seen @ heard.transpose(1, 2)  # (B, T, T)
    right, place = torch.arange(b * t, device=seen.device), torch.arange(t, device=seen.device).repeat(b)
    wide = F.cross_entropy(every, right) + F.cross_entropy(every.T, right)
    near = F.cross_entropy(own.flatten(0, 1), place) + F.cross_entropy(own.transpose(1, 2).flatten(0, 1), place)
    return wide / 2, near / 2


def pair_loss(seen: Tensor, heard: Tensor, scale: Tensor, least: int = 3) -> Tensor:
    """Binary cross-entropy of telling the true speech from that ``least`` frames or more away: 0.693 is chance."""
    own = scale * seen @ heard.transpose(1, 2)  # (B, T, T)
    place = torch.arange(own.shape[1], device=own.device)
    far = (place[:, None] - place).abs() >= least
    gap = own.diagonal(dim1=1, dim2=2)[..., None] - own
    return F.softplus(-gap)[:, far].mean()


def find_offset(seen: Tensor, heard: Tensor, reach: int = MAX_OFFSET) -> Offset:
    """The offset at which sound embeddings (T, E) lie nearest to those of the picture (T, E).

    As SyncNet's authors: the mean distance at every offset, its minimum, and the median less the minimum.
    Raises ConfigError for fewer than five frames. ``reach`` shrinks where a clip is shorter than twice that.
    """
    n = min(len(seen), len(heard))
    if n < 5:
        raise ConfigError(f"{n} frames are too few to find an offset; give five or more")
    reach = min(reach, n // 2)
    curve = torch.stack([_distance(seen[:n], heard[:n], k) for k in range(-reach, reach + 1)])
    best = int(curve.argmin())
    confidence = float(curve.median() - curve[best])
    return Offset(best - reach, confidence, float(curve[best]), tuple(curve.tolist()))


def _distance(seen: Tensor, heard: Tensor, late: int) -> Tensor:
    n = len(seen)
    a, b = (seen[: n - late], heard[late:]) if late >= 0 else (seen[-late:], heard[: n + late])
    return (a - b).norm(dim=-1).mean()
