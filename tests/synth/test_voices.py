"""Voices without faces: phones of every engine are known, sound and mouth stay together."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.synth.corpus.voices import MOUTH_RATE, VoiceClip, make_voice, reader_text, voice_corpus
from dithead.synth.face.visemes import lip_gap
from dithead.synth.voice.festival import READERS, Reader, installed_readers, ipa_of, read_aloud

needs_festival = pytest.mark.skipif(not shutil.which("festival"), reason="festival is not installed")
needs_espeak = pytest.mark.skipif(not shutil.which("espeak-ng"), reason="espeak-ng is not installed")


def reader(voice: str) -> Reader:
    return next(r for r in READERS if r.voice == voice)


def test_phones_become_ipa() -> None:
    assert [ipa_of(p, reader("slt")) for p in ("hh", "ow", "pau", "m")] == ["h", "oʊ", "", "m"]
    assert [ipa_of(p, reader("lp_diphone")) for p in ("tS", "a1", "O1", "#")] == ["tʃ", "a", "ɔ", ""]
    assert [ipa_of(p, reader("msu_ru_nsh_clunits")) for p in ("pp", "ii", "ll")] == ["p", "i", "l"]
    assert [ipa_of(p, reader("czech_ph")) for p in ("e:", "c~")] == ["ɛ", "tʃ"]


@needs_festival
def test_every_installed_voice_speaks_with_phonemes_to_the_end() -> None:
    for r in installed_readers():
        (speech,) = read_aloud([reader_text(np.random.default_rng(2), r)], r)
        assert speech.phonemes[-1].end == pytest.approx(len(speech.wave) / speech.rate, abs=0.15), r.voice
        assert sum(p.ipa != "" for p in speech.phonemes) > 8, r.voice


@needs_espeak
def test_sound_and_mouth_are_one_length_and_the_mouth_rests_in_silence() -> None:
    clip = make_voice(np.random.default_rng([5, 2]), 4.0)
    assert len(clip.mouth) == pytest.approx(len(clip.wave) / 16000 * MOUTH_RATE, abs=2)
    assert 0.1 < clip.mouth[:, 0].max() <= 1.3


@needs_espeak
def test_a_corpus_is_made_once(tmp_path: Path) -> None:
    first = voice_corpus(2, tmp_path, seconds=2.0)
    before = [path.read_bytes() for path in first]
    times = [path.stat().st_mtime_ns for path in first]
    again = voice_corpus(2, tmp_path, seconds=2.0)
    assert [path.stat().st_mtime_ns for path in again] == times
    first[0].unlink()
    voice_corpus(2, tmp_path, seconds=2.0)
    assert VoiceClip.load(first[0]).wave.tobytes() == VoiceClip.load(again[0]).wave.tobytes()
    assert first[0].read_bytes() == before[0]


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="positive"):
        voice_corpus(0, tmp_path)


def test_closed_lips_have_no_gap_and_an_open_jaw_a_wide_one() -> None:
    closed, open_ = np.zeros(8, np.float32), np.zeros(8, np.float32)
    closed[7], closed[0] = 1, 0.1
    open_[0], open_[3] = 0.9, 0.4
    assert lip_gap(closed) < 0.03 < 0.15 < lip_gap(open_)
