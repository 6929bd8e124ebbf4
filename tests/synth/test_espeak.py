"""espeak-ng reports when each phoneme begins."""

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.texts import SENTENCES

pytestmark = pytest.mark.usefixtures("espeak")


def test_phonemes_follow_one_another_and_fill_the_wave() -> None:
    utterance = speak("Maybe people film five views.", EspeakVoice("en"))
    assert all(p.start < p.end for p in utterance.phonemes)
    assert all(
        a.end == pytest.approx(b.start) for a, b in zip(utterance.phonemes, utterance.phonemes[1:], strict=False)
    )
    assert utterance.phonemes[-1].end == pytest.approx(len(utterance.wave) / utterance.rate, abs=0.02)
    assert [p.ipa for p in utterance.phonemes if p.ipa][:2] == ["m", "eɪ"]


def test_pauses_are_quieter_than_sounds() -> None:
    utterance = speak("sss. aaa.", EspeakVoice("en", rate=120))
    level = {True: [], False: []}
    for phoneme in utterance.phonemes:
        piece = utterance.wave[int(phoneme.start * utterance.rate) : int(phoneme.end * utterance.rate)]
        level[phoneme.ipa == ""].append(float(np.sqrt(np.mean(piece**2))))
    assert min(level[False]) > max(level[True])


def test_the_same_words_sound_the_same() -> None:
    first, again = (speak("butter", EspeakVoice("en", "f2")) for _ in range(2))
    np.testing.assert_array_equal(first.wave, again.wave)


def test_slower_takes_longer() -> None:
    slow, fast = (speak("one two three four", EspeakVoice("en", rate=rate)) for rate in (110, 200))
    assert len(slow.wave) > 1.3 * len(fast.wave)


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_every_language_is_spoken(language: str) -> None:
    utterance = speak(SENTENCES[language][0], EspeakVoice(language))
    assert len([p for p in utterance.phonemes if p.ipa]) > 8


def test_an_unknown_language_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="klingon-x"):
        speak("hello", EspeakVoice("klingon-x"))
