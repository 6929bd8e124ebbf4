"""Read recordings that people of a corpus shall speak, and the mouth movement that belongs to them.

Beside ``NAME.wav`` (or another sound or video file) may lie recorded blendshapes (``NAME.npz``), phoneme times
(``NAME.TextGrid``, ``NAME.ctm`` or ``NAME.json``) or the text (``NAME.txt``), which is then aligned; the first of these
is taken. With none, the mouth follows the sound alone. docs/howto/synth.md compares the three on real speakers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dithead.errors import DataError
from dithead.media.audio import read_audio
from dithead.synth.face.blendshapes import UnitRecording, read_blendshapes
from dithead.synth.face.sound_to_mouth import mouth_from_sound
from dithead.synth.face.visemes import CURVE_RATE, OPENING, SpeakingStyle, mouth_curves
from dithead.synth.types import Floats
from dithead.synth.voice.microphone import SAMPLE_RATE
from dithead.synth.voice.phoneme_alignment import align
from dithead.synth.voice.timings import find_timings, read_timings
from dithead.synth.voice.utterance import Utterance

_SOUNDS = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".m4a", ".aac"}
_VIDEOS = {".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".mpg", ".mpeg"}
_SUFFIXES = frozenset(_SOUNDS | _VIDEOS)

DEFAULT_LANGUAGE = "en"
"""espeak-ng's code of the language in which texts are aligned where none is named."""


@dataclass(frozen=True)
class Recording:
    """A recording at 16 kHz, its phonemes as far as they are known, and the mouth movement that its sound suggests."""

    path: Path
    utterance: Utterance
    curves_from_sound: Floats | None
    """Control curves (T, 11) at ``visemes.CURVE_RATE``; None where exact phoneme times make them needless."""
    recorded: UnitRecording | None = None
    """The face units of somebody who was recorded as they spoke; the mouth then follows these alone."""

    def curves(self, start: float, duration: float, style: SpeakingStyle) -> Floats:
        """Compute the mouth's control curves for a piece of the recording.

        The phonemes of an aligned text are right, but the sound tells better when and how far the jaw opens. The
        opening is therefore the mean of both.

        Args:
            start: Where the piece begins, in seconds.
            duration: Its length in seconds.
            style: How the speaker moves the mouth.

        Returns:
            Curves (T, 11) at ``visemes.CURVE_RATE``.
        """
        moved = tuple(replace(p, start=p.start - start, end=p.end - start) for p in self.utterance.phonemes)
        curves = mouth_curves(moved, duration, style)
        if self.curves_from_sound is None:
            return curves
        from_sound = self.curves_from_sound[round(start * CURVE_RATE) :][: len(curves)]
        from_sound = from_sound * np.array([*style.gain, 1.0], np.float32)
        from_sound = np.pad(from_sound, ((0, len(curves) - len(from_sound)), (0, 0)))
        if not self.utterance.phonemes:
            return from_sound
        curves[:, OPENING] = 0.5 * (curves[:, OPENING] + from_sound[:, OPENING])
        return curves


def find_recordings(folder: Path) -> list[Path]:
    """Return the sound and video files below ``folder`` in a fixed order; raises DataError when there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the recordings")
    found = [p for p in folder.rglob("*") if p.suffix.lower() in _SUFFIXES and p.is_file() and p.name[0] != "."]
    if not found:
        raise DataError(f"{folder}: no recording in it; supported are {', '.join(sorted(_SUFFIXES))}")
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def read_recording(path: Path, language: str = DEFAULT_LANGUAGE) -> Recording:
    """Read a recording, and its phoneme times or its text where they lie beside it.

    Args:
        path: A sound or video file.
        language: espeak-ng's code of the language in which a text is aligned.

    Returns:
        The recording with everything that is known about its mouth.

    Raises:
        MediaError: The file has no sound.
        DataError: The blendshapes, the file of phoneme times or the text cannot be used.
    """
    wave = read_audio(path, SAMPLE_RATE)
    if (blendshapes := path.with_suffix(".npz")).is_file():
        unknown = Utterance(wave, SAMPLE_RATE, (), language, "")
        return Recording(path, unknown, None, read_blendshapes(blendshapes))
    if timings := find_timings(path):
        return Recording(path, Utterance(wave, SAMPLE_RATE, read_timings(timings), language, ""), None)
    transcript = path.with_suffix(".txt")
    if transcript.is_file() and (text := _read_text(transcript)):
        return Recording(path, align(wave, text, language), mouth_from_sound(wave))
    return Recording(path, Utterance(wave, SAMPLE_RATE, (), language, ""), mouth_from_sound(wave))


def licence_of_folder(folder: Path) -> str:
    """Return the licence that the folder's SOURCES.json states for all of it, else "unknown"."""
    try:
        entry = json.loads((folder / "SOURCES.json").read_text("utf-8")).get(".", {})
        return str(entry.get("licence", "unknown"))
    except (OSError, ValueError, AttributeError):
        return "unknown"


def _read_text(path: Path) -> str:
    try:
        return " ".join(path.read_text("utf-8-sig").split())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as text in UTF-8 ({error}); correct the file or remove it") from None
