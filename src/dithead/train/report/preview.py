"""Looking at stage two while it trains: sheets of held-out people, and the averaged model."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from dithead.face.masks import polygon_mask
from dithead.models.talking_head import Conditions, TalkingHead, make_denoiser
from dithead.prepare.conditions import frame_conditions, to_tensor
from dithead.prepare.dataset import Track
from dithead.train.data.clips import Source, WeightedClip, held_out_people
from dithead.train.data.lip_basis import lip_shapes
from dithead.train.data.picture_augmentation import identity
from dithead.train.loop.runtime import Run, Trainable, autocast
from dithead.train.metrics.held_out_latents import HeldOutClip, held_out_by_clip, held_out_numbers
from dithead.train.report.sample_sheet import write_sheet

Indices = NDArray[np.intp]


class Preview:
    """Draws ground truth, masked, reference and prediction for a few held-out clips."""

    def __init__(
        self, sources: Sequence[Source], head: TalkingHead, trainable: Trainable, run: Run,
        held_out: Sequence[HeldOutClip],
    ) -> None:  # fmt: skip
        self.head, self.trainable, self.run, self.held_out = head, trainable, run, held_out
        self.clips = held_out_people(sources, 6)

    def averaged(self) -> TalkingHead:
        """A model of its own with the moving average in place of the trained weights."""
        dit = make_denoiser(self.head.config.dit).to(self.head.device)
        dit.load_state_dict(self.trainable.averaged())
        return copy.deepcopy(self.head, {id(self.head.dit): dit}).eval()  # a split transformer cannot be copied

    def draw(self, step: int) -> None:
        """Write ``samples/STEP.png``, two frames of each clip, and the held-out numbers."""
        head = self.averaged()
        self.run.log(step=step, **held_out_numbers(head, self.held_out))
        by_clip = held_out_by_clip(head, self.held_out)
        (self.run.folder / "held_out.json").write_text(json.dumps({"step": step, "error": by_clip}, indent=1) + "\n")
        columns = [self._frames(head, item) for item in self.clips]
        rows = [torch.cat(row) for row in zip(*columns, strict=True)]
        write_sheet(self.run.folder / "samples" / f"{step:07d}.png", *rows)

    def _frames(self, head: TalkingHead, item: WeightedClip) -> tuple[torch.Tensor, ...]:
        index = np.array([item.clip.length * 2 // 5, item.clip.length * 3 // 5])
        crops, path = item.clip.frames(), item.clip.track()
        shrink, polygon = identity(crops.shape[1], head.size), path.polygon * (head.size / crops.shape[1])
        speech = head.audio.features(torch.from_numpy(item.clip.audio()))
        with torch.no_grad(), autocast(head.device):
            tokens = head.speech_tokens(speech, torch.from_numpy(index / item.clip.fps))
            chosen = np.concatenate([index, _references(head, path, index, tokens)])
            small = np.stack([shrink.picture(crop) for crop in crops[chosen]])
            truth, reference = to_tensor(small).chunk(2)
            masked, mask = frame_conditions(small[: len(index)], polygon_mask(polygon, head.size))
            image, _ = head.generate(Conditions(masked, mask, reference, tokens), head.initial_noise(0))
        return truth, masked, reference, image.float().cpu()


def _references(head: TalkingHead, path: Track, index: Indices, tokens: torch.Tensor) -> Indices:
    """For each frame of ``index`` another whose mouth is as open as is heard, as `generate` does; or the first."""
    moved = head.predict_opening(tokens)
    if moved is None:
        return np.zeros_like(index)
    opening = lip_shapes(path.landmarks)[:, -1]  # (N,)
    away = np.abs(opening - opening.mean() - moved.float().cpu().numpy()[:, None])
    away[:, index] = np.inf  # not those to be drawn
    return np.asarray(away.argmin(1))
