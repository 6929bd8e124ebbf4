"""Sounds are summed, made as loud as asked, never clipped, and written at their own rate and channels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from wave import open as open_wave

import av
import numpy as np
import pytest

from dithead.errors import MediaError
from dithead.media.audio import read_audio, write_audio
from dithead.media.audio_track import AudioTrack
from dithead.media.encoder import EncoderOptions
from dithead.media.info import VideoInfo
from dithead.media.sound_header import sound_header
from dithead.media.sound_mix import SoundLayer, SoundMix, file_loudness, loudness_of_blocks
from dithead.media.writer import VideoWriter

RATE = 16000


def tone(hertz: float, seconds: float = 2.0, level: float = 0.2, rate: int = RATE) -> np.ndarray:
    t = np.arange(int(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * t)).astype(np.float32)


def strength(wave: np.ndarray, hertz: float, rate: int) -> float:
    """Return the amplitude of one tone in a wave."""
    t = np.arange(len(wave)) / rate
    return float(2 * np.abs(np.mean(wave * np.exp(-2j * np.pi * hertz * t))))


def write_wave(path: Path, channels: list[np.ndarray]) -> None:
    """Write channels of equal length as 16-bit samples."""
    with open_wave(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.stack(channels, 1) * 32767).astype("<i2").tobytes())


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    write_audio(tmp_path / "a.wav", tone(300), RATE)
    write_audio(tmp_path / "b.wav", tone(700, 1.0), RATE)
    write_audio(tmp_path / "c.wav", tone(500, rate=44100), 44100)
    return {name: tmp_path / f"{name}.wav" for name in "abc"}


def mixed(mix: SoundMix) -> np.ndarray:
    return np.concatenate([block[:, 0] for block in mix.blocks(mix.rate, 1)])


def test_overlapping_speech_is_summed_and_as_long_as_the_longest(files: dict[str, Path]) -> None:
    wave = mixed(SoundMix((SoundLayer(files["a"]), SoundLayer(files["b"], gain=-6.0206))))
    assert len(wave) == 2 * RATE
    first = wave[: RATE - 200]
    assert strength(first, 300, RATE) == pytest.approx(0.2, abs=0.005)
    assert strength(first, 700, RATE) == pytest.approx(0.1, abs=0.005), "six decibels are half of it"
    assert strength(wave[RATE + 200 :], 700, RATE) < 0.005, "the shorter one has ended"


def test_a_layer_can_begin_later_in_its_file(files: dict[str, Path], tmp_path: Path) -> None:
    write_audio(tmp_path / "d.wav", np.concatenate([tone(300, 1.0), tone(900, 1.0)]), RATE)
    wave = mixed(SoundMix((SoundLayer(files["b"]), SoundLayer(tmp_path / "d.wav", start=1.0))))
    assert len(wave) == RATE
    assert strength(wave, 900, RATE) == pytest.approx(0.2, abs=0.01)
    assert strength(wave, 300, RATE) < 0.01


def test_mono_speech_over_stereo_music_keeps_both_sides(files: dict[str, Path], tmp_path: Path) -> None:
    write_wave(tmp_path / "music.wav", [tone(500), tone(900)])
    track = AudioTrack(SoundMix((SoundLayer(files["a"]), SoundLayer(tmp_path / "music.wav"))))
    assert track.layout == "stereo"
    samples = np.concatenate([track.take(1024) for _ in range(RATE // 1024)])
    for side, own, other in ((0, 500, 900), (1, 900, 500)):
        assert strength(samples[:, side], own, RATE) == pytest.approx(0.2, abs=0.01)
        assert strength(samples[:, side], other, RATE) < 0.01
        assert strength(samples[:, side], 300, RATE) == pytest.approx(0.2, abs=0.01), "the speech is in the middle"


def test_the_highest_rate_and_the_most_channels_win(files: dict[str, Path]) -> None:
    mix = SoundMix((SoundLayer(files["a"]), SoundLayer(files["c"])))
    assert (mix.rate, mix.layout) == (44100, "mono")
    assert strength(mixed(mix), 500, 44100) == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("target", [-30.0, -16.0])
def test_the_loudness_that_was_asked_for_comes_out(files: dict[str, Path], target: float) -> None:
    mix = SoundMix((SoundLayer(files["a"]),), loudness=target)
    level = loudness_of_blocks(mix.blocks(RATE, 1), RATE, 1)
    assert level == pytest.approx(target, abs=0.3)


def test_peaks_are_held_without_changing_what_lies_below(tmp_path: Path) -> None:
    for name, level in (("loud", 0.9), ("louder", 0.8)):
        write_audio(tmp_path / f"{name}.wav", tone(300, level=level), RATE)
    wave = mixed(SoundMix((SoundLayer(tmp_path / "loud.wav"), SoundLayer(tmp_path / "louder.wav"))))
    assert np.abs(wave).max() <= 10 ** (-1 / 20) + 1e-3
    quiet = SoundMix((SoundLayer(tmp_path / "loud.wav", gain=-12.0),))
    exact = read_audio(tmp_path / "loud.wav", RATE) * 10 ** (-12 / 20)
    assert np.abs(mixed(quiet) - exact).max() < 1e-4


def test_silence_has_no_loudness(tmp_path: Path) -> None:
    write_audio(tmp_path / "s.wav", np.zeros(RATE, np.float32), RATE)
    with pytest.raises(MediaError, match="its sound is silent"):
        file_loudness(tmp_path / "s.wav")
    mix = SoundMix((SoundLayer(tmp_path / "s.wav"),), loudness=-16.0)
    assert not mixed(mix).any()


def surround(path: Path, layout: str, rate: int) -> Path:
    """Write a tone of its own on each channel."""
    channels = int(av.AudioLayout(layout).nb_channels)
    samples = np.stack([tone(200 * (k + 1), 1.0, 0.1, rate) for k in range(channels)])
    with av.open(str(path), "w") as media:
        stream = media.add_stream("flac", rate=rate, layout=layout, format="s16")
        for start in range(0, rate, 4096):
            part = np.ascontiguousarray(samples[:, start : start + 4096].T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(part, "s16", layout)
            frame.sample_rate, frame.pts = rate, start
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("layout", "rate"), [("stereo", 48000), ("5.1", 48000), ("quad", 44100), ("2.1", 32000)])
def test_sound_goes_out_at_its_own_rate_and_channels(tmp_path: Path, layout: str, rate: int) -> None:
    source = surround(tmp_path / "s.flac", layout, rate)
    info = VideoInfo(64, 64, Fraction(25))
    with VideoWriter(tmp_path / "o.mkv", info, EncoderOptions(), audio=source) as writer:
        for _ in range(25):
            writer.write(np.zeros((64, 64, 3), np.uint8))
    assert sound_header(tmp_path / "o.mkv").layout == sound_header(source).layout
    assert AudioTrack(tmp_path / "o.mkv").rate == rate
    with av.open(str(tmp_path / "o.mkv")) as media:
        planes = np.concatenate([f.to_ndarray() for f in media.decode(audio=0)], axis=1)[:, 4096:-4096]
    for k, plane in enumerate(planes):
        if av.AudioLayout(layout).channels[k].name != "LFE":  # the encoder keeps only its lowest tones
            assert strength(plane, 200 * (k + 1), rate) > 0.08, k


def test_more_than_six_channels_become_stereo(tmp_path: Path) -> None:
    assert sound_header(surround(tmp_path / "s.flac", "7.1", 32000)).layout == "stereo"
