"""Metrics of a sync expert on clips it is not trained on: pair loss, found offsets, confidence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dithead.critics.sync_expert import SyncExpert, find_offset, pair_loss
from dithead.critics.sync_offset import mouths_to_tensor
from dithead.train.data.mouth_dataset import MouthClip, inner_pictures

_SHIFTS = (-5, -3, -1, 0, 2, 4)  # frames by which the sound is shifted
_REACH = 10  # frames to either side in which the offset is searched


@torch.inference_mode()
def held_out_metrics(expert: SyncExpert, clips: Sequence[MouthClip]) -> dict[str, float]:
    """Measure a sync expert, as means over clips.

    Returns:
        ``held_out_pair``, the pair loss (chance is 0.693); ``held_out_offset``, the share of offsets found to within
        one frame when the sound is shifted by -5 to 4 frames; ``held_out_confidence``, the confidence of these.
    """
    expert.eval()
    losses: list[float] = []
    found: list[float] = []
    confidences: list[float] = []
    for clip in clips:
        mouths = expert.embed_mouths(mouths_to_tensor(inner_pictures(clip.mouths, expert.config.side)[None]))[0]
        speech = expert.embed_speech(torch.from_numpy(clip.mel.astype(np.float32))[None])[0]
        losses.append(float(pair_loss(mouths[None], speech[None], expert.scale)))
        for shift in _SHIFTS:
            if shift > 0:
                offset = find_offset(mouths[:-shift], speech[shift:], reach=_REACH)
            else:
                offset = find_offset(mouths[-shift:], speech[: shift or None], reach=_REACH)
            found.append(float(abs(offset.frames + shift) <= 1))
            confidences.append(offset.confidence)
    values = {"held_out_pair": losses, "held_out_offset": found, "held_out_confidence": confidences}
    return {name: float(np.mean(of_clips)) for name, of_clips in values.items()}
