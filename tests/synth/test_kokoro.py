"""Kokoro's voices: phonemes as it writes them, their times from its durations, and what it says when it is missing."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dithead.errors import DataError, DitheadError
from dithead.synth.corpus.options import VoicesOptions
from dithead.synth.corpus.voices import voice_corpus
from dithead.synth.voice import kokoro
from dithead.synth.voice.kokoro import Kokoro, heard_frames, kokoro_symbols, phonemes_of
from dithead.synth.voice.utterance import Phoneme


def test_english_is_written_with_one_letter_a_diphthong() -> None:
    assert kokoro_symbols("dʒˈɔɪ maɪ hɜː", "en-us") == "ʤˈY mI hɜɹ"
    assert kokoro_symbols("tʃˈaːo", "it") == "ʧˈaːo"


def test_marks_belong_to_their_phoneme_and_short_gaps_to_the_sound_before_them() -> None:
    symbols = ["", "m", "I", " ", "ˈ", "t", "i", "ː", " ", "b", ""]
    seconds = np.array([0.2, 0.1, 0.2, 0.05, 0.05, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1])
    found = phonemes_of(symbols, seconds)
    assert [p.ipa for p in found] == ["", "m", "aɪ", "t", "i", "", "b", ""]
    assert [round(p.end, 3) for p in found] == [0.2, 0.3, 0.55, 0.7, 1.0, 1.3, 1.4, 1.5]
    assert all(a.end == b.start for a, b in pairwise(found))


class Network:
    """Stands for the session: every symbol lasts four frames, its sound is silence of that length."""

    def run(self, _: None, given: dict[str, Any]) -> list[Any]:
        self.given = given
        frames = np.full(given["tokens"].shape[1], 4.0, np.float32)
        return [np.zeros(int(frames.sum()) * 600, np.float32), frames]


@pytest.fixture
def voice(monkeypatch: pytest.MonkeyPatch) -> Kokoro:
    monkeypatch.setattr(kokoro, "_ipa", lambda text, language: "mˈama☃" if text else "")
    made = object.__new__(Kokoro)
    made.vocabulary = {"m": 7, "a": 3, "ˈ": 9}
    made.styles = {name: np.full((20, 1, 256), value, np.float32) for name, value in {"x": 0.0, "y": 1.0}.items()}
    made._session = Network()
    return made


def test_sound_and_phonemes_have_one_length(voice: Kokoro) -> None:
    said = voice.speak("mama", "en", voice.mixed_style(np.random.default_rng(0)), 1.2)
    assert [p.ipa for p in said.phonemes] == ["", "m", "a", "m", "a", ""]
    assert said.phonemes[-1].end == pytest.approx(len(said.wave) / said.rate)
    given = voice._session.given
    assert given["tokens"].tolist() == [[0, 7, 9, 3, 7, 3, 0]]
    assert given["style"].shape == (1, 256)
    assert 0 < given["style"][0, 0] < 1
    assert given["speed"] == pytest.approx(1.2)


def test_sounds_are_heard_two_frames_before_their_durations(voice: Kokoro) -> None:
    said = voice.speak("mama", "en", voice.mixed_style(np.random.default_rng(0)))
    assert said.phonemes[2] == Phoneme("a", pytest.approx(0.15), pytest.approx(0.35))
    assert [p.start for p in said.phonemes] == pytest.approx([0, 0.05, 0.15, 0.35, 0.45, 0.55])
    assert said.phonemes[-1].end == pytest.approx(0.7)
    assert heard_frames(np.array([1.0, 4.0, 4.0])).tolist() == [0, 4, 5]


def test_a_text_without_phonemes_is_refused(voice: Kokoro) -> None:
    with pytest.raises(DataError, match="give it a text with words"):
        voice.speak("", "en", voice.styles["x"])


def test_a_folder_without_kokoro_is_named(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"vocab": {}}))
    with pytest.raises(DitheadError, match="kokoro|no Kokoro"):
        Kokoro(tmp_path)


def test_a_folder_without_kokoro_is_told_before_anything_is_spoken(tmp_path):
    with pytest.raises(DitheadError):
        voice_corpus(2, tmp_path / "voices", VoicesOptions(kokoro=tmp_path / "none"))
    assert not list((tmp_path / "voices").glob("*.npz"))
