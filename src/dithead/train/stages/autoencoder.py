"""Stage one: train the face autoencoder.

Reconstruction under the mask (lips count more), a Laplacian-pyramid term, LPIPS where its weights are given, and late
a patch discriminator with feature matching. Latents get noise in training, so that the decoder forgives the
transformer's small errors; their size is bounded by the encoder, so nothing as a KL term has to hold it.
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
from dithead.errors import ConfigError
from dithead.models.autoencoder.face import FACTOR, FaceAutoencoder
from dithead.models.autoencoder.kl import KLConfig
from dithead.models.denoiser.token_window import Window
from dithead.prepare.conditions import apply_mask, to_tensor
from dithead.train.data.clips import ClipFrames, FrameBank, Source, augmented, held_out_split, stack
from dithead.train.data.frame_stream import FrameStream, is_sharded
from dithead.train.data.picture_augmentation import draw as draw_augmentation
from dithead.train.data.picture_augmentation import identity as no_augmentation
from dithead.train.loop.processes import team
from dithead.train.loop.runtime import (
    Batch,
    Loop,
    Trainable,
    autocast,
    learning_rate,
    step_generator,
    step_rng,
    train_loop,
)
from dithead.train.loop.weights_file import save_weights
from dithead.train.losses import reconstruction_loss as losses
from dithead.train.metrics.reconstruction import Distance, held_out_numbers, lpips_of
from dithead.train.report.sample_sheet import write_sheet
from dithead.train.stages.start import start


def picture_batch(
    bank: FrameBank | FrameStream, size: int, rngs: Sequence[np.random.Generator], augment: bool = True, place: int = 0
) -> Batch:
    """Targets, masked frames, references (B, 3, S, S), mask and mouth (B, 1, S, S); a row for each of ``rngs``.

    ``place`` is where the first row stands in the whole training.
    """
    samples = []
    for row, rng in enumerate(rngs):
        clip, target, reference = bank.pick(rng, place + row)
        side = clip.crops.shape[1]
        change = draw_augmentation(rng, side, size) if augment else no_augmentation(side, size)
        samples.append(augmented(clip, target, reference, change))
    targets, references, regions = (stack(part) for part in zip(*samples, strict=True))
    image = to_tensor(targets)
    mask, mouth = (torch.from_numpy(regions[..., None, i] > 127).permute(0, 3, 1, 2).float() for i in range(2))
    return {"image": image, "reference": to_tensor(references), "mask": mask, "mouth": mouth * mask,
            "masked": apply_mask(image, mask)}  # fmt: skip


@dataclass
class _Stage:
    """The moving parts of one update."""

    settings: AutoencoderTraining
    autoencoder: Trainable
    discriminator: Trainable
    device: torch.device
    seed: int
    lpips: Distance | None = None

    def update(self, step: int, batch: Batch) -> dict[str, float]:
        window = _training_window(batch["mask"], step_rng(self.seed, step, 5))
        batch = {
            key: window.pixels(value).to(self.device, memory_format=torch.channels_last) for key, value in batch.items()
        }
        s = self.settings
        rate = learning_rate(step, s.steps, s.learning_rate, s.warmup, s.decay)
        output = self._reconstruct(step, batch)
        weight = batch["mask"] * (1 + s.mouth_weight * batch["mouth"])
        share = weight.sum() / team().mean(weight.sum())  # of all processes' weight: their mean is the whole batch's
        pixel = losses.weighted_mean((output - batch["image"]).abs(), weight) * share
        detail = losses.pyramid_loss(output, batch["image"], weight) * share
        loss, metrics = pixel + s.detail_weight * detail, {"pixel": pixel, "detail": detail}
        if self.lpips is not None:
            metrics["lpips"] = self.lpips(output, batch["image"]).mean()
            loss = loss + s.lpips_weight * metrics["lpips"]
        adversarial = step >= s.adversarial_start * s.steps
        if adversarial:
            fake, matching = self._adversary(batch, output)
            loss = loss + s.adversarial_weight * fake + s.matching_weight * matching
            metrics |= {"fake": fake, "matching": matching}
        loss.backward()  # type: ignore[no-untyped-call]
        norm = self.autoencoder.step(rate, s.clip)
        if adversarial:
            metrics["critic"] = self._train_critic(batch, output.detach(), rate)
        return {**{key: float(value.detach()) for key, value in metrics.items()}, "norm": norm, "rate": rate}

    def _reconstruct(self, step: int, batch: Batch) -> Tensor:
        model = self.autoencoder.module
        assert isinstance(model, FaceAutoencoder)
        with autocast(self.device):
            z = model.encode(batch["image"])
            rows, batch_size = team().rows(self.settings.batch), self.settings.batch
            noise = torch.randn(batch_size, *z.shape[1:], generator=step_generator(self.seed, step))[rows].to(z)
            level = torch.rand(batch_size, 1, 1, 1, generator=step_generator(self.seed + 1, step))[rows].to(z)
            z = z + noise * level * self.settings.latent_noise * 2
            return model.decode(z, batch["masked"], batch["mask"], batch["reference"]).float()

    def _scores(self, image: Tensor, mask: Tensor) -> tuple[Tensor, list[Tensor]]:
        with autocast(self.device):
            score, features = self.discriminator.module(image, mask)
        return score.float(), [f.float() for f in features]

    def _adversary(self, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            _, real = self._scores(batch["image"], batch["mask"])
        score, features = self._scores(output, batch["mask"])
        return F.relu(1 - score).mean(), losses.feature_matching(real, features)

    def _train_critic(self, batch: Batch, output: Tensor, rate: float) -> Tensor:
        score = self._scores(torch.cat([batch["image"], output]), batch["mask"].repeat(2, 1, 1, 1))[0]
        loss = losses.hinge_discriminator(*score.chunk(2))
        self.discriminator.optimizer.zero_grad(set_to_none=True)  # the generator's pass left gradients here
        loss.backward()  # type: ignore[no-untyped-call]
        self.discriminator.step(rate, 10.0)
        return loss.detach()


def _training_window(mask: Tensor, rng: np.random.Generator) -> Window:
    """The rows from the top of most masks down, and most columns: the rest of the crop is known and costs time."""
    grid = mask.shape[-1] // FACTOR
    width = max(1, round(grid * 0.8))
    left = int(rng.integers(0, grid - width + 1))
    return Window(grid - max(1, round(grid * 0.7)), grid, left, left + width, grid)


@torch.no_grad()
def reconstruct(model: FaceAutoencoder, batch: Batch, device: torch.device) -> Tensor:
    """Reconstructions (B, 3, S, S) on the CPU."""
    with autocast(device):
        image, masked, mask, reference = (batch[k].to(device) for k in ("image", "masked", "mask", "reference"))
        return model.decode(model.encode(image), masked, mask, reference).float().cpu()


@torch.no_grad()
def measure_statistics(model: FaceAutoencoder, bank: FrameBank | FrameStream, size: int, device: torch.device) -> None:
    """Set the latents' mean and standard deviation from augmented training frames."""
    raw = []
    for step in range(16):
        batch = picture_batch(bank, size, [step_rng(0, step, 9, row) for row in range(16)])
        with autocast(device):
            window = _training_window(batch["mask"], step_rng(0, step, 5))
            raw.append(model.encoder(window.pixels(batch["image"]).to(device)).float())
    model.set_statistics(torch.cat(raw))


def train_autoencoder(
    data: Sequence[Source | str],
    preset: Preset,
    output: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    steps: int | None = None,
    init: Path | None = None,
) -> Path:
    """Train stage one; the same call resumes. Returns the run folder; stage two reads its ``autoencoder.safetensors``.

    ``data`` are prepared datasets, ``Source`` or ``"FOLDER:WEIGHT"``; ``init`` is a run folder to start from.
    Raises DataError and ConfigError.
    """
    config = preset.model.autoencoder
    if isinstance(config, KLConfig):
        raise ConfigError(
            f"preset '{preset.model.name}' takes a pretrained autoencoder, there is nothing to train: go on with "
            f"dithead train dit --autoencoder {config.source}"
        )
    begun = start("autoencoder", data, preset.model.model_dump(mode="json"), preset.autoencoder, output,
                  seed=seed, device=device, steps=steps)  # fmt: skip
    run, settings, where, size = begun.run, begun.settings, begun.device, preset.model.size
    lpips, packed = lpips_of(settings.lpips, where), is_sharded(begun.sources)
    places = settings.steps * settings.batch
    bank = (FrameStream(begun.sources, "train", seed, places) if packed
            else FrameBank(begun.sources, "train", settings.frames_per_identity, places))  # fmt: skip
    stage = _Stage(settings, _trainable(FaceAutoencoder(config), settings, where),
                   _trainable(PatchDiscriminator(), settings, where), where, seed, lpips)  # fmt: skip
    average = stage.autoencoder.average.module
    assert isinstance(average, FaceAutoencoder)
    held_out = _held_out(begun.sources, bank, size, settings)

    def rows(step: int) -> list[np.random.Generator]:
        return [step_rng(seed, step, 0, row) for row in team().rows(settings.batch)]

    def place(step: int) -> int:
        return step * settings.batch + team().rows(settings.batch).start

    def draw(step: int) -> None:
        picture = reconstruct(average, held_out, where)
        run.log(step=step, **held_out_numbers(picture, held_out, stage.lpips))
        sheet = [held_out[key] for key in ("image", "masked", "reference")]
        write_sheet(run.folder / "samples" / f"{step:07d}.png", *sheet, picture)

    train_loop(
        run, {"autoencoder": stage.autoencoder, "discriminator": stage.discriminator}, Loop(settings.steps),
        lambda step: picture_batch(bank, size, rows(step), place=place(step)), stage.update, draw, init,
        lambda step: [_name(*bank.pick(rng, place(step) + row)) for row, rng in enumerate(rows(step))],
    )  # fmt: skip
    measure_statistics(average, bank, size, where)
    if team().leads:
        save_weights(run.folder / "autoencoder.safetensors", average.state_dict())
    team().wait()
    return run.folder


def _name(clip: ClipFrames, target: int, reference: int) -> str:
    return f"{clip.id} frames {target} and {reference}"


def _trainable(module: Any, settings: AutoencoderTraining, device: torch.device) -> Trainable:
    module = module.to(device, memory_format=torch.channels_last)
    betas = (0.5, 0.9) if isinstance(module, PatchDiscriminator) else (0.9, 0.99)
    return Trainable(module, settings.learning_rate, settings.ema, betas)


def _held_out(
    sources: Sequence[Source], bank: FrameBank | FrameStream, size: int, settings: AutoencoderTraining
) -> Batch:
    """Twelve frames of people held out; of the training people only where nobody is held out."""
    held: FrameBank | FrameStream = bank
    if held_out_split(sources) == "val":
        held = FrameBank(sources, "val", max(24, settings.frames_per_identity // 20))
    return picture_batch(held, size, [step_rng(0, 0, 7, row) for row in range(12)], augment=False)
