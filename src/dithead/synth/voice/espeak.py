"""Speech with exact phoneme times from the espeak-ng library.

The C library is driven through ctypes: it is the only interface that reports every phoneme with the sample at
which it begins. https://github.com/espeak-ng/espeak-ng/blob/1.51/src/include/espeak-ng/speak_lib.h
It carries state from one utterance to the next, so that the same words sound different the second time: each
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
from dithead.synth.types import Phoneme, Speech

_SYNCHRONOUS = 0x02  # AUDIO_OUTPUT_SYNCHRONOUS
_PHONEME_EVENTS_IPA = 0x03  # espeakINITIALIZE_PHONEME_EVENTS | _PHONEME_IPA
_UTF8 = 1
_SPELT = 0x100  # espeakPHONEMES: [[...]] in the text are phonemes
_END, _PHONEME = 0, 7  # espeak_EVENT_TYPE
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4  # espeak_PARAMETER


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice: language, variant (m1..m8, f1..f5 or ''), words a minute, pitch and its range 0..99."""

    language: str = "en"
    variant: str = ""
    rate: int = 165
    pitch: int = 50
    pitch_range: int = 50


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int), ("unique_identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", _Id),
    ]  # fmt: skip


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class _Engine:
    """The library, opened once a process, and what its callback collects."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng") or "libespeak-ng.so.1"
        try:
            self.library = ctypes.CDLL(name)
        except OSError as error:
            raise DitheadError("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng") from error
        self.rate = self.library.espeak_Initialize(_SYNCHRONOUS, 0, None, _PHONEME_EVENTS_IPA)
        if self.rate <= 0:
            raise DitheadError("espeak-ng is installed but its data is not; apt-get install espeak-ng-data")
        self.samples: list[NDArray[np.int16]] = []
        self.marks: list[tuple[float, str]] = []
        self._callback = _Callback(self._collect)  # kept alive: the library holds a bare pointer
        self.library.espeak_SetSynthCallback(self._callback)

    def _collect(self, wave: Any, count: int, events: Any) -> int:
        if wave and count > 0:
            self.samples.append(np.ctypeslib.as_array(wave, shape=(count,)).copy())
        number = 0
        while events[number].type != _END:
            event = events[number]
            if event.type == _PHONEME:
                symbol = bytes(event.id.string).split(b"\0")[0].decode("utf-8", "replace")
                self.marks.append((event.audio_position / 1000.0, symbol))
            number += 1
        return 0


@lru_cache(maxsize=1)
def _engine() -> _Engine:
    return _Engine()


def speak(text: str, voice: Voice) -> Speech:
    """Synthesise ``text``; raises DitheadError without espeak-ng, DataError for a language it does not know."""
    request = json.dumps({"text": text, "voice": asdict(voice)}).encode()
    package = str(Path(__file__).parents[3])
    paths = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
    child = subprocess.run(
        [sys.executable, "-m", "dithead.synth.voice.espeak"],
        input=request, capture_output=True, check=False, env=os.environ | {"PYTHONPATH": paths},
    )  # fmt: skip
    head, _, raw = child.stdout.partition(b"\n")
    if child.returncode != 0 or not head:
        raise DitheadError(f"espeak-ng failed on {text!r}: {child.stderr.decode(errors='replace')[-300:].strip()}")
    answer = json.loads(head)
    if "error" in answer:
        raise (DataError if answer["data"] else DitheadError)(answer["error"])
    wave = np.frombuffer(raw, np.int16).astype(np.float32) / 32768
    marks = [(float(start), str(symbol)) for start, symbol in answer["marks"]]
    rate = int(answer["rate"])
    return Speech(wave, rate, _intervals(marks, len(wave) / rate), voice.language, text)


def _answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """What the child process reports: a header and 16-bit samples."""
    try:
        engine, wave = _synthesise(request["text"], Voice(**request["voice"]))
    except DitheadError as error:
        return {"error": str(error), "data": isinstance(error, DataError)}, b""
    return {"rate": engine.rate, "marks": engine.marks}, wave.tobytes()


def _synthesise(text: str, voice: Voice) -> tuple[_Engine, NDArray[np.int16]]:
    engine = _engine()
    library = engine.library
    name = voice.language + (f"+{voice.variant}" if voice.variant else "")
    if library.espeak_SetVoiceByName(name.encode()) != 0:
        raise DataError(f"espeak-ng has no voice {name!r}; `espeak-ng --voices` lists them")
    for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range), (_VOLUME, 90)):
        library.espeak_SetParameter(parameter, int(value), 0)
    raw = text.encode()
    library.espeak_Synth(raw, len(raw) + 1, 0, 1, 0, _UTF8 | (_SPELT if "[[" in text else 0), None, None)
    library.espeak_Synchronize()
    if not engine.samples:
        raise DataError(f"espeak-ng made no sound of {text!r}")
    return engine, np.concatenate(engine.samples).astype(np.int16)


def _intervals(marks: list[tuple[float, str]], duration: float) -> tuple[Phoneme, ...]:
    """Begin times to intervals; espeak marks pauses by '_' or an empty symbol."""
    ends = [start for start, _ in marks[1:]] + [duration]
    intervals = []
    for (start, symbol), end in zip(marks, ends, strict=True):
        if end > start:
            intervals.append(Phoneme("" if symbol.strip("_:;|'ˈˌ ") == "" else symbol, start, min(end, duration)))
    return tuple(intervals)


def version() -> str:
    """The espeak-ng library's version, for provenance."""
    library = _engine().library
    library.espeak_Info.restype = ctypes.c_char_p
    return str(library.espeak_Info(None).decode())


def _main() -> None:
    header, samples = _answer(json.loads(sys.stdin.buffer.read()))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + samples)


if __name__ == "__main__":
    _main()
