"""Pictures, still and animated, as phones, editors and browsers write them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from zoo.boxes import stored, write_heic
from zoo.material import SIDE, Case, frames, marked

STILL_FRAMES = 13  # as long as the speech of half a second, at 25 a second
_ROOM = 8.0  # levels: the picture sways a little, and a format may have few colours


def still(name: str, save: Callable[[Image.Image, Path], None], **more: Any) -> Case:
    def make(folder: Path) -> Path:
        path = folder / f"picture.{name.split()[0]}"
        save(Image.fromarray(frames()[0]), path)
        return path

    return Case(name, make, **({"frames": STILL_FRAMES, "tolerance": _ROOM} | more))


def saved(mode: str = "RGB", kind: str | None = None, **options: Any) -> Callable[[Image.Image, Path], None]:
    return lambda image, path: image.convert(mode).save(path, kind, **options)


def with_orientation(number: int, kind: str) -> Case:
    def make(folder: Path) -> Path:
        tags = Image.Exif()
        tags[0x0112] = number
        path = folder / f"picture.{kind}"
        Image.fromarray(stored(marked(frames()[0][:, 40:]), number)).save(path, exif=tags, quality=95)
        return path

    return Case(f"{kind} Exif {number}", make, frames=STILL_FRAMES, size=(SIDE - 40, SIDE), tolerance=_ROOM)


def animated(name: str, count: int = 4, **options: Any) -> Case:
    def make(folder: Path) -> Path:
        first, *others = map(Image.fromarray, frames())
        path = folder / f"film.{name.split()[0]}"
        first.save(path, save_all=True, append_images=others, duration=80, **options)
        return path

    return Case(name, make, frames=count, times=tuple(0.08 * k for k in range(count)), tolerance=_ROOM)


def _deep(image: Image.Image, path: Path) -> None:
    cv2.imwrite(str(path), np.array(image)[..., ::-1].astype(np.uint16) * 257)


def _transparent(image: Image.Image, path: Path) -> None:
    image.putalpha(Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)))
    image.paste((255, 0, 0, 0), (100, 0, 140, 8))
    image.save(path)


def _profile(image: Image.Image, path: Path) -> None:
    """In a space whose primaries are swapped, so that a reader that ignores it shows other colours."""
    space = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert Image.open(BytesIO(_bytes(image))).size == image.size
    image.save(path, icc_profile=space, quality=95)


def _bytes(image: Image.Image) -> bytes:
    packed = BytesIO()
    image.save(packed, "PNG")
    return packed.getvalue()


def _heic(image: Image.Image, path: Path) -> None:
    write_heic(path, np.array(image), 6, tile=80)


CASES = [
    still("png", saved()),
    still("png rgba", saved("RGBA")),
    still("png palette", saved("P")),
    still("png 16 bits", _deep),
    still("png grey", saved("L"), corners=False),
    still("png grey and alpha", saved("LA"), corners=False),
    still("png transparent", _transparent, note="transparent"),
    still("jpg", saved(quality=95)),
    still("jpg progressive", saved(quality=95, progressive=True)),
    still("jpg CMYK", saved("CMYK", quality=95)),
    still("jpg grey", saved("L", quality=95), corners=False),
    still("jpg with a profile", _profile),
    still("png that is a JPEG", saved(kind="JPEG", quality=95)),
    still("mp4 that is a PNG", saved(kind="PNG")),
    still("webp", saved(quality=95)),
    still("webp lossless", saved(lossless=True)),
    still("avif", saved(quality=90)),
    still("gif one frame", saved("P")),
    still("tiff", saved()),
    still("tiff packed", saved(compression="tiff_lzw")),
    still("bmp", saved()),
    still("jp2", saved()),
    *(with_orientation(number, "jpg") for number in range(2, 9)),
    with_orientation(5, "png"),
    with_orientation(7, "webp"),
    animated("gif"),
    animated("png"),
    animated("webp", lossless=True),
    animated("avif", quality=90),
]
if find_spec("pi_heif"):
    CASES.append(still("heic of tiles", _heic))
