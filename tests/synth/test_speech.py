"""espeak-ng reports when each sound begins."""

import numpy as np
import pytest

from dithead.errors import DataError
from dithead.synth.voice.espeak import Voice, speak
from dithead.synth.voice.texts import SENTENCES

pytestmark = pytest.mark.usefixtures("espeak")


def test_phonemes_follow_one_another_and_fill_the_wave() -> None:
    speech = speak("Maybe people film five views.", Voice("en"))
    assert all(p.start < p.end for p in speech.phonemes)
    assert all(a.end == pytest.approx(b.start) for a, b in zip(speech.phonemes, speech.phonemes[1:], strict=False))
    assert speech.phonemes[-1].end == pytest.approx(len(speech.wave) / speech.rate, abs=0.02)
    assert [p.ipa for p in speech.phonemes if p.ipa][:2] == ["m", "eɪ"]


def test_times_fit_the_sound() -> None:
    speech = speak("sss. aaa.", Voice("en", rate=120))
    loud = {True: [], False: []}
    for phoneme in speech.phonemes:
        piece = speech.wave[int(phoneme.start * speech.rate) : int(phoneme.end * speech.rate)]
        loud[phoneme.ipa == ""].append(float(np.sqrt(np.mean(piece**2))))
    assert min(loud[False]) > max(loud[True])


def test_the_same_words_sound_the_same() -> None:
    first, again = (speak("butter", Voice("en", "f2")) for _ in range(2))
    np.testing.assert_array_equal(first.wave, again.wave)


def test_slower_takes_longer() -> None:
    slow, fast = (speak("one two three four", Voice("en", rate=rate)) for rate in (110, 200))
    assert len(slow.wave) > 1.3 * len(fast.wave)


@pytest.mark.parametrize("language", sorted(SENTENCES))
def test_every_language_speaks(language: str) -> None:
    speech = speak(SENTENCES[language][0], Voice(language))
    assert len([p for p in speech.phonemes if p.ipa]) > 8


def test_an_unknown_language_is_one_clear_error() -> None:
    with pytest.raises(DataError, match="klingon-x"):
        speak("hello", Voice("klingon-x"))
