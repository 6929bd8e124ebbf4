"""What an output plays: the speech as it is, the mix of its speakers, and a background under them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from dithead.errors import ConfigError
from dithead.inference.pipeline import generate
from dithead.inference.source.soundtrack import Soundtrack
from dithead.media.audio import read_audio, write_audio
from dithead.media.info import VideoInfo
from dithead.media.sound_mix import SoundLayer, SoundMix
from dithead.media.writer import VideoWriter
from dithead.options import GenerateJob

INFO = VideoInfo(64, 64, Fraction(25), has_audio=True)


@pytest.fixture
def voices(tmp_path):
    """Two tracks of different length, and music."""
    for name, hertz, seconds in (("anna", 300, 0.4), ("ben", 700, 0.6), ("music", 110, 2.0)):
        t = np.arange(int(seconds * 16000)) / 16000
        write_audio(tmp_path / f"{name}.wav", (0.2 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), 16000)
    return {name: tmp_path / f"{name}.wav" for name in ("anna", "ben", "music")}


def test_speech_alone_passes_through(voices) -> None:
    sound = Soundtrack.of_job(GenerateJob("v.mp4", voices["anna"], "o.mp4"), INFO)
    assert sound.heard == voices["anna"]
    assert sound.seconds == pytest.approx(0.4)
    assert not sound.source_sound_kept


def test_speakers_without_audio_are_heard_together(voices) -> None:
    job = GenerateJob("v.mp4", output="o.mp4", speakers={2: voices["ben"], 1: voices["anna"]})
    sound = Soundtrack.of_job(job, INFO)
    assert sound.heard == SoundMix((SoundLayer(voices["ben"]), SoundLayer(voices["anna"])))
    assert sound.seconds == pytest.approx(0.6)
    heard = Soundtrack.of_job(replace(job, audio=voices["music"]), INFO)
    assert heard.heard == voices["music"], "an audio that is given is what is heard"
    assert heard.speaker_seconds == pytest.approx({1: 0.4, 2: 0.6})


def test_a_background_lies_under_the_speech(voices) -> None:
    job = GenerateJob("v.mp4", voices["anna"], "o.mp4", background_sound=voices["music"], background_gain=-15)
    mix = SoundMix((SoundLayer(voices["anna"]), SoundLayer(voices["music"], -15.0)))
    assert Soundtrack.of_job(job, INFO).heard == mix
    own = Soundtrack.of_job(replace(job, background_sound="source", start=1.5), INFO)
    assert own.heard.layers[1].start == 1.5
    assert own.source_sound_kept


@pytest.mark.parametrize("option", [{"background_sound": "source"}, {"loudness": "source"}])
def test_the_sound_of_a_silent_source_cannot_be_asked_for(voices, option) -> None:
    job = GenerateJob("v.mp4", voices["anna"], "o.mp4", **option)
    with pytest.raises(ConfigError, match=r"v\.mp4: has no sound of its own"):
        Soundtrack.of_job(job, replace(INFO, has_audio=False))


def test_two_speakers_and_the_sources_own_sound_are_in_the_output(voices, pictures, talker, tmp_path) -> None:
    t = np.arange(16000) / 16000
    sound = (0.2 * np.sin(2 * np.pi * 1500 * t)).astype(np.float32)
    with VideoWriter(tmp_path / "source.mp4", VideoInfo(256, 256, Fraction(25)), audio=(sound, 16000)) as writer:
        for picture in pictures[:10]:
            writer.write(picture)
    result = generate(
        tmp_path / "source.mp4", output=tmp_path / "o.mp4", speakers={"1": voices["anna"], "2": voices["ben"]},
        background_sound="source", model=talker,
    )  # fmt: skip
    assert result.frames == 15
    wave = read_audio(tmp_path / "o.mp4")[800:5600]
    t = np.arange(len(wave)) / 16000
    levels = [2 * np.abs(np.mean(wave * np.exp(-2j * np.pi * hertz * t))) for hertz in (300, 700, 1500)]
    assert np.allclose(levels, 0.2, atol=0.04)
    assert any(
        note.startswith("no lips say the speech of speaker 2: the video shows no face 2") for note in result.notes
    )
    assert not [note for note in result.notes if "own sound" in note]
