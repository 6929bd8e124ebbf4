"""Trains the face autoencoder, which is stage one.

It reconstructs frames under the mask, where lips count more: an L1 term, a Laplacian-pyramid term, LPIPS where its
weights are given, and late in the training a patch discriminator with feature matching. Latents get noise in training,
so that the decoder tolerates the denoiser's small errors; the encoder bounds their size, so no KL term is needed.
Letters: B batch, S crop side, C latent channels, G latent side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dithead.config import AutoencoderTraining, Preset
from dithead.critics.discriminator import PatchDiscriminator
from dithead.critics.face_identity import FaceIdentity, load_face_identity
from dithead.errors import ConfigError, ModelError
from dithead.hub import resolve_model
from dithead.model_folder import verify_folder
from dithead.models.autoencoder.face import FACTOR, FaceAutoencoder
from dithead.models.autoencoder.kl import KLConfig
from dithead.models.denoiser.token_window import Window
from dithead.train.data.clips import ClipFrames, DataSource, FrameDataset, held_out_split
from dithead.train.data.frame_stream import FrameStream, is_sharded
from dithead.train.data.image_batch import Frames, image_batch
from dithead.train.loop.batches import Batch
from dithead.train.loop.precision import autocast
from dithead.train.loop.processes import process_group
from dithead.train.loop.randomness import step_generator, step_rng
from dithead.train.loop.runtime import TrainingTask, train_loop
from dithead.train.loop.schedule import Schedule, learning_rate
from dithead.train.loop.trainable import Trainable
from dithead.train.loop.weights_file import load_tensors, save_weights
from dithead.train.losses import reconstruction_loss as losses
from dithead.train.metrics.reconstruction import Distance, held_out_metrics, load_lpips
from dithead.train.report.sample_sheet import write_sample_sheet
from dithead.train.stages.options import AutoencoderOptions
from dithead.train.stages.start import StageStart, start_stage

WEIGHTS = "autoencoder.safetensors"
"""The file in the run folder that the denoiser's stage reads."""
_WINDOW_STREAM, _HELD_OUT_STREAM, _STATISTICS_STREAM = 5, 7, 9  # of random numbers, see ``step_rng``
_DISCRIMINATOR_CLIP = 10.0  # norm to which its gradient is clipped; our choice
_HELD_OUT_FRAMES = 12  # frames of held-out people on which it is measured; our choice
_STATISTICS_BATCHES = _STATISTICS_ROWS = 16  # from which the latents' mean and deviation are measured
_WINDOW_SHARE = (0.7, 0.8)  # of the latent's rows and columns that a training window covers


@dataclass
class _AutoencoderUpdate:
    """One update of autoencoder and discriminator."""

    settings: AutoencoderTraining
    autoencoder: Trainable
    discriminator: Trainable
    device: torch.device
    seed: int
    lpips: Distance | None = None
    identity: FaceIdentity | None = None

    def __call__(self, step: int, batch: Batch) -> dict[str, float]:
        s = self.settings
        window = _training_window(batch["mask"], step_rng(self.seed, step, _WINDOW_STREAM))
        whole = batch["image"]
        batch = {
            key: window.pixels(value).to(self.device, memory_format=torch.channels_last) for key, value in batch.items()
        }
        output, masked = self._reconstruct(step, batch)
        loss, metrics = self._reconstruction_loss(batch, output)
        if masked is not None:
            metrics["masked"] = masked
            loss = loss + s.masked_weight * masked
        if self.identity is not None:
            whole = whole.to(self.device)
            metrics["identity"] = losses.identity_loss(self.identity, window.place_pixels(output, whole), whole)
            loss = loss + s.identity_weight * metrics["identity"]
        adversarial = step >= s.adversarial_start * s.steps
        if adversarial:
            fake, matching = self._adversarial_loss(batch, output)
            loss = loss + s.adversarial_weight * fake + s.matching_weight * matching
            metrics |= {"fake": fake, "matching": matching}
        loss.backward()  # type: ignore[no-untyped-call]
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        norm = self.autoencoder.step(rate, s.clip)
        if adversarial:
            metrics["critic"] = self._update_discriminator(batch, output.detach(), rate)
        return {**{key: float(value.detach()) for key, value in metrics.items()}, "norm": norm, "rate": rate}

    def _reconstruct(self, step: int, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Encode, add noise to the latents, and decode.

        Returns:
            The picture (B, 3, S, S), and where masked frames have an encoder of their own, the mean squared difference
            between its latents and those of the encoder of whole pictures.
        """
        model = self.autoencoder.module
        assert isinstance(model, FaceAutoencoder)
        with autocast(self.device):
            z = model.encode(batch["image"])
            rows, batch_size = process_group().rows(self.settings.batch), self.settings.batch
            noise = torch.randn(batch_size, *z.shape[1:], generator=step_generator(self.seed, step))[rows].to(z)
            level = torch.rand(batch_size, 1, 1, 1, generator=step_generator(self.seed + 1, step))[rows].to(z)
            z, masked = z + noise * level * self.settings.latent_noise * 2, None
            if model.masked_encoder is not None:
                known = model.encode_masked(batch["masked"])
                with torch.no_grad():
                    wanted = model.encode(batch["masked"])
                masked = F.mse_loss(known.float(), wanted.float())
                z = torch.where(F.avg_pool2d(batch["mask"], FACTOR) > 0, z, known)  # as ``TalkingHead.generate`` does
            return model.decode(z, batch["masked"], batch["mask"], batch["reference"]).float(), masked

    def _reconstruction_loss(self, batch: Batch, output: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        s = self.settings
        weight = batch["mask"] * (1 + s.mouth_weight * batch["mouth"])
        # The share of all processes' weight: the mean over processes is then that of the whole batch.
        share = weight.sum() / process_group().mean(weight.sum())
        pixel = losses.weighted_mean((output - batch["image"]).abs(), weight) * share
        detail = losses.pyramid_loss(output, batch["image"], weight) * share
        loss, metrics = pixel + s.detail_weight * detail, {"pixel": pixel, "detail": detail}
        if self.lpips is not None:
            metrics["lpips"] = self.lpips(output, batch["image"]).mean()
            loss = loss + s.lpips_weight * metrics["lpips"]
        return loss, metrics

    def _score(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        with autocast(self.device):
            score, features = self.discriminator.module(image, mask)
        return score.float(), [f.float() for f in features]

    def _adversarial_loss(self, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            _, real = self._score(batch["image"], batch["mask"])
        score, features = self._score(output, batch["mask"])
        return F.relu(1 - score).mean(), losses.feature_matching(real, features)

    def _update_discriminator(self, batch: Batch, output: Tensor, rate: float) -> Tensor:
        score = self._score(torch.cat([batch["image"], output]), batch["mask"].repeat(2, 1, 1, 1))[0]
        loss = losses.hinge_loss(*score.chunk(2))
        self.discriminator.optimizer.zero_grad(set_to_none=True)  # the generator's pass left gradients here
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator.step(rate, _DISCRIMINATOR_CLIP)
        return loss.detach()


def _training_window(mask: Tensor, rng: np.random.Generator) -> Window:
    """Choose the window to train on: the rows from the top of most masks down, and most columns.

    The rest of the crop is known and would only cost time.
    """
    grid = mask.shape[-1] // FACTOR
    rows, columns = (max(1, round(grid * share)) for share in _WINDOW_SHARE)
    left = int(rng.integers(0, grid - columns + 1))
    return Window(grid - rows, grid, left, left + columns, grid)


@torch.no_grad()
def reconstruct(model: FaceAutoencoder, batch: Batch, device: torch.device) -> Tensor:
    """Reconstruct the images of a batch (B, 3, S, S); the result is on the CPU."""
    with autocast(device):
        image, masked, mask, reference = (batch[k].to(device) for k in ("image", "masked", "mask", "reference"))
        return model.decode(model.encode(image), masked, mask, reference).float().cpu()


@torch.no_grad()
def measure_statistics(model: FaceAutoencoder, frames: Frames, size: int, device: torch.device) -> None:
    """Set the mean and standard deviation of the latents from augmented training frames."""
    latents = []
    for step in range(_STATISTICS_BATCHES):
        rngs = [step_rng(0, step, _STATISTICS_STREAM, row) for row in range(_STATISTICS_ROWS)]
        batch = image_batch(frames, size, rngs)
        with autocast(device):
            window = _training_window(batch["mask"], step_rng(0, step, _WINDOW_STREAM))
            latents.append(model.encoder(window.pixels(batch["image"]).to(device)).float())
    model.set_statistics(torch.cat(latents))


def train_autoencoder(
    data: Sequence[DataSource | str], preset: Preset, output: Path, options: AutoencoderOptions | None = None
) -> Path:
    """Train the autoencoder; the same call resumes.

    Args:
        data: Prepared datasets, as ``DataSource`` or ``"FOLDER:WEIGHT"``; their clips need no speech.
        preset: The model and its training settings.
        output: The run folder.
        options: Steps, seed, device, the run to start from, and the model whose latents stay.

    Returns:
        The run folder, whose ``autoencoder.safetensors`` the denoiser's stage reads.

    Raises:
        ConfigError: The preset takes a pretrained autoencoder, or the folder holds a run with other settings.
        DataError: A dataset cannot be read or has no usable clips.
        ModelError: A checkpoint or the LPIPS weights cannot be read.
    """
    options, config = options or AutoencoderOptions(), preset.model.autoencoder
    if isinstance(config, KLConfig):
        raise ConfigError(
            f"preset '{preset.model.name}' takes a pretrained autoencoder, there is nothing to train: go on with "
            f"dithead train dit --autoencoder {config.source}"
        )
    model = preset.model.model_dump(mode="json")
    recorded = {"latents_of": options.latents_of} if options.latents_of else {}
    start = start_stage("autoencoder", data, model, preset.autoencoder, output, options, recorded)
    size, network = preset.model.size, FaceAutoencoder(config)
    if options.latents_of:
        take_latents(network, options.latents_of)
    lpips, frames = load_lpips(start.settings.lpips, start.device), _training_frames(start)
    identity = load_face_identity().to(start.device) if start.settings.identity_weight else None
    update = _AutoencoderUpdate(start.settings, _trainable(network, start), _trainable(PatchDiscriminator(), start),
                                start.device, start.seed, lpips, identity)  # fmt: skip
    average = update.autoencoder.average.module
    assert isinstance(average, FaceAutoencoder)
    train_loop(start.run, _task(start, update, average, frames, size), Schedule(start.settings.steps), options.init)
    if not options.latents_of:
        measure_statistics(average, frames, size, start.device)
    if process_group().is_main:
        save_weights(start.run.folder / WEIGHTS, average.state_dict())
    process_group().barrier()
    return start.run.folder


def take_latents(network: FaceAutoencoder, source: str) -> None:
    """Give a network the encoder of a model, and the statistics of its latents, which then stay as they are.

    Args:
        network: The network.
        source: Shipped name, model folder or hub id.

    Raises:
        ModelError: The model cannot be read, or its encoder has another shape.
    """
    folder = resolve_model(source)
    verify_folder(folder)
    stored = load_tensors(folder / WEIGHTS, "give another model")
    own = network.state_dict()
    kept = {name: value for name, value in stored.items() if name.startswith(("encoder.", "latent_"))}
    differing = [name for name, value in kept.items() if name not in own or own[name].shape != value.shape]
    if differing:
        raise ModelError(f"{folder}: its encoder does not fit the preset ({differing[0]}); give another model")
    network.load_state_dict(own | kept)
    network.encoder.requires_grad_(False)


def _training_frames(start: StageStart[AutoencoderTraining]) -> Frames:
    settings = start.settings
    places = settings.steps * settings.batch
    if is_sharded(start.sources):
        return FrameStream(start.sources, "train", start.seed, places)
    return FrameDataset(start.sources, "train", settings.frames_per_identity, places)


def _task(
    start: StageStart[AutoencoderTraining], update: _AutoencoderUpdate, average: FaceAutoencoder, frames: Frames,
    size: int,
) -> TrainingTask:  # fmt: skip
    """Bundle what the training loop calls."""
    batch_size, held_out = start.settings.batch, _held_out_batch(start, frames, size)

    def rows(step: int) -> list[np.random.Generator]:
        return [step_rng(start.seed, step, 0, row) for row in process_group().rows(batch_size)]

    def place(step: int) -> int:
        return step * batch_size + process_group().rows(batch_size).start

    def measure(step: int) -> None:
        picture = reconstruct(average, held_out, start.device)
        start.run.log(step=step, **held_out_metrics(picture, held_out, update.lpips))
        sheet_rows = [held_out[key] for key in ("image", "masked", "reference")]
        write_sample_sheet(start.run.folder, step, *sheet_rows, picture)

    return TrainingTask(
        parts={"autoencoder": update.autoencoder, "discriminator": update.discriminator},
        make_batch=lambda step: image_batch(
            frames, size, rows(step), place=place(step), opened=start.settings.opened_references
        ),
        update=update,
        measure=measure,
        describe_batch=lambda step: [
            _describe(*frames.pick(rng, place(step) + row)) for row, rng in enumerate(rows(step))
        ],
    )


def _describe(clip: ClipFrames, target: int, reference: int) -> str:
    return f"{clip.id} frames {target} and {reference}"


def _trainable(module: Any, start: StageStart[AutoencoderTraining]) -> Trainable:
    module = module.to(start.device, memory_format=torch.channels_last)
    betas = (0.5, 0.9) if isinstance(module, PatchDiscriminator) else (0.9, 0.99)
    return Trainable(module, start.settings.learning_rate, start.settings.ema, betas)


def _held_out_batch(start: StageStart[AutoencoderTraining], frames: Frames, size: int) -> Batch:
    """Load frames of held-out people; of the training people where nobody is held out."""
    source = frames
    if held_out_split(start.sources) == "val":
        source = FrameDataset(start.sources, "val", max(24, start.settings.frames_per_identity // 20))
    rngs = [step_rng(0, 0, _HELD_OUT_STREAM, row) for row in range(_HELD_OUT_FRAMES)]
    return image_batch(source, size, rngs, augment=False, opened=start.settings.opened_references)
