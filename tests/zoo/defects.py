"""Files that are broken, cut off, joined from parts, or something else than they claim."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from zoo.boxes import shorten_edit_list
from zoo.material import SIDE, Case, Film, encode_sound, frames

_FINE = {"qp": "4"}


def longer(times: int = 5) -> list[np.ndarray]:
    return [*frames()] * times


def _cut(folder: Path, suffix: str, share: float, film: Film) -> Path:
    path = film.write(folder / f"whole.{suffix}", longer())
    data = path.read_bytes()
    (folder / f"cut.{suffix}").write_bytes(data[: round(len(data) * share)])
    return folder / f"cut.{suffix}"


def cut(name: str, share: float, film: Film, **more: Any) -> Case:
    return Case(name, lambda folder: _cut(folder, name.split()[0], share, film), **more)


def text(name: str, content: str) -> Case:
    def make(folder: Path) -> Path:
        other = Film(options=_FINE).write(folder / "other.mp4")
        path = folder / f"list.{name.split()[0]}"
        path.write_text(content.format(other))
        return path

    return Case(name, make, says="one input is one file")


def raw(name: str, content: Callable[[], bytes], says: str) -> Case:
    def make(folder: Path) -> Path:
        path = folder / f"raw.{name.split()[0]}"
        path.write_bytes(content())
        return path

    return Case(name, make, says=says)


def _hole(folder: Path) -> Path:
    """Zeros where frames 8 to 11 of 20 are, as a damaged card has them; every frame is a key frame."""
    path = Film("mjpeg", "yuvj420p", options={"b": "8000000"}).write(folder / "hole.mkv", longer())
    with av.open(str(path)) as media:
        places = [(p.pos, p.size) for p in media.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    begin, end = places[8][0], sum(places[11])
    data[begin:end] = bytes(end - begin)
    path.write_bytes(data)
    return path


def _lost_group(folder: Path) -> Path:
    """The key frame of the second group of pictures is zeroed; the first and the third are whole."""
    path = Film(options={**_FINE, "g": "8", "bf": "0"}).write(folder / "gop.mp4", longer(6))
    with av.open(str(path)) as media:
        keys = [(p.pos, p.size) for p in media.demux(video=0) if p.size and p.is_keyframe]
    data = bytearray(path.read_bytes())
    data[keys[1][0] + 4 : sum(keys[1])] = bytes(keys[1][1] - 4)
    path.write_bytes(data)
    return path


def _begins_in_a_group(folder: Path) -> Path:
    """A stream that was joined after its first key frame."""
    path = Film("mpeg2video", options={"b": "4000000", "g": "6"}).write(folder / "whole.ts", longer(4))
    with av.open(str(path)) as media:
        second = [p.pos for p in media.demux(video=0) if p.size][2]
    (folder / "joined.ts").write_bytes(path.read_bytes()[second // 188 * 188 :])
    return folder / "joined.ts"


def _clock_back(folder: Path) -> Path:
    parts = []
    for start in (250, 150):
        film = Film(options={**_FINE, "bf": "0"}, stamps=tuple(range(start, start + 4)), time_base=Fraction(1, 25))
        film = Film(**{**film.__dict__, "muxer": "mpegts", "container": {"mpegts_copyts": "1"}})
        parts.append(film.write(folder / f"{start}.ts").read_bytes())
    (folder / "both.ts").write_bytes(b"".join(parts))
    return folder / "both.ts"


def _sizes(folder: Path) -> Path:
    parts = []
    for side in (SIDE, SIDE // 2):
        shown = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in frames()]
        parts.append(Film(options={**_FINE, "bf": "0"}).write(folder / f"{side}.ts", shown).read_bytes())
    (folder / "both.ts").write_bytes(b"".join(parts))
    return folder / "both.ts"


def _edited(folder: Path) -> Path:
    path = Film(options={**_FINE, "bf": "0"}).write(folder / "edited.mp4", longer(3))
    shorten_edit_list(path, 0.5)
    return path


def _many_streams(folder: Path) -> Path:
    path = folder / "many.mkv"
    with av.open(str(path), "w") as media:
        for stream in [media.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(300)]:
            media.mux(encode_sound(stream, 0.05))
    return path


def _subtitled(folder: Path) -> Path:
    """With a track of titles, which the output leaves out."""
    plain, path = Film(options=_FINE).write(folder / "plain.mkv"), folder / "titled.mkv"
    (folder / "titles.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nHello\n")
    with av.open(str(plain)) as film, av.open(str(folder / "titles.srt")) as titles, av.open(str(path), "w") as media:
        sources = [source.streams[0] for source in (film, titles)]
        streams = [media.add_stream_from_template(source) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.container.demux(source):
                if packet.size:
                    packet.stream = stream
                    media.mux(packet)
    return path


def _huge_png() -> bytes:
    parts = [
        (b"IHDR", struct.pack(">2I5B", 100_000, 100_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    chunks = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def _no_face(folder: Path) -> Path:
    return Film(options=_FINE).write(folder / "wall.mp4", [np.full((SIDE, SIDE, 3), 120, np.uint8)] * 4)


def _sound_only(folder: Path) -> Path:
    path = folder / "sound.mp4"
    with av.open(str(path), "w") as media:
        stream = media.add_stream("aac", rate=44100, layout="mono")
        media.mux([*encode_sound(stream, 0.5), *stream.encode(None)])
    return path


_INDEX_FIRST = Film(options=_FINE, container={"movflags": "faststart"})
_FRAGMENTS = Film(options={**_FINE, "g": "4"}, container={"movflags": "frag_keyframe+empty_moov"})
CASES = [
    cut("mp4 cut, index first", 0.6, _INDEX_FIRST, says="cut off"),
    cut("mp4 cut, index last", 0.6, Film(options=_FINE), says="cut off"),
    cut("mp4 cut fragments", 0.7, _FRAGMENTS, says="cut off"),
    cut("mkv cut", 0.6, Film(options=_FINE), says="cut off"),
    cut("avi cut", 0.6, Film("mpeg4", options={"b": "4000000"}), says="cut off"),
    cut("mp4 header only", 0.02, Film(options=_FINE), says="copy it again"),
    cut("ts cut", 0.6, Film(options={**_FINE, "bf": "0"}), frames=None, corners=False),
    Case("mkv with a hole", _hole, frames=None, corners=True, times=(), note="", tolerance=5),
    Case("mp4 with a lost group", _lost_group, frames=24, times=tuple(k / 25 for k in range(24)), note="damaged"),
    Case("ts that begins in a group", _begins_in_a_group, frames=None, corners=True, times=(), tolerance=5),
    Case("ts whose clock goes back", _clock_back, frames=8, times=tuple(k / 25 for k in range(8)), note="clock"),
    Case("ts whose size changes", _sizes, frames=8, times=None, note="size"),
    Case("mp4 with an edit list", _edited, frames=None, times=()),
    Case("mkv with titles", _subtitled, note="subtitle"),
    Case(
        "mp4 of one frame",
        lambda folder: Film(options=_FINE).write(folder / "one.mp4", frames()[:1]),
        frames=1,
        times=(0.0,),
    ),
    Case("mkv of many streams", _many_streams, says="streams"),
    Case("mp4 without a face", _no_face, says="no usable face"),
    Case("mp4 of sound only", _sound_only, says="no video"),
    text("mp4 ffconcat", "ffconcat version 1.0\nfile '{}'\n"),
    text("m3u8 HLS", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"),
    text("mpd DASH", '<?xml version="1.0"?>\n<MPD type="static"><BaseURL>{}</BaseURL></MPD>'),
    text("svg", '<svg xmlns="http://www.w3.org/2000/svg"><image href="file://{}"/></svg>'),
    text("sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n"),
    raw("png of 100000 x 100000", _huge_png, "claims"),
    raw("mp4 empty", bytes, "empty"),
    raw("mp4 zeros", lambda: bytes(5000), "copy it again"),
    raw("mp4 noise", lambda: np.random.default_rng(0).bytes(5000), "copy it again"),
    raw("jpg of text", lambda: b"Dear diary\n" * 50, "copy it again"),
]
