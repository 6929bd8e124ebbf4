"""Reads pictures, still or animated, by Pillow: upright, in sRGB, and on a background where they are transparent.

Whether a file is a picture is judged by its first bytes, never by its name. Letters: H, W picture.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from struct import error as StructError
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from dithead.errors import ConfigError, MediaError, MissingExtraError
from dithead.limits import MAX_FRAME_PIXELS, MAX_FRAMES, MAX_PICTURE_PIXELS, MAX_PICTURE_SIDE, require_frame_size
from dithead.media.files import printable, require_file, unreadable
from dithead.types import RGB

if TYPE_CHECKING:
    from PIL import Image

WHITE = (255, 255, 255)
"""What shows through transparent pixels where nothing else is asked for."""
TRANSPARENT = "its transparent parts show the background (--background)"
"""What a result says of a picture or a video with such parts."""
_FORMATS = {
    b"\x89PNG\r\n": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG2000",
    b"\xffO\xffQ": "JPEG2000",
}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc"), "HEIF")}
_ANIMATED = ("GIF", "PNG", "WEBP", "AVIF")  # in others, further frames are pages, thumbnails or depth
_RAW_JPEGS = (".mjpeg", ".mjpg")  # many pictures one after the other: a film, which FFmpeg reads
_ORIENTATION = 0x0112  # number of the tag in Exif
_LIMIT_LOCK = Lock()  # around a limit that is global to Pillow
_SHORTEST, _USUAL = 0.01, 0.1  # seconds: browsers show frames up to the first for the second
_FAULTS = (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, MemoryError, OverflowError,
           ArithmeticError, RuntimeError, NotImplementedError, StructError)  # fmt: skip
"""What Pillow raises for damaged files."""


@dataclass(frozen=True)
class Picture:
    """What a picture file says of itself, with its orientation undone."""

    width: int
    height: int
    kind: str  # Pillow's name of its format
    times: tuple[float, ...] = (0.0,)  # seconds at which each of its frames begins
    seconds: float = 0.0  # until the last frame ends; 0 for a still
    transparent: bool = False
    stored_width: int = 0  # where it was scaled down; else 0
    pages: int = 1  # frames or pages in the file, of which only the first of a still is shown

    @property
    def still(self) -> bool:
        """Whether it is one picture, not a film."""
        return len(self.times) == 1


def picture_format(path: Path) -> str | None:
    """Return Pillow's name of a file's picture format, or None where the file is none of the pictures known here."""
    with path.open("rb") as file:
        head = file.read(32)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        major, minor = head[8:12], (head[16:20], head[20:24], head[24:28], head[28:32])
        brands = (major, *minor) if major in (b"mif1", b"msf1") else (major,)
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    if head.startswith(b"\xff\xd8\xff") and path.suffix.lower() in _RAW_JPEGS:
        return None
    return next((kind for magic, kind in _FORMATS.items() if head.startswith(magic)), None)


def parse_colour(text: str) -> tuple[int, int, int]:
    """Return the red, green and blue of a colour by its CSS name or as #RRGGBB; ConfigError for anything else."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError:
        raise ConfigError(f"unknown colour '{text}'; give a name such as white, or #RRGGBB") from None
    return red, green, blue


def describe_picture(path: Path) -> Picture | None:
    """Describe a picture file; None where the file is no picture that is read here.

    Raises:
        MediaError: It is damaged or too large.
        MissingExtraError: It is HEIC, and its reader is not installed.
    """
    require_file(path)
    if picture_format(path) is None:
        return None
    with _opened(path) as image:
        count = int(getattr(image, "n_frames", 1))
        if count > MAX_FRAMES:
            raise MediaError(f"{printable(path)}: has {count} frames; at most {MAX_FRAMES} are read")
        require_frame_size(printable(path), *image.size, MAX_PICTURE_PIXELS if count == 1 else MAX_FRAME_PIXELS)
        kind, stored = str(image.format), max(image.size)
        durations = _durations(image, count) if count > 1 and kind in _ANIMATED else []
        width, height = _shown_size(image, len(durations) > 1)
        return Picture(
            width=width,
            height=height,
            kind=kind,
            times=tuple(np.cumsum([0.0, *durations[:-1]]).tolist()) if durations else (0.0,),
            seconds=sum(durations),
            transparent=_is_transparent(image),
            stored_width=image.size[0] if stored > MAX_PICTURE_SIDE and len(durations) < 2 else 0,
            pages=count,
        )


def picture_frames(path: Path, background: tuple[int, int, int] = WHITE) -> Iterator[RGB]:
    """Yield the frames (H, W, 3) of a picture that ``describe_picture`` knows: one of a still, all of a film.

    Args:
        path: The file.
        background: What shows through transparent pixels.
    """
    described = describe_picture(path)
    assert described is not None
    with _opened(path) as image:
        for index in range(len(described.times)):
            if index:
                image.seek(index)
            shown = _flat(_upright(image), background)
            if shown.size != (described.width, described.height):
                shown = shown.resize((described.width, described.height), _lanczos())
            yield np.array(shown, np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture; whatever Pillow raises inside the block becomes one line."""
    from PIL import Image, UnidentifiedImageError

    kind = picture_format(path)
    formats = [kind, "MPO"] if kind == "JPEG" else [str(kind)]
    if kind == "HEIF":
        _register_heif()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about size, which ``limits`` judges, and about odd metadata
            with _open_large(path, formats) as image:
                yield image
    except Image.DecompressionBombError:
        raise MediaError(
            f"{printable(path)}: claims more pixels than are read, at most {MAX_PICTURE_PIXELS // 1_000_000} million; "
            "make it smaller"
        ) from None
    except UnidentifiedImageError as error:
        raise unreadable(path, ValueError(str(error).replace(str(path), "it"))) from None
    except _FAULTS as error:
        raise unreadable(path, error) from None


def _open_large(path: Path, formats: list[str]) -> Image.Image:
    """Open a picture of up to ``MAX_PICTURE_PIXELS``: Pillow's own limit is below what phones write."""
    from PIL import Image

    with _LIMIT_LOCK:
        usual = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = MAX_PICTURE_PIXELS // 2  # at twice this number it refuses
        try:
            return Image.open(path, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _register_heif() -> None:
    if find_spec("pi_heif") is None:
        raise MissingExtraError("heic", "pi-heif, which reads HEIC pictures,")
    import pi_heif

    pi_heif.register_heif_opener(thumbnails=False)


def _durations(image: Image.Image, count: int) -> list[float]:
    """Seconds for which each frame is shown."""
    found = []
    for index in range(count):
        image.seek(index)
        if image.format in ("WEBP", "AVIF"):
            image.load()  # these say how long a frame lasts only when it is decoded
        seconds = float(image.info.get("duration") or 0) / 1000
        found.append(seconds if seconds > _SHORTEST else _USUAL)
    image.seek(0)
    return found


def _shown_size(image: Image.Image, animated: bool) -> tuple[int, int]:
    """The size at which a picture is used: its own, or for large stills one that fits into ``MAX_PICTURE_SIDE``."""
    turned = image.format != "TIFF" and image.getexif().get(_ORIENTATION) in (5, 6, 7, 8)  # TIFF turns itself
    width, height = image.size[::-1] if turned else image.size
    scale = 1.0 if animated else min(1.0, MAX_PICTURE_SIDE / max(width, height))
    return (width, height) if scale == 1.0 else (round(width * scale / 2) * 2, round(height * scale / 2) * 2)


def _upright(image: Image.Image) -> Any:
    """The picture with its orientation undone, in sRGB."""
    from PIL import ImageOps

    profile = image.info.get("icc_profile")
    shown = _eight_bits(ImageOps.exif_transpose(image))
    return _to_srgb(shown, profile) if profile else shown


def _eight_bits(image: Any) -> Any:
    """Deep grey pictures scaled to eight bits, which Pillow would clip."""
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image, np.float64)
    top = 1.0 if image.mode == "F" and values.max(initial=0.0) <= 1 else 65535.0
    return Image.fromarray(np.clip(np.rint(np.nan_to_num(values) * (255 / top)), 0, 255).astype(np.uint8))


def _to_srgb(image: Any, profile: bytes) -> Any:
    """The picture in sRGB; left as it is where its colour profile is broken or of another kind of colours."""
    from PIL import ImageCms

    if image.mode not in ("RGB", "RGBA", "CMYK", "L"):
        return image
    try:
        target = ImageCms.createProfile("sRGB")
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        return ImageCms.profileToProfile(image, ImageCms.ImageCmsProfile(BytesIO(profile)), target, outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def _is_transparent(image: Any) -> bool:
    """Whether any pixel lets the background through; many pictures have an alpha channel that says opaque."""
    if image.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in image.info:
        return False
    return bool(image.convert("RGBA").getchannel("A").getextrema()[0] < 255)


def _flat(image: Any, background: tuple[int, int, int]) -> Any:
    """The picture in RGB, on the background where it is transparent."""
    from PIL import Image

    if "A" not in image.getbands() and "transparency" not in image.info:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", seen.size, (*background, 255)), seen).convert("RGB")


def _lanczos() -> Any:
    from PIL import Image

    return Image.Resampling.LANCZOS
