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
    """What a file holds, judged by its content; its name says nothing."""
    from dithead.media.audio import probe_audio
    from dithead.media.files import open_media
    from dithead.media.video import probe

    with open_media(path) as media:
        pictures = [s for s in media.streams.video if not s.disposition & s.disposition.attached_pic]
        sounds = bool(media.streams.audio)
        mime = _mime(media.format.name, bool(pictures), path)
        for stream in pictures[:1]:
            _check_pixels(path, stream.codec_context.width * stream.codec_context.height, most_pixels)
        seconds = _seconds(media)
    if sounds:
        probe_audio(path)
    if seconds > longest:
        raise ConfigError(f"{path}: lasts {seconds / 60:.1f} min; this server takes {longest / 60:g} at most")
    if not pictures:
        if not sounds:
            raise MediaError(f"{path}: has neither a picture nor sound; give a video, a picture or speech")
        return Media("audio", seconds, has_audio=True, mime=mime)
    info = probe(path)
    _check_pixels(path, info.width * info.height, most_pixels)
    kind: Literal["video", "picture"] = "picture" if info.still else "video"
    return Media(kind, 0.0 if info.still else seconds, info.width, info.height, float(info.fps), sounds, mime)


def _check_pixels(path: Path, pixels: int, most: float) -> None:
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
    "mov": "video/mp4", "matroska": "video/webm", "avi": "video/x-msvideo", "png_pipe": "image/png",
    "jpeg_pipe": "image/jpeg", "webp_pipe": "image/webp", "wav": "audio/wav", "mp3": "audio/mpeg",
    "flac": "audio/flac", "ogg": "audio/ogg",
}  # fmt: skip
"""Type of the content for browsers by FFmpeg's name of the container; all others are sent as bytes."""
_SIGNATURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def _mime(container: str, has_picture: bool, path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    for signature, mime in _SIGNATURES.items():
        if head.startswith(signature):
            return mime
    mime = next((mime for name, mime in _MIMES.items() if name in container.split(",")), Media.mime)
    return mime if has_picture else mime.replace("video/", "audio/")


_THUMBNAIL = 160  # pixels: side of a face's picture (our choice)
_SEARCHED = 120.0  # seconds of a video that are searched for shots (our choice)
_MOST_SHOTS = 12


def find_faces(path: Path, folder: Path) -> list[Face]:
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
