"""Limits of everything that is read from outside, each written once: pixels, frames, time, streams, rows, nesting.

A file can claim anything in a few bytes: a picture of ten thousand million pixels, a minute of sound at the end of a
thousand years, text nested a million deep, an archive that unpacks to a terabyte. Every reader of outside bytes asks
here before it believes such a claim. All numbers are our choice, far above what cameras, phones and people make.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from dithead.errors import ConfigError, DitheadError, MediaError

MAX_FRAME_PIXELS = 8192 * 8192
"""Pixels of one frame of a video: twice the 8K of television."""
MAX_PICTURE_PIXELS = 16384 * 16384
"""Pixels of a still picture: phones write up to 200 million."""
MAX_PICTURE_SIDE = 4096
"""Pixels of the longer side to which larger pictures are scaled down: players of H.264 stop there."""
MAX_SECONDS = 12 * 3600.0
"""Seconds of one video or sound."""
MAX_FRAMES = 12 * 3600 * 120
"""Frames of one video: ``MAX_SECONDS`` at 120 a second."""
MAX_STREAMS = 128
"""Streams of one media file."""
MAX_SAMPLE_RATE = 768_000
"""Samples of sound a second; the highest that converters have."""
MAX_CHANNELS = 64
"""Channels of one sound track."""
MAX_TEXT = 64 << 20
"""Bytes of a text that is read whole: a job list, a configuration, a header."""
MAX_CREDENTIALS = 64 << 20
"""Bytes of credentials that lie beside a file."""
MAX_LISTING = 2 << 30
"""Bytes of the list of a dataset's clips: several million."""
MAX_JOBS = 100_000
"""Rows of a job list."""
MAX_NESTING = 64
"""Depth of lists and objects in JSON."""
MAX_UNPACKED = 8 << 30
"""Bytes that an archive of arrays may unpack to."""
MAX_SETTING, MAX_LAYERS = 16_384, 512
"""Largest whole number in the configuration of a model, and the largest that counts layers."""

PROTOCOLS = "file"
"""What FFmpeg may open: the one file it was given, never an address."""
FORMATS = (
    # films
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "mxf", "gxf", "nut", "rm", "wtv"),
    *("ivf", "dv", "m4v", "h264", "hevc", "vvc", "obu", "av1", "mjpeg", "mjpeg_2000", "vc1", "yuv4mpegpipe", "dhav"),
    *("h261", "h263", "amv", "swf", "gif", "apng", "pva", "ty", "nuv", "nsv"),
    # sound
    *("wav", "w64", "aiff", "caf", "au", "flac", "mp3", "aac", "ac3", "eac3", "dts", "dtshd", "truehd", "mlp", "loas"),
    *("amr", "amrnb", "amrwb", "ape", "tta", "wv", "tak", "mpc", "mpc8", "dsf", "iff", "voc", "gsm", "g722", "g729"),
    *("qcp", "sox", "wsd", "shn", "xwma", "act", "sln", "ircam", "nistsphere", "adx", "oma", "spx", "qoa"),
    # pictures that media.picture does not read, each by its content
    *("jpegxl_pipe", "exr_pipe", "hdr_pipe", "dpx_pipe", "psd_pipe", "qoi_pipe", "jpegls_pipe", "sgi_pipe", "pcx_pipe"),
    *("png_pipe", "jpeg_pipe", "bmp_pipe", "tiff_pipe", "webp_pipe", "j2k_pipe", "ppm_pipe", "pgm_pipe", "pam_pipe"),
)
"""FFmpeg's names of the formats that are read. None of them opens another file or an address: no play lists, no
numbered pictures, no session descriptions, no filter descriptions, no devices."""
_LISTS = {
    b"ffconcat": "a list of other files",
    b"#EXTM3U": "a play list",
    b"[playlist]": "a play list",
    b"<MPD": "a DASH manifest",
    b"<SmoothStreamingMedia": "a streaming manifest",
    b"<smil": "a play list",
    b"<svg": "an SVG drawing, which can name other files",
    b"<ASX": "a play list",
    b"v=0\r": "a session description",
    b"v=0\n": "a session description",
}
_SNIFFED = 2048  # bytes at the beginning of a file in which such a word is looked for


def refuse_lists(path: Path, name: str) -> None:
    """Raise MediaError where a file is no film but names other files or addresses.

    Args:
        path: The file.
        name: What to call it in the message.
    """
    with path.open("rb") as file:
        head = file.read(_SNIFFED).lstrip(b"\xef\xbb\xbf \t\r\n")
    for word, kind in _LISTS.items():
        begins = head[: len(word)].lower() == word.lower()
        if begins or (head.startswith(b"<") and word.startswith(b"<") and word.lower() in head.lower()):
            raise MediaError(f"{name}: is {kind}; one input is one file: give the video, sound or picture itself")


def require_frame_size(name: str, width: int, height: int, most: int = MAX_FRAME_PIXELS) -> None:
    """Raise MediaError where a picture claims no pixel or more than ``most``."""
    if width < 1 or height < 1 or width * height > most:
        raise MediaError(f"{name}: claims {width}x{height} pixels; at most {most // 1_000_000} million are read")


def require_seconds(name: str, seconds: float) -> None:
    """Raise MediaError where a video or sound is longer than ``MAX_SECONDS``."""
    if seconds > MAX_SECONDS:
        raise MediaError(f"{name}: is longer than {MAX_SECONDS / 3600:g} hours; cut it into parts")


def require_frames(name: str, frames: int) -> None:
    """Raise MediaError where a video has more frames than ``MAX_FRAMES``."""
    if frames > MAX_FRAMES:
        raise MediaError(f"{name}: has more than {MAX_FRAMES} frames; cut it into parts")


def require_jobs(name: str, rows: int) -> None:
    """Raise ConfigError where a list has more jobs than ``MAX_JOBS``."""
    if rows > MAX_JOBS:
        raise ConfigError(f"{name}: has {rows} rows; at most {MAX_JOBS} are read: split it")


def require_sound(name: str, rate: int, channels: int) -> None:
    """Raise MediaError where sound claims an impossible rate (hertz) or number of channels."""
    if not 1 <= rate <= MAX_SAMPLE_RATE or channels > MAX_CHANNELS:
        raise MediaError(
            f"{name}: claims {rate} samples a second in {channels} channels; at most {MAX_SAMPLE_RATE} and "
            f"{MAX_CHANNELS} are read"
        )


def read_text(path: Path, name: str, error: type[DitheadError]) -> str:
    """Read a text file of at most ``MAX_TEXT`` bytes.

    Args:
        path: The file; UTF-8, with or without a byte-order mark.
        name: What to call it in a message.
        error: The error to raise where it is too long or no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise error(f"{name}: is larger than {MAX_TEXT >> 20} MiB; split it")
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise error(f"{name}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, ValueError) as fault:
        raise error(f"{name}: cannot be read as text ({type(fault).__name__})") from None


def parse_json(text: str) -> Any:
    """Parse JSON; ValueError where it is none, or nested deeper than ``MAX_NESTING``."""
    try:
        content = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level: list[Any] = [content]
    for _ in range(MAX_NESTING):
        if not level:
            return content
        level = list(_children(level))
    raise ValueError("it is nested too deeply")


def read_json(path: Path, name: str, error: type[DitheadError]) -> Any:
    """Read a JSON file within the limits of ``read_text`` and ``parse_json``; ``error`` where it is none."""
    try:
        return parse_json(read_text(path, name, error))
    except ValueError as fault:
        raise error(f"{name}: is no JSON ({fault})") from None


def _children(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, list):
            yield from value


def require_unpacked(path: Path, name: str, error: type[DitheadError]) -> None:
    """Raise ``error`` where an archive of arrays (``.npz``) is none, or unpacks to more than ``MAX_UNPACKED`` bytes."""
    try:
        with ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except (BadZipFile, OSError, ValueError, NotImplementedError) as fault:
        raise error(f"{name}: is no archive of arrays ({fault}); remove it and make it again") from None
    if size > MAX_UNPACKED:
        raise error(f"{name}: unpacks to more than {MAX_UNPACKED >> 30} GiB; remove it and make it again")


def require_settings(name: str, settings: Any, error: type[DitheadError]) -> None:
    """Raise ``error`` where the configuration of a model (parsed JSON) has a number or a list that no model needs."""
    level = [("", settings)]
    while level:
        for key, value in level:
            most = MAX_LAYERS if any(word in key for word in ("depth", "layers", "heads")) else MAX_SETTING
            if isinstance(value, int) and abs(value) > most:
                raise error(f"{name}: {key} is {value}; at most {most} is read")
            if isinstance(value, list) and len(value) > MAX_LAYERS:
                raise error(f"{name}: {key} has {len(value)} values; at most {MAX_LAYERS} are read")
        level = [pair for key, value in level for pair in _named_children(key, value)]


def _named_children(key: str, value: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(str(name), part) for name, part in value.items()]
    return [(key, part) for part in value] if isinstance(value, list) else []
