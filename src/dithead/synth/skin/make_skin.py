"""Makes one person's real skin, and guesses what goes with it, from a few pictures of their clips.

Letters: A side of the skin picture. Lengths are decimetres on the neutral head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import FaceError
from dithead.synth.head.assets import find_textures
from dithead.synth.head.head_model import HeadModel
from dithead.synth.head.identity import SKIN_TONES
from dithead.synth.noise import fractal_noise
from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.completion import MIN_REFLECTANCE, complete_skin
from dithead.synth.skin.head_fit import MEAN_PERSON, HeadFit
from dithead.synth.skin.paint import head_area, luminance, read_picture, to_bytes
from dithead.synth.skin.reflectance import estimate_reflectance
from dithead.synth.skin.skin_record import SkinRecord
from dithead.synth.skin.views import Footage, choose_views, select_clips
from dithead.synth.types import Colour, Floats, Picture
from dithead.types import Wave

_EXPOSURE = 0.95  # reflectance over a face's linear brightness in pictures exposed as cameras do; our choice
_DARKEST, _LIGHTEST = 0.045, 0.36  # luminances between which skin lies
_KNOWN = 0.25  # texels known less than this do not decide the skin's tone
_MIN_TEXELS = 100
_MALE_PITCH = 160.0  # hertz below which a voice counts as a man's
_COMPARED_SIDE = 128  # side of the pictures in which painted skins are compared


def make_skin(atlas: SkinAtlas, name: str, clips: Sequence[Footage]) -> tuple[Picture, SkinRecord]:
    """Make one person's skin.

    Args:
        atlas: relates texels to the head.
        name: of the person.
        clips: of the person.

    Returns:
        The skin picture (A, A, 4), see `paint.paint_skin`, and its record.

    Raises:
        FaceError: when no picture serves.
    """
    used = select_clips(clips)
    photo, known, fit = estimate_reflectance(atlas, choose_views(used))
    tone, gain = _tone_and_gain(atlas, photo, known)
    stock = _most_similar_painted_skin(atlas.body.head, photo, known)
    skin = complete_skin(photo * gain, known, stock, atlas.mirror)
    record = SkinRecord(
        name=name,
        clips=tuple(clip.id for clip in used),
        source=used[0].source,
        licence=used[0].licence,
        tone=tone,
        hair=_brow_colour(atlas, skin, tone),
        **_guess_facts(fit, np.concatenate([clip.audio() for clip in used])),
        shape=fit.weights,
        error=round(fit.error, 4),
    )
    return _finished_picture(skin, name), record


def _cheeks_and_forehead(atlas: SkinAtlas) -> NDArray[np.bool_]:
    """(A, A) True on the cheeks and the middle of the forehead."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    cheek = (np.abs(x - 0.42) < 0.16) & (np.abs(y - 6.95) < 0.12)
    forehead = (x < 0.3) & (np.abs(y - 7.62) < 0.1)
    return atlas.picture(((cheek | forehead) & (z > 0.6)).astype(np.float32)) > 0.5


def _tone_and_gain(atlas: SkinAtlas, photo: Floats, known: Floats) -> tuple[Colour, Floats]:
    """The skin's reflectance on cheeks and forehead, and the gain (3,) from picture to reflectance.

    A picture tells neither its exposure nor its white point. Its brightness is taken as what cameras make of such a
    skin; where its hue differs from human skin of that brightness, 40 % of the difference is taken as the light's.
    """
    area = _cheeks_and_forehead(atlas) & (known > _KNOWN)
    if area.sum() < _MIN_TEXELS:
        area = known > _KNOWN
    if area.sum() < _MIN_TEXELS:
        raise FaceError("too little of the face is seen; use clips that show it from the front")
    mean = np.median(photo[area], axis=0).astype(np.float64)
    brightness = luminance(tuple(mean))
    bright = float(np.clip(_EXPOSURE * brightness, _DARKEST, _LIGHTEST))
    tones = np.array(SKIN_TONES)
    levels = tones @ (0.2126, 0.7152, 0.0722)
    usual = np.array([np.interp(bright, levels[::-1], tones[::-1, c]) for c in range(3)])
    hue = np.log(mean / brightness * bright / usual)
    tone = usual * np.exp(0.6 * hue)
    return (float(tone[0]), float(tone[1]), float(tone[2])), (tone / mean).astype(np.float32)


def _most_similar_painted_skin(head: HeadModel, photo: Floats, known: Floats) -> Floats:
    """The painted skin (A, A, 3) whose pattern is nearest to the photo's where that is known."""
    size = (_COMPARED_SIDE, _COMPARED_SIDE)
    logs = np.log(np.maximum(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), MIN_REFLECTANCE))
    weight = cv2.resize(known, size, interpolation=cv2.INTER_AREA)[..., None]

    def difference(skin: Floats) -> float:
        off = logs - np.log(np.maximum(cv2.resize(skin, size, interpolation=cv2.INTER_AREA), MIN_REFLECTANCE))
        return float((weight * (off - (weight * off).sum((0, 1)) / weight.sum()) ** 2).sum())

    skins = [head_area(read_picture(path)) for path in find_textures(head.folder, "skin", "*_diffuse*.png")]
    return min(skins, key=difference)


def _brow_colour(atlas: SkinAtlas, skin: Floats, tone: Colour) -> Colour:
    """The colour of the brows' darkest texels; what is hardly darker than skin is hardly brow."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    brow = skin[atlas.covered][(np.abs(y - 7.42) < 0.08) & (np.abs(x - 0.30) < 0.17) & (z > 0.8)]
    dark = brow[np.argsort(brow.sum(axis=1))[: max(len(brow) // 12, 1)]].mean(axis=0)
    cool = 0.6 * dark * np.clip(1.2 - dark / np.array(tone), 0.15, 1)
    return tuple(float(np.clip(c, 0.004, 0.4)) for c in cool)  # type: ignore[return-value]


def _guess_facts(fit: HeadFit, wave: Wave) -> dict[str, Any]:
    """Sex by the voice where there is one, else by the shape; ancestry and age by the shape, which is a weak cue."""
    hertz = voice_pitch(wave)
    male = float(fit.facts["male"] > 0) if hertz is None else float(hertz < _MALE_PITCH)
    kinds = ("african", "asian", "caucasian")
    parts = np.array([max(MEAN_PERSON.ancestry[i] + fit.facts[kind], 0.02) for i, kind in enumerate(kinds)])
    parts = parts / parts.sum()
    age = float(np.clip(0.2 + 0.3 * fit.facts["age"], 0.05, 0.6))
    return {"male": male, "ancestry": tuple(float(p) for p in parts), "age": age}


def voice_pitch(wave: Wave) -> float | None:
    """Compute the median fundamental frequency of speech at 16 kHz, from pieces of 40 ms and between 70 and 350 Hz.

    Returns:
        Hertz, or None when hardly any piece is voiced.
    """
    pieces = wave[: len(wave) // 640 * 640].reshape(-1, 640).astype(np.float64)
    pieces = pieces[np.sqrt((pieces**2).mean(axis=1)) > 0.02] if len(pieces) else pieces
    found = []
    for piece in pieces[:400]:
        spectrum = np.fft.rfft(piece * np.hanning(640), 2048)
        autocorrelation = np.fft.irfft(np.abs(spectrum) ** 2)[:230]
        near = autocorrelation[45:]
        peaks = (near[1:-1] > near[:-2]) & (near[1:-1] >= near[2:])
        best = float(near[1:-1].max())
        if best > 0.35 * autocorrelation[0] and (peaks := peaks & (near[1:-1] > 0.8 * best)).any():
            found.append(16000 / (46 + int(np.argmax(peaks))))  # later peaks are multiples of the first one's period
    return float(np.median(found)) if len(found) >= 8 else None


def _finished_picture(skin: Floats, name: str) -> Picture:
    """The skin (A, A, 3) as `paint.paint_skin` makes them: square root of the reflectance, relief in alpha."""
    grey = cv2.cvtColor(np.asarray(skin / np.maximum(skin.mean(axis=(0, 1)), 1e-3), np.float32), cv2.COLOR_RGB2GRAY)
    relief = grey - cv2.GaussianBlur(grey, (0, 0), 6)
    grain = fractal_noise(np.random.default_rng([0x5C, *name.encode()]), len(skin), 170, 2) * 0.02
    alpha = 0.5 + np.clip(0.5 * relief, -0.2, 0.2) + grain
    return to_bytes(np.dstack([np.sqrt(np.clip(skin, 0, 1)), alpha]))
