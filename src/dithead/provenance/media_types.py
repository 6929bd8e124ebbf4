"""Names the media types of files, which of them hold credentials inside, and where the others' credentials lie."""

from __future__ import annotations

from pathlib import Path

_MEDIA_TYPES = {
    ".mp4": "video/mp4", ".m4v": "video/x-m4v", ".mov": "video/quicktime", ".qt": "video/quicktime",
    ".mkv": "video/x-matroska", ".webm": "video/webm", ".avi": "video/x-msvideo", ".ts": "video/mp2t",
    ".wav": "audio/wav", ".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".flac": "audio/flac", ".ogg": "audio/ogg",
    ".opus": "audio/ogg", ".aac": "audio/aac", ".mka": "audio/x-matroska",
    ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".tif": "image/tiff",
    ".tiff": "image/tiff", ".gif": "image/gif", ".avif": "image/avif", ".heic": "image/heic", ".heif": "image/heif",
    ".bmp": "image/bmp", ".jxl": "image/jxl",
}  # fmt: skip
KNOWN_SUFFIXES = frozenset(_MEDIA_TYPES)
"""Suffixes of the files that are looked at in a folder."""
OTHER = "application/octet-stream"
EMBEDDABLE = frozenset({
    "video/mp4", "video/x-m4v", "video/quicktime", "video/x-msvideo", "audio/wav", "audio/mpeg", "audio/mp4",
    "audio/flac", "image/png", "image/jpeg", "image/webp", "image/tiff", "image/gif", "image/avif", "image/heic",
    "image/heif", "image/jxl",
})  # fmt: skip
"""Types into which c2pa-rs can write credentials; Matroska and WebM are not among them."""


def media_type_of(path: Path) -> str:
    """Return the MIME type that a file's suffix stands for."""
    return _MEDIA_TYPES.get(path.suffix.lower(), OTHER)


def sidecar_of(path: Path) -> Path:
    """Return the file beside ``path`` that holds its credentials where its container cannot: ``out.mkv.c2pa``."""
    return path.with_name(f"{path.name}.c2pa")


_RIFF = {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}
_BEGINNINGS = {
    b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif",
    b"fLaC": "audio/flac", b"ID3": "audio/mpeg", b"OggS": "audio/ogg", b"II*\0": "image/tiff", b"MM\0*": "image/tiff",
    b"\x1aE\xdf\xa3": "video/x-matroska",
}  # fmt: skip
_BRANDS = {
    b"qt  ": "video/quicktime", b"M4A ": "audio/mp4", b"avif": "image/avif", b"heic": "image/heic",
    b"mif1": "image/heif",
}  # fmt: skip
"""Major brands of the ISO base media format that are not video/mp4."""


def content_type(path: Path) -> str:
    """Return the MIME type that a file's first bytes show, whatever it is called; by its suffix where they do not."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] in _RIFF:
        return _RIFF[head[8:]]
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:], "video/mp4")
    for beginning, media_type in _BEGINNINGS.items():
        if head.startswith(beginning):
            return media_type
    by_name = media_type_of(path)
    return OTHER if by_name in EMBEDDABLE and by_name != "audio/mpeg" else by_name
