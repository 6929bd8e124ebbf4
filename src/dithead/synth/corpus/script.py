"""Scripts of clips: what is said, how it sounds, and how the mouth moves in every frame.

Letters: N video frames, n audio samples at 16 kHz, T samples of the control curves at ``visemes.CURVE_RATE``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from dithead.synth.corpus.recordings import Recording
from dithead.synth.face.blendshapes import LATE, UnitRecording
from dithead.synth.face.expression import MouthTrack
from dithead.synth.face.units import units_of
from dithead.synth.face.visemes import CURVE_RATE, OPENING, SpeakingStyle, lip_sticking, mouth_curves, sample_style
from dithead.synth.types import Floats
from dithead.synth.voice.delivery import add_pauses, loudness_gain
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.microphone import SAMPLE_RATE, simulate_microphone
from dithead.synth.voice.texts import sample_text, wordless_sounds
from dithead.synth.voice.utterance import Phoneme, Utterance
from dithead.types import Wave

_SILENT_SHARE = 0.05  # of the clips in which nobody speaks, so that lips learn to rest; our choice
_WORDLESS_SHARE = 0.05  # of the others in which somebody hums, laughs or hesitates; our choice
_LEAD = 0.25  # seconds of silence before a given text
_CONTEXT = 0.2  # seconds around a clip in which phonemes still shape its first and last mouths
_SILENCE_RATE = 22050  # samples per second of an utterance that is silent, as espeak-ng's are


@dataclass(frozen=True)
class ClipTiming:
    """The number of frames in a clip and how many there are per second."""

    frames: int
    fps: float

    @property
    def seconds(self) -> float:
        """The clip's length."""
        return self.frames / self.fps


@dataclass(frozen=True)
class Script:
    """What is said in a clip and the mouth movement that says it, cut to the clip's length."""

    wave: Wave  # (n,) at 16 kHz, as the microphone records it
    utterance: Utterance  # as it was spoken, before the microphone
    mouth: MouthTrack  # at the middle of each frame
    voice: EspeakVoice | None  # None where a recording is spoken

    @property
    def phonemes(self) -> tuple[Phoneme, ...]:
        """The phonemes with their times from the beginning of the clip."""
        return self.utterance.phonemes

    @property
    def text(self) -> str:
        """The words, where they are known; else ''."""
        return self.utterance.text


def write_script(
    rng: np.random.Generator, voice: EspeakVoice, timing: ClipTiming, *,
    text: str | None = None, style: SpeakingStyle | None = None, clean: bool = False,
) -> Script:  # fmt: skip
    """Let espeak-ng speak, and derive the sound and the mouth movement of a clip.

    Args:
        rng: Draws everything that is not given.
        voice: Who speaks.
        timing: The clip's length.
        text: What is said; None draws a text, sounds without words, or silence.
        style: How the speaker moves the mouth; None draws it.
        clean: Record without room and noise.

    Returns:
        A script of the clip's length.
    """
    drawn = text or _sample_speech(rng, voice.language, timing.seconds)
    silent = text is None and rng.random() < _SILENT_SHARE
    spoken = silent_utterance(timing.seconds, voice.language) if silent else speak(drawn, voice)
    spoken = add_pauses(spoken, rng) if text is None and not silent else spoken
    utterance = _fit_to_clip(spoken, timing.seconds, rng, from_start=text is not None)
    return script_of(utterance, rng, voice, timing, style=style, clean=clean)


def _sample_speech(rng: np.random.Generator, language: str, seconds: float) -> str:
    return wordless_sounds(rng, seconds) if rng.random() < _WORDLESS_SHARE else sample_text(rng, language, seconds)


def script_of(
    utterance: Utterance, rng: np.random.Generator, voice: EspeakVoice, timing: ClipTiming, *,
    style: SpeakingStyle | None = None, clean: bool = False,
) -> Script:  # fmt: skip
    """Derive the recorded sound and the mouth movement of an utterance of the clip's length.

    Args:
        utterance: What is said, exactly as long as the clip.
        rng: Draws the microphone, and the style where none is given.
        voice: Who speaks, for the record.
        timing: The clip's length.
        style: How the speaker moves the mouth; None draws it.
        clean: Record without room and noise.

    Returns:
        The script.
    """
    style = style or sample_style(rng)
    curves = mouth_curves(utterance.phonemes, timing.seconds, style)
    curves[:, OPENING] *= loudness_gain(utterance.wave, utterance.rate, len(curves), CURVE_RATE)[:, None]
    wave = simulate_microphone(utterance.wave, utterance.rate, rng, clean=clean)
    return Script(wave, utterance, track_of_curves(curves, style, timing), voice)


def recorded_script(recording: Recording, rng: np.random.Generator, frames: int, fps: float) -> Script:
    """Make the script of somebody who speaks a recording; its sound stays unchanged.

    Args:
        recording: What is spoken.
        rng: Draws the style, and which piece of the recording is spoken.
        frames: Length of the clip; 0 takes the whole recording.
        fps: Frames per second.

    Returns:
        A script without a voice.
    """
    style, length = sample_style(rng), len(recording.utterance.wave) / recording.utterance.rate
    start = float(rng.uniform(0, max(length - frames / fps, 0))) if frames else 0.0
    timing = ClipTiming(frames or max(round(length * fps), 1), fps)
    utterance = _cut(recording.utterance, start, timing.seconds)
    if recording.recorded is not None:
        mouth = _track_of_units(recording.recorded, start, timing)
    else:
        mouth = track_of_curves(recording.curves(start, timing.seconds, style), style, timing)
    return Script(utterance.wave, utterance, mouth, None)


def track_of_curves(curves: Floats, style: SpeakingStyle, timing: ClipTiming) -> MouthTrack:
    """Sample a mouth's movement at each frame.

    Args:
        curves: (T, 11) from `mouth_curves`.
        style: How the speaker moves the mouth.
        timing: The clip's length.

    Returns:
        The movement in N frames.
    """
    change = np.gradient(units_of(curves, style.press), 1 / CURVE_RATE, axis=0)
    stick = lip_sticking(curves, style.stick_time)[:, None]
    held = MouthTrack.of_controls(_at_frames(curves, timing), style.press)
    return replace(held, change=_at_frames(change, timing), stick=_at_frames(stick, timing)[:, 0])


def _track_of_units(recorded: UnitRecording, start: float, timing: ClipTiming) -> MouthTrack:
    """A mouth that follows recorded units from ``start`` seconds on; both sides are in them already."""
    units = recorded.at(start + (np.arange(timing.frames) + 0.5) / timing.fps + LATE)
    nothing = np.zeros(timing.frames, np.float32)
    return MouthTrack(units, np.zeros_like(units), nothing, nothing, nothing, nothing)


def _at_frames(curves: Floats, timing: ClipTiming) -> Floats:
    """Curves (T, K) at the middle of each frame's exposure: (N, K)."""
    at = (np.arange(timing.frames) + 0.5) / timing.fps * CURVE_RATE
    rows = [np.interp(at, np.arange(len(curves)), curve) for curve in curves.T]
    return np.stack(rows, axis=1).astype(np.float32)


def _cut(utterance: Utterance, start: float, duration: float) -> Utterance:
    """``duration`` seconds from ``start``, with silence beyond the end."""
    count = round(duration * utterance.rate)
    wave = utterance.wave[round(start * utterance.rate) :][:count]
    wave = np.pad(wave, (0, count - len(wave)))
    return replace(utterance, wave=wave, phonemes=_shift_phonemes(utterance, -start, duration))


def _fit_to_clip(utterance: Utterance, duration: float, rng: np.random.Generator, *, from_start: bool) -> Utterance:
    """Exactly ``duration`` seconds: all from the start, after some silence, or a random part of longer speech."""
    length = len(utterance.wave) / utterance.rate
    lead = _LEAD if from_start else -float(rng.choice([0.0, rng.uniform(0, max(length - duration, 0.01))]))
    lead = min(lead, 0.3 * duration)
    count = round(duration * utterance.rate)
    wave = np.zeros(count, np.float32)
    start = round(lead * utterance.rate)
    source = utterance.wave[max(-start, 0) :][: count - max(start, 0)]
    wave[max(start, 0) : max(start, 0) + len(source)] = source
    return replace(utterance, wave=wave, phonemes=_shift_phonemes(utterance, lead, duration))


def _shift_phonemes(utterance: Utterance, shift: float, duration: float) -> tuple[Phoneme, ...]:
    """The phonemes moved by ``shift`` seconds, without those that do not touch the clip."""
    moved = [replace(p, start=p.start + shift, end=p.end + shift) for p in utterance.phonemes]
    return tuple(p for p in moved if p.end > -_CONTEXT and p.start < duration + _CONTEXT)


def silent_utterance(duration: float, language: str) -> Utterance:
    """Make an utterance of somebody who says nothing: nearly zero samples and no phonemes."""
    wave = np.full(int(duration * _SILENCE_RATE), 1e-5, np.float32)
    return Utterance(wave, _SILENCE_RATE, (), language, "")


def frame_loudness(wave: Wave, frames: int, fps: float) -> Floats:
    """Compute the level of each frame's sound.

    Args:
        wave: Sound (n,) at 16 kHz.
        frames: N, how many frames there are.
        fps: Frames per second.

    Returns:
        Root mean square (N,), relative to the loudest frame: 0 to 1.
    """
    edges = (np.arange(frames + 1) / fps * SAMPLE_RATE).astype(int)
    pieces = [wave[a:b] for a, b in pairwise(edges)]
    level = np.array([np.sqrt(np.mean(p**2) + 1e-12) if len(p) else 0.0 for p in pieces])
    return np.asarray(level / max(level.max(), 1e-6), np.float32)
