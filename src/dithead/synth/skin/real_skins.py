"""Real skins for synthetic heads: every person of a prepared dataset gives one, cached in the corpus's folder.

A skin is two small files, ``skins/NAME.png`` (square root of the reflectance, fine relief in alpha) and
``skins/NAME.json`` (whose it is, its licence, its tone). Hair, eyes, teeth and clothes stay the synthetic person's own;
sex and ancestry follow the photographed one, and the shape is a mixture of the fitted one and a random one: the folds
seen in the skin lie where the head has them, and the person is still nobody.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dithead.errors import DataError, FaceError, OutputError
from dithead.synth.head.assets import Floats, HeadModel, find_textures
from dithead.synth.head.body import Body
from dithead.synth.head.identity import FEMALE_HAIR, MALE_HAIR, SKIN_TONES, Colour, Identity
from dithead.synth.skin.atlas import Atlas
from dithead.synth.skin.head_fit import MEAN, Fit
from dithead.synth.skin.paint import Picture, fractal, luminance, quantise, read_picture, window
from dithead.synth.skin.reflectance import complete, photograph
from dithead.synth.skin.views import Footage, choose_views, some_of
from dithead.types import Wave

FOLDER = "skins"
_GAIN = 0.95  # reflectance over a face's linear brightness in pictures exposed as cameras do


@dataclass(frozen=True)
class SkinRecord:
    """Whose skin this is and what goes with it; JSON beside the picture."""

    name: str
    clips: tuple[str, ...]
    source: str
    licence: str
    tone: Colour
    hair: Colour
    male: float
    ancestry: tuple[float, float, float]
    age: float
    shape: dict[str, float]
    error: float  # of the landmarks' fit, in distances of the outer eye corners


def make_skins(
    footage: Sequence[Footage],
    output: str | Path,
    body: Body,
    *,
    progress: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Skins of all identities in ``footage`` under ``output/skins``; those already there are kept. Returns their names.

    progress is told each identity's name and what became of it. Raises DataError when nobody gives a skin.
    """
    folder = Path(output) / FOLDER
    people: dict[str, list[Footage]] = {}
    for clip in footage:
        people.setdefault(clip.identity, []).append(clip)
    atlas: Atlas | None = None
    made, refused = [], {}
    for name in sorted(people):
        if not (folder / f"{name}.json").is_file():
            atlas = atlas or Atlas(body)
            try:
                _write(folder, *make_skin(atlas, name, people[name]))
            except (FaceError, DataError) as error:
                refused[name] = str(error)
                if progress:
                    progress(f"{name}: no skin ({error})")
                continue
        made.append(name)
    if not made:
        first = next(iter(refused.items()), ("", "it holds no clips"))
        raise DataError(f"no usable frame for a skin in the dataset ({': '.join(p for p in first if p)})")
    return tuple(made)


def _write(folder: Path, picture: Picture, record: SkinRecord) -> None:
    """The picture first, the record last: it marks the skin complete."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f"{record.name}.png"), cv2.cvtColor(picture, cv2.COLOR_RGBA2BGRA))
        (folder / f"{record.name}.json").write_text(json.dumps(asdict(record), indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise OutputError(f"{folder}: cannot write ({error.strerror or error})") from error


def load_skin(folder: str | Path, name: str) -> tuple[Picture, SkinRecord]:
    """A skin `make_skins` wrote; raises DataError when it is missing or damaged."""
    path = Path(folder) / f"{name}.json"
    if not path.is_file():
        raise DataError(f"{folder}: no skin called {name!r}; pass --skin-from the dataset of the person it is from")
    try:
        stored = json.loads(path.read_text())
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return read_picture(path.with_suffix(".png")), SkinRecord(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: not a skin ({error}); delete it, and the same command makes it again") from error


def skin_names(footage: Sequence[Footage]) -> tuple[tuple[str, ...], str]:
    """Whose skins there are to be, and where they come from, under which licence."""
    origins = sorted({f"{clip.source}, {clip.licence}" for clip in footage})
    return tuple(sorted({clip.identity for clip in footage})), " and ".join(origins)


@lru_cache(maxsize=4)
def _there(folder: Path, names: tuple[str, ...]) -> tuple[SkinRecord, ...]:
    return tuple(load_skin(folder, name)[1] for name in names if (folder / f"{name}.json").is_file())


def worn_by(folder: Path, names: tuple[str, ...], index: int) -> SkinRecord | None:
    """The skin that person ``index`` wears, of those among ``names`` that could be made; in turn."""
    there = _there(folder, names) if names else ()
    return there[index % len(there)] if there else None


def make_skin(atlas: Atlas, name: str, clips: Sequence[Footage]) -> tuple[Picture, SkinRecord]:
    """One person's skin from a few pictures of their clips; raises FaceError when none serves."""
    used = some_of(clips)
    photo, known, fit = photograph(atlas, choose_views(used))
    tone, gain = _tone(atlas, photo, known)
    stock = _best_stock(atlas.body.head, photo, known)
    skin = complete(photo * gain, known, stock, atlas.mirror)
    facts = _facts(fit, np.concatenate([clip.audio() for clip in used]))
    origin = tuple(clip.id for clip in used), used[0].source, used[0].licence
    record = SkinRecord(name, *origin, tone, _hair(atlas, skin, tone), **facts, shape=fit.weights,
                        error=round(fit.error, 4))  # fmt: skip
    return _finish(skin, name), record


def _plain(atlas: Atlas) -> NDArray[np.bool_]:
    """(A, A) the cheeks and the forehead's middle."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    cheek = (np.abs(x - 0.42) < 0.16) & (np.abs(y - 6.95) < 0.12)
    brow = (x < 0.3) & (np.abs(y - 7.62) < 0.1)
    return atlas.picture(((cheek | brow) & (z > 0.6)).astype(np.float32)) > 0.5


def _tone(atlas: Atlas, photo: Floats, known: Floats) -> tuple[Colour, Floats]:
    """The skin's reflectance on cheeks and forehead, and the gain (3,) from picture to reflectance.

    A picture does not tell its exposure or its white: brightness is taken for what cameras make of such a skin, and
    of what the hue differs from human skin of that brightness, a good part is taken for the light's.
    """
    there = _plain(atlas) & (known > 0.25)
    if there.sum() < 100:
        there = known > 0.25
    if there.sum() < 100:
        raise FaceError("too little of the face is seen")
    seen = np.median(photo[there], axis=0).astype(np.float64)
    bright = float(np.clip(_GAIN * luminance(tuple(seen)), 0.045, 0.36))
    ramp = np.array(SKIN_TONES)
    levels = ramp @ (0.2126, 0.7152, 0.0722)
    usual = np.array([np.interp(bright, levels[::-1], ramp[::-1, c]) for c in range(3)])
    hue = np.log(seen / luminance(tuple(seen)) * bright / usual)
    tone = usual * np.exp(0.6 * hue)
    return (float(tone[0]), float(tone[1]), float(tone[2])), (tone / seen).astype(np.float32)


def _best_stock(head: HeadModel, photo: Floats, known: Floats) -> Floats:
    """The painted skin whose pattern comes nearest to the photo's where that is known."""
    logs = np.log(np.maximum(cv2.resize(photo, (128, 128), interpolation=cv2.INTER_AREA), 0.004))
    weight = cv2.resize(known, (128, 128), interpolation=cv2.INTER_AREA)[..., None]

    def unlike(skin: Floats) -> float:
        off = logs - np.log(np.maximum(cv2.resize(skin, (128, 128), interpolation=cv2.INTER_AREA), 0.004))
        return float((weight * (off - (weight * off).sum((0, 1)) / weight.sum()) ** 2).sum())

    skins = [window(read_picture(path)) for path in find_textures(head.folder, "skin", "*_diffuse*.png")]
    return min(skins, key=unlike)


def _hair(atlas: Atlas, skin: Floats, tone: Colour) -> Colour:
    """The brows' colour, which the hair takes."""
    x, y, z = np.abs(atlas.place[:, 0]), atlas.place[:, 1], atlas.place[:, 2]
    brow = skin[atlas.covered][(np.abs(y - 7.42) < 0.08) & (np.abs(x - 0.30) < 0.17) & (z > 0.8)]
    dark = brow[np.argsort(brow.sum(axis=1))[: max(len(brow) // 12, 1)]].mean(axis=0)
    cool = 0.6 * dark * np.clip(1.2 - dark / np.array(tone), 0.15, 1)  # what is hardly darker than skin is hardly brow
    return tuple(float(np.clip(c, 0.004, 0.4)) for c in cool)  # type: ignore[return-value]


def _facts(fit: Fit, wave: Wave) -> dict[str, Any]:
    """Sex by the voice where there is one, else by the shape; ancestry and age by the shape, which says little."""
    hertz = pitch(wave)
    male = float(fit.facts["male"] > 0) if hertz is None else float(hertz < 160)
    kinds = ("african", "asian", "caucasian")
    parts = np.array([max(MEAN[0][i] + fit.facts[kind], 0.02) for i, kind in enumerate(kinds)])
    parts = parts / parts.sum()
    age = float(np.clip(0.2 + 0.3 * fit.facts["age"], 0.05, 0.6))
    return {"male": male, "ancestry": tuple(float(p) for p in parts), "age": age}


def pitch(wave: Wave) -> float | None:
    """Median fundamental of the voiced 40 ms pieces of speech at 16 kHz, in hertz; None when hardly any is voiced."""
    pieces = wave[: len(wave) // 640 * 640].reshape(-1, 640).astype(np.float64)
    pieces = pieces[np.sqrt((pieces**2).mean(axis=1)) > 0.02] if len(pieces) else pieces
    found = []
    for piece in pieces[:400]:
        spectrum = np.fft.rfft(piece * np.hanning(640), 2048)
        likeness = np.fft.irfft(np.abs(spectrum) ** 2)[:230]
        near = likeness[45:]
        tops = (near[1:-1] > near[:-2]) & (near[1:-1] >= near[2:])  # 70 to 350 Hz
        best = float(near[1:-1].max())
        if best > 0.35 * likeness[0] and (tops := tops & (near[1:-1] > 0.8 * best)).any():
            found.append(16000 / (46 + int(np.argmax(tops))))  # the first: later ones are multiples of the period
    return float(np.median(found)) if len(found) >= 8 else None


def _finish(skin: Floats, name: str) -> Picture:
    """The skin as `skin.paint_skin` makes them: square root of the reflectance, relief in alpha."""
    grey = cv2.cvtColor(np.asarray(skin / np.maximum(skin.mean(axis=(0, 1)), 1e-3), np.float32), cv2.COLOR_RGB2GRAY)
    relief = grey - cv2.GaussianBlur(grey, (0, 0), 6)
    grain = fractal(np.random.default_rng([0x5C, *name.encode()]), len(skin), 170, 2) * 0.02
    alpha = 0.5 + np.clip(0.5 * relief, -0.2, 0.2) + grain
    return quantise(np.dstack([np.sqrt(np.clip(skin, 0, 1)), alpha]))


def wear(who: Identity, record: SkinRecord) -> Identity:
    """The person in this skin: what the photo already shows is not painted again."""
    shape = {name: 0.5 * weight for name, weight in who.shape.items()}
    for name, weight in record.shape.items():
        shape[name] = round(shape.get(name, 0.0) + 0.6 * weight, 4)
    same = (who.male > 0.5) == (record.male > 0.5)
    usual = MALE_HAIR if record.male > 0.5 else FEMALE_HAIR
    hair = who.hair if same else usual[who.seed % len(usual)]
    return replace(
        who, hair=hair, photo=record.name, tone=record.tone, male=record.male, ancestry=record.ancestry,
        age=record.age, shape=shape, hair_colour=record.hair, brow_colour=record.hair, stubble=0.0, freckles=0.0,
        moles=0, blush=0.0, lip_strength=0.0, eye_makeup=0.0,
    )  # fmt: skip
