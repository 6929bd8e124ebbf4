"""Measures one generated clip against what it should be, by the protocols self, cross and silent.

The protocols differ in the sound that drives the clip: its own, that of another clip, or silence. Each function returns
a flat table of measures, NaN where one failed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.critics.sync_expert import FPS
from dithead.errors import MediaError
from dithead.evaluate import picture_quality as pictures
from dithead.evaluate.lip_series import (
    Measures,
    compare_cross,
    compare_self,
    compare_silent,
    correlation,
    jitter_ratio,
)
from dithead.evaluate.network_measures import NetworkMeasures
from dithead.evaluate.observe_video import Observation
from dithead.media.audio import read_audio
from dithead.models.audio.mel import SAMPLE_RATE
from dithead.prepare.settings import PrepareConfig
from dithead.types import Wave

CONFIDENT: float = PrepareConfig.offset_confidence
"""Confidence of the sync expert from which its offset of a true video is believed, as in ``dithead prepare``."""
MAX_AUDIO_OFFSET = 0.5  # seconds searched to either side for the offset of a file's sound
SAME_SOUND = 0.3
"""Correlation from which two sounds count as the same one (our choice): encoded again it is near 1, with another under
it above 0.5, and that of different sentences below 0.1."""


def measure_self(
    generated: Observation, truth: Observation, audio: Wave | None = None, networks: NetworkMeasures | None = None
) -> Measures:
    """Measure a clip that is driven by its own sound, so that the true video is its source.

    Args:
        generated: The clip.
        truth: The true video.
        audio: The driving sound (n,) at 16 kHz, for the offset of the sound in the file.
        networks: Pretrained networks, for LPIPS and identity.
    """
    ours, theirs = pair_crops(generated, truth)
    return {
        **compare_self(generated.lips, truth.lips),
        "psnr": pictures.psnr(ours, theirs),
        "psnr_mouth": pictures.psnr(pictures.crop_mouth(ours), pictures.crop_mouth(theirs)),
        "ssim": pictures.ssim(ours, theirs),
        **({} if networks is None else networks.compare_pictures(ours, theirs)),
        **_common(generated, truth, audio),
    }


def measure_synced(generated: Observation, truth: Observation, truth_sync: Measures) -> Measures:
    """Correlate the lips with the truth's after the offset of the truth's own sound is removed.

    Where the scoring expert is confident that the sound of the true video is late or early, lips that follow this sound
    cannot be the truth's at the same moment: they are compared with those of the moment that the sound belongs to.

    Args:
        generated: The clip.
        truth: The true video.
        truth_sync: ``measure_sync`` of the true video.
    """
    return {"lip_synced_correlation": _synced_correlation(generated, truth, truth_sync)}


def measure_cross(
    generated: Observation,
    source: Observation,
    driver: Observation,
    audio: Wave | None = None,
    driver_sync: Measures | None = None,
) -> Measures:
    """Measure a clip that is driven by another clip's sound.

    Args:
        generated: The clip.
        source: The video that was changed: all but the lips should be its.
        driver: The video that the sound comes from: the lips should be its.
        audio: The driving sound (n,) at 16 kHz, for the offset of the sound in the file.
        driver_sync: ``measure_sync`` of the driver, see ``measure_synced``.
    """
    synced = {}
    if driver_sync is not None:
        synced["driver_synced_correlation"] = _synced_correlation(generated, driver, driver_sync)
    return {
        **synced,
        **compare_cross(generated.lips, driver.lips, source.lips),
        "jitter": jitter_ratio(generated.lips, driver.lips),
        **_common(generated, source, audio),
    }


def measure_silent(generated: Observation, source: Observation) -> Measures:
    """Measure a clip that is driven by silence: the lips should rest."""
    return {**compare_silent(generated.lips, source.lips), **_common(generated, source, None)}


def audio_offset(path: Path, wave: Wave) -> float:
    """Return the milliseconds by which a video's sound is later than ``wave`` (n,) at 16 kHz; NaN if it is another."""
    shift, likeness = _best_shift(path, wave)
    return shift if likeness >= SAME_SOUND else float("nan")


def carries_sound(path: Path, wave: Wave) -> bool:
    """Return whether the sound of a video is ``wave`` (n,) at 16 kHz, up to half a second late, encoded or mixed."""
    return _best_shift(path, wave)[1] >= SAME_SOUND


def _best_shift(path: Path, wave: Wave) -> tuple[float, float]:
    """The milliseconds by which a video's sound is later than ``wave``, and its correlation with it at that shift."""
    try:
        sound = read_audio(path, SAMPLE_RATE)
    except MediaError:
        return float("nan"), 0.0
    if not np.any(sound) or not np.any(wave):
        return float("nan"), 0.0
    size = 1 << int(len(sound) + len(wave) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(sound, size) * np.conj(np.fft.rfft(wave, size)), size)
    reach = min(int(MAX_AUDIO_OFFSET * SAMPLE_RATE), size // 2 - 1)  # beyond, the shifts go round
    around = np.concatenate([product[-reach:], product[: reach + 1]])
    best = int(np.argmax(around))
    likeness = around[best] / (np.linalg.norm(sound) * np.linalg.norm(wave))
    return float(best - reach) * 1000 / SAMPLE_RATE, float(likeness)


def pair_crops(generated: Observation, source: Observation) -> tuple[pictures.Crops, pictures.Crops]:
    """Return the crops of both videos, paired by time, of the frames where both have a face."""
    nearest = source.nearest(generated.times)
    known = [
        i for i, j in enumerate(nearest) if generated.transforms[i] is not None and source.transforms[j] is not None
    ]
    return generated.crops[known], source.crops[nearest[known]]


def _synced_correlation(generated: Observation, truth: Observation, truth_sync: Measures) -> float:
    confident = truth_sync.get("sync_confidence", 0.0) >= CONFIDENT
    offset = truth_sync.get("sync_offset", 0.0) if confident else 0.0
    true = truth.lips.at_times(generated.lips.times - offset / FPS)
    return correlation(generated.lips.openings, true.openings)


def _common(generated: Observation, source: Observation, audio: Wave | None) -> Measures:
    """Measures of every protocol: sharpness, flicker, and whether the file is whole."""
    ours, theirs = pair_crops(generated, source)
    nearest = source.nearest(generated.times)
    return {
        **pictures.sharpness_ratio(generated.detail, source.detail[nearest]),
        "sharpness_crop": pictures.crop_sharpness(ours, theirs),
        "flicker": pictures.flicker(ours, theirs),
        "frames_error": float(generated.frames - source.frames),
        "duration_error": generated.duration - source.duration,
        **({} if audio is None else {"audio_offset_ms": audio_offset(generated.path, audio)}),
    }
