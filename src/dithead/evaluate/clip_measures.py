"""One generated clip against what it should be: the three protocols, each a flat table of numbers.

``self``: driven by its own audio.  ``cross``: by another clip's.  ``silent``: by silence. NaN: it failed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dithead.critics.sync_expert import FPS
from dithead.errors import MediaError
from dithead.evaluate import picture_quality as pictures
from dithead.evaluate.experts import Experts
from dithead.evaluate.lip_series import Measures, compare, compare_cross, compare_silent, correlation, jitter_ratio
from dithead.evaluate.observe_video import Observation
from dithead.media.audio import read_audio
from dithead.prepare.settings import PrepareConfig
from dithead.types import Wave

RATE = 16000
SURE: float = PrepareConfig.offset_confidence  # from which ``prepare`` moves a sound
_FARTHEST = 0.5  # seconds searched for the audio's offset


def measure_self(
    generated: Observation, truth: Observation, audio: Wave | None = None, experts: Experts | None = None
) -> Measures:
    """Own audio: the truth is the clip itself. ``audio``: what was to be heard, for the audio's offset."""
    ours, theirs = paired(generated, truth)
    return {
        **compare(generated.lips, truth.lips),
        "psnr": pictures.psnr(ours, theirs),
        "psnr_mouth": pictures.psnr(pictures.mouth_of(ours), pictures.mouth_of(theirs)),
        "ssim": pictures.ssim(ours, theirs),
        **({} if experts is None else experts.measure(ours, theirs)),
        **_common(generated, truth, audio),
    }


def measure_in_sync(generated: Observation, truth: Observation, spoken: Measures) -> Measures:
    """The correlation with lips that were in step with the sound; ``spoken`` are the truth's own speech measures.

    Where the scoring expert is sure that the truth's sound is late or early, lips that follow it cannot be the truth's
    at the same moment: they are compared with those of the moment it belongs to.
    """
    return {"lip_synced_correlation": _in_sync(generated, truth, spoken)}


def _in_sync(generated: Observation, truth: Observation, spoken: Measures) -> float:
    offset = spoken.get("sync_offset", 0.0) if spoken.get("sync_confidence", 0.0) >= SURE else 0.0
    theirs = truth.lips.on_clock(generated.lips.times - offset / FPS)
    return correlation(generated.lips.aperture, theirs.aperture)


def measure_cross(
    generated: Observation,
    source: Observation,
    driver: Observation,
    audio: Wave | None = None,
    spoken: Measures | None = None,
) -> Measures:
    """Another clip's audio: the lips should be those of ``driver``, everything else that of ``source``.

    ``spoken`` are the driver's own speech measures, see ``measure_in_sync``.
    """
    return {
        **({} if spoken is None else {"driver_synced_correlation": _in_sync(generated, driver, spoken)}),
        **compare_cross(generated.lips, driver.lips, source.lips),
        "jitter": jitter_ratio(generated.lips, driver.lips),
        **_common(generated, source, audio),
    }


def measure_silent(generated: Observation, source: Observation) -> Measures:
    """Silence: the lips should rest."""
    return {**compare_silent(generated.lips, source.lips), **_common(generated, source, None)}


def audio_offset(path: Path, wave: Wave) -> float:
    """Milliseconds by which a video's sound runs late against ``wave`` (n,) at 16 kHz; NaN if silent."""
    try:
        heard = read_audio(path, RATE)
    except MediaError:
        return float("nan")
    if not np.any(heard) or not np.any(wave):
        return float("nan")
    size = 1 << int(len(heard) + len(wave) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(wave, size)), size)
    reach = int(_FARTHEST * RATE)
    around = np.concatenate([product[-reach:], product[: reach + 1]])
    return float(int(np.argmax(around)) - reach) * 1000 / RATE


def _common(generated: Observation, source: Observation, audio: Wave | None) -> Measures:
    """What holds for every protocol: sharpness, flicker and the integrity of the file."""
    ours, theirs = paired(generated, source)
    nearest = source.nearest(generated.times)
    return {
        **pictures.detail_ratio(generated.detail, source.detail[nearest]),
        "sharpness_crop": pictures.crop_sharpness(ours, theirs),
        "flicker": pictures.flicker(ours, theirs),
        "frames_error": float(generated.frames - source.frames),
        "duration_error": generated.duration - source.duration,
        **({} if audio is None else {"audio_offset_ms": audio_offset(generated.path, audio)}),
    }


def paired(generated: Observation, source: Observation) -> tuple[pictures.Crops, pictures.Crops]:
    """The crops of both, frame by frame in time, where both know the face's place."""
    nearest = source.nearest(generated.times)
    known = [
        i for i, j in enumerate(nearest) if generated.transforms[i] is not None and source.transforms[j] is not None
    ]
    return generated.crops[known], source.crops[nearest[known]]
