"""Stage two: train the transformer on cached latents.

The loss is the objective's, under the mask, lips counting more. The audio encoder is trained before
(``train.stages.audio_encoder``) and listens unchanged; what the lips really do, with noise, stands in for its guess.
Conditions are dropped at random,
so that guidance works; a share of the samples gets the frame before as reference, noised, as in the paper's
previous-frame inference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dithead.config import DiTTraining, ModelConfig, Preset
from dithead.critics.discriminator import LatentCritic
from dithead.diffusion.objectives import Objective, PathSample, make_objective
from dithead.models.audio.base import AudioEncoder
from dithead.models.denoiser.base import LatentConditions
from dithead.models.denoiser.token_window import tokens_per_sample
from dithead.models.talking_head import TalkingHead
from dithead.train.data.clips import Source, WeightedClip, choose_clips, held_out_people
from dithead.train.data.latent_cache import cache_clips, variants_of
from dithead.train.data.latent_dataset import LatentBank
from dithead.train.data.lip_basis import LipBasis
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import (
    Batch,
    Loop,
    Trainable,
    autocast,
    learning_rate,
    train_loop,
)
from dithead.train.losses.reconstruction_loss import hinge_discriminator
from dithead.train.losses.sync_loss import SpokenLoss, SpokenWindows, loss_expert
from dithead.train.metrics.held_out_latents import held_out_clips
from dithead.train.report.data_provenance import training_account
from dithead.train.stages.parts import assemble, cache_key, from_model
from dithead.train.stages.start import start

CALIBRATION = ("lip_gain", "lip_shift", "lip_centre")
"""Of the audio encoder at hand, not of the one that a run started from had."""


@dataclass
class _Stage:
    """The moving parts of one update. ``critic`` is there where training is adversarial."""

    settings: DiTTraining
    objective: Objective
    trainable: Trainable
    audio: AudioEncoder
    device: torch.device
    critic: Trainable | None = None
    spoken: SpokenLoss | None = None

    @property
    def parts(self) -> dict[str, Trainable]:
        return {"dit": self.trainable} | ({"critic": self.critic} if self.critic else {})

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        sample = self.objective.path(batch["latent"], batch["noise"], self.objective.draw_times(batch["uniform"]))
        output = self._predict(sample, batch)
        loss, metrics = self._error(output, sample, batch)
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        if self.spoken is not None and step >= s.sync_start * s.steps:
            metrics["sync"] = self.spoken(self._estimate, batch)
            loss = loss + s.sync_weight * metrics["sync"]
        judged = self.critic is not None and step >= s.adversarial_start * s.steps
        made = self.objective.estimate_x0(output, sample.z_t, sample.t)
        if judged:
            metrics["fake"] = -self._score(made, batch)
            loss = loss + s.adversarial_weight * metrics["fake"]
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self.trainable.step(rate, s.clip)
        if judged:
            metrics["critic"] = self._train_critic(made.detach(), batch, rate)
        return {**{key: float(value.detach()) for key, value in metrics.items()}, "norm": norm, "rate": rate}

    def _estimate(self, batch: Batch) -> Tensor:
        """Clean latents of windows whose frames belong together, in one step."""
        sample = self.objective.path(batch["latent"], batch["noise"], self.objective.draw_times(batch["uniform"]))
        batch = batch | {"drop_audio": torch.zeros_like(batch["uniform"])}
        return self.objective.estimate_x0(self._predict(sample, batch), sample.z_t, sample.t)

    def _predict(self, sample: PathSample, batch: Batch) -> Tensor:
        with autocast(self.device):
            with torch.no_grad():
                tokens = self.audio(batch["mel"])
                silent = self.audio.unconditional(len(tokens)).to(tokens)
            deaf = batch["drop_audio"].bool()
            told = torch.where(deaf[:, None, None], silent, tokens)
            lips = batch["lips"].masked_fill(deaf[:, None], 0)
            pictures = (batch["masked"], batch["mask"], batch["reference"])
            conditions = LatentConditions(*pictures, told, lips, tokens_per_sample(batch["mask"]))
            output: Tensor = self.trainable.module(sample.z_t, sample.t, conditions)
        return output.float()

    def _error(self, output: Tensor, sample: PathSample, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        squared = (output - sample.target).square().mean(1, keepdim=True)  # (B, 1, G, G)
        weight = batch["mask"] * (1 + self.settings.mouth_weight * batch["mouth"])
        each = (squared * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
        mouth = (squared * batch["mouth"]).sum() / batch["mouth"].sum().clamp_min(1e-6)
        total = team().mean(sample.weight.mean())  # of the whole batch, however many processes share it
        loss = (each * sample.weight).mean() / total
        return loss, {"loss": loss, "mouth": mouth}

    def _score(self, latent: Tensor, batch: Batch) -> Tensor:
        assert self.critic is not None
        score: Tensor = self.critic.module(latent, batch["masked"], batch["mask"])
        return score.sum() / (batch["mask"] > 0).sum()

    def _train_critic(self, made: Tensor, batch: Batch, rate: float) -> Tensor:
        assert self.critic is not None
        self.critic.optimizer.zero_grad(set_to_none=True)  # the transformer's pass left gradients here
        real, fake = (self.critic.module(z, batch["masked"], batch["mask"]) for z in (batch["latent"], made))
        under = batch["mask"] > 0
        loss = hinge_discriminator(real[under], fake[under])
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic.step(rate, 10.0)
        return loss


def train_dit(
    data: Sequence[Source | str],
    preset: Preset,
    output: Path,
    autoencoder: Path | str,
    audio: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
    cache: Path | None = None,
    sync_expert: Path | None = None,
) -> Path:
    """Train stage two; the same call resumes. Returns the model folder ``output / "model"`` for ``generate``.

    ``autoencoder`` and ``audio`` are the run folders of stage one and of the audio encoder, ``init`` one of stage two
    or a model folder to start from. ``cache`` is a folder for latents that several runs share (default: in the run
    folder), ``sync_expert`` a file of ``train sync --expert loss`` where ``dit.sync_weight`` is set.
    Raises DataError, ConfigError and ModelError.
    """
    from dithead.checkpoint import save_model
    from dithead.train.report.preview import Preview

    expert = loss_expert(preset.dit, sync_expert)
    more = {"sync_expert": str(sync_expert)} if sync_expert else {}
    begun = start("dit", data, preset.model.model_dump(mode="json"), preset.dit, output, seed=seed, device=device,
                  steps=steps, autoencoder=str(autoencoder), audio=str(audio), **more)  # fmt: skip
    run, settings, where = begun.run, begun.settings, begun.device
    head, basis = assemble(preset, autoencoder, Path(audio), where)
    init = from_model(head, init)
    head.dit.set_calibration(*(torch.from_numpy(part) for part in (basis.gain, basis.shift, basis.centre)))
    at = run.folder / "cache" if cache is None else Path(cache) / cache_key(head, seed)
    latents = _Latents(at, begun.sources, head, basis, settings, seed)
    bank = latents.training()
    objective = make_objective(preset.model.objective)
    trainable = Trainable(head.dit, settings.learning_rate, settings.ema, may_split=True, kept=CALIBRATION)
    windows = None if expert is None else SpokenWindows(bank, head, expert.config.frames, seed)
    spoken = None if expert is None else SpokenLoss(expert.to(where), head, expert.config.frames)
    stage = _Stage(settings, objective, trainable, head.audio, where, _critic(preset, settings, where), spoken)

    def make_batch(step: int) -> Batch:
        due = windows is not None and step >= settings.sync_start * settings.steps
        return bank.batch(step, seed) | (windows.batch(step) if windows is not None and due else {})

    held_out = held_out_clips(latents.held_out())
    preview = Preview(begun.sources, head, stage.trainable, run, held_out)
    train_loop(run, stage.parts, Loop(settings.steps, sample_every=1000),
               make_batch, stage.update, preview.draw, init,
               lambda step: bank.names(step, seed))  # fmt: skip
    account = training_account(begun.sources, settings.steps, settings.batch)
    if team().leads:
        save_model(run.folder / "model", preview.averaged(), training=account)
    team().wait()
    return run.folder / "model"


def _critic(preset: Preset, settings: DiTTraining, device: torch.device) -> Trainable | None:
    if not settings.adversarial_weight:
        return None
    critic = LatentCritic(preset.model.dit.latent_channels).to(device)
    return Trainable(critic, settings.learning_rate, settings.ema, (0.5, 0.9))


@dataclass(frozen=True)
class _Latents:
    """Clips as latents in ``folder``, encoded by the model's autoencoder under its kind of mask."""

    folder: Path
    sources: Sequence[Source]
    head: TalkingHead
    basis: LipBasis
    settings: DiTTraining
    seed: int

    def training(self) -> LatentBank:
        """Training people, those with little footage in several augmentations."""
        s = self.settings
        chosen = choose_clips(self.sources, "train", s.frames_per_identity, power=0.5)
        return self._bank(self.folder, chosen, variants_of(chosen, s.variants, s.frames_per_identity))

    def held_out(self) -> LatentBank:
        """A few clips of people held out, of as many people as there are."""
        chosen = held_out_people(self.sources)
        return self._bank(self.folder / "held_out", chosen, [1] * len(chosen))

    def _bank(self, folder: Path, chosen: Sequence[WeightedClip], variants: Sequence[int]) -> LatentBank:
        head, config = self.head, self.head.config
        assert isinstance(config, ModelConfig)
        cached = cache_clips(folder, chosen, variants, head, self.seed, config.mask)
        return LatentBank(cached, self.basis, self.settings, head.audio, config.dit.references)
