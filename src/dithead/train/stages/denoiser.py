"""Trains the denoiser, which is stage two, on cached latents.

The loss is the objective's, under the mask, lips weighted more. The audio encoder is trained before
(``stages.audio_encoder``) and stays as it is; in place of the lips it would predict, the denoiser gets the measured
ones with noise. Conditions are dropped at random, so that guidance works; a share of the samples gets the previous
frame with noise as reference, as in the paper's previous-frame inference.
Letters: B batch, C latent channels, G latent side, L audio tokens, A their width, M windows of T frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dithead.config import DiTTraining, ModelConfig, Preset
from dithead.critics.discriminator import LatentCritic
from dithead.critics.sync_expert import SyncExpert
from dithead.diffusion.objectives import Objective, PathSample, make_objective
from dithead.models.audio.base import AudioEncoder
from dithead.models.denoiser.base import LatentConditions
from dithead.models.denoiser.token_window import tokens_per_sample
from dithead.models.talking_head import TalkingHead
from dithead.train.data.clips import DataSource, WeightedClip, choose_clips, choose_held_out_clips
from dithead.train.data.latent_cache import LatentEncoder, cache_clips, variants_of
from dithead.train.data.latent_dataset import LatentDataset
from dithead.train.data.lip_basis import LipBasis
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule, learning_rate
from dithead.train.loop.trainable import Trainable
from dithead.train.losses.reconstruction_loss import hinge_loss
from dithead.train.losses.sync_loss import SyncLoss, SyncWindows, load_loss_expert
from dithead.train.metrics.held_out_latents import held_out_clips
from dithead.train.report.data_provenance import describe_training_data
from dithead.train.report.denoiser_monitor import SHEET_CLIPS, DenoiserMonitor
from dithead.train.stages.assemble_model import assemble_model, cache_key, start_from_model
from dithead.train.stages.options import DenoiserOptions
from dithead.train.stages.start import StageStart, start_stage

LIP_CALIBRATION = ("lip_gain", "lip_shift", "lip_centre")
"""Buffers that belong to this run's audio encoder, not to that of the run or model that the denoiser starts from."""
_MEASURE_EVERY = 1000  # steps from one measurement of held-out people to the next; our choice
_CRITIC_CLIP = 10.0  # norm to which the critic's gradient is clipped; our choice


@dataclass
class _DenoiserUpdate:
    """One update of the denoiser, and of the critic where training is adversarial."""

    settings: DiTTraining
    objective: Objective
    denoiser: Trainable
    audio: AudioEncoder
    device: torch.device
    critic: Trainable | None = None
    sync_loss: SyncLoss | None = None

    @property
    def parts(self) -> dict[str, Trainable]:
        """What is trained, by its name in the checkpoint."""
        return {"dit": self.denoiser} | ({"critic": self.critic} if self.critic else {})

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        s, batch = self.settings, {key: value.to(self.device) for key, value in batch.items()}
        sample = self._noised(batch)
        output = self._predict(sample, batch)
        loss, metrics = self._denoising_loss(output, sample, batch)
        if self.sync_loss is not None and step >= s.sync_start * s.steps:
            metrics["sync"] = self.sync_loss(self._estimate, batch)
            loss = loss + s.sync_weight * metrics["sync"]
        adversarial = self.critic is not None and step >= s.adversarial_start * s.steps
        estimate = self.objective.estimate_x0(output, sample.z_t, sample.t)
        if adversarial:
            metrics["fake"] = -self._score(estimate, batch)
            loss = loss + s.adversarial_weight * metrics["fake"]
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.denoiser.step(rate, s.clip)
        if adversarial:
            metrics["critic"] = self._update_critic(estimate.detach(), batch, rate)
        return {**{key: float(value.detach()) for key, value in metrics.items()}, "norm": norm, "rate": rate}

    def _noised(self, batch: Batch) -> PathSample:
        return self.objective.path(batch["latent"], batch["noise"], self.objective.draw_times(batch["uniform"]))

    def _estimate(self, batch: Batch) -> Tensor:
        """Estimate clean latents of the sync loss's windows (M * T, C, G, G) in one step."""
        sample = self._noised(batch)
        output = self._predict(sample, batch | {"drop_audio": torch.zeros_like(batch["uniform"])})
        return self.objective.estimate_x0(output, sample.z_t, sample.t)

    def _predict(self, sample: PathSample, batch: Batch) -> Tensor:
        """Run the denoiser: (B, C, G, G)."""
        with autocast(self.device):
            with torch.no_grad():
                tokens = self.audio(batch["mel"])
                silence = self.audio.unconditional(len(tokens)).to(tokens)
            dropped = batch["drop_audio"].bool()
            conditions = LatentConditions(
                batch["masked"], batch["mask"], batch["reference"],
                audio=torch.where(dropped[:, None, None], silence, tokens),
                lips=batch["lips"].masked_fill(dropped[:, None], 0),
                token_index=tokens_per_sample(batch["mask"]),
            )  # fmt: skip
            output: Tensor = self.denoiser.module(sample.z_t, sample.t, conditions)
        return output.float()

    def _denoising_loss(self, output: Tensor, sample: PathSample, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        squared = (output - sample.target).square().mean(1, keepdim=True)  # (B, 1, G, G)
        weight = batch["mask"] * (1 + self.settings.mouth_weight * batch["mouth"])
        each = (squared * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp_min(1e-6)
        mouth = (squared * batch["mouth"]).sum() / batch["mouth"].sum().clamp_min(1e-6)
        total = process_group().mean(sample.weight.mean())  # of the whole batch, however many processes share it
        loss = (each * sample.weight).mean() / total
        return loss, {"loss": loss, "mouth": mouth}

    def _score(self, latent: Tensor, batch: Batch) -> Tensor:
        assert self.critic is not None
        score: Tensor = self.critic.module(latent, batch["masked"], batch["mask"])
        return score.sum() / (batch["mask"] > 0).sum()

    def _update_critic(self, estimate: Tensor, batch: Batch, rate: float) -> Tensor:
        assert self.critic is not None
        self.critic.optimizer.zero_grad(set_to_none=True)  # the denoiser's pass left gradients here
        real, fake = (self.critic.module(z, batch["masked"], batch["mask"]) for z in (batch["latent"], estimate))
        under_mask = batch["mask"] > 0
        loss = hinge_loss(real[under_mask], fake[under_mask])
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic.step(rate, _CRITIC_CLIP)
        return loss


def train_dit(
    data: Sequence[DataSource | str], preset: Preset, output: Path, autoencoder: Path | str, audio: Path,
    options: DenoiserOptions | None = None,
) -> Path:  # fmt: skip
    """Train the denoiser; the same call resumes.

    Args:
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``.
        preset: The model and its training settings.
        output: The run folder.
        autoencoder: Run folder of stage one; for a pretrained autoencoder a diffusers folder or hub id.
        audio: Run folder of the audio encoder.
        options: Steps, seed, device, what to start from, a shared cache, a sync expert.

    Returns:
        The model folder ``output / "model"`` for `dithead generate`.

    Raises:
        ConfigError: Settings do not fit each other, or the folder holds a run with other ones.
        DataError: A dataset cannot be read, or a metric is not finite.
        ModelError: A part, a checkpoint or a model folder cannot be read or does not fit.
    """
    from dithead.checkpoint import save_model

    options = options or DenoiserOptions()
    expert = load_loss_expert(preset.dit, options.sync_expert)
    recorded = {"autoencoder": str(autoencoder), "audio": str(audio)}
    recorded |= {"sync_expert": str(options.sync_expert)} if options.sync_expert else {}
    model = preset.model.model_dump(mode="json")
    start = start_stage("dit", data, model, preset.dit, output, options, recorded)
    talker, basis = assemble_model(preset, autoencoder, Path(audio), start.device)
    init = start_from_model(talker, options.init)
    talker.dit.set_calibration(*(torch.from_numpy(part) for part in (basis.gain, basis.shift, basis.centre)))
    key = cache_key(talker, start.seed, opened=start.settings.opened_references > 0)
    folder = start.run.folder / "cache" if options.cache is None else Path(options.cache) / key
    latents = _CachedLatents(folder, start, talker, basis)
    dataset = latents.training()
    update = _make_update(preset, start, talker, expert)
    windows = None if expert is None else SyncWindows(dataset, talker, expert.config.frames, start.seed)
    sheet_clips = choose_held_out_clips(start.sources, SHEET_CLIPS)
    monitor = DenoiserMonitor(talker, update.denoiser, start.run, sheet_clips, held_out_clips(latents.held_out()))
    schedule = Schedule(start.settings.steps, measure_every=_MEASURE_EVERY)
    train_loop(start.run, _task(start, update, dataset, windows, monitor), schedule, init)
    if process_group().is_main:
        provenance = describe_training_data(start.sources, start.settings.steps, start.settings.batch)
        save_model(start.run.folder / "model", monitor.averaged(), training=provenance)
    process_group().barrier()
    return start.run.folder / "model"


def _make_update(
    preset: Preset, start: StageStart[DiTTraining], talker: TalkingHead, expert: SyncExpert | None
) -> _DenoiserUpdate:
    s, device = start.settings, start.device
    denoiser = Trainable(talker.dit, s.learning_rate, s.ema, may_shard=True, own_buffers=LIP_CALIBRATION)
    sync_loss = None if expert is None else SyncLoss(expert.to(device), talker, expert.config.frames)
    critic = None
    if s.adversarial_weight:
        network = LatentCritic(preset.model.dit.latent_channels).to(device)
        critic = Trainable(network, s.learning_rate, s.ema, (0.5, 0.9))
    objective = make_objective(preset.model.objective)
    return _DenoiserUpdate(s, objective, denoiser, talker.audio, device, critic, sync_loss)


def _task(
    start: StageStart[DiTTraining], update: _DenoiserUpdate, dataset: LatentDataset, windows: SyncWindows | None,
    monitor: DenoiserMonitor,
) -> TrainingTask:  # fmt: skip
    """Bundle what the training loop calls."""
    sync_from = start.settings.sync_start * start.settings.steps

    def make_batch(step: int) -> Batch:
        due = windows is not None and step >= sync_from
        return dataset.batch(step, start.seed) | (windows.batch(step) if windows is not None and due else {})

    return TrainingTask(
        parts=update.parts,
        make_batch=make_batch,
        update=update,
        measure=monitor.measure,
        describe_batch=lambda step: dataset.describe_batch(step, start.seed),
    )


@dataclass(frozen=True)
class _CachedLatents:
    """Clips as latents in ``folder``, encoded by the model's autoencoder under its kind of mask."""

    folder: Path
    start: StageStart[DiTTraining]
    talker: TalkingHead
    basis: LipBasis

    def training(self) -> LatentDataset:
        """Cache the clips of the training people; people with little footage in several augmentations."""
        s = self.start.settings
        chosen = choose_clips(self.start.sources, "train", s.frames_per_identity)
        return self._dataset(self.folder, chosen, variants_of(chosen, s.variants, s.frames_per_identity))

    def held_out(self) -> LatentDataset:
        """Cache a few clips of as many held-out people as there are."""
        chosen = choose_held_out_clips(self.start.sources)
        return self._dataset(self.folder / "held_out", chosen, [1] * len(chosen))

    def _dataset(self, folder: Path, chosen: Sequence[WeightedClip], variants: Sequence[int]) -> LatentDataset:
        talker, config = self.talker, self.talker.config
        assert isinstance(config, ModelConfig)
        opened = self.start.settings.opened_references > 0
        cached = cache_clips(folder, chosen, variants, LatentEncoder(talker, self.start.seed, config.mask, opened))
        return LatentDataset(cached, self.basis, self.start.settings, talker.audio, config.dit.references)
