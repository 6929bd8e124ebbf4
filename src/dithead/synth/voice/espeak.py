"""Speech with exact phoneme times from the espeak-ng library.

The C library is driven through ctypes because that is the only interface which reports every phoneme together with the
position in the sound at which it begins, see
https://github.com/espeak-ng/espeak-ng/blob/1.51/src/include/espeak-ng/speak_lib.h

The library carries state from one utterance to the next, so the same words would sound different the second time. Each
utterance is therefore made in a process of its own (`python -m dithead.synth.voice.espeak`).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError, DitheadError
from dithead.synth.voice.utterance import Phoneme, Utterance

# Values of speak_lib.h; the names there are in the comments.
_SYNCHRONOUS = 0x02  # AUDIO_OUTPUT_SYNCHRONOUS
_PHONEME_EVENTS_IPA = 0x03  # espeakINITIALIZE_PHONEME_EVENTS | espeakINITIALIZE_PHONEME_IPA
_UTF8 = 1  # espeakCHARS_UTF8
_PHONEMES_IN_TEXT = 0x100  # espeakPHONEMES: [[...]] in the text holds phoneme signs
_END_EVENT, _PHONEME_EVENT = 0, 7  # espeakEVENT_LIST_TERMINATED, espeakEVENT_PHONEME
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeakRATE, espeakVOLUME, espeakPITCH, espeakRANGE
_LOUDNESS = 90  # value for espeakVOLUME; 100 is the default of espeak-ng; our choice


@dataclass(frozen=True)
class EspeakVoice:
    """A voice of espeak-ng."""

    language: str = "en"  # a code of `espeak-ng --voices`
    variant: str = ""  # m1 to m8 or f1 to f5; '' is the language's own voice
    rate: int = 165  # words per minute
    pitch: int = 50  # 0 to 99
    pitch_range: int = 50  # 0 to 99, how far the pitch moves within a sentence


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Library:
    """The C library, opened once per process, and the samples and phonemes that its callback collects."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        try:
            self.functions = ctypes.CDLL(name)
        except OSError as error:
            raise DitheadError("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng") from error
        self.rate = self.functions.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA)
        if self.rate <= 0:
            raise DitheadError("espeak-ng is installed but its data is not; apt-get install espeak-ng-data")
        self.samples: list[NDArray[np.int16]] = []
        self.phoneme_starts: list[tuple[float, str]] = []
        self._callback = _Callback(self._collect)  # must stay referenced: the library holds a bare pointer to it
        self.functions.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.samples.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        number = 0
        while events[number].type != _END_EVENT:
            event = events[number]
            if event.type == _PHONEME_EVENT:
                symbol = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
                self.phoneme_starts.append((event.audio_position / 1000.0, symbol))
            number += 1
        return 0


@lru_cache(maxsize=1)
def _library() -> _Library:
    return _Library()


def speak(text: str, voice: EspeakVoice) -> Utterance:
    """Synthesise ``text`` with ``voice`` in a child process.

    Args:
        text: What is said; espeak-ng's own phoneme signs may stand in double square brackets.
        voice: Language, variant, rate and pitch.

    Returns:
        The utterance at the sample rate of the library, usually 22,050 Hz.

    Raises:
        DitheadError: espeak-ng is not installed, or it failed.
        DataError: espeak-ng does not know the language, or it made no sound.
    """
    request = json.dumps({"text": text, "voice": asdict(voice)}).encode()
    package = str(Path(__file__).parents[3])
    paths = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
    child = subprocess.run(
        [sys.executable, "-m", "dithead.synth.voice.espeak"],
        input=request, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    header, _, samples = child.stdout.partition(b"\n")
    if child.returncode != 0 or not header:
        raise DitheadError(f"espeak-ng failed on {text!r}: {child.stderr.decode(errors='replace')[-300:].strip()}")
    answer = json.loads(header)
    if "error" in answer:
        raise (DataError if answer["data"] else DitheadError)(answer["error"])
    wave = np.frombuffer(samples, np.int16).astype(np.float32) / np.float32(32768)
    starts = [(float(start), str(symbol)) for start, symbol in answer["phoneme_starts"]]
    rate = int(answer["rate"])
    return Utterance(wave, rate, _phonemes(starts, len(wave) / rate), voice.language, text)


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Carry out a request in the child process; returns a header and 16-bit samples."""
    try:
        library, wave = _synthesise(request["text"], EspeakVoice(**request["voice"]))
    except DitheadError as error:
        return {"error": str(error), "data": isinstance(error, DataError)}, b""
    return {"rate": library.rate, "phoneme_starts": library.phoneme_starts}, wave.tobytes()


def _synthesise(text: str, voice: EspeakVoice) -> tuple[_Library, NDArray[np.int16]]:
    library = _library()
    functions = library.functions
    name = voice.language + (f"+{voice.variant}" if voice.variant else "")
    if functions.espeak_SetVoiceByName(name.encode()) != 0:
        raise DataError(f"espeak-ng has no voice {name!r}; `espeak-ng --voices` lists them")
    settings = ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range), (_VOLUME, _LOUDNESS))
    for parameter, value in settings:
        functions.espeak_SetParameter(parameter, int(value), 0)
    raw = text.encode()
    flags = _UTF8 | (_PHONEMES_IN_TEXT if "[[" in text else 0)
    functions.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, flags, None, None)
    functions.espeak_Synchronize()
    if not library.samples:
        raise DataError(f"espeak-ng made no sound for {text!r}; give it a text with words")
    return library, np.concatenate(library.samples).astype(np.int16)


def _phonemes(starts: list[tuple[float, str]], duration: float) -> tuple[Phoneme, ...]:
    """Phonemes from their start times; espeak-ng marks a pause with '_' or with an empty symbol."""
    ends = [start for start, _ in starts[1:]] + [duration]
    phonemes = []
    for (start, symbol), end in zip(starts, ends, strict=True):
        if end > start:
            phonemes.append(Phoneme("" if symbol.strip("_:;|'ˈˌ ") == "" else symbol, start, min(end, duration)))
    return tuple(phonemes)


def version() -> str:
    """Return the version of the espeak-ng library, for provenance."""
    functions = _library().functions
    functions.espeak_Info.restype = ctypes.c_char_p
    return str(functions.espeak_Info(None).decode())


def _main() -> None:
    header, samples = _answer(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + samples)


if __name__ == "__main__":
    _main()
