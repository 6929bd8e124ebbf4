"""Make a corpus of voices without faces, to train the audio encoder: speech, and how the mouth moves to say it.

Voices of Festival and Flite, which were recorded from people, and the neural voice Kokoro, where these are installed,
stand beside the many languages of espeak-ng. Resampling
varies tempo and vocal tract and keeps sound and mouth together. Clip ``i`` of seed ``s`` depends on (s, i) alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.engine import map_tasks
from dithead.errors import ConfigError, DitheadError, OutputError
from dithead.limits import read_json
from dithead.media.files import replacing
from dithead.synth.corpus.clip_files import save_arrays
from dithead.synth.corpus.options import VoicesOptions
from dithead.synth.corpus.voice_clip import MOUTH_RATE, VoiceClip
from dithead.synth.face.visemes import CURVE_RATE, OPENING, SpeakingStyle, mouth_curves
from dithead.synth.person.spoken_lips import lips_of_controls
from dithead.synth.types import Floats
from dithead.synth.voice.delivery import loudness_gain
from dithead.synth.voice.espeak import speak
from dithead.synth.voice.festival import FestivalVoice, installed_voices, speak_with_festival
from dithead.synth.voice.festival_texts import text_for_voice
from dithead.synth.voice.kokoro import Kokoro
from dithead.synth.voice.microphone import simulate_microphone
from dithead.synth.voice.random_voice import random_voice
from dithead.synth.voice.texts import sample_text
from dithead.synth.voice.utterance import Utterance
from dithead.types import Wave

_ESPEAK_SHARE = 0.35  # of the clips; all of them where neither Festival nor Flite is installed; our choice
_KOKORO_SHARE = 0.5  # of the clips, where there is Kokoro; our choice
_KOKORO_LANGUAGES = ("en", "en-us", "en-us", "es", "fr", "it", "pt")  # English more often, which its voices know best
_ATTEMPTS = 5  # a speech engine fails on some made-up words; then another utterance is drawn


def voice_corpus(
    count: int, output: str | Path, options: VoicesOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:  # fmt: skip
    """Write clips of speech as ``output/voice_NNNNNN.npz``, see `VoiceClip`; clips that are there stay.

    Args:
        count: How many clips there shall be.
        output: Folder of the corpus.
        options: Seed, lengths, voices, and where the work runs.
        progress: Is called with (clips that are there, count).

    Returns:
        The files of all clips.

    Raises:
        ConfigError: ``count`` is not positive, or the folder holds voices that were made with other options.
        DitheadError: A speech engine is missing.
        OutputError: The folder cannot be written.
    """
    if count < 1:
        raise ConfigError("the number of clips must be positive")
    options, root = options or VoicesOptions(), Path(output)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{root}: cannot write there ({error.strerror or error})") from error
    _claim_folder(root, options)
    paths = [root / f"voice_{i:06d}.npz" for i in range(count)]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    kokoro = options.kokoro and options.kokoro.absolute()  # workers of a cluster start in other folders
    make = partial(_make_clip, options=replace(options, kokoro=kokoro), root=root.absolute())
    if kokoro is not None and missing:
        _kokoro(kokoro)  # a folder that holds none is told at once, and not taken for a text that it cannot speak
    if progress:
        progress(count - len(missing), count)
    results = map_tasks(make, missing, engine=options.engine, workers=max(1, min(options.workers, len(missing))))
    for done, (_, result) in enumerate(results, start=count - len(missing) + 1):
        if isinstance(result, OSError):
            raise OutputError(f"{root}: cannot write there ({result.strerror or result}); run again to go on")
        if isinstance(result, Exception):
            raise result
        if progress:
            progress(done, count)
    return paths


def _claim_folder(root: Path, options: VoicesOptions) -> None:
    """Write down what decides the clips, or check that those in the folder were made with the same."""
    wanted = {"seed": options.seed, "seconds": options.seconds, "kokoro": options.kokoro is not None}
    config = root / "config.json"
    stored = _read_config(config)
    if differing := [name for name in wanted if stored.get(name, wanted[name]) != wanted[name]]:
        there = ", ".join(f"{name} {stored[name]}, not {wanted[name]}" for name in differing)
        raise ConfigError(f"{root} holds voices made with other options ({there}); choose another folder")
    if not stored:
        with replacing(config) as part:
            part.write_text(json.dumps(wanted, indent=2) + "\n", "utf-8")


def _read_config(path: Path) -> dict[str, Any]:
    """What is written down there; nothing in a folder of an earlier version."""
    if not path.exists():
        return {}
    stored = read_json(path, str(path), ConfigError)
    if not isinstance(stored, dict):
        raise ConfigError(f"{path} cannot be understood; delete it, or choose another folder")
    return stored


def make_voice(rng: np.random.Generator, seconds: float, kokoro: Path | None = None) -> VoiceClip:
    """Make one clip of a random voice in a random language, with pauses between its sentences.

    Args:
        rng: Draws voice, text, tempo and microphone.
        seconds: Longest length of the clip.
        kokoro: Folder of the voice that speaks half of the clips.

    Returns:
        The sound and the mouth.

    Raises:
        DitheadError: The speech engine is missing or fails on the text.
    """
    if kokoro is not None and rng.random() < _KOKORO_SHARE:
        sentences, name = _kokoro_sentences(rng, seconds, kokoro)
    else:
        sentences, name = _speak_sentences(rng, seconds)
    utterance = _change_tempo(_join(rng, sentences), float(np.exp(rng.uniform(-0.2, 0.22))))
    duration = min(seconds, len(utterance.wave) / utterance.rate)
    wave = simulate_microphone(utterance.wave[: round(duration * utterance.rate)], utterance.rate, rng)
    mouth = _mouth_controls(utterance, duration)
    lips = lips_of_controls(mouth, SpeakingStyle().press)
    return VoiceClip(_int16(wave), mouth.astype(np.float16), lips.astype(np.float16), name)


def _speak_sentences(rng: np.random.Generator, seconds: float) -> tuple[list[Utterance], str]:
    """Sentences of one random voice, longer than the clip as a rule, and the voice's name."""
    festival_voices = _installed_voices()
    if not festival_voices or rng.random() < _ESPEAK_SHARE:
        voice = random_voice(rng, bool(rng.random() < 0.5))
        sentences = [speak(sample_text(rng, voice.language, seconds / 2), voice) for _ in range(2)]
        return sentences, f"espeak-ng {voice.language} {voice.variant}"
    festival = festival_voices[int(rng.integers(len(festival_voices)))]
    texts = [text_for_voice(rng, festival) for _ in range(max(2, round(seconds / 3.5)))]
    sentences = speak_with_festival(texts, festival, float(rng.uniform(0.85, 1.2)))
    return sentences, f"{festival.engine} {festival.voice}"


def _kokoro_sentences(rng: np.random.Generator, seconds: float, folder: Path) -> tuple[list[Utterance], str]:
    """Do as ``_speak_sentences`` with a mixture of Kokoro's voices, in a language that they were taught."""
    voice, language = _kokoro(folder), str(rng.choice(_KOKORO_LANGUAGES))
    style, speed = voice.mixed_style(rng), float(rng.uniform(0.9, 1.3))
    texts = [sample_text(rng, language, seconds / 2) for _ in range(2)]
    return [voice.speak(text, language, style, speed) for text in texts], f"kokoro {language}"


def _join(rng: np.random.Generator, sentences: list[Utterance]) -> Utterance:
    """The sentences one after another, with silence of random length before each."""
    waves, phonemes, end = [], [], 0.0
    for sentence in sentences:
        pause = np.full(round(rng.choice([0.05, 0.2, 0.6]) * sentence.rate), 1e-5, np.float32)
        end += len(pause) / sentence.rate
        phonemes += [replace(p, start=p.start + end, end=p.end + end) for p in sentence.phonemes]
        waves += [pause, sentence.wave]
        end += len(sentence.wave) / sentence.rate
    return replace(sentences[0], wave=np.concatenate(waves), phonemes=tuple(phonemes))


def _change_tempo(utterance: Utterance, factor: float) -> Utterance:
    """Play ``factor`` times as fast: the voice is faster, and higher as that of a smaller head."""
    rate = round(utterance.rate * factor / 50) * 50
    played = rate / utterance.rate
    moved = tuple(replace(p, start=p.start / played, end=p.end / played) for p in utterance.phonemes)
    return replace(utterance, rate=rate, phonemes=moved)


def _mouth_controls(utterance: Utterance, duration: float) -> Floats:
    """Controls and closure (T, 11) at MOUTH_RATE; louder syllables open wider."""
    curves = mouth_curves(utterance.phonemes, duration, SpeakingStyle())[:: CURVE_RATE // MOUTH_RATE]
    curves[:, OPENING] *= loudness_gain(utterance.wave, utterance.rate, len(curves), MOUTH_RATE)[:, None]
    return curves


def _int16(wave: Wave) -> NDArray[np.int16]:
    return np.asarray(np.clip(wave, -1, 1) * 32767, np.int16)


@lru_cache(maxsize=1)
def _kokoro(folder: Path) -> Kokoro:
    return Kokoro(folder)


@lru_cache(maxsize=1)
def _installed_voices() -> tuple[FestivalVoice, ...]:
    return tuple(installed_voices())


def _make_clip(index: int, options: VoicesOptions, root: Path) -> None:
    """Write clip ``index``."""
    for attempt in range(_ATTEMPTS):
        try:
            clip = make_voice(np.random.default_rng([options.seed, index, attempt]), options.seconds, options.kokoro)
            break
        except DitheadError:
            if attempt == _ATTEMPTS - 1:
                raise
    arrays: dict[str, NDArray[Any]] = {
        "wave": clip.wave,
        "mouth": clip.mouth,
        "lips": clip.lips,
        "voice": np.array(clip.voice),
    }
    save_arrays(root / f"voice_{index:06d}.npz", arrays)
