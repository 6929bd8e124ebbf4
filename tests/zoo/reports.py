"""Odd files that people reported to video tools in public, each made again from a presenter.

Every case names the thread it comes from. The files there are not used: a case has the property that was reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image

from zoo.material import SIDE, Case, Film, encode_sound, frames, marked

_FINE = {"qp": "4"}
_PLAIN = Film(options=_FINE)
_WIDE = {"color_range": 1, "colorspace": 9, "color_primaries": 9}
_IPHONE = Film(
    "libx265", "yuv420p10le", options={"x265-params": "crf=6:log-level=none"}, tags={**_WIDE, "color_trc": 18}
)


@dataclass(frozen=True)
class Report:
    """A public thread, what was odd about the file, and the case that stands for it."""

    thread: str  # owner/repository#number on GitHub
    odd: str
    case: Case


def _copied(path: Path, target: Path, change: object) -> Path:
    """Copy a film's packets, each changed by a function of (number, bytes)."""
    with av.open(str(path)) as source, av.open(str(target), "w") as media:
        stream = media.add_stream_from_template(source.streams.video[0])
        for k, old in enumerate(p for p in source.demux(video=0) if p.size):
            packet = av.Packet(change(k, bytes(old)))  # type: ignore[operator]
            packet.stream, packet.pts, packet.dts, packet.time_base = stream, old.pts, old.dts, old.time_base
            packet.is_keyframe = old.is_keyframe
            media.mux(packet)
    return target


def _late_stream(folder: Path) -> Path:
    """A transport stream whose sound begins when its picture has run for a while."""
    parts = []
    for start, sound in ((0, ""), (4, "aac")):
        stamps = tuple(range(start, start + 4))
        film = Film(options={**_FINE, "bf": "0"}, muxer="mpegts", stamps=stamps, time_base=Fraction(1, 25), sound=sound)
        parts.append(film.write(folder / f"{start}.ts").read_bytes())
    (folder / "late.ts").write_bytes(b"".join(parts))
    return folder / "late.ts"


def _junk_in_packets(folder: Path) -> Path:
    path = Film("mjpeg", "yuvj420p", options={"b": "8000000"}).write(folder / "plain.mkv")
    return _copied(path, folder / "junk.mkv", lambda _, data: data + b"\0undecodable bytes" * 8)


def _damaged_depth(folder: Path) -> Path:
    """A depth camera's film that was written over a bad network."""
    path = Film("ffv1", "gray16le", options={"level": "3", "slicecrc": "1"}).write(folder / "plain.nut")

    def damage(k: int, data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes(64) + data[middle + 64 :] if k == 2 else data

    return _copied(path, folder / "damaged.mkv", damage)


def _timecode(folder: Path) -> Path:
    with av.open(str(folder / "phone.mov"), "w") as media:
        stream = media.add_stream("libx264", rate=25, options=_FINE)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.metadata["timecode"] = "01:00:00:00"
        for k, picture in enumerate(frames()):
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts = k
            media.mux(stream.encode(frame))
        media.mux(stream.encode(None))
    return folder / "phone.mov"


def _with_tag(name: str, tag: str, value: str) -> object:
    def make(folder: Path) -> Path:
        plain = _PLAIN.write(folder / "plain.mp4")
        with av.open(str(plain)) as source, av.open(str(folder / name), "w") as media:
            media.metadata[tag] = value
            stream = media.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    media.mux(packet)
        return folder / name

    return make


def _without_index(folder: Path) -> Path:
    path = _PLAIN.write(folder / "film.mp4")
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"moov") - 4])
    return path


def _web_page(folder: Path) -> Path:
    path = folder / "video.mp4"
    path.write_text("<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>\n" * 40)
    return path


def _black_between(folder: Path) -> Path:
    black = np.zeros((SIDE, SIDE, 3), np.uint8)
    return _PLAIN.write(folder / "cut.mp4", [*frames(), black, black, *frames()])


def _tilted(folder: Path) -> Path:
    turn = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), 35, 1)
    shown = [marked(cv2.warpAffine(p, turn, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)) for p in frames()]
    return _PLAIN.write(folder / "tilted.mp4", shown)


def _odd(folder: Path) -> Path:
    shown = [cv2.resize(p, (265, 199), interpolation=cv2.INTER_AREA) for p in frames()]
    return Film(pix_fmt="yuv444p", options=_FINE).write(folder / "odd.mp4", shown)


def _seventeen(rate: Fraction, folder: Path) -> Path:
    shown = (list(frames()) * 5)[:17]
    return Film(options=_FINE, rate=rate).write(folder / "film.mp4", shown)


def _sound(folder: Path, name: str, codec: str, rate: int, seconds: float, **more: object) -> Path:
    with av.open(str(folder / name), "w", **more) as media:  # type: ignore[arg-type]
        if name.endswith("m4a"):
            media.metadata["iTunSMPB"] = "00000000 00000840 000001CA 0000000000003F31"
        stream = media.add_stream(codec, rate=rate, layout="stereo")
        media.mux([*encode_sound(stream, seconds), *stream.encode(None)])
    return folder / name


def _song_with_a_frame(folder: Path) -> Path:
    """A downloader's song: its cover is a film of one frame, and not marked as a cover."""
    with av.open(str(folder / "song.mkv"), "w") as media:
        picture = media.add_stream("mjpeg", rate=25)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
        sound = media.add_stream("flac", rate=44100, layout="stereo")
        frame = av.VideoFrame.from_image(Image.new("RGB", (64, 64), (9, 90, 20)))
        frame.pts = 0
        media.mux([*picture.encode(frame), *picture.encode(None)])
        media.mux([*encode_sound(sound, 0.5), *sound.encode(None)])
    return folder / "song.mkv"


def _see_through(folder: Path) -> Path:
    picture = np.dstack([frames()[0], np.full((SIDE, SIDE), 255, np.uint8)])
    picture[100:140, :30, 3] = 0
    Image.fromarray(picture, "RGBA").save(folder / "see_through.png")
    return folder / "see_through.png"


def _at_25(count: int) -> tuple[float, ...]:
    return tuple(k / 25 for k in range(count))


_ITUNES = {"movflags": "use_metadata_tags"}
_NTSC = Fraction(24000, 1001)
_SCREEN = (0, 16, 200, 950)
REPORTS = [
    Report("PyAV-Org/PyAV#692", "a stream that begins midway", Case(
        "ts late stream", _late_stream, frames=8, times=()
    )),
    Report("PyAV-Org/PyAV#2303", "bytes after the picture in a packet", Case("mkv junk in packets", _junk_in_packets)),
    Report("PyAV-Org/PyAV#353", "a timecode track without data", Case("mov phone timecode", _timecode)),
    Report("PyAV-Org/PyAV#39", "raw picture of odd width", Case(
        "avi raw odd width",
        lambda f: Film("rawvideo", "bgr24").write(f / "odd.avi", [cv2.resize(p, (239, 240)) for p in frames()]),
        size=(239, 240),
    )),
    Report("PyAV-Org/PyAV#185", "damaged FFV1 of a depth camera", Case(
        "mkv damaged depth", _damaged_depth, frames=4, corners=False
    )),
    Report("PyAV-Org/PyAV#1090", "two frames with the same time", Case(
        "mkv equal stamps",
        lambda f: Film("ffv1", stamps=(0, 40, 40, 80), time_base=Fraction(1, 1000)).write(f / "equal.mkv"),
        times=(0.0, 0.04, 0.041, 0.08),
    )),
    Report("Zulko/moviepy#207", "metadata that speak of durations", Case(
        "mov XMP", _with_tag("xmp.mov", "comment", 'xmpDM:duration="0:32.303" Duration: N/A')
    )),
    Report("Zulko/moviepy#116", "a colon in the name", Case(
        "mp4 colon", lambda f: _PLAIN.write(f / "plain.mp4").rename(f / "GoPro: a, 100%d.mp4")
    )),
    Report("Zulko/moviepy#1739", "a browser's recording without a length", Case(
        "webm recorder",
        lambda f: Film("libvpx", options={"crf": "4", "b": "4000000"}, container={"live": "1"}).write(f / "call.webm"),
    )),
    Report("Zulko/moviepy#1790", "a web page saved as a film", Case("mp4 web page", _web_page, says="copy it again")),
    Report("numz/sd-wav2lip-uhq#97", "no index (moov)", Case("mp4 no moov", _without_index, says="copy it again")),
    Report("numz/sd-wav2lip-uhq#19", "dark frames between two shots", Case(
        "mp4 dark transition", _black_between, frames=10, times=_at_25(10), corners=False, note="pass through"
    )),
    Report("Rudrabha/Wav2Lip#369", "23.976 frames a second", Case(
        "mp4 film rate", lambda f: _seventeen(_NTSC, f), frames=17, times=tuple(float(k / _NTSC) for k in range(17))
    )),
    Report("Rudrabha/Wav2Lip#64", "a head tilted by 35 degrees", Case("mp4 tilted", _tilted)),
    Report("Rudrabha/Wav2Lip#290", "M4A with iTunes' encoder delay", Case(
        "m4a iTunes", lambda f: _sound(f, "a.m4a", "aac", 44100, 0.5, container_options=_ITUNES),
        role="audio",
    )),
    Report("ShmuelRonen/ComfyUI-LatentSyncWrapper#49", "17 frames, one more than a batch", Case(
        "mp4 17 frames", lambda f: _seventeen(Fraction(25), f), frames=17, times=_at_25(17)
    )),
    Report("bytedance/LatentSync#64", "speech that ends within a batch", Case(
        "wav ends within a batch", lambda f: _sound(f, "a.wav", "pcm_s16le", 16000, 0.63), role="audio", seconds=0.63
    )),
    Report("OpenTalker/SadTalker#795", "30 frames a second", Case(
        "mp4 30 a second",
        lambda f: _seventeen(Fraction(30), f), frames=17, times=tuple(k / 30 for k in range(17)),
    )),
    Report("Sxjdwang/TalkLip#7", "speech at 44.1 kHz in stereo", Case(
        "wav 44.1 kHz stereo", lambda f: _sound(f, "a.wav", "pcm_s16le", 44100, 0.5), role="audio"
    )),
    Report("TMElyralab/MuseTalk#153", "speech longer than the video", Case(
        "wav longer", lambda f: _sound(f, "a.wav", "pcm_s16le", 16000, 1.5), role="audio", seconds=1.5
    )),
    Report("Kosinkadink/ComfyUI-VideoHelperSuite#51", "an odd height", Case("mp4 odd height", _odd, size=(265, 199))),
    Report("Aleksoid1978/MPC-BE#1241", "a song whose cover is a film of one frame", Case(
        "mkv song", _song_with_a_frame, role="audio"
    )),
    Report("jbilcke-hf/FacePoke#16", "a portrait with four channels", Case(
        "png see-through", _see_through, frames=None, times=(), note="transparen"
    )),
    Report("LibrePhotos/librephotos#455", "HLG of an iPhone", Case(
        "mov HLG", lambda f: _IPHONE.write(f / "iphone.mov"), tolerance=4
    )),
    Report("n00mkrad/flowframes#43", "a screen recording of variable rate", Case(
        "mp4 screen recording",
        lambda f: Film(options=_FINE, stamps=_SCREEN, time_base=Fraction(1, 1000)).write(f / "screen.mp4"),
        times=tuple(s / 1000 for s in _SCREEN),
    )),
]  # fmt: skip
CASES = [report.case for report in REPORTS]
