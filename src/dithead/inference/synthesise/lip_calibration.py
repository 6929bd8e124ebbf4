"""Calibrate the predicted lips to one person: the audio encoder's predictions for their own sound, beside their lips.

For every voice an encoder's predictions are off by an offset and a factor. The source shows both: what is predicted at
moments whose mouths are known. Where it has no speech, the average of the training people stands in. Letters: N
moments, L tokens, A their width, K lip coefficients.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.errors import MediaError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.tracklet import LipCalibration
from dithead.inference.source.timeline import SourceClip
from dithead.inference.synthesise.audio_features import FileFeatures, SpeechFeatures

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

STILL_MOUTH = 0.012
"""Standard deviation of the lip opening, in eye distances, below which a source says nothing about its person."""
EXPRESSION = (0.5, 2.2)
"""Limits of how much more or less widely than predicted a mouth may move (docs/log)."""
LOOK_AHEAD = 0.015
"""Seconds of speech after a moment that the latest of three neighbouring predictions needs."""
_NEIGHBOURS = (-LOOK_AHEAD, 0.0, LOOK_AHEAD)  # seconds between the three predictions whose mean is taken
_PRIOR = 16  # moments that weigh as much as the average of the training people (our choice)
_AT_ONCE = 16  # moments predicted at once, which bounds the memory


def calibrate_tracklets(analysis: VideoAnalysis, talker: TalkingHead, clip: SourceClip, store: Path) -> None:
    """Calibrate every tracklet by the source's own sound, where it has speech; features are kept in ``store``."""
    sound = _source_speech(talker, clip.path, store) if clip.info.has_audio else None
    if sound is None:
        return
    for tracklet in analysis.tracklets:
        tracklet.calibration = calibrate(talker, sound, tracklet.sample_times + clip.start)


@torch.inference_mode()
def calibrate(talker: TalkingHead, sound: SpeechFeatures, times: NDArray[np.float64]) -> LipCalibration | None:
    """The calibration of the person who speaks in ``sound`` at ``times`` (N,) in seconds; None where nobody does."""
    average, unit = training_calibration(talker), talker.config.opening_unit
    if not unit or not len(times):
        return None
    parts = [predict_lips(talker, sound, times[k : k + _AT_ONCE])[1] for k in range(0, len(times), _AT_ONCE)]
    lips = torch.cat([part for part in parts if part is not None]).numpy()
    mean, spread = lips.mean(axis=0), float(lips[:, -1].std())
    if spread * unit < STILL_MOUTH:
        return None
    own = len(lips) / (len(lips) + _PRIOR)
    return LipCalibration(
        (own * mean + (1 - own) * average.mean).astype(np.float32), own * spread + (1 - own) * average.spread
    )


def training_calibration(talker: TalkingHead) -> LipCalibration:
    """The average over the people the model learned from."""
    config = talker.config
    mean = talker.dit.lip_centre.float().cpu().numpy() if config.dit.lip_targets else np.zeros(0, np.float32)
    return LipCalibration(mean, config.opening / config.opening_unit if config.opening_unit else 0.0)


def expression(calibration: LipCalibration, opening_spread: float, unit: float) -> float:
    """How much more widely than predicted the lips are to move.

    It is one number for a whole tracklet, so the mouth opens as widely as this person's does, and yet by the new speech
    alone.

    Args:
        calibration: Of the person's voice.
        opening_spread: Standard deviation of the source's lip opening, in eye distances.
        unit: Eye distances that one unit of the predicted opening stands for.
    """
    if calibration.spread * unit <= 0 or opening_spread < STILL_MOUTH:
        return 1.0
    return float(np.clip(opening_spread / (calibration.spread * unit), *EXPRESSION))


@torch.inference_mode()
def predict_lips(
    talker: TalkingHead, sound: Tensor | SpeechFeatures, times: NDArray[np.float64]
) -> tuple[Tensor, Tensor | None]:
    """Predict the lips from the speech.

    The prediction is the mean of three close together, which errs and quivers less than one; an encoder with a lip
    predictor, which hears the past, has taken such a mean itself.

    Args:
        talker: The model.
        sound: The speech's features (T, F), or where they come from.
        times: (N,) seconds.

    Returns:
        Tokens (N, L, A), and lip coefficients (N, K), or None for a model without that condition.
    """
    offsets = _NEIGHBOURS if talker.config.dit.lip_targets and not talker.audio.past else (0.0,)
    moments = np.concatenate([times + offset for offset in offsets])
    features = (sound, torch.from_numpy(moments)) if isinstance(sound, Tensor) else sound.around(moments)
    (tokens, lips), count = talker.tokens_and_lips(*features), len(times)
    middle = count * (len(offsets) // 2)
    mean = None if lips is None else lips.float().cpu().unflatten(0, (len(offsets), count)).mean(0)
    return tokens[middle : middle + count], mean


def _source_speech(talker: TalkingHead, video: Path, store: Path) -> SpeechFeatures | None:
    """The features of a video's own sound, kept in ``store``; None where it has none that can be read."""
    try:
        speech = FileFeatures(talker.audio, video, store)
        return speech if speech.around(np.zeros(1))[0].numel() else None
    except MediaError:
        return None
