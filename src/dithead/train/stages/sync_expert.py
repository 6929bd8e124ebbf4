"""Train a sync expert: which speech belongs to which mouth, among thousands of frames and within each clip.

Mouth pictures and log-mel of every clip are cached once, so that a batch of hundreds of frames costs no decoding.
The two experts differ in architecture, in seed and in the clips they see: see ``critics.sync_expert`` and ``_belongs``.
Letters: B segments, T frames each, K side of the mouth picture.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.progress import track as progress
from torch import Tensor

from dithead.critics.sync_expert import (
    EXPERTS,
    FPS,
    MEL_PER_FRAME,
    SyncConfig,
    SyncExpert,
    contrastive_losses,
    find_offset,
    pair_loss,
)
from dithead.critics.sync_offset import (
    MOUTH_REGION,
    crop_mouths,
    load_sync_expert,
    mouth_centre,
    mouths_to_tensor,
    speech_mel,
)
from dithead.device import pick_device
from dithead.errors import ConfigError, DataError, ModelError
from dithead.media.files import save_arrays
from dithead.prepare.dataset import Clip
from dithead.train.data.clips import Source, WeightedClip, choose_clips, held_out_split
from dithead.train.data.damaged_clips import Damaged
from dithead.train.data.speech_augmentation import augment_mel
from dithead.train.loop.processes import local_device
from dithead.train.loop.runtime import (
    Batch,
    Loop,
    Run,
    Trainable,
    autocast,
    learning_rate,
    step_generator,
    step_rng,
    train_loop,
)
from dithead.train.loop.weights_file import save_weights

SAVE_EVERY = 100
SHORTEST = 10  # frames of a clip that is used
MARGIN = 1.3  # the cached picture's side over the network's, room for augmentation


@dataclass(frozen=True)
class SyncTraining:
    """Times are in steps; a batch is ``segments`` x ``frames`` pairs. ``within``: weight of the loss inside clips.

    ``warmup`` is never more than an eighth of the steps.
    """

    steps: int = 3000
    segments: int = 24
    frames: int = 32
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.5
    ema: float = 0.995
    clip: float = 1.0
    within: float = 1.0
    frames_per_identity: int = 40_000
    mel_augmentation: float = 0.8


@dataclass(frozen=True)
class Speaking:
    """A clip as the expert sees it: pictures (N, K', K', 3), with a margin, and log-mel (4 N, 80)."""

    mouths: NDArray[np.uint8]
    mel: NDArray[np.float16]


def train_sync(
    data: Sequence[Source | str],
    output: Path,
    *,
    expert: str = "score",
    seed: int | None = None,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
    training: SyncTraining | None = None,
) -> Path:
    """Train the expert called ``expert`` ("score" or "loss"); the same call resumes. Returns its weights' file.

    ``data`` are prepared datasets at 25 fps, ``Source`` or ``"FOLDER:WEIGHT"``. Without a ``seed`` each expert has its
    own. ``init``: a run folder of the same expert, or an expert's file, to start from.
    Raises DataError, ConfigError and ModelError.
    """
    if expert not in EXPERTS:
        raise ConfigError(f"no sync expert called {expert!r}; choose from {', '.join(EXPERTS)}")
    config, seed = EXPERTS[expert], sorted(EXPERTS).index(expert) if seed is None else seed
    sources = [Source.parse(s) if isinstance(s, str) else s for s in data]
    settings = replace(training or SyncTraining(), **({"steps": steps} if steps else {}))
    run = Run(Path(output), _config(expert, sources, settings, seed))
    bank = _Bank(run.folder / "features", clips_of(sources, expert, settings), config)
    read = _cached(run.folder / "features", held_out_clips(sources, expert, settings), config)
    held = [clip for clip in read if clip is not None]
    torch.manual_seed(seed)
    where = pick_device(device, index=local_device())
    part = Trainable(_first(config, init).to(where), settings.learning_rate, settings.ema)
    stage = _Stage(config, settings, part, where)
    average = part.average.module
    assert isinstance(average, SyncExpert)

    def draw(step: int) -> None:
        run.log(step=step, **held_out_numbers(average, held))

    train_loop(run, {"sync": part}, Loop(settings.steps, save_every=SAVE_EVERY),
               lambda step: bank.batch(settings, seed, step), stage.update, draw,
               init if init is not None and init.is_dir() else None)  # fmt: skip
    return save_expert(average, run.folder / "sync.safetensors", expert)


def _first(config: SyncConfig, init: Path | None) -> SyncExpert:
    """The expert that training begins with: that in the file ``init``, or a new one."""
    if init is None or init.is_dir():
        return SyncExpert(config)
    expert = load_sync_expert(init)
    if expert.config != config:
        raise ModelError(f"{init} is an expert of another architecture; start from one of the same kind")
    return expert.train().requires_grad_(True)


def save_expert(expert: SyncExpert, path: Path, name: str) -> Path:
    """Write an expert as half-precision safetensors, its configuration and ``name`` in the header."""
    weights = {name: tensor.detach().half() for name, tensor in expert.state_dict().items()}
    return save_weights(path, weights, {"config": json.dumps(asdict(expert.config)), "expert": name})


@torch.inference_mode()
def held_out_numbers(expert: SyncExpert, clips: Sequence[Speaking]) -> dict[str, float]:
    """How well an expert does on clips it never saw: the pair loss (chance 0.693), the share of offsets found to
    one frame when the sound is shifted by -5 to 5 frames, and the mean confidence."""
    expert.eval()
    losses: list[float] = []
    right: list[float] = []
    confidences: list[float] = []
    for clip in clips:
        seen = expert.embed_mouths(mouths_to_tensor(inner(clip.mouths, expert.config.side)[None]))[0]
        heard = expert.embed_speech(torch.from_numpy(clip.mel.astype(np.float32))[None])[0]
        losses.append(float(pair_loss(seen[None], heard[None], expert.scale)))
        for shift in (-5, -3, -1, 0, 2, 4):
            a, b = (seen[:-shift], heard[shift:]) if shift > 0 else (seen[-shift:], heard[: shift or None])
            found = find_offset(a, b, reach=10)
            right.append(float(abs(found.frames + shift) <= 1))
            confidences.append(found.confidence)
    means = {"held_out_pair": losses, "held_out_offset": right, "held_out_confidence": confidences}
    return {name: float(np.mean(values)) for name, values in means.items()}


def inner(mouths: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle (N, K, K, 3) of cached pictures (N, K', K', 3)."""
    edge = (mouths.shape[1] - side) // 2
    return mouths[:, edge : edge + side, edge : edge + side]


def cached_side(expert: str) -> int:
    """The side in pixels of the pictures that are kept for training ``expert``."""
    return _with_margin(EXPERTS[expert])


def _with_margin(config: SyncConfig) -> int:
    return round(config.side * MARGIN / 2) * 2


def speaking(clip: Clip, config: SyncConfig) -> Speaking:
    """The features of one clip. Raises DataError for another rate than 25 fps."""
    if clip.fps != FPS:
        raise DataError(f"{clip.folder}: has {clip.fps} frames a second; prepare it at {FPS}")
    side = _with_margin(config)
    centre = mouth_centre(clip.track().landmarks)
    mouths = crop_mouths(clip.frames(), centre, side, MOUTH_REGION * side / config.side)
    return Speaking(mouths, speech_mel(clip.audio(), len(mouths)).numpy().astype(np.float16))


class _Bank:
    """Cached features of the training clips, identities balanced."""

    def __init__(self, folder: Path, chosen: Sequence[WeightedClip], config: SyncConfig) -> None:
        read = _cached(folder, [c.clip for c in chosen], config)
        known = [(clip, c.probability) for clip, c in zip(read, chosen, strict=True) if clip is not None]
        weights = np.array([probability for _, probability in known])
        self.config, self.clips, self._probability = config, [clip for clip, _ in known], weights / weights.sum()

    def batch(self, settings: SyncTraining, seed: int, step: int) -> Batch:
        """Segments of different clips where there are enough: mouths (B, T, 3, K, K), mel (B, 4 T, 80)."""
        rng = step_rng(seed, step)
        count = min(settings.segments, len(self.clips))
        picks = rng.choice(len(self.clips), count, replace=False, p=self._probability)
        t = min(settings.frames, *(len(self.clips[i].mouths) for i in picks))
        mouths, mels = [], []
        for clip in (self.clips[i] for i in picks):
            first = int(rng.integers(0, len(clip.mouths) - t + 1))
            mel = clip.mel[first * MEL_PER_FRAME : (first + t) * MEL_PER_FRAME].astype(np.float32)
            mels.append(augment_mel(rng, mel) if rng.random() < settings.mel_augmentation else mel)
            mouths.append(clip.mouths[first : first + t])
        pictures = augment_mouths(mouths_to_tensor(np.stack(mouths)), self.config, step_generator(seed, step))
        return {"mouths": pictures, "mel": torch.from_numpy(np.stack(mels))}


def augment_mouths(mouths: Tensor, config: SyncConfig, generator: torch.Generator) -> Tensor:
    """Pictures (B, T, 3, K', K') to (B, T, C, K, K): placed, lit and blurred anew for each segment.

    Every frame is moved a little besides, as landmarks of unsmoothed videos do.
    """
    b = len(mouths)

    def normal(*shape: int, std: float = 1.0) -> Tensor:
        return torch.randn(*shape, generator=generator) * std

    def chance(share: float) -> Tensor:
        return torch.rand(b, 1, 1, 1, 1, generator=generator) < share

    if not config.colour:
        mouths = (mouths * torch.tensor([0.299, 0.587, 0.114]).view(1, 1, 3, 1, 1)).sum(2, keepdim=True)
    x = _placed(mouths, config.side, normal)
    x = torch.where(chance(0.5), x, x.flip(-1))
    soft = F.interpolate(F.avg_pool2d(x.flatten(0, 1), 2), size=x.shape[-2:], mode="bilinear").view_as(x)
    x = torch.where(chance(0.3), soft, x)
    lit = ((x + 1) / 2).clamp(0.002, 1) ** normal(b, 1, 1, 1, 1, std=0.25).exp()
    gain, shift = normal(b, 1, x.shape[2], 1, 1, std=0.12).exp(), normal(b, 1, x.shape[2], 1, 1, std=0.12)
    x = (lit * 2 - 1) * gain + shift
    return x + normal(*x.shape, std=1.0) * 0.03 * torch.rand(b, 1, 1, 1, 1, generator=generator)


def _placed(mouths: Tensor, side: int, normal: Any) -> Tensor:
    """A similarity for each segment (B) and a small shift for each frame (T): -> (B, T, C, side, side)."""
    b, t, c, wide = *mouths.shape[:3], mouths.shape[-1]
    scale = side / wide * normal(b, 1, std=0.08).exp()
    turn = normal(b, 1, std=0.06)
    x0 = normal(b, 1, std=0.05) + normal(b, t, std=0.012)
    y0 = normal(b, 1, std=0.06) + normal(b, t, std=0.012)
    cos, sin = (scale * turn.cos()).expand(b, t), (scale * turn.sin()).expand(b, t)
    theta = torch.stack([cos, -sin, x0, sin, cos, y0], -1).view(b * t, 2, 3)
    grid = F.affine_grid(theta, [b * t, c, side, side], align_corners=False)
    return F.grid_sample(mouths.flatten(0, 1), grid, padding_mode="border", align_corners=False).view(
        b, t, c, side, side
    )


@dataclass
class _Stage:
    config: SyncConfig
    settings: SyncTraining
    part: Trainable
    device: torch.device

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        """One step. ``pair`` is the loss whose chance is 0.693; ``wide`` and ``near``: see ``contrastive_losses``."""
        s, module = self.settings, self.part.module
        assert isinstance(module, SyncExpert)
        module.train()
        with autocast(self.device):
            seen, heard = (
                module.embed_mouths(batch["mouths"].to(self.device)),
                module.embed_speech(batch["mel"].to(self.device)),
            )
        wide, near = contrastive_losses(seen, heard, module.scale)
        (wide + s.within * near).backward()
        norm = self.part.step(
            learning_rate(step, s.steps, s.learning_rate, min(s.warmup, s.steps // 8), s.decay), s.clip
        )
        with torch.no_grad():
            pair = pair_loss(seen, heard, module.scale)
            values = {"pair": pair, "near": near.detach(), "wide": wide.detach(), "scale": module.scale}
        return {name: float(value) for name, value in values.items()} | {"gradient": norm}


def _belongs(clip: Clip, expert: str) -> bool:
    """A third of the clips for the expert of the loss, the others for the one that scores: no clip for both."""
    return (zlib.crc32(clip.id.encode()) % 3 == 0) == (expert == "loss")


def usable(clip: Clip, expert: str) -> bool:
    """Long enough, and one of the expert's own."""
    return clip.length >= SHORTEST and _belongs(clip, expert)


def clips_of(sources: Sequence[Source], expert: str, settings: SyncTraining) -> list[WeightedClip]:
    chosen = choose_clips(sources, "train", settings.frames_per_identity, power=0.5)
    mine = [item for item in chosen if usable(item.clip, expert)]
    if len(mine) < 2:
        raise DataError(f"only {len(mine)} clips for the expert {expert!r}; it needs two of {SHORTEST} frames each")
    return mine


def held_out_clips(sources: Sequence[Source], expert: str, settings: SyncTraining) -> list[Clip]:
    """Clips of people held out, at most 24; of the training people where nobody is held out."""
    if held_out_split(sources) == "val":
        chosen = choose_clips(sources, "val", settings.frames_per_identity, power=0.5)
    else:
        chosen = clips_of(sources, expert, settings)
    return [item.clip for item in chosen if item.clip.length >= SHORTEST][:24]


def _cached(folder: Path, clips: Sequence[Clip], config: SyncConfig) -> list[Speaking | None]:
    """None for a clip in a damaged shard."""
    folder.mkdir(parents=True, exist_ok=True)
    found: list[Speaking | None] = []
    damaged = Damaged(len(clips))
    for clip in progress(clips, description="mouths"):
        path = folder / f"{clip.dataset}-{clip.id}.npz"
        if not path.exists():
            made = damaged.read(clip, partial(speaking, clip, config))
            if made is None:
                found.append(None)
                continue
            save_arrays(path, mouths=made.mouths, mel=made.mel)
        with np.load(path, allow_pickle=False) as stored:
            found.append(Speaking(stored["mouths"], stored["mel"]))
    return found


def _config(expert: str, sources: Sequence[Source], settings: SyncTraining, seed: int) -> dict[str, Any]:
    return {"stage": "sync", "expert": expert, "data": [source.describe() for source in sources],
            "model": asdict(EXPERTS[expert]), "training": asdict(settings), "seed": seed}  # fmt: skip
