"""Measure the denoiser while it trains: sample sheets and metrics of held-out people, by the averaged model."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.face.masks import polygon_mask
from dithead.models.talking_head import Conditions, TalkingHead, make_denoiser
from dithead.prepare.conditions import frame_conditions, to_tensor
from dithead.prepare.dataset import Track
from dithead.train.data.clips import WeightedClip
from dithead.train.data.lip_basis import lip_shapes
from dithead.train.data.picture_augmentation import no_augmentation
from dithead.train.loop.precision import autocast
from dithead.train.loop.run_folder import RunFolder
from dithead.train.loop.trainable import Trainable
from dithead.train.metrics.held_out_latents import HeldOutClip, held_out_by_clip, held_out_metrics, predicted_opening
from dithead.train.report.sample_sheet import write_sample_sheet

Indices = NDArray[np.intp]
SHEET_CLIPS = 6
"""Clips on a sample sheet. Our choice."""
_MOMENTS = (2, 3)  # fifths of a clip at which the sheet shows it


@dataclass(frozen=True)
class DenoiserMonitor:
    """Measures the averaged model and draws ground truth, masked frame, reference and prediction.

    Attributes:
        talker: The model whose denoiser is trained.
        trainable: The denoiser in training.
        run: Where metrics and sheets go.
        sheet_clips: Clips on the sample sheet.
        held_out: Clips that are measured.
    """

    talker: TalkingHead
    trainable: Trainable
    run: RunFolder
    sheet_clips: Sequence[WeightedClip]
    held_out: Sequence[HeldOutClip]

    def averaged(self) -> TalkingHead:
        """Return a model of its own with the moving average in place of the trained weights."""
        dit = make_denoiser(self.talker.config.dit).to(self.talker.device)
        dit.load_state_dict(self.trainable.averaged_weights())
        return copy.deepcopy(self.talker, {id(self.talker.dit): dit}).eval()  # a sharded denoiser cannot be copied

    def measure(self, step: int) -> None:
        """Write ``samples/STEP.png`` with two frames of each clip, ``held_out.json`` and the metrics."""
        talker = self.averaged()
        self.run.log(step=step, **held_out_metrics(talker, self.held_out))
        by_clip = held_out_by_clip(talker, self.held_out)
        (self.run.folder / "held_out.json").write_text(json.dumps({"step": step, "error": by_clip}, indent=1) + "\n")
        columns = [self._sample(talker, item) for item in self.sheet_clips]
        write_sample_sheet(self.run.folder, step, *(torch.cat(row) for row in zip(*columns, strict=True)))

    def _sample(self, talker: TalkingHead, item: WeightedClip) -> tuple[torch.Tensor, ...]:
        """Return truth, masked frames, references and predictions (2, 3, S, S) of a clip."""
        index = np.array([item.clip.length * fifths // 5 for fifths in _MOMENTS])
        crops, path = item.clip.frames(), item.clip.track()
        resize, polygon = no_augmentation(crops.shape[1], talker.size), path.polygon * (talker.size / crops.shape[1])
        features = talker.audio.features(torch.from_numpy(item.clip.audio()))
        with torch.no_grad(), autocast(talker.device):
            tokens, lips = talker.tokens_and_lips(features, torch.from_numpy(index / item.clip.fps))
            chosen = np.concatenate([index, _choose_references(path, index, predicted_opening(talker, lips))])
            small = np.stack([resize.apply(crop) for crop in crops[chosen]])
            truth, reference = to_tensor(small).chunk(2)
            masked, mask = frame_conditions(small[: len(index)], polygon_mask(polygon, talker.size))
            image, _ = talker.generate(Conditions(masked, mask, reference, tokens, lips), talker.initial_noise(0))
        return truth, masked, reference, image.float().cpu()


def _choose_references(path: Track, index: Indices, predicted: torch.Tensor | None) -> Indices:
    """Choose for each frame of ``index`` another whose mouth is as open as predicted; the first where none is."""
    if predicted is None:
        return np.zeros_like(index)
    opening = lip_shapes(path.landmarks)[:, -1]  # (N,)
    distance = np.abs(opening - opening.mean() - predicted.numpy()[:, None])
    distance[:, index] = np.inf  # not those to be sampled
    return np.asarray(distance.argmin(1))
