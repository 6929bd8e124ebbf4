"""Pauses and breaths go into the sound and the phonemes alike, and they leave the words unchanged."""

import numpy as np
import pytest

from dithead.synth.corpus.script import ClipTiming, write_script
from dithead.synth.face.units import CONTROLS
from dithead.synth.face.visemes import CURVE_RATE, SpeakingStyle, mouth_curves
from dithead.synth.voice.delivery import BREATH, add_pauses, breath_noise, loudness_gain
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.random_voice import random_voice
from dithead.synth.voice.texts import wordless_sounds
from dithead.synth.voice.utterance import Phoneme, Utterance

HZ = 8000


def spoken() -> Utterance:
    """Make ten hums, each with a pause of a fifth of a second after it."""
    hum = np.sin(np.arange(HZ // 2) / 6).astype(np.float32)
    wave = np.tile(np.concatenate([hum, np.zeros(HZ // 5, np.float32)]), 10)
    sounds = [s for i in range(10) for s in (Phoneme("m", 0.7 * i, 0.7 * i + 0.5),
                                             Phoneme("", 0.7 * i + 0.5, 0.7 * i + 0.7))]  # fmt: skip
    return Utterance(wave, HZ, tuple(sounds), "en", "hum")


def test_pauses_grow_and_the_words_do_not_change() -> None:
    before, after = spoken(), add_pauses(spoken(), np.random.default_rng(0))
    assert len(after.wave) > 1.2 * len(before.wave)
    assert [p.ipa for p in after.phonemes if p.ipa not in ("", BREATH)] == ["m"] * 10
    assert all(a.end == pytest.approx(b.start) for a, b in zip(after.phonemes, after.phonemes[1:], strict=False))
    assert after.phonemes[-1].end == pytest.approx(len(after.wave) / HZ)
    for sound in after.phonemes:
        if sound.ipa == "m":
            piece = after.wave[round(sound.start * HZ) : round(sound.end * HZ)]
            np.testing.assert_array_equal(piece, before.wave[: len(piece)])


def test_breaths_are_in_pauses_and_are_quiet() -> None:
    levels = []
    for seed in range(6):
        after = add_pauses(spoken(), np.random.default_rng(seed))
        for sound in after.phonemes:
            piece = after.wave[round(sound.start * HZ) : round(sound.end * HZ)]
            if sound.ipa == BREATH:
                levels.append(float(np.sqrt(np.mean(piece**2))))
                assert 0.15 < sound.end - sound.start < 0.5
            elif not sound.ipa:
                assert np.abs(piece).max() < 1e-4
    assert len(levels) > 6
    assert 0.002 < min(levels) < max(levels) < 0.1


def test_a_breath_opens_the_lips_a_little_and_a_pause_does_not() -> None:
    sounds = [Phoneme("", 0, 0.6), Phoneme(BREATH, 0.6, 1.0), Phoneme("", 1.0, 1.05)]
    jaw = mouth_curves(sounds, 1.05, SpeakingStyle())[:, CONTROLS.index("jawOpen")]
    assert jaw[round(0.3 * CURVE_RATE)] < 0.02
    assert 0.04 < jaw[round(0.8 * CURVE_RATE)] < 0.12


def test_the_noise_of_a_breath_swells_and_stops() -> None:
    air = breath_noise(4000, HZ, np.random.default_rng(1))
    power = (air.reshape(8, -1) ** 2).mean(axis=1)
    assert power[[0, -1]].max() < 0.3 * power.max()


def test_a_louder_voice_opens_the_mouth_wider() -> None:
    wave = np.sin(np.arange(2 * HZ) / 6) * np.repeat([0.05, 1.0], HZ)
    factors = loudness_gain(wave.astype(np.float32), HZ, 2 * CURVE_RATE, CURVE_RATE)
    assert factors[round(0.5 * CURVE_RATE)] < 0.75 < 1.1 < factors[round(1.5 * CURVE_RATE)]


def test_older_people_speak_more_slowly_and_their_voices_differ_less_by_sex() -> None:
    def voices(male: float, age: float) -> np.ndarray:
        made = [random_voice(np.random.default_rng(seed), male, "en", age) for seed in range(40)]
        return np.mean([[voice.rate, voice.pitch] for voice in made], axis=0)

    woman, man, old_woman, old_man = voices(0, 0.1), voices(1, 0.1), voices(0, 0.8), voices(1, 0.8)
    assert old_woman[0] < woman[0] - 10
    assert old_man[0] < man[0] - 10
    assert old_woman[1] < woman[1] - 5
    assert woman[1] - man[1] > old_woman[1] - old_man[1] + 5


@pytest.mark.usefixtures("espeak")
def test_wordless_sounds_are_spoken_as_sounds() -> None:
    utterance = speak(wordless_sounds(np.random.default_rng(3), 3.0), EspeakVoice("de"))
    sounds = {p.ipa.strip("ˈˌː") for p in utterance.phonemes} - {""}
    assert sounds
    assert sounds <= set("mhaoeəɐɛɔɑ"), "the phoneme signs are pronounced and not spelled"
    assert utterance.phonemes[-1].end > 3.0


@pytest.mark.usefixtures("espeak")
def test_scripts_hold_pauses_and_some_breaths() -> None:
    resting, breaths, count = [], 0, 12
    for seed in range(count):
        script = write_script(np.random.default_rng(seed), EspeakVoice("en", "f2"), ClipTiming(75, 25))
        pauses = [p for p in script.phonemes if not p.ipa]
        resting.append(sum(min(p.end, 3.0) - max(p.start, 0.0) for p in pauses if p.end > 0 and p.start < 3) / 3)
        breaths += any(p.ipa == BREATH for p in script.phonemes)
    assert 0.12 < np.mean(resting) < 0.5
    assert 1 <= breaths < count
