"""Films of every container, codec, sample format, orientation and rate that can be made without an external program."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from zoo.boxes import set_display_matrix, stored
from zoo.material import COUNT, SIDE, Case, Film, frames, marked

_TENTH = {
    "libx264": {"qp": "4"},
    "libx265": {"x265-params": "crf=6:log-level=none"},
    "libvpx-vp9": {"crf": "4", "b": "0"},
}


def film(name: str, codec: str = "libx264", pix_fmt: str = "yuv420p", **more: object) -> Case:
    """A film whose name ends in its suffix; what is no field of ``Case`` is one of ``Film``."""
    own = {key: more.pop(key) for key in ("frames", "times", "size", "tolerance", "note", "corners") if key in more}
    pictures = more.pop("pictures", None)
    options = more.pop("options", _TENTH.get(codec, {}))
    settings = Film(codec, pix_fmt, options=options, **more)  # type: ignore[arg-type]
    suffix = name.split()[0]

    def make(folder: Path) -> Path:
        return settings.write(folder / f"film.{suffix}", None if pictures is None else pictures())  # type: ignore[operator]

    return Case(name, make, **own)  # type: ignore[arg-type]


def turned(number: int) -> Case:
    def make(folder: Path) -> Path:
        shown = [stored(marked(picture[:, 40:]), number) for picture in frames()]
        path = Film(options={"qp": "4"}).write(folder / "film.mp4", shown)
        set_display_matrix(path, number)
        return path

    return Case(f"mp4 display matrix {number}", make, size=(SIDE - 40, SIDE))


def resized(width: int, height: int) -> object:
    return lambda: [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in frames()]


def _with_alpha() -> Sequence[np.ndarray]:
    return [np.dstack([p, np.full(p.shape[:2], 255, np.uint8)]) for p in frames()]


_HD = {"color_range": 1, "colorspace": 1, "color_primaries": 1, "color_trc": 1}
_WIDE = {"color_range": 1, "colorspace": 9, "color_primaries": 9}
_VFR = (0, 33, 66, 500)
_INTERLACED = 0x40000 | 0x20000000  # interlaced transform and motion

CONTAINERS = [
    film("mp4 h264"),
    film("mp4 hevc", "libx265"),
    film("mp4 av1", "libsvtav1", options={"crf": "10"}, tolerance=4),
    film("mp4 mpeg4", "mpeg4", options={"qscale": "2", "flags": "+qscale", "global_quality": "236"}),
    film("mp4 fragmented", container={"movflags": "frag_keyframe+empty_moov"}),
    film("mp4 index first", container={"movflags": "faststart"}),
    film("mp4 with sound", sound="aac"),
    film("m4v h264", muxer="mp4"),
    film("3gp h264", muxer="3gp"),
    film("mov h264"),
    film("mov prores", "prores_ks", "yuv422p10le"),
    film("mov prores 4444", "prores_ks", "yuv444p10le"),
    film("mov mjpeg", "mjpeg", "yuvj420p", options={"qscale": "2", "flags": "+qscale", "global_quality": "236"}),
    film("mov qtrle", "qtrle", "rgb24"),
    film("mov png", "png", "rgb24"),
    film("mov v210", "v210", "yuv422p10le"),
    film("mov jpeg2000", "jpeg2000", "yuv420p"),
    film("mov rawvideo", "rawvideo", "yuyv422"),
    film(
        "mov dnxhr",
        "dnxhd",
        "yuv422p",
        tags=_HD,
        options={"profile": "dnxhr_hq"},
        pictures=resized(320, 240),
        size=(320, 240),
    ),
    film("mkv h264"),
    film("mkv hevc", "libx265"),
    film("mkv ffv1", "ffv1"),
    film("mkv vp8", "libvpx", options={"crf": "4", "b": "4000000"}),
    film("mkv live", container={"live": "1"}),
    film("mkv mpeg2", "mpeg2video", options={"b": "4000000"}),
    film("webm vp9", "libvpx-vp9"),
    film("webm vp8", "libvpx", options={"crf": "4", "b": "4000000"}),
    film("avi mpeg4", "mpeg4", options={"b": "4000000"}),
    film("avi mjpeg", "mjpeg", "yuvj422p", options={"b": "8000000"}),
    film("avi huffyuv", "huffyuv", "yuv422p"),
    film("avi ffvhuff", "ffvhuff"),
    film("avi utvideo", "utvideo", "yuv420p"),
    film("avi rawvideo", "rawvideo", "bgr24"),
    film("avi zmbv", "zmbv", "bgr0"),
    film("avi msmpeg4", "msmpeg4", options={"b": "4000000"}),
    film("mpg mpeg1", "mpeg1video", options={"b": "4000000"}),
    film("mpg mpeg2", "mpeg2video", options={"b": "4000000"}),
    film("vob mpeg2", "mpeg2video", options={"b": "4000000"}),
    film("ts h264"),
    film("ts mpeg2", "mpeg2video", options={"b": "4000000"}),
    film("m2ts h264", muxer="mpegts", container={"mpegts_m2ts_mode": "1"}),
    film("flv h264"),
    film("flv sorenson", "flv", options={"b": "4000000"}),
    film("f4v h264", muxer="f4v"),
    film("wmv wmv2", "wmv2", options={"b": "4000000"}),
    film("asf msmpeg4v2", "msmpeg4v2", options={"b": "4000000"}),
    film("3gp h263", "h263", muxer="3gp", options={"b": "4000000"}, pictures=resized(352, 288), size=(352, 288)),
    film("mxf mpeg2", "mpeg2video", options={"b": "8000000"}),
    film("nut ffv1", "ffv1"),
    film("ivf vp8", "libvpx", options={"crf": "4", "b": "4000000"}),
    film("h264 raw"),
    film("hevc raw", "libx265"),
    film("y4m raw", "rawvideo", muxer="yuv4mpegpipe"),
    film("mjpeg raw", "mjpeg", "yuvj420p", options={"b": "8000000"}, muxer="mjpeg"),
    film("m4v raw", "mpeg4", options={"b": "4000000"}, muxer="m4v"),
    film("mkv snow", "snow", options={"b": "4000000"}, tolerance=4),
    film("avi cinepak", "cinepak", "rgb24", tolerance=8),
]
FORMATS = [
    film("mkv yuv422p", pix_fmt="yuv422p"),
    film("mkv yuv444p", pix_fmt="yuv444p"),
    film("mkv 10 bits", pix_fmt="yuv420p10le"),
    film("mkv 422 10 bits", pix_fmt="yuv422p10le"),
    film("mkv 444 10 bits", pix_fmt="yuv444p10le"),
    film("mkv 12 bits", "ffv1", "yuv420p12le"),
    film("mkv 16 bits", "ffv1", "yuv420p16le"),
    film("mkv yuv411p", "ffv1", "yuv411p"),
    film("mkv yuv410p", "ffv1", "yuv410p", tolerance=4),
    film("mkv yuv440p", "ffv1", "yuv440p"),
    film("avi gbrp", "utvideo", "gbrp"),
    film("mkv gbrp 10 bits", "ffv1", "gbrp10le"),
    film("mkv grey", "ffv1", "gray", corners=False),
    film("mkv grey 10 bits", "ffv1", "gray10le", corners=False),
    film("mkv h264 rgb", "libx264rgb", "rgb24", options={"qp": "0"}),
    film("mkv full range", tags={**_HD, "color_range": 2}),
    film("mkv yuvj420p", pix_fmt="yuvj420p"),
    film("mkv BT.709 tagged", tags=_HD),
    film("mkv BT.2020", tags={**_WIDE, "color_trc": 14}, pix_fmt="yuv420p10le"),
    film("mkv HLG", "libx265", "yuv420p10le", tags={**_WIDE, "color_trc": 18}),
    film("mkv PQ", "libx265", "yuv420p10le", tags={**_WIDE, "color_trc": 16}),
    film("mov rgba opaque", "png", "rgba", pictures=_with_alpha),
    film("mkv yuva420p opaque", "ffv1", "yuva420p", pictures=_with_alpha),
    film("mov prores with alpha", "prores_ks", "yuva444p10le", pictures=_with_alpha),
    film("avi palette", "rawvideo", "rgb555le", tolerance=6),
    film("nut nv12", "rawvideo", "nv12"),
]
ORIENTATIONS = [turned(number) for number in range(1, 9)]
RATES = [
    film("mp4 23.976", rate=Fraction(24000, 1001), times=tuple(k * 1001 / 24000 for k in range(COUNT))),
    film("mp4 29.97", rate=Fraction(30000, 1001), times=tuple(k * 1001 / 30000 for k in range(COUNT))),
    film("mp4 60", rate=Fraction(60), times=tuple(k / 60 for k in range(COUNT))),
    film("mp4 120", rate=Fraction(120), times=tuple(k / 120 for k in range(COUNT))),
    film("mp4 240", rate=Fraction(240), times=tuple(k / 240 for k in range(COUNT))),
    film("mkv 12.5", rate=Fraction(25, 2), times=tuple(2 * k / 25 for k in range(COUNT))),
    film("mp4 one a second", rate=Fraction(1), times=(0, 1, 2, 3)),
    film("mp4 slides", rate=Fraction(1, 3), times=(0, 3, 6, 9)),
    film("mkv variable", stamps=_VFR, time_base=Fraction(1, 1000), times=tuple(s / 1000 for s in _VFR)),
    film("mp4 variable", stamps=_VFR, time_base=Fraction(1, 1000), times=tuple(s / 1000 for s in _VFR)),
    film("mp4 starts at 5 s", stamps=(125, 126, 127, 128), time_base=Fraction(1, 25)),
    film("ts starts at 5 s", stamps=(125, 126, 127, 128), time_base=Fraction(1, 25)),
]
SHAPES = [
    film("mkv odd size", "ffv1", pictures=resized(241, 239), size=(241, 239)),
    film("mkv odd width", "ffv1", "yuv422p", pictures=resized(239, 240), size=(239, 240)),
    film("mp4 wide pixels", aspect=Fraction(4, 3), pictures=resized(180, 240), size=(180, 240)),
    film(
        "mp4 tall",
        pictures=lambda: [np.vstack([p[:60], p, p[-60:]]) for p in frames()],
        size=(SIDE, SIDE + 120),
        corners=False,
    ),
    film("mp4 interlaced", options={"qp": "4", "x264-params": "tff=1"}, flags=_INTERLACED, note="interlaced"),
    film("mpg interlaced", "mpeg2video", options={"b": "8000000"}, flags=_INTERLACED, note="interlaced"),
    film("dv tape", "dvvideo", "yuv420p", muxer="dv", pictures=resized(720, 576), size=(720, 576)),
]
CASES = [*CONTAINERS, *FORMATS, *ORIENTATIONS, *RATES, *SHAPES]
