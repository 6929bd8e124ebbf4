"""Speech from given recordings, and the mouth that speaks it.

Beside ``NAME.wav`` (or another sound or video file) may lie, the first that is there counts: phoneme times
(``NAME.TextGrid``, ``NAME.ctm``, ``NAME.json``), or what is said (``NAME.txt``), which is aligned. With neither the
mouth follows the sound alone. Measured on real speakers in docs/synth.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dithead.errors import DataError
from dithead.media.audio import read_audio
from dithead.synth.face.sound_to_mouth import mouth_from_sound
from dithead.synth.face.visemes import CONTROLS, CURVE_RATE, SpeakingStyle, mouth_curves
from dithead.synth.types import Floats, Speech
from dithead.synth.voice.phoneme_alignment import align
from dithead.synth.voice.timings import read_timings, timings_beside

_SOUNDS = ".wav .flac .ogg .opus .mp3 .m4a .aac .mp4 .m4v .mkv .mov .webm .avi .mpg .mpeg"
SUFFIXES = frozenset(_SOUNDS.split())
RATE = 16000
LANGUAGE = "en"


@dataclass(frozen=True)
class Recording:
    """A recording at 16 kHz. ``heard`` (T, 8) at ``visemes.RATE``: the mouth its sound alone suggests, None where
    exact times make that needless."""

    path: Path
    speech: Speech
    heard: Floats | None

    def curves(self, start: float, duration: float, style: SpeakingStyle) -> Floats:
        """The mouth's controls (T, 8) from ``start`` for ``duration`` seconds.

        Of an aligned text the sounds are known, but when and how far the jaw opens is heard better: half of each.
        """
        moved = tuple(replace(p, start=p.start - start, end=p.end - start) for p in self.speech.phonemes)
        said = mouth_curves(moved, duration, style)
        if self.heard is None:
            return said
        heard = self.heard[round(start * CURVE_RATE) :][: len(said)] * np.array([*style.gain, 1.0], np.float32)
        heard = np.pad(heard, ((0, len(said) - len(heard)), (0, 0)))
        if not self.speech.phonemes:
            return heard
        opening = [CONTROLS.index("jaw"), CONTROLS.index("part")]
        said[:, opening] = 0.5 * (said[:, opening] + heard[:, opening] * (1 - said[:, -1:]))
        return said


def find_recordings(folder: Path) -> list[Path]:
    """Sound and video files below ``folder`` in a fixed order; raises DataError when there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the recordings")
    found = [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and p.name[0] != "."]
    if not found:
        raise DataError(f"{folder}: no recording in it; supported are {', '.join(sorted(SUFFIXES))}")
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def read_recording(path: Path, language: str = LANGUAGE) -> Recording:
    """A recording and what is said when. Raises MediaError without sound, DataError for what lies beside it."""
    wave = read_audio(path, RATE)
    if times := timings_beside(path):
        return Recording(path, Speech(wave, RATE, read_timings(times), language, ""), None)
    transcript = path.with_suffix(".txt")
    if transcript.is_file() and (text := _text(transcript)):
        return Recording(path, align(wave, text, language), mouth_from_sound(wave))
    return Recording(path, Speech(wave, RATE, (), language, ""), mouth_from_sound(wave))


def licence_of(folder: Path) -> str:
    """What the folder's SOURCES.json says of all of it, else "unknown"."""
    try:
        entry = json.loads((folder / "SOURCES.json").read_text("utf-8")).get(".", {})
        return str(entry.get("licence", "unknown"))
    except (OSError, ValueError, AttributeError):
        return "unknown"


def _text(path: Path) -> str:
    try:
        return " ".join(path.read_text("utf-8-sig").split())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a text in UTF-8 ({error})") from None
