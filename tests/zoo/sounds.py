"""Sound of every codec, rate and layout of channels that can be made without an external program."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from PIL import Image

from zoo.material import Case, Film, encode_sound

SECONDS = 0.5


def sound(name: str, codec: str, rate: int = 16000, layout: str = "mono", **more: Any) -> Case:
    """Half a second of a tone in a file whose name ends in the first word."""
    muxer, start, cover = more.pop("muxer", None), more.pop("start", 0.0), more.pop("cover", False)

    def make(folder: Path) -> Path:
        path = folder / f"sound.{name.split()[0]}"
        with av.open(str(path), "w", format=muxer) as media:
            stream = media.add_stream(codec, rate=rate, layout=layout)
            if codec == "wmav2":
                stream.bit_rate = 64_000
            picture = media.add_stream("mjpeg") if cover else None
            if picture is not None:
                picture.width, picture.height, picture.pix_fmt = 16, 16, "yuvj420p"
                picture.disposition = av.stream.Disposition.attached_pic
            media.mux([*encode_sound(stream, SECONDS, start), *stream.encode(None)])
            if picture is not None:
                media.mux(
                    [*picture.encode(av.VideoFrame.from_image(Image.new("RGB", (16, 16)))), *picture.encode(None)]
                )
        return path

    return Case(name, make, role="audio", **more)


def _in_a_film(name: str, film: Film) -> Case:
    return Case(name, lambda folder: film.write(folder / f"film.{name.split()[0]}"), role="audio", seconds=SECONDS)


def _two_rates(folder: Path) -> Path:
    """Two MP3 recordings of other rates, one copied after the other."""
    parts = [sound(f"mp3 {rate}", "libmp3lame", rate).make(folder).read_bytes() for rate in (16000, 44100)]
    path = folder / "both.mp3"
    path.write_bytes(b"".join(parts))
    return path


def _pause(folder: Path) -> Path:
    """A second of pause in the time stamps."""
    path = folder / "pause.mkv"
    with av.open(str(path), "w") as media:
        stream = media.add_stream("pcm_s16le", rate=16000, layout="mono")
        stream.codec_context.time_base = Fraction(1, 16000)
        media.mux([*encode_sound(stream, SECONDS), *encode_sound(stream, SECONDS, 1.5), *stream.encode(None)])
    return path


CASES = [
    sound("wav 8 bits 8 kHz", "pcm_u8", 8000),
    sound("wav", "pcm_s16le"),
    sound("wav 24 bits", "pcm_s24le", 48000),
    sound("wav 32 bits", "pcm_s32le", 44100),
    sound("wav float", "pcm_f32le", 48000),
    sound("wav double", "pcm_f64le", 96000),
    sound("wav mu-law", "pcm_mulaw", 8000),
    sound("wav A-law", "pcm_alaw", 8000),
    sound("wav ADPCM", "adpcm_ima_wav", 22050),
    sound("wav MS ADPCM", "adpcm_ms", 22050),
    sound("wav 192 kHz", "pcm_s16le", 192000),
    sound("wav 11025", "pcm_s16le", 11025),
    sound("wav 5.1", "pcm_s16le", 48000, "5.1"),
    sound("wav 7.1", "pcm_s16le", 48000, "7.1"),
    sound("wav 16 channels", "pcm_s16le", 48000, "hexadecagonal"),
    sound("wav stereo", "pcm_s16le", 44100, "stereo"),
    sound("w64", "pcm_s16le"),
    sound("aiff", "pcm_s16be"),
    sound("au", "pcm_s16be"),
    sound("caf", "pcm_s16le"),
    sound("caf ALAC", "alac", 44100),
    sound("flac", "flac"),
    sound("flac 7.1", "flac", 48000, "7.1"),
    sound("mp3", "libmp3lame", 44100, seconds=0.55),
    sound("mp3 8 kHz", "libmp3lame", 8000, seconds=0.6),
    sound("mp3 with a cover", "libmp3lame", 44100, cover=True, seconds=0.55),
    sound("m4a", "aac", 44100),
    sound("m4a 5.1", "aac", 48000, "5.1"),
    sound("aac raw", "aac", 44100, muxer="adts", seconds=0.55),
    sound("opus", "libopus", 48000),
    sound("ogg FLAC", "flac"),
    sound("webm Opus", "libopus", 48000),
    sound("wma", "wmav2", 44100, "stereo", muxer="asf"),
    sound("ac3", "ac3", 48000, "5.1", seconds=0.55),
    sound("eac3", "eac3", 48000, "stereo", seconds=0.55),
    sound("mp2", "mp2", 44100, seconds=0.55),
    sound("g722", "g722"),
    sound("wv", "wavpack", 44100),
    sound("tta", "tta", 44100),
    sound("amr", "libopencore_amrnb", 8000, seconds=0.55),
    sound("mka late", "pcm_s16le", start=0.4),
    sound("ts AAC", "aac", 44100, muxer="mpegts", seconds=0.55),
    _in_a_film("mp4 of a camera", Film(sound="aac")),
    _in_a_film("avi of a camera", Film("mpeg4", sound="libmp3lame")),
    _in_a_film("webm of a call", Film("libvpx", sound="libopus")),
    Case("mp3 of two rates", _two_rates, role="audio", seconds=1.1),
    Case("mkv with a pause", _pause, role="audio", seconds=2.0),
]
