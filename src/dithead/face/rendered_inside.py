"""Fills a mouth that was opened by geometry with the inside of a rendered one, as bright and as soft as its picture.

What lies behind lips that a picture shows closed is unknown, so it comes from ``data/inner_mouths.npz``. Letters: h, w
a picture's size.
"""

from __future__ import annotations

from bisect import bisect_left
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.face.eye_whites import eye_whites
from dithead.face.fine_detail import laplacian_variance
from dithead.face.masks import box_around, soft_polygon
from dithead.face.mesh_indices import CHEEKS, INNER_LIPS, OUTER_LIPS, eye_distance, outline_aspect
from dithead.face.thin_plate import warp_to
from dithead.types import RGB

_DATA = Path(__file__).parent / "data" / "inner_mouths.npz"
_LIGHT = 0.75  # how far the inside of the mouth takes on the light of the face: 0 not at all, 1 fully (docs/log)
_BY_EYES = 0.6  # how far the whites of the eyes tell of that light; the rest is told by the skin (docs/log)
_USUAL_WHITES = 0.83  # brightness of the whites of the eyes over that of the skin, median over people (docs/log)
_WHITES = (0.55, 1.15)  # the same, least and most; beyond are closed eyes and reflections in glasses (our choice)
_ASPECTS, _SHADES = (0.09, 0.17, 0.35), (0.95, 1.12, 1.15)
"""Aspects of the lips, and how bright the rendered inside has to be there to be as bright as people's (docs/log)."""
_USUAL_COLOURS = np.array([(0.294, -0.044), (0.393, -0.087)])
"""Logarithms of red and blue over green of whites of eyes and of skin, medians over people (docs/log)."""
_STRONGEST = 0.2  # greatest difference of such a logarithm from its median that is believed (docs/log)
_DARK, _PALE = np.array([(0.28, 0.01), (0.2, 0.05)])
"""What these logarithms of the rendered inside lack where it is dark and at the teeth, to be as people's are."""
_DARK_FOLLOWS, _PALE_FOLLOWS = np.array([(2.4, 1.7), (0.7, 0.7)])  # how far both follow the light's (docs/log)
_TEETH = (0.3, 0.85)  # brightness over that of the skin, up to which the inside is dark, and from which it is teeth
_CHEEK = 0.04  # half the side of the squares in which the colour of the skin is measured, in eye distances
_SURFACE = 0.5  # times the softness of the inner lips' edge: sigma that blurs the rendered picture (our choice)
_LEAST_BLUR = 0.3  # pixels of the rendered picture, of that sigma (our choice)
_SOFTNESSES = (0.3, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # pixels, of which some four are tried (our choice)
_DETAIL, _POWER = 7.2, 0.695
"""The Laplacian variance of an open mouth is the first times that of the same lips, closed, to the second's power.

That is the mean over people of HDTF, and a sixth more, because drawing takes a part of it (docs/log)."""


class Light(NamedTuple):
    """The light on a face."""

    brightness: float  # of usual skin in it, 0 to 255
    colour: tuple[float, float] = (0.0, 0.0)  # how much redder and bluer than usual, as logarithms of ratios to green


class Inside(NamedTuple):
    """How a picture shows the inside of a mouth."""

    light: Light
    softness: float  # pixels: sigma of a Gaussian that blurs the inner lips' edge, see ``usual_softness``


class _InnerMouth(NamedTuple):
    """What a rendered mouth shows between its lips."""

    picture: RGB  # (h, w, 3)
    lips: NDArray[np.float32]  # (20, 2) its inner lips in pixels, in the order of ``INNER_LIPS``
    skin: float  # how bright the cheeks are in the same light, 0 to 255


def filled(picture: RGB, landmarks: NDArray[np.float64], inside: Inside, share: float = 1.0) -> RGB:
    """Return a picture with the inside of a rendered mouth between the inner lips.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in its pixels.
        inside: How the picture shows it.
        share: How much of it is mixed in.
    """
    lips = landmarks[list(INNER_LIPS)]
    aspect = outline_aspect(lips)
    donor = min(_inner_mouths(), key=lambda each: abs(outline_aspect(each.lips) - aspect))
    margin = 3 * inside.softness + 2
    box = box_around(np.stack([lips.min(axis=0) - margin, lips.max(axis=0) + margin]), picture.shape)
    left, top, right, bottom = box
    enlarged = np.ptp(donor.lips[:, 0]) / max(float(np.ptp(lips[:, 0])), 1e-6)
    soft = cv2.GaussianBlur(donor.picture, (0, 0), max(enlarged * _SURFACE * inside.softness, _LEAST_BLUR))
    where = warp_to(lips, donor.lips, box, eye_distance(landmarks))
    seen = cv2.remap(soft, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    shade = float(np.interp(aspect, _ASPECTS, _SHADES))
    brightness = shade * (inside.light.brightness / donor.skin) ** _LIGHT
    lit = np.clip(_coloured(seen.astype(np.float32), donor.skin, inside.light.colour) * brightness, 0, 255)
    weight = share * soft_polygon(lips, box, inside.softness)[..., None]
    result, part = picture.copy(), picture[top:bottom, left:right]
    result[top:bottom, left:right] = np.rint(part + (lit - part) * weight).astype(np.uint8)
    return result


def usual_softness(
    closed: tuple[RGB, NDArray[np.float64]], opened: tuple[RGB, NDArray[np.float64]], light: Light
) -> float:
    """Find how soft a rendered inside must be for its mouth to be as sharp as people's, beside the same mouth closed.

    Args:
        closed: The picture (h, w, 3), and its landmarks (478, 2).
        opened: The same with lips that are apart, and nothing between them yet.
        light: From ``light_on``.

    Returns:
        See ``Inside``.
    """
    goal = -np.log(_DETAIL * max(_lip_detail(*closed), 1.0) ** _POWER)

    @cache
    def bluntness(k: int) -> float:
        made = filled(*opened, Inside(light, _SOFTNESSES[k]))
        return -float(np.log(max(_lip_detail(made, opened[1]), 1e-3)))

    count = len(_SOFTNESSES)
    after = bisect_left(range(count), goal, key=bluntness)
    around = [k + min(max(after, 1), count - 1) for k in (-1, 0)]
    softness = np.interp(goal, [bluntness(k) for k in around], np.log([_SOFTNESSES[k] for k in around]))
    return float(np.exp(softness))


def _lip_detail(picture: RGB, landmarks: NDArray[np.float64]) -> float:
    left, top, right, bottom = box_around(landmarks[list(OUTER_LIPS)], picture.shape)
    return laplacian_variance(picture[top:bottom, left:right])


def light_on(picture: RGB, landmarks: NDArray[np.float64]) -> Light:
    """Estimate the light on a face, by the whites of its eyes more than by its skin: skins differ more than these do.

    Args:
        picture: (h, w, 3).
        landmarks: (478, 2) in its pixels.
    """
    skin, whites = _skin(picture, landmarks), eye_whites(picture, landmarks)
    brightness = float(skin.mean())
    if whites is None:
        return Light(brightness)
    ratio = float(np.clip(whites.mean() / brightness, *_WHITES)) / _USUAL_WHITES
    return Light(brightness * ratio**_BY_EYES, _colour_of_light(whites, skin))


def _colour_of_light(whites: NDArray[np.float32], skin: NDArray[np.float32]) -> tuple[float, float]:
    """How much redder and bluer than usual both whites and skin (3,) are; where one alone is, that is not the light."""
    found = np.array([np.log(each[[0, 2]] / each[1]) for each in (whites, skin)]) - _USUAL_COLOURS
    agreed = np.sign(found[0]) * np.abs(found).min(axis=0) * (found[0] * found[1] > 0)
    redder, bluer = np.clip(agreed, -_STRONGEST, _STRONGEST).tolist()
    return redder, bluer


def _coloured(seen: NDArray[np.float32], skin: float, colour: tuple[float, float]) -> NDArray[np.float32]:
    """A rendered inside (h, w, 3) in the colours of people's in light of this ``colour``, as bright as it was."""
    grey = seen.mean(axis=2, keepdims=True)
    pale = np.clip((grey / skin - _TEETH[0]) / (_TEETH[1] - _TEETH[0]), 0, 1)
    dark, teeth = _DARK + _DARK_FOLLOWS * colour, _PALE + _PALE_FOLLOWS * colour
    tinted = seen.copy()
    tinted[..., [0, 2]] *= np.exp(dark + (teeth - dark) * pale).astype(np.float32)
    return tinted * (grey / np.maximum(tinted.mean(axis=2, keepdims=True), 1e-3))


def _skin(picture: RGB, landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
    """The colour of the cheeks (3,), 0 to 255."""
    reach = max(1, round(_CHEEK * eye_distance(landmarks)))
    limit = np.array([picture.shape[1], picture.shape[0]]) - 1
    places = np.rint(landmarks[list(CHEEKS)]).astype(int)
    inside = places[((places >= 0) & (places <= limit)).all(axis=1)]
    if not len(inside):
        inside = places.clip(0, limit)
    squares = [
        picture[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1].reshape(-1, 3) for x, y in inside
    ]
    return np.maximum(np.median(np.concatenate(squares), axis=0), 1.0).astype(np.float32)


@lru_cache(maxsize=1)
def _inner_mouths() -> tuple[_InnerMouth, ...]:
    with np.load(_DATA, allow_pickle=False) as data:
        return tuple(
            _InnerMouth(np.asarray(data[f"picture_{k}"], np.uint8), lips.astype(np.float32), float(data["skin"]))
            for k, lips in enumerate(data["lips"])
        )
