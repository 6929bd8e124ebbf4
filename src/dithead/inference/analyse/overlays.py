"""Finds text that was burned into the picture over a lower face: captions, titles, names.

Letters are what skin, lips and beards are not: strokes of one bright, pure colour with hard edges, several of them side
by side in one line, most often with a dark outline. Teeth and highlights lie within the lips and are left out. The
thresholds were chosen on rendered faces and on clips of the training set (docs/log). Letters: S crop side.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.fine_detail import mean_of_channels
from dithead.face.masks import jaw_line
from dithead.face.mesh_indices import CHEEKS, NOSE_TIP, OUTER_LIPS
from dithead.inference.analyse.occlusion_colour import inside, unlike_skin
from dithead.types import RGB

_STROKE = 0.1  # of the crop: what is wider than this is no stroke of a letter (our choice)
_CONTRAST = 60.0  # 8-bit levels by which a stroke is brighter than what surrounds it, or its outline darker
_WHITE, _OUTLINED_WHITE = 235.0, 190.0  # least channel of a white stroke, without and with a dark outline
_RISE, _RISEN = (
    60.0,
    160.0,
)  # 8-bit levels of the least channel of an outlined white stroke: beyond its surroundings, in all
_VIVID, _VIVID_LEVEL = 110.0, 190.0  # least distance of the channels of a coloured stroke, and its brightest one
_ALIKE, _MOST = 60.0, 0.5  # 8-bit levels within which a share of a line must lie around its median colour
_LINE = 0.2  # least width of a line of text, as a fraction of S
_RUNS = 5  # least number of strokes that one row of a line crosses
_SHARE = 0.0015  # least share of the crop that the strokes of a line cover


def overlay_mask(crop: RGB, points: NDArray[np.float32], unlike: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Find burned-in text over the lower face.

    Args:
        crop: (S, S, 3).
        points: (478, 2) landmarks in the crop.
        unlike: (S, S) pixels of the crop that are ``unlike_skin``, where they are known already.

    Returns:
        (S, S) the letters with their outlines and a small margin; all False where there is no text.
    """
    size = crop.shape[0]
    strokes, outline = _strokes(crop, unlike_skin(crop, points[list(CHEEKS)]) if unlike is None else unlike)
    face = inside(jaw_line(points), size, grow=size // 16)
    face[: max(0, int(points[NOSE_TIP][1]))] = False
    lips = inside(points[list(OUTER_LIPS)], size, grow=size // 30)
    lines = _lines(strokes & face & ~lips, crop)
    if not lines.any():
        return np.zeros((size, size), bool)
    letters = strokes & lines
    near = cv2.dilate(letters.astype(np.uint8), np.ones((2 * (size // 60) + 1,) * 2, np.uint8)) > 0
    whole = (letters | (outline & near)).astype(np.uint8)
    return cv2.dilate(whole, np.ones((2 * (size // 40) + 1,) * 2, np.uint8)) > 0


def without_overlay(picture: RGB, mask: NDArray[np.bool_]) -> RGB:
    """Fill what lies under an overlay (h, w) from around it, in a picture (h, w, 3)."""
    if not mask.any():
        return picture
    radius = max(2.0, picture.shape[0] / 60)
    return np.asarray(cv2.inpaint(picture, mask.astype(np.uint8), radius, cv2.INPAINT_TELEA), np.uint8)


def _strokes(crop: RGB, unlike: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels (S, S) of strokes that are white or of a pure colour that skin has not; and those of dark outlines."""
    size = crop.shape[0]
    red, green, blue = cv2.split(crop)  # bytes: OpenCV opens them several times as fast as numbers of 32 bits
    brightest, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    kernel = np.ones((max(3, round(_STROKE * size)) | 1,) * 2, np.uint8)
    bright = cv2.subtract(brightest, cv2.morphologyEx(brightest, cv2.MORPH_OPEN, kernel)) > _CONTRAST
    grey = mean_of_channels(crop)
    dark = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, kernel) - grey > _CONTRAST
    beside = cv2.dilate(dark.astype(np.uint8), np.ones((2 * (size // 60) + 1,) * 2, np.uint8)) > 0
    vivid = unlike & (cv2.subtract(brightest, least) > _VIVID) & (brightest > _VIVID_LEVEL)
    # Pale skin is nearly as bright as a white stroke, but less blue.
    rise = cv2.subtract(least, cv2.morphologyEx(least, cv2.MORPH_OPEN, kernel))
    outlined = (unlike & bright & (least > _OUTLINED_WHITE)) | ((rise > _RISE) & (least > _RISEN))
    white = (least > _WHITE) | (outlined & beside)
    return np.asarray((bright | beside) & (white | vivid)), dark


def _lines(strokes: NDArray[np.bool_], crop: RGB) -> NDArray[np.bool_]:
    """Where (S, S) lines of text are: wide, made of several strokes, and all of them of one colour."""
    size = strokes.shape[0]
    joined = cv2.dilate(strokes.astype(np.uint8), np.ones((3, 2 * (size // 12) + 1), np.uint8))
    lines, places, boxes, _ = cv2.connectedComponentsWithStats(joined)
    found = np.zeros((size, size), bool)
    for line in range(1, lines):
        own = (places == line) & strokes
        wide = boxes[line, cv2.CC_STAT_WIDTH] > _LINE * size and own.sum() > _SHARE * size * size
        if wide and _most_runs(own) >= _RUNS and _is_of_one_colour(crop[own]):
            top, height = boxes[line, cv2.CC_STAT_TOP], boxes[line, cv2.CC_STAT_HEIGHT]
            found[max(0, top - 2) : top + height + 2] = True
    return found


def _most_runs(strokes: NDArray[np.bool_]) -> int:
    """How many strokes (S, S) one row crosses, at most."""
    begins = strokes[:, 1:] & ~strokes[:, :-1]
    return int(begins.sum(axis=1).max())


def _is_of_one_colour(pixels: NDArray[np.uint8]) -> bool:
    """Whether most of some pixels (n, 3) are near their median: letters are, highlights and jewels are not."""
    away = np.abs(pixels.astype(np.float32) - np.median(pixels, axis=0)).max(axis=1)
    return bool((away < _ALIKE).mean() > _MOST)
