"""Sound lies where the clock of the picture places it, whatever the container, codec, layout or rate."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from dithead.errors import MediaError, OutputError
from dithead.media.audio import audio_seconds, read_audio, write_audio
from dithead.media.info import VideoInfo
from dithead.media.writer import VideoWriter

RATE = 16000


def chirp(seconds: float, rate: int = RATE) -> np.ndarray:
    t = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * t) * t)).astype(np.float32)


def lag(a: np.ndarray, b: np.ndarray, reach: int = 1000) -> int:
    """Samples by which ``b`` is late, from the best correlation."""
    n = min(len(a), len(b)) - 2 * reach
    scores = [float(a[reach : reach + n] @ b[reach + k : reach + k + n]) for k in range(-reach, reach + 1)]
    return int(np.argmax(scores)) - reach


def mux(path, samples: np.ndarray, rate: int, codec: str, layout: str, fmt: str, first: int = 0, video=None):
    """Write samples (channels, n) into a container from time ``first`` / ``rate`` on; ``video``: its first frame."""
    with av.open(str(path), "w") as media:
        if video is not None:
            picture = media.add_stream("libx264", rate=25)
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        stream = media.add_stream(codec, rate=rate, layout=layout)
        stream.format = fmt
        if video is not None:
            for k in range(video, video + 25):
                frame = av.VideoFrame(32, 32, "yuv420p")
                frame.pts = k
                media.mux(picture.encode(frame))
            media.mux(picture.encode(None))
        for start in range(0, samples.shape[1], 1024):
            block = np.ascontiguousarray(samples[:, start : start + 1024])
            if not av.AudioFormat(fmt).is_planar:
                block = np.ascontiguousarray(block.T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(block, fmt, layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first + start, Fraction(1, rate)
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))


@pytest.mark.parametrize(("seconds", "with_picture"), [(2.0, True), (1.234, False)])
def test_what_an_encoder_adds_to_fill_its_packets_is_no_speech(tmp_path, seconds, with_picture):
    path = tmp_path / ("a.mp4" if with_picture else "a.m4a")
    if with_picture:
        with VideoWriter(path, VideoInfo(32, 32, Fraction(25)), audio=(chirp(seconds), RATE)) as writer:
            for _ in range(round(seconds * 25)):
                writer.write(np.zeros((32, 32, 3), np.uint8))
    else:
        mux(path, chirp(seconds)[None], RATE, "aac", "mono", "fltp")
    assert len(read_audio(path, RATE)) > seconds * RATE
    assert audio_seconds(path) == pytest.approx(seconds, abs=0.001)


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
def test_round_trip_is_exact_to_16_bits(tmp_path, suffix):
    wave = chirp(1.234)
    write_audio(tmp_path / f"a{suffix}", wave, RATE)
    back = read_audio(tmp_path / f"a{suffix}", RATE)
    assert len(back) == len(wave)
    assert np.abs(back - wave).max() <= 1 / 32768


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_resampling_keeps_length_place_and_pitch(tmp_path, rate):
    write_audio(tmp_path / "a.wav", chirp(1.0, rate), rate)
    back = read_audio(tmp_path / "a.wav", RATE)
    assert abs(len(back) - RATE) <= 2  # flushed: nothing is missing at the end
    assert np.abs(back[200:-200] - chirp(1.0)[200 : len(back) - 200]).max() < 0.02


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_written_sound_is_in_step_and_as_long_as_the_picture(tmp_path, suffix):
    path, wave = tmp_path / f"a{suffix}", chirp(3.0)
    with VideoWriter(path, VideoInfo(32, 32, Fraction(25)), audio=(wave, RATE)) as writer:
        for _ in range(50):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    back = read_audio(path, RATE)
    assert lag(wave[: len(back)], back) == 0  # the encoder's delay is undone
    assert abs(len(back) - 2 * RATE) < 1100  # up to one AAC frame


def test_short_sound_is_followed_by_silence(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", VideoInfo(32, 32, Fraction(25)), audio=(chirp(0.5), RATE)) as writer:
        for _ in range(50):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    back = read_audio(tmp_path / "a.mp4", RATE)
    assert len(back) >= 2 * RATE - 1
    assert np.abs(back[: RATE // 2]).max() > 0.3
    assert np.abs(back[RATE // 2 + 2100 :]).max() < 0.01


@pytest.mark.parametrize(
    ("layout", "channels"), [("mono", 1), ("stereo", 2), ("2.1", 3), ("4.0", 4), ("5.1", 6), ("7.1", 8)]
)
def test_any_layout_becomes_the_average(tmp_path, layout, channels):
    wave = chirp(0.5)
    gains = np.linspace(0.2, 1, channels)[:, None]
    mux(tmp_path / "a.wav", (gains * wave * 32767).astype(np.int16), RATE, "pcm_s16le", layout, "s16")
    back = read_audio(tmp_path / "a.wav", RATE)
    assert np.abs(back[100:-100] - (gains.mean() * wave)[100 : len(back) - 100]).max() < 1e-3


def test_opposite_offsets_of_picture_and_sound(tmp_path):
    wave = chirp(1.0)
    pcm = (wave * 32767).astype(np.int16)[None]
    mux(tmp_path / "late.mkv", pcm, RATE, "pcm_s16le", "mono", "s16", first=4000, video=0)
    late = read_audio(tmp_path / "late.mkv", RATE)
    assert not late[:3990].any()
    assert np.abs(late[4100:15000] - wave[100:11000]).max() < 1e-3
    mux(tmp_path / "early.mkv", pcm, RATE, "pcm_s16le", "mono", "s16", first=0, video=10)  # picture at 0.4 s
    early = read_audio(tmp_path / "early.mkv", RATE)
    assert np.abs(early[100:9000] - wave[6500:15400]).max() < 1e-3


def test_a_missing_audio_track_is_named(tmp_path):
    with VideoWriter(tmp_path / "mute.mp4", VideoInfo(32, 32, Fraction(25))) as writer:
        writer.write(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(MediaError, match=r"mute\.mp4: has no audio track"):
        read_audio(tmp_path / "mute.mp4")


def test_an_audio_track_without_samples_is_named(tmp_path):
    write_audio(tmp_path / "a.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(MediaError, match=r"a\.wav"):
        read_audio(tmp_path / "a.wav")


def test_unknown_audio_suffix_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"ends in \.wav or \.flac"):
        write_audio(tmp_path / "a.xyz", chirp(0.1), RATE)
    assert not list(tmp_path.iterdir())


def test_a_sample_rate_that_changes_on_the_way(tmp_path):
    """Raw AAC of 16 kHz, followed by raw AAC of 48 kHz: both play at their own pitch, one after the other."""
    for rate in (16000, 48000):
        with av.open(str(tmp_path / f"{rate}.aac"), "w", format="adts") as media:
            stream = media.add_stream("aac", rate=rate, layout="mono")
            wave = 0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)
            for start in range(0, len(wave), 1024):
                part = wave[None, start : start + 1024].astype(np.float32)
                frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
                frame.sample_rate, frame.pts = rate, start
                media.mux(stream.encode(frame))
            media.mux(stream.encode(None))
    parts = [(tmp_path / f"{rate}.aac").read_bytes() for rate in (16000, 48000)]
    (tmp_path / "both.aac").write_bytes(b"".join(parts))
    back = read_audio(tmp_path / "both.aac", RATE)
    assert 3.8 * RATE < len(back) < 4.4 * RATE
    for second in (0.5, 3.0):
        piece = back[round(second * RATE) :][:RATE] * np.hanning(RATE)
        assert np.argmax(np.abs(np.fft.rfft(piece))) == pytest.approx(440, abs=3)
