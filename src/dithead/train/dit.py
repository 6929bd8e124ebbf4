"""Stage two: train the transformer on cached latents.

The loss is the objective's, under the mask, lips counting more. The audio encoder is trained before (``train.audio``)
and listens unchanged; what the lips really do, with noise, stands in for its guess. Conditions are dropped at random,
so that guidance works; a share of the samples gets the frame before as reference, noised, as in the paper's
previous-frame inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dithead.config import DiTTraining, Preset
from dithead.diffusion.objectives import Objective, make_objective
from dithead.errors import ModelError
from dithead.models.audio import MelEncoder
from dithead.models.autoencoder import FaceAutoencoder
from dithead.models.dit import tokens_per_sample
from dithead.models.mel import FLOOR
from dithead.models.talking_head import TalkingHead
from dithead.train.account import training_account
from dithead.train.audio import load_audio
from dithead.train.data import Source, WeightedClip, choose_clips
from dithead.train.latents import ClipLatents, cache_clips
from dithead.train.lipshape import LipBasis
from dithead.train.runtime import (
    Batch,
    Loop,
    Run,
    Trainable,
    autocast,
    learning_rate,
    pick_device,
    step_generator,
    step_rng,
    train_loop,
)
from dithead.train.speech import augment_mel


class LatentBank:
    """Cached clips in memory; batches are a function of (seed, step) alone."""

    def __init__(
        self, cached: Sequence[tuple[ClipLatents, float]], basis: LipBasis, settings: DiTTraining, window: int
    ) -> None:
        self.clips = [clip for clip, _ in cached]
        weights = np.array([p for _, p in cached])
        self._cumulative = np.cumsum(weights / weights.sum())
        self.settings, self.window, self.basis = settings, window, basis

    def pick(self, rng: np.random.Generator) -> tuple[ClipLatents, int]:
        """A clip by its probability and one of its frames."""
        clip = self.clips[min(int(np.searchsorted(self._cumulative, rng.random())), len(self.clips) - 1)]
        return clip, int(rng.integers(len(clip.latents)))

    def mel(self, clip: ClipLatents, frame: int, rng: np.random.Generator | None) -> np.ndarray[Any, Any]:
        """Speech around a frame (W, 80), augmented when ``rng`` is given."""
        centre = round((int(clip.first) + frame) * 4)  # 100 mel frames a second over 25 frames a second
        start = centre - self.window // 2 + (0 if rng is None else int(rng.integers(-1, 2)))
        at = np.arange(start, start + self.window)
        cut = clip.mel[at.clip(0, len(clip.mel) - 1)].astype(np.float32)
        cut[(at < 0) | (at >= len(clip.mel))] = FLOOR
        return cut if rng is None else augment_mel(rng, cut)

    def batch(self, step: int, seed: int) -> Batch:
        """Everything one update needs; random numbers included, so that resuming repeats nothing and skips nothing."""
        s, rng = self.settings, step_rng(seed, step)
        rows = [self._row(rng) for _ in range(s.batch)]
        out = {key: torch.from_numpy(np.stack([row[key] for row in rows])).float() for key in rows[0]}
        generator = step_generator(seed, step)
        out["noise"] = torch.randn(out["latent"].shape, generator=generator)
        out["uniform"] = torch.rand(s.batch, generator=generator)
        out["drop_audio"] = torch.rand(s.batch, generator=generator) < s.audio_dropout
        return out

    def _row(self, rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
        clip, frame = self.pick(rng)
        return {
            "latent": clip.latents[frame],
            "masked": clip.masked[frame],
            "mask": clip.mask,
            "mouth": clip.mouth[frame],
            "reference": self._reference(clip, frame, rng),
            "mel": self.mel(clip, frame, rng),
            "lips": self._told(self.basis.coefficients(clip.lips[frame : frame + 1])[0], rng),
        }

    def _told(self, lips: np.ndarray[Any, Any], rng: np.random.Generator) -> np.ndarray[Any, Any]:
        """What the transformer is told of the lips (9,): the truth, as uncertain as a guess."""
        return lips + rng.standard_normal(len(lips)).astype(np.float32) * np.float32(
            rng.uniform(0, self.settings.lip_noise)
        )

    def _reference(self, clip: ClipLatents, frame: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
        s, kind = self.settings, rng.random()
        if kind < s.reference_dropout:
            return np.zeros_like(clip.latents[0])
        if kind < s.reference_dropout + s.previous_reference and frame:
            noise = rng.standard_normal(clip.latents[0].shape) * rng.uniform(0, s.previous_noise)
            return (clip.latents[frame - 1] + noise).astype(np.float16)
        return clip.latents[int(rng.integers(len(clip.latents)))]


@dataclass
class _Stage:
    settings: DiTTraining
    objective: Objective
    trainable: Trainable
    audio: MelEncoder
    device: torch.device

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        error, mouth = self._losses(batch)
        error.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.trainable.step(rate, s.clip)
        return {"loss": float(error.detach()), "mouth": float(mouth.detach()), "norm": norm, "rate": rate}

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        sample = self.objective.path(batch["latent"], batch["noise"], self.objective.draw_times(batch["uniform"]))
        with autocast(self.device):
            with torch.no_grad():
                tokens = self.audio(batch["mel"])
                silent = self.audio.unconditional(len(tokens)).to(tokens)
            deaf = batch["drop_audio"].bool()
            told = torch.where(deaf[:, None, None], silent, tokens)
            lips = batch["lips"].masked_fill(deaf[:, None], 0)
            pictures = (batch["masked"], batch["mask"], batch["reference"])
            index = tokens_per_sample(batch["mask"])
            output = self.trainable.module(sample.z_t, sample.t, *pictures, told, index, lips)
        squared = (output.float() - sample.target).square().mean(1, keepdim=True)  # (B, 1, G, G)
        weight = batch["mask"] * (1 + self.settings.mouth_weight * batch["mouth"])
        each = (squared * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
        mouth = (squared * batch["mouth"]).sum() / batch["mouth"].sum().clamp_min(1e-6)
        return (each * sample.weight).mean() / sample.weight.mean(), mouth


def load_autoencoder(folder: Path, preset: Preset) -> FaceAutoencoder:
    """The autoencoder of a stage-one run. Raises ModelError when there is none or its shape is another."""
    from safetensors.torch import load_file

    model, path = FaceAutoencoder(preset.model.autoencoder), folder / "autoencoder.safetensors"
    if not path.exists():
        raise ModelError(f"{path} is missing; train stage one first: dithead train autoencoder ... -o {folder}")
    try:
        model.load_state_dict(load_file(path))
    except RuntimeError as error:
        raise ModelError(f"{path} does not fit preset '{preset.model.name}': {str(error).splitlines()[0]}") from None
    return model.eval().requires_grad_(False)


def train_dit(
    data: Sequence[Source | str],
    preset: Preset,
    output: Path,
    autoencoder: Path,
    audio: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
) -> Path:
    """Train stage two; the same call resumes. Returns the model folder ``output / "model"`` for ``generate``.

    ``autoencoder`` and ``audio`` are the run folders of stage one and of the audio encoder, ``init`` one of stage two
    to start from.
    Raises DataError, ConfigError and ModelError.
    """
    from dithead.checkpoint import save_model
    from dithead.train.preview import Preview

    sources = [Source.parse(s) if isinstance(s, str) else s for s in data]
    settings = preset.dit.model_copy(update={"steps": steps} if steps else {})
    where = pick_device(device)
    run = Run(Path(output), _config(sources, preset, settings, Path(autoencoder), Path(audio), seed))
    torch.manual_seed(seed)
    objective = make_objective(preset.model.objective)
    head = TalkingHead(preset.model, objective).to(where)
    head.autoencoder.load_state_dict(load_autoencoder(Path(autoencoder), preset).state_dict())
    head.autoencoder.to(memory_format=torch.channels_last).requires_grad_(False)  # type: ignore[call-overload]
    basis = load_audio(Path(audio), head.audio.requires_grad_(False))
    head.dit.set_calibration(torch.from_numpy(basis.gain), torch.from_numpy(basis.shift))
    bank = _load_bank(run, sources, head, basis, settings, seed, where)
    stage = _Stage(settings, objective, Trainable(head.dit, settings.learning_rate, settings.ema), head.audio, where)
    preview = Preview(sources, head, stage.trainable, run)
    train_loop(run, {"dit": stage.trainable}, Loop(settings.steps, sample_every=1000),
               lambda step: bank.batch(step, seed), stage.update, preview.draw, init)  # fmt: skip
    account = training_account(sources, settings.steps, settings.batch)
    return save_model(run.folder / "model", preview.averaged(), training=account)


def _load_bank(
    run: Run, sources: Sequence[Source], head: TalkingHead, basis: LipBasis, settings: DiTTraining, seed: int,
    device: torch.device,
) -> LatentBank:  # fmt: skip
    chosen = choose_clips(sources, "train", settings.frames_per_identity, power=0.5)
    people = _frames_per_person(chosen)
    variants = [
        settings.variants if people[c.clip.identity] * settings.variants <= settings.frames_per_identity else 1
        for c in chosen
    ]
    cached = cache_clips(run.folder / "cache", chosen, variants, head.autoencoder, head.size, seed, device)
    return LatentBank(cached, basis, settings, head.config.audio.window)


def _frames_per_person(chosen: Sequence[WeightedClip]) -> dict[str, int]:
    people: dict[str, int] = {}
    for item in chosen:
        people[item.clip.identity] = people.get(item.clip.identity, 0) + item.clip.length
    return people


def _config(
    sources: Sequence[Source], preset: Preset, settings: DiTTraining, autoencoder: Path, audio: Path, seed: int
) -> dict[str, Any]:
    return {
        "stage": "dit",
        "data": [{"path": str(s.path), "weight": s.weight} for s in sources],
        "model": preset.model.model_dump(mode="json"),
        "training": settings.model_dump(mode="json"),
        "autoencoder": str(autoencoder),
        "audio": str(audio),
        "seed": seed,
    }
