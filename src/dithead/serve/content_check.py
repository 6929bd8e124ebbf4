"""Judges a file by its content, and finds its faces; runs in the process of ``inspector``.

Its name and the type that a client claims say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dithead.errors import ConfigError, FaceError, MediaError


@dataclass(frozen=True)
class Media:
    """What a file holds. ``width``, ``height`` and ``fps`` are 0 for speech."""

    kind: Literal["video", "picture", "audio"]
    seconds: float
    width: int = 0
    height: int = 0
    fps: float = 0.0
    has_audio: bool = False
    mime: str = "application/octet-stream"


@dataclass(frozen=True)
class Face:
    """A face as `dithead generate --face` counts it: its number, and when the shot begins that shows it."""

    number: int
    shot: int
    time: float
    picture: str  # name of the thumbnail


def inspect_file(path: Path, longest: float, most_pixels: float) -> Media:
    """Find out what a file holds.

    Args:
        path: The file.
        longest: Seconds that it may last.
        most_pixels: Pixels that a frame of a film may have; stills may have what ``dithead.limits`` allows.

    Raises:
        MediaError: It is no picture, video or sound that can be read.
        ConfigError: It is longer or larger than the server takes.
    """
    from dithead.media.files import open_media
    from dithead.media.picture import describe_picture
    from dithead.media.video import probe, video_stream

    if (picture := describe_picture(path)) is not None:
        if not picture.still:
            _check(path, picture.seconds, longest, picture.width * picture.height, most_pixels)
        kind: Literal["video", "picture"] = "picture" if picture.still else "video"
        mime = f"image/{picture.kind.lower()}"
        return Media(kind, picture.seconds, picture.width, picture.height, float(probe(path).fps), mime=mime)
    with open_media(path) as media:
        has_picture = any(not s.disposition & s.disposition.attached_pic for s in media.streams.video)
        has_sound, container = bool(media.streams.audio), media.format.name
        context = video_stream(media, path).codec_context if has_picture else None
        pixels = 0 if context is None else context.width * context.height
        seconds = _seconds(media)
        _check(path, seconds, longest, pixels, most_pixels)
    return _film_or_sound(path, seconds, _mime(container, has_picture), has_picture, has_sound)


def _film_or_sound(path: Path, seconds: float, mime: str, has_picture: bool, has_sound: bool) -> Media:
    """Decode the beginning of each stream, so that a damaged file is refused at once."""
    from dithead.media.sound_header import sound_header
    from dithead.media.video import probe

    if not has_picture and not has_sound:
        raise MediaError(f"{path}: has neither a picture nor sound; give a video, a picture or speech")
    if has_sound:
        sound_header(path)
    if not has_picture:
        if seconds <= 0:
            raise MediaError(f"{path}: its sound has no length; export it again")
        return Media("audio", seconds, has_audio=True, mime=mime)
    info = probe(path)
    return Media("video", seconds, info.width, info.height, float(info.fps), has_sound, mime)


def _check(path: Path, seconds: float, longest: float, pixels: int, most: float) -> None:
    if seconds > longest:
        raise ConfigError(f"{path}: lasts {seconds:.1f} s; this server takes {longest:g} at most")
    if pixels > most:
        raise ConfigError(
            f"{path}: a frame has {pixels / 1e6:.1f} megapixels; this server takes {most / 1e6:g} at most"
        )


def _seconds(media: Any) -> float:
    """How long a file lasts, by its headers or, where they are silent, by its last packet; nothing is decoded."""
    import av

    if media.duration:
        return float(media.duration / av.time_base)
    last = 0.0
    for packet in media.demux():
        if packet.pts is not None and packet.time_base is not None:
            last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last


_MIMES = {
    "mov": "video/mp4", "matroska": "video/webm", "avi": "video/x-msvideo", "wav": "audio/wav", "mp3": "audio/mpeg",
    "flac": "audio/flac", "ogg": "audio/ogg",
}  # fmt: skip
"""Type of the content for browsers by FFmpeg's name of the container; all others are sent as bytes."""


def _mime(container: str, has_picture: bool) -> str:
    mime = next((mime for name, mime in _MIMES.items() if name in container.split(",")), Media.mime)
    return mime if has_picture else mime.replace("video/", "audio/")


_THUMBNAIL = 160  # pixels: side of a face's picture (our choice)
_SEARCHED = 120.0  # seconds of a video that are searched for shots (our choice)
_MOST_SHOTS = 12


def find_faces(path: Path, folder: Path) -> list[Face]:
    """Find the faces of the first shots, and write a thumbnail of each to a folder.

    Raises:
        FaceError: There is no face.
    """
    from dithead.inference.analyse.face_sheet import shots_with_faces

    found: list[Face] = []
    for count, seen in enumerate(shots_with_faces(path)):
        if count == _MOST_SHOTS or seen.time > _SEARCHED:
            break
        for number, landmarks in sorted(seen.faces.items()):
            name = f"face_{seen.shot + 1}_{number}.jpg"
            _write_thumbnail(seen.picture, landmarks, folder / name)
            found.append(Face(number, seen.shot + 1, round(seen.time, 3), name))
    if not found:
        raise FaceError(f"{path}: no face in any frame; give a video that shows a face")
    return found


def _write_thumbnail(picture: Any, landmarks: Any, output: Path) -> None:
    """Write the square around a face."""
    import cv2
    import numpy as np

    from dithead.face.landmarks import face_box
    from dithead.media.contact_sheet import save_picture

    x0, y0, x1, y1 = face_box(landmarks)
    half = 0.8 * max(x1 - x0, y1 - y0)
    corner = ((x0 + x1) / 2 - half, (y0 + y1) / 2 - half)
    scale = _THUMBNAIL / (2 * half)
    move = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = cv2.warpAffine(picture, move, (_THUMBNAIL, _THUMBNAIL), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    save_picture(square, output)
