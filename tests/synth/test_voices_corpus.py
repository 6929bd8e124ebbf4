"""A corpus of voices: the phones of every engine become IPA, and sound and mouth stay together."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.synth.corpus.options import VoicesOptions
from dithead.synth.corpus.voice_clip import MOUTH_RATE, VoiceClip
from dithead.synth.corpus.voices import _change_tempo, make_voice, voice_corpus
from dithead.synth.face.units import CONTROLS
from dithead.synth.person.spoken_lips import lip_gap, lips_of_controls
from dithead.synth.voice.festival import (
    FESTIVAL_VOICES,
    FestivalVoice,
    _parse_phone_ends,
    installed_voices,
    ipa_of,
    speak_with_festival,
)
from dithead.synth.voice.festival_texts import text_for_voice
from dithead.synth.voice.utterance import Phoneme, Utterance

needs_festival = pytest.mark.skipif(not shutil.which("festival"), reason="festival is not installed")
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def festival_voice(name: str) -> FestivalVoice:
    return next(voice for voice in FESTIVAL_VOICES if voice.voice == name)


def test_phones_become_ipa() -> None:
    assert [ipa_of(p, festival_voice("slt")) for p in ("hh", "ow", "pau", "m")] == ["h", "oʊ", "", "m"]
    assert [ipa_of(p, festival_voice("lp_diphone")) for p in ("tS", "a1", "O1", "#")] == ["tʃ", "a", "ɔ", ""]
    assert [ipa_of(p, festival_voice("msu_ru_nsh_clunits")) for p in ("pp", "ii", "ll")] == ["p", "i", "l"]
    assert [ipa_of(p, festival_voice("czech_ph")) for p in ("e:", "c~")] == ["ɛ", "tʃ"]


def test_what_festival_prints_is_read_utterance_by_utterance() -> None:
    printed = "Loading @h 0.12\n@ax 0.3\n@@\n@pau 0.2\n@@\n"
    assert _parse_phone_ends(printed) == [[("h", 0.12), ("ax", 0.3)], [("pau", 0.2)]]


@needs_festival
def test_every_installed_voice_speaks_with_phonemes_to_the_end() -> None:
    for voice in installed_voices():
        (utterance,) = speak_with_festival([text_for_voice(np.random.default_rng(2), voice)], voice)
        assert utterance.phonemes[-1].end == pytest.approx(len(utterance.wave) / utterance.rate, abs=0.15), voice.voice
        assert sum(p.ipa != "" for p in utterance.phonemes) > 8, voice.voice


@needs_espeak
def test_sound_and_mouth_have_one_length_and_the_mouth_moves() -> None:
    clip = make_voice(np.random.default_rng([5, 2]), 4.0)
    assert len(clip.mouth) == pytest.approx(len(clip.wave) / 16000 * MOUTH_RATE, abs=2)
    assert 0.1 < clip.mouth[:, 0].max() <= 1.3
    assert clip.lips.shape == (len(clip.mouth), 40, 2)
    assert np.corrcoef(lip_gap(clip.lips.astype(np.float32)), clip.mouth[:, 0])[0, 1] > 0.5


@needs_espeak
def test_clips_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    first = voice_corpus(2, tmp_path, VoicesOptions(seconds=2.0))
    before = [path.read_bytes() for path in first]
    times = [path.stat().st_mtime_ns for path in first]
    again = voice_corpus(2, tmp_path, VoicesOptions(seconds=2.0))
    assert [path.stat().st_mtime_ns for path in again] == times
    first[0].unlink()
    voice_corpus(2, tmp_path, VoicesOptions(seconds=2.0))
    assert VoiceClip.load(first[0]).wave.tobytes() == VoiceClip.load(again[0]).wave.tobytes()
    assert first[0].read_bytes() == before[0]


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive"):
        voice_corpus(0, tmp_path)


def test_closed_lips_have_no_gap_and_an_open_jaw_a_wide_one() -> None:
    closed, open_ = np.zeros((2, 11), np.float32)
    closed[10], closed[0] = 1, 0.1
    open_[CONTROLS.index("jawOpen")], open_[CONTROLS.index("mouthLowerDown")] = 0.35, 0.3
    shut, gaping = lip_gap(lips_of_controls(np.stack([closed, open_]), 0.35))
    assert shut < 0.006 < 0.12 < gaping


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000])
def test_phonemes_keep_their_place_when_the_tempo_changes(rate: int) -> None:
    seconds = 8
    spoken = Utterance(np.zeros(rate * seconds, np.float32), rate, (Phoneme("m", 0.0, float(seconds)),), "en", "")
    for factor in np.exp(np.linspace(-0.2, 0.22, 9)).tolist():
        played = _change_tempo(spoken, factor)
        assert played.phonemes[0].end == pytest.approx(len(played.wave) / played.rate, abs=1e-6)
        assert played.rate == pytest.approx(rate * factor, abs=25)


@needs_espeak
def test_voices_of_other_options_are_not_taken_for_these(tmp_path: Path) -> None:
    made = voice_corpus(1, tmp_path, VoicesOptions(seed=1, seconds=1.0))
    assert voice_corpus(1, tmp_path, VoicesOptions(seed=1, seconds=1.0, workers=2)) == made
    with pytest.raises(ConfigError, match=r"made with other options \(seed 1, not 7\)"):
        voice_corpus(2, tmp_path, VoicesOptions(seed=7, seconds=1.0))
    with pytest.raises(ConfigError, match=r"seconds 1\.0, not 2\.0"):
        voice_corpus(2, tmp_path, VoicesOptions(seed=1, seconds=2.0))
    (tmp_path / "config.json").unlink()  # an earlier version wrote none
    assert len(voice_corpus(2, tmp_path, VoicesOptions(seed=1, seconds=1.0))) == 2
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(ConfigError, match="cannot be understood"):
        voice_corpus(2, tmp_path, VoicesOptions(seed=1, seconds=1.0))
