"""Metrics of the audio encoder: lip coefficients predicted from held-out people's speech against the measured ones.

Letters: N frames of a clip, T feature frames, F numbers in each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.models.audio.base import AudioEncoder
from dithead.models.audio.mel import windows
from dithead.prepare.dataset import Clip
from dithead.train.data.lip_basis import LipBasis
from dithead.train.data.speech_dataset import Floats, features_of, lip_shapes_of

_AT_ONCE = 64  # windows


@torch.inference_mode()
def predict_clip_lips(
    encoder: AudioEncoder, features: Tensor, frames: int, fps: float, *, from_tokens: bool = False
) -> NDArray[np.float32]:
    """Predict the lips of every frame of a clip.

    Args:
        encoder: Predicts them.
        features: Of the clip's speech (T, F).
        frames: Number N of frames.
        fps: Frames a second.
        from_tokens: Predict from the tokens alone, even where there is a lip predictor.

    Returns:
        Lip coefficients (N, 9), not calibrated.
    """
    centres = torch.arange(frames) / fps * encoder.rate
    cut = windows(features, centres, encoder.config.window, encoder.pad, encoder.past)
    lips = [_predict(encoder, part, from_tokens).float() for part in cut.split(_AT_ONCE)]
    return np.asarray(torch.cat(lips).numpy(), np.float32)


def _predict(encoder: AudioEncoder, cut: Tensor, from_tokens: bool) -> Tensor:
    return encoder.predict_lips(encoder(cut[:, encoder.past :])) if from_tokens else encoder.tokens_and_lips(cut)[1]


def measured_and_predicted(
    encoder: AudioEncoder, basis: LipBasis, clips: Sequence[Clip], *, from_tokens: bool = False
) -> list[tuple[Floats, Floats]]:
    """Return for each clip the measured and the predicted coefficients (N, 9); see ``predict_clip_lips``."""

    def predicted(clip: Clip) -> Floats:
        features = torch.from_numpy(features_of(encoder, clip.audio())).float()
        return predict_clip_lips(encoder, features, clip.length, clip.fps, from_tokens=from_tokens)

    return [(basis.coefficients(lip_shapes_of(clip)), predicted(clip)) for clip in clips]


def held_out_metrics(encoder: AudioEncoder, basis: LipBasis, clips: Sequence[Clip]) -> dict[str, float]:
    """Measure the predicted lip opening, as means over clips.

    Returns:
        ``held_out_r``, its correlation with the measured one, and ``held_out_gain``, its spread relative to the
        measured one's.
    """
    scores = []
    for truth, predicted in measured_and_predicted(encoder, basis, clips):
        spread = predicted[:, -1].std() / max(truth[:, -1].std(), 1e-6)
        scores.append((np.corrcoef(truth[:, -1], predicted[:, -1])[0, 1], spread))
    r, gain = np.nanmean(scores, axis=0)
    return {"held_out_r": float(r), "held_out_gain": float(gain)}
