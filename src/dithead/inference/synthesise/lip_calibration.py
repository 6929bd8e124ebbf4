"""Calibrates predicted lips to one person, by predictions for the source's own speech and the lips seen there.

For every voice an encoder's predictions are wrong by an offset and a factor. Both are measured at moments of the source
whose lips are known; ``personal_lips`` uses them. Where the source has no speech, the average of the training people is
used. Letters: N moments, L tokens, A their width, K lip coefficients.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dithead.errors import MediaError
from dithead.inference.analyse.first_pass import VideoAnalysis
from dithead.inference.analyse.mouth_shapes import width_slope
from dithead.inference.analyse.tracklet import LEVELS, LipCalibration
from dithead.inference.source.timeline import SourceClip
from dithead.inference.synthesise.audio_features import FileFeatures, SpeechFeatures
from dithead.inference.synthesise.personal_lips import STILL_MOUTH, widths_of
from dithead.inference.synthesise.source_sync import measure_source_sync
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

LOOK_AHEAD = 0.015
"""Seconds from a moment to the latest of the three predictions whose mean is taken (our choice)."""
_NEIGHBOURS = (-LOOK_AHEAD, 0.0, LOOK_AHEAD)  # seconds, of these three predictions relative to the moment
_AVERAGE_WIDTH_SPREAD = (
    0.037  # eye distances, of predicted widths that the predicted opening does not explain (docs/log)
)
_AVERAGE_WIDTH_SLOPE = 0.15  # of predicted widths over predicted openings (docs/log)
_PRIOR = 16  # measured moments that count as much as the average of the training people (our choice)
_AT_ONCE = 16  # moments predicted at once, which bounds the memory


def calibrate_tracklets(
    analysis: VideoAnalysis, talker: TalkingHead, clip: SourceClip, speech: SpeechFeatures | None
) -> None:
    """Calibrate every tracklet by the source's own speech, where it has any that belongs to its mouths.

    Where the sound is late or early, the predictions are those of the moments it belongs to, and a remark says so.

    Args:
        analysis: What the first pass found; its tracklets receive their calibration.
        talker: The model.
        clip: The source.
        speech: The source's own, from ``source_speech``.
    """
    if speech is None:
        return
    strips = [strip for tracklet in analysis.tracklets for strip in tracklet.mouth_strips]
    sync = measure_source_sync(clip.path, strips, clip.start)
    if sync is None or not sync.sure:
        return
    if sync.remark:
        analysis.remarks.append(sync.remark)
    for tracklet in analysis.tracklets:
        with stage("calibration"):
            tracklet.calibration = calibrate(talker, speech, tracklet.sample_times + clip.start + sync.seconds)


@torch.inference_mode()
def calibrate(talker: TalkingHead, speech: SpeechFeatures, times: NDArray[np.float64]) -> LipCalibration | None:
    """Calibrate the predictions for one person.

    Args:
        talker: The model.
        speech: The person's own speech.
        times: (N,) seconds, moments of the source at which the lips were measured.

    Returns:
        The calibration; None where nobody speaks at these moments, or the model does not predict the opening.
    """
    average, unit = training_calibration(talker), talker.config.opening_unit
    if not unit or not len(times):
        return None
    parts = [predict_lips(talker, speech, times[k : k + _AT_ONCE])[1] for k in range(0, len(times), _AT_ONCE)]
    lips = torch.cat([part for part in parts if part is not None]).numpy()
    mean, spread = lips.mean(axis=0), float(lips[:, -1].std())
    if spread * unit < STILL_MOUTH:
        return None
    own = len(lips) / (len(lips) + _PRIOR)
    widths = widths_of(lips, talker.config.width_units)
    slope = width_slope(lips[:, -1] * unit, widths) * unit
    width_spread = float((widths - slope * lips[:, -1]).std())
    return LipCalibration(
        (own * mean + (1 - own) * average.mean).astype(np.float32),
        own * spread + (1 - own) * average.spread,
        own * width_spread + (1 - own) * average.width_spread,
        np.quantile(lips[:, -1], LEVELS).astype(np.float32),
        own,
        own * slope + (1 - own) * average.width_slope,
    )


def training_calibration(talker: TalkingHead) -> LipCalibration:
    """Return the average calibration of the people that the model was trained on."""
    config = talker.config
    mean = talker.dit.lip_centre.float().cpu().numpy() if config.dit.lip_targets else np.zeros(0, np.float32)
    spread = config.opening / config.opening_unit if config.opening_unit else 0.0
    return LipCalibration(mean, spread, _AVERAGE_WIDTH_SPREAD, width_slope=_AVERAGE_WIDTH_SLOPE * config.opening_unit)


@torch.inference_mode()
def predict_lips(
    talker: TalkingHead, speech: Tensor | SpeechFeatures, times: NDArray[np.float64]
) -> tuple[Tensor, Tensor | None]:
    """Predict the lips from the speech.

    The prediction is the mean of three neighbouring ones, which has less error and jitter than a single one. An encoder
    with a lip predictor takes such a mean itself.

    Args:
        talker: The model.
        speech: Its features (T, F), or where they come from.
        times: (N,) seconds.

    Returns:
        Tokens (N, L, A), and lip coefficients (N, K), or None for a model without that condition.
    """
    offsets = _NEIGHBOURS if talker.config.dit.lip_targets and not talker.audio.past else (0.0,)
    moments = np.concatenate([times + offset for offset in offsets])
    with stage("hearing"):
        if isinstance(speech, Tensor):
            tokens, lips = talker.tokens_and_lips(speech, torch.from_numpy(moments))
        else:
            tokens, lips = talker.tokens_and_lips(*speech.around(moments), speech.lips_at(moments))
    count = len(times)
    middle = count * (len(offsets) // 2)
    mean = None if lips is None else lips.float().cpu().unflatten(0, (len(offsets), count)).mean(0)
    return tokens[middle : middle + count], mean


def source_speech(
    talker: TalkingHead, clip: SourceClip, store: Path, unwanted: threading.Event | None = None
) -> SpeechFeatures | None:
    """Compute the features of a source's own sound.

    Args:
        talker: The model.
        clip: The source.
        store: Where they are kept.
        unwanted: Ends that with ``CancelledError`` when it is set.

    Returns:
        The features; None where there is no sound that can be read.
    """
    if not clip.info.has_audio:
        return None
    try:
        speech = FileFeatures(talker.audio, clip.path, store, unwanted)
        return speech if speech.around(np.zeros(1))[0].numel() else None
    except MediaError:
        return None
