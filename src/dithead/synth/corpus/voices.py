"""A corpus of voices without faces: what is said, and how the mouth moves to say it, for the audio encoder.

Real voices of Festival and Flite next to espeak-ng's many languages. Tempo and vocal tract vary by resampling, which
keeps sound and mouth together. Item ``i`` of seed ``s`` depends on (s, i) alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.engine import Engine, map_tasks
from dithead.errors import ConfigError, DitheadError, OutputError
from dithead.synth.corpus.clip_files import save_arrays
from dithead.synth.corpus.talking_clip import sample_voice
from dithead.synth.face.visemes import CURVE_RATE, SpeakingStyle, lip_gap, mouth_curves
from dithead.synth.types import Phoneme, Speech
from dithead.synth.voice.delivery import effort
from dithead.synth.voice.espeak import speak
from dithead.synth.voice.festival import Reader, installed_readers, read_aloud
from dithead.synth.voice.microphone import record
from dithead.synth.voice.texts import SENTENCES, nonsense, sample_text
from dithead.types import Wave

MOUTH_RATE = 100
"""Mouth positions a second in the corpus: one per frame of the log-mel spectrogram."""
ESPEAK_SHARE = 0.35
_VOWELS, _ONSETS = "aeiou", ("p", "b", "m", "f", "v", "t", "d", "n", "s", "l", "r", "k", "g", "h", "")
_SCRIPTS = {"hi": 0x0900, "te": 0x0C00}  # first code point: the Indic blocks lie in the same order
_CONSONANTS, _SIGNS = (0x15, 0x17, 0x1A, 0x1C, 0x24, 0x26, 0x28, 0x2A, 0x2B, 0x2C, 0x2D, 0x2E, 0x2F, 0x30, 0x32, 0x35,
                       0x38, 0x39), (0x3E, 0x3F, 0x40, 0x41, 0x42, 0x47, 0x4B)  # fmt: skip
_LATIN = ("it", "ca", "cs", "fi")
_CYRILLIC = ("пбмфвтднслркгх", "аеиоуыя")


@dataclass(frozen=True)
class VoiceClip:
    """Speech (n,) int16 at 16 kHz; at 100 Hz the mouth's controls (T, 8) and the opening (T,), see ``visemes``."""

    wave: NDArray[np.int16]
    mouth: NDArray[np.float16]
    gap: NDArray[np.float32]
    voice: str

    @classmethod
    def load(cls, path: Path) -> VoiceClip:
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["wave"], stored["mouth"], stored["gap"], str(stored["voice"]))


def voice_corpus(
    count: int, output: str | Path, *, seed: int = 0, seconds: float = 10.0, workers: int = 1, engine: Engine = "local",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Write ``count`` clips of about ``seconds`` as ``voice_NNNNNN.npz``; what is there already stays.

    engine: where the ``workers`` are, processes of this machine or a Ray cluster that sees the folder.
    progress is called with (clips there, count).  Raises ConfigError or OutputError.
    """
    if count < 1 or seconds <= 0 or workers < 1:
        raise ConfigError("count, seconds and workers must be positive")
    root = Path(output)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{root}: cannot write there ({error.strerror or error})") from error
    paths = [root / f"voice_{i:06d}.npz" for i in range(count)]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    do = partial(_make, seed=seed, seconds=seconds, root=root.absolute())
    tasks = map_tasks(do, missing, engine=engine, workers=max(1, min(workers, len(missing))))
    for done, (_, result) in enumerate(tasks, start=count - len(missing) + 1):
        if isinstance(result, OSError):
            raise OutputError(f"{root}: cannot write there ({result.strerror or result}); run again to go on")
        if isinstance(result, Exception):
            raise result
        if progress:
            progress(done, count)
    return paths


def make_voice(rng: np.random.Generator, seconds: float) -> VoiceClip:
    """One clip of a random voice in a random language, pauses between its sentences."""
    readers = _readers()
    if not readers or rng.random() < ESPEAK_SHARE:
        voice = sample_voice(rng, bool(rng.random() < 0.5))
        parts = [speak(sample_text(rng, voice.language, seconds / 2), voice) for _ in range(2)]
        name = f"espeak-ng {voice.language} {voice.variant}"
    else:
        reader = readers[int(rng.integers(len(readers)))]
        texts = [reader_text(rng, reader) for _ in range(max(2, round(seconds / 3.5)))]
        parts = read_aloud(texts, reader, float(rng.uniform(0.85, 1.2)))
        name = f"{reader.engine} {reader.voice}"
    speech = _at_tempo(_joined(rng, parts), float(np.exp(rng.uniform(-0.2, 0.22))))
    duration = min(seconds, len(speech.wave) / speech.rate)
    wave = record(speech.wave[: round(duration * speech.rate)], speech.rate, rng)
    mouth = _mouth(speech.phonemes, duration)
    gap = lip_gap(mouth.astype(np.float32)) * effort(speech.wave, speech.rate, len(mouth), MOUTH_RATE)
    return VoiceClip(_int16(wave), mouth, gap, name)


def reader_text(rng: np.random.Generator, reader: Reader) -> str:
    """Something the reader can pronounce: sentences of its language where we have them, or made-up words."""
    if reader.language in SENTENCES and (reader.language == "en" or rng.random() < 0.4):
        text = sample_text(rng, reader.language, 1.0) if rng.random() < 0.5 else nonsense(rng, 7)
        return _plain(text) if reader.language in _LATIN else text
    if reader.language in _SCRIPTS:
        return _words(rng, lambda: _akshara(rng, _SCRIPTS[reader.language]))
    if reader.language == "ru":
        return _words(rng, lambda: str(rng.choice(list(_CYRILLIC[0]))) + str(rng.choice(list(_CYRILLIC[1]))))
    return _words(rng, lambda: str(rng.choice(_ONSETS)) + str(rng.choice(list(_VOWELS))))


def _plain(text: str) -> str:
    """Without accents: these voices read ISO-8859-1 or nothing beyond ASCII."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def _words(rng: np.random.Generator, syllable: Callable[[], str]) -> str:
    words = ["".join(syllable() for _ in range(int(rng.integers(1, 4)))) for _ in range(int(rng.integers(5, 10)))]
    return " ".join(words) + "."


def _akshara(rng: np.random.Generator, block: int) -> str:
    return chr(block + int(rng.choice(_CONSONANTS))) + chr(block + int(rng.choice(_SIGNS)))


def _joined(rng: np.random.Generator, parts: list[Speech]) -> Speech:
    """The parts one after another, silence of random length between them."""
    waves, phonemes, at = [], [], 0.0
    for part in parts:
        pause = np.full(round(rng.choice([0.05, 0.2, 0.6]) * part.rate), 1e-5, np.float32)
        at += len(pause) / part.rate
        phonemes += [replace(p, start=p.start + at, end=p.end + at) for p in part.phonemes]
        waves += [pause, part.wave]
        at += len(part.wave) / part.rate
    return replace(parts[0], wave=np.concatenate(waves), phonemes=tuple(phonemes))


def _at_tempo(speech: Speech, factor: float) -> Speech:
    """Played ``factor`` times as fast: shorter, higher, as from a smaller head."""
    moved = tuple(replace(p, start=p.start / factor, end=p.end / factor) for p in speech.phonemes)
    return replace(speech, rate=round(speech.rate * factor / 50) * 50, phonemes=moved)


def _mouth(phonemes: tuple[Phoneme, ...], duration: float) -> NDArray[np.float16]:
    curves = mouth_curves(phonemes, duration, SpeakingStyle())
    return np.asarray(curves[:: CURVE_RATE // MOUTH_RATE], np.float16)


def _int16(wave: Wave) -> NDArray[np.int16]:
    return np.asarray(np.clip(wave, -1, 1) * 32767, np.int16)


@lru_cache(maxsize=1)
def _readers() -> tuple[Reader, ...]:
    return tuple(installed_readers())


def _make(index: int, seed: int, seconds: float, root: Path) -> None:
    """Write clip ``index``, beside its name and then renamed; an utterance an engine chokes on is drawn again."""
    for attempt in range(5):
        try:
            clip = make_voice(np.random.default_rng([seed, index, attempt]), seconds)
            break
        except DitheadError:
            if attempt == 4:
                raise
    arrays: dict[str, NDArray[Any]] = {
        "wave": clip.wave,
        "mouth": clip.mouth,
        "gap": clip.gap,
        "voice": np.array(clip.voice),
    }
    save_arrays(root / f"voice_{index:06d}.npz", arrays)
