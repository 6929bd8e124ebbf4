"""Pauses, breath and effort: put into sound and phonemes alike, never into the words."""

import numpy as np
import pytest

from dithead.synth.corpus.talking_clip import sample_voice, write_script
from dithead.synth.face.visemes import CONTROLS, CURVE_RATE, SpeakingStyle, mouth_curves
from dithead.synth.types import Phoneme, Speech
from dithead.synth.voice.delivery import BREATH, breath, effort, unhurried
from dithead.synth.voice.espeak import Voice, speak
from dithead.synth.voice.texts import wordless

HZ = 8000


def spoken() -> Speech:
    """Ten times a hum and a pause of a fifth of a second."""
    hum = np.sin(np.arange(HZ // 2) / 6).astype(np.float32)
    wave = np.tile(np.concatenate([hum, np.zeros(HZ // 5, np.float32)]), 10)
    sounds = [s for i in range(10) for s in (Phoneme("m", 0.7 * i, 0.7 * i + 0.5),
                                             Phoneme("", 0.7 * i + 0.5, 0.7 * i + 0.7))]  # fmt: skip
    return Speech(wave, HZ, tuple(sounds), "en", "hum")


def test_pauses_grow_and_words_stay_as_they_were() -> None:
    before, after = spoken(), unhurried(spoken(), np.random.default_rng(0))
    assert len(after.wave) > 1.2 * len(before.wave)
    assert [p.ipa for p in after.phonemes if p.ipa not in ("", BREATH)] == ["m"] * 10
    assert all(a.end == pytest.approx(b.start) for a, b in zip(after.phonemes, after.phonemes[1:], strict=False))
    assert after.phonemes[-1].end == pytest.approx(len(after.wave) / HZ)
    for sound in after.phonemes:
        if sound.ipa == "m":
            piece = after.wave[round(sound.start * HZ) : round(sound.end * HZ)]
            np.testing.assert_array_equal(piece, before.wave[: len(piece)])


def test_breath_is_drawn_in_pauses_and_is_quiet() -> None:
    levels = []
    for seed in range(6):
        after = unhurried(spoken(), np.random.default_rng(seed))
        for sound in after.phonemes:
            piece = after.wave[round(sound.start * HZ) : round(sound.end * HZ)]
            if sound.ipa == BREATH:
                levels.append(float(np.sqrt(np.mean(piece**2))))
                assert 0.15 < sound.end - sound.start < 0.5
            elif not sound.ipa:
                assert np.abs(piece).max() < 1e-4
    assert len(levels) > 6
    assert 0.002 < min(levels) < max(levels) < 0.1


def test_breath_opens_the_lips_a_little_and_pauses_do_not() -> None:
    sounds = [Phoneme("", 0, 0.6), Phoneme(BREATH, 0.6, 1.0), Phoneme("", 1.0, 1.05)]
    jaw = mouth_curves(sounds, 1.05, SpeakingStyle())[:, CONTROLS.index("jaw")]
    assert jaw[round(0.3 * CURVE_RATE)] < 0.02
    assert 0.1 < jaw[round(0.8 * CURVE_RATE)] < 0.3


def test_breath_swells_and_stops() -> None:
    air = breath(4000, HZ, np.random.default_rng(1))
    power = (air.reshape(8, -1) ** 2).mean(axis=1)
    assert power[[0, -1]].max() < 0.3 * power.max()


def test_louder_is_wider() -> None:
    wave = np.sin(np.arange(2 * HZ) / 6) * np.repeat([0.05, 1.0], HZ)
    factors = effort(wave.astype(np.float32), HZ, 2 * CURVE_RATE, CURVE_RATE)
    assert factors[round(0.5 * CURVE_RATE)] < 0.75 < 1.1 < factors[round(1.5 * CURVE_RATE)]


def test_older_people_speak_slower_and_their_voices_are_closer() -> None:
    def voices(male: float, age: float) -> np.ndarray:
        made = [sample_voice(np.random.default_rng(seed), male, "en", age) for seed in range(40)]
        return np.mean([[voice.rate, voice.pitch] for voice in made], axis=0)

    woman, man, old_woman, old_man = voices(0, 0.1), voices(1, 0.1), voices(0, 0.8), voices(1, 0.8)
    assert old_woman[0] < woman[0] - 10
    assert old_man[0] < man[0] - 10
    assert old_woman[1] < woman[1] - 5
    assert woman[1] - man[1] > old_woman[1] - old_man[1] + 5


@pytest.mark.usefixtures("espeak")
def test_there_is_speech_without_words() -> None:
    said = speak(wordless(np.random.default_rng(3), 3.0), Voice("de"))
    sounds = {p.ipa.strip("ˈˌː") for p in said.phonemes} - {""}
    assert sounds
    assert sounds <= set("mhaoeəɐɛɔɑ"), "signs are sounds, nobody spells them"
    assert said.phonemes[-1].end > 3.0


@pytest.mark.usefixtures("espeak")
def test_clips_hold_pauses_and_some_breath() -> None:
    resting, breaths, count = [], 0, 12
    for seed in range(count):
        script = write_script(np.random.default_rng(seed), Voice("en", "f2"), 75, 25)
        quiet = [p for p in script.phonemes if not p.ipa]
        resting.append(sum(min(p.end, 3.0) - max(p.start, 0.0) for p in quiet if p.end > 0 and p.start < 3) / 3)
        breaths += any(p.ipa == BREATH for p in script.phonemes)
    assert 0.12 < np.mean(resting) < 0.5
    assert 1 <= breaths < count
