"""Colour coding of pictures: which YCbCr matrix and range one uses, and the matrix itself (ITU-T H.273)."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from dithead.media.tone_mapping import ToneMapping, tone_mapping

# H.273 MatrixCoefficients code -> (Kr, Kb). 0 is RGB itself, 2 is "unspecified".
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020
}
_SWSCALE = {
    1: Colorspace.ITU709,
    4: Colorspace.FCC,
    5: Colorspace.ITU601,
    6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020,
}
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_LEAST_SLOPE = 0.25  # of the picture of standard range over an HDR one, in luma: highlights are squeezed (our choice)


@dataclass(frozen=True)
class ColourEncoding:
    """How YCbCr samples code a colour."""

    matrix: int  # MatrixCoefficients code of H.273, a key of _LUMA_WEIGHTS
    full_range: bool  # 0 to 255 instead of 16 to 235 (240 for chroma)
    tones: ToneMapping | None = None  # how an HDR picture becomes one of standard range

    @property
    def swscale_matrix(self) -> Colorspace:
        """The matrix as FFmpeg's scaler names it."""
        return _SWSCALE[self.matrix]

    @property
    def swscale_range(self) -> ColorRange:
        """The range as FFmpeg's scaler names it."""
        return ColorRange.JPEG if self.full_range else ColorRange.MPEG

    def rgb_of(self, samples: NDArray[Any]) -> NDArray[np.float32]:
        """Return R'G'B' (h, w, 3) of standard range, 0 to 255, of Y, Cb, Cr samples (h, w, 3) in steps of 8 bits."""
        zero = np.array([0 if self.full_range else 16, 128, 128], np.float32)
        rgb = np.asarray(np.clip((samples - zero) @ _to_rgb(self), 0, 255), np.float32)
        return rgb if self.tones is None else np.clip(255 * self.tones.develop(rgb / np.float32(255)), 0, 255)

    def bytes_of(self, samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return ``rgb_of`` Y, Cb, Cr samples (h, w, 3) of 8 bits, rounded, in a tenth of the time."""
        if self.tones is not None:
            return np.rint(self.rgb_of(samples)).astype(np.uint8)
        matrix, zero = _to_rgb(self).T, np.array([[0 if self.full_range else 16], [128], [128]], np.float32)
        return np.asarray(cv2.transform(samples, np.hstack([matrix, -matrix @ zero])), np.uint8)

    def samples_of(self, rgb: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Return the Y, Cb and Cr samples, (h, w) each in 8 bits, of R'G'B' (h, w, 3) of standard range."""
        zero = np.array([[0 if self.full_range else 16], [128], [128]], np.float32)
        return list(cv2.split(np.asarray(cv2.transform(rgb, np.hstack([self.from_rgb(), zero])), np.uint8)))

    def seen_luma(self, luma: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32] | float]:
        """Return the luma of the picture of standard range for the luma (h, w) of this one, both in steps of 8 bits.

        Colours are taken for grey. The second value is by how many such steps what is seen changes where this one
        changes by one: 1 unless the picture is HDR.
        """
        if self.tones is None:
            return luma, 1.0
        zero, whole = (0, 255) if self.full_range else (16, 219)
        steps = [(luma + apart - zero)[..., None].repeat(3, axis=2) / np.float32(whole) for apart in (-1, 0, 1)]
        less, seen, more = (255 * self.tones.develop(each)[..., 1] for each in steps)
        return seen, np.maximum((more - less) / 2, _LEAST_SLOPE)

    def from_rgb(self, depth: int = 8) -> NDArray[np.float32]:
        """Return the matrix (3, 3) from R'G'B' differences, in steps of 1/255, to Y, Cb, Cr differences in code values.

        Args:
            depth: Bits per sample of the YCbCr picture, 8 or 10.
        """
        kr, kb = _LUMA_WEIGHTS[self.matrix]
        kg = 1 - kr - kb
        matrix = np.array(
            [
                [kr, kg, kb],
                [-kr / (2 * (1 - kb)), -kg / (2 * (1 - kb)), 0.5],
                [0.5, -kg / (2 * (1 - kr)), -kb / (2 * (1 - kr))],
            ]
        )
        top = float(2**depth - 1) if self.full_range else 0.0
        scale = 2 ** (depth - 8)
        spans = [top or 219.0 * scale, top or 224.0 * scale, top or 224.0 * scale]
        return (matrix * np.array(spans)[:, None] / 255).astype(np.float32)


@functools.cache
def _to_rgb(encoding: ColourEncoding) -> NDArray[np.float32]:
    """The matrix (3, 3) by which rows of Y, Cb and Cr differences become rows of R'G'B' differences."""
    return np.asarray(np.linalg.inv(encoding.from_rgb()).T, np.float32)


def encoding_of(
    colorspace: int, color_range: int, pix_fmt: str, height: int, transfer: int = 2, primaries: int = 2
) -> ColourEncoding:
    """Return the encoding that a picture's tags name, or by the convention of players where they are missing.

    Untagged pictures are BT.709 from 720 lines up and BT.601 below, of limited range unless the format's name has a J.

    Args:
        colorspace: MatrixCoefficients code of H.273.
        color_range: FFmpeg's AVColorRange: 1 limited, 2 full.
        pix_fmt: FFmpeg's name of the sample format.
        height: Lines of the picture.
        transfer: TransferCharacteristics code of H.273.
        primaries: ColourPrimaries code of H.273.
    """
    fallback = 1 if height >= 720 else 6
    matrix = 9 if colorspace == 10 else colorspace  # 10: BT.2020 constant luminance, close to 9
    full = color_range == _FULL_RANGE or pix_fmt.startswith("yuvj")
    return ColourEncoding(matrix if matrix in _LUMA_WEIGHTS else fallback, full, tone_mapping(transfer, primaries))
