"""The identity of a synthetic person: a small, repeatable record drawn from a seed.

It holds no geometry and no pictures.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError
from dithead.synth.types import RNG, Colour

# Linear skin reflectances from light to dark (Fitzpatrick types I to VI). Green and blue are lower than a spectrometer
# measures, because the camera's response desaturates and pictures must match real ones; experiments/synth_appearance.py
# compares them.
SKIN_TONES: tuple[Colour, ...] = (
    (0.63, 0.316, 0.220), (0.56, 0.266, 0.177), (0.50, 0.228, 0.143), (0.42, 0.196, 0.120),
    (0.32, 0.152, 0.094), (0.215, 0.099, 0.062), (0.13, 0.060, 0.040), (0.075, 0.036, 0.026),
)  # fmt: skip
HAIR_COLOURS: tuple[Colour, ...] = (
    (0.010, 0.008, 0.007), (0.022, 0.014, 0.010), (0.05, 0.027, 0.014), (0.10, 0.052, 0.024),
    (0.19, 0.11, 0.05), (0.38, 0.26, 0.13), (0.17, 0.05, 0.017), (0.20, 0.195, 0.19), (0.34, 0.33, 0.32),
)  # fmt: skip
EYES = ("brown", "brownlight", "blue", "bluegreen", "deepblue", "green", "grey", "ice", "lightblue")
MALE_HAIR = ("short01", "short02", "short04", "short01", "afro01")
# Styles that leave both eyes free; a style that stands here twice is drawn twice as often.
FEMALE_HAIR = ("ponytail01", "braid01", "long01", "ponytail01", "short01", "afro01", "long01", "short04")

# Endings of shape keys that come as opposite pairs, of which a person has one signed value.
_OPPOSITES = ("decr/incr", "in/out", "down/up", "backward/forward", "concave/convex", "compress/uncompress")
_HEAD_SHAPES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
# Standard deviation of the paired keys' values, by part of the face; our choice.
SHAPE_SPREAD = {"head": 0.13, "neck": 0.12, "forehead": 0.22, "ears": 0.3, "eyes": 0.17, "nose": 0.17,
                "mouth": 0.13, "chin": 0.19, "cheek": 0.22, "eyebrows": 0.2}  # fmt: skip
# Means that are not zero: MakeHuman's brows lie lower and slant further inwards than tracked real faces' do.
_SHAPE_MEAN = {"eyebrows/eyebrows-trans-down": 0.6, "eyebrows/eyebrows-angle-down": 0.4}
# Shape keys that stay at zero; our choice.
_FIXED = re.compile(r"head/head-(trans|age|fat|back)|neck/neck-(trans|double|scale-vert)|breast|trunk|dimples")


@dataclass(frozen=True)
class Identity:
    """Everything that makes one person; the same record builds the same person. The field names are its JSON keys.

    Attributes:
        seed: from which the rest was drawn.
        ancestry: shares of African, Asian and Caucasian, which sum to 1.
        male: 0 female .. 1 male.
        age: 0 about 25 years .. 1 about 90.
        weight: -1 thin .. 1 heavy.
        shape: shape key -> weight.
        skin: name of the painted skin's texture, without suffix.
        tone: reflectance of the skin.
        eyes: name of the iris texture.
        hair: name of the hair style, or None.
        hair_colour: of the hair.
        brows: name of the eyebrows' proxy and texture.
        brow_colour: of the eyebrows.
        lashes: name of the eyelashes' proxy.
        teeth: name of the teeth's proxy.
        tooth_colour: of the teeth.
        lip_colour: of the lips.
        lip_strength: how far the lips differ from the skin, 0..1.
        stubble: 0 none .. 1 a full short beard.
        stubble_style: density of moustache, chin and cheeks, 0..1.
        freckles: density, 0..1.
        moles: how many.
        blush: redness of the cheeks, 0..1.
        gloss: shine of the skin, 1 is usual.
        lip_gloss: shine of the lips, 1 is usual.
        glasses: 0 none, else the frame's style.
        eye_makeup: 0..1.
        photo: name of the real skin worn instead of a painted one (`skin.real_skins`), or "".
    """

    seed: int
    ancestry: tuple[float, float, float]
    male: float
    age: float
    weight: float
    shape: dict[str, float]
    skin: str
    tone: Colour
    eyes: str
    hair: str | None
    hair_colour: Colour
    brows: str
    brow_colour: Colour
    lashes: str
    teeth: str
    tooth_colour: Colour
    lip_colour: Colour
    lip_strength: float
    stubble: float
    stubble_style: tuple[float, float, float]
    freckles: float
    moles: int
    blush: float
    gloss: float
    lip_gloss: float
    glasses: int
    eye_makeup: float
    photo: str = ""

    def save(self, path: str | Path) -> None:
        """Write the record as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: str | Path) -> Identity:
        """Read a record that `save` wrote.

        Raises:
            DataError: when the file is not one.
        """
        try:
            record = json.loads(Path(path).read_text())
            record = {"photo": "", **record}  # older records have no such field
            return Identity(**{f.name: _list_to_tuple(record[f.name]) for f in fields(Identity)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not an identity file ({error}); use one that `dithead synth` wrote") from error


def _list_to_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def sample_identity(seed: int, key_names: frozenset[str], man: bool | None = None) -> Identity:
    """Draw a person from a seed.

    Args:
        seed: the same seed gives the same person.
        key_names: the shape keys that the head model has.
        man: the person's sex; drawn when None.
    """
    rng = np.random.default_rng([0x1D, seed])
    ancestry = _sample_ancestry(rng)
    drawn = bool(rng.random() < 0.5)
    male = float(drawn if man is None else man)
    male = abs(male - 0.25 * float(rng.beta(1, 3)))
    age = float(np.clip(rng.beta(1.2, 2.6), 0.0, 0.85))
    tone = _skin_tone(rng, ancestry)
    grey = age > 0.35 and rng.random() < age
    hair_colour = _hair_colour(rng, ancestry, grey)
    return Identity(
        seed=seed,
        ancestry=ancestry,
        male=male,
        age=age,
        weight=float(np.clip(rng.normal(0, 0.4), -0.9, 0.9)),
        shape=_sample_shape(rng, key_names),
        skin=_skin_texture(rng, ancestry, male, age),
        tone=tone,
        eyes=_iris_texture(rng, ancestry),
        hair=_hair_style(rng, ancestry, male, age),
        hair_colour=hair_colour,
        brows=f"eyebrow{rng.integers(1, 13):03d}",
        brow_colour=_mix_colours(hair_colour, (0.02, 0.014, 0.01), 0.5 if not grey else 0.4),
        lashes=f"eyelashes{rng.integers(1, 4):02d}",
        teeth=str(rng.choice(["teeth_base", *(f"teeth_shape{i:02d}" for i in range(1, 6))])),
        tooth_colour=_tooth_colour(rng, age),
        **_surface_fields(rng, tone, male, age),
    )


def _surface_fields(rng: RNG, tone: Colour, male: float, age: float) -> dict[str, Any]:
    """The fields for skin marks, lips, beard, make-up and glasses."""
    makeup = male < 0.5 and rng.random() < 0.45
    red = (0.42, 0.07, 0.07) if makeup and rng.random() < 0.5 else (0.40, 0.13, 0.11)
    strength = rng.uniform(0.6, 0.95) if makeup else rng.uniform(0.4, 0.75)
    bearded = male > 0.5 and rng.random() < 0.65
    fair = tone[0] > 0.4
    return {
        "lip_colour": _mix_colours(tone, _scale_colour(red, 0.25 + 0.95 * tone[0]), 0.85),
        "lip_strength": float(strength),
        "stubble": float(rng.uniform(0.15, 1.0)) if bearded else (0.10 if male > 0.5 else 0.0),
        "stubble_style": tuple(float(x) for x in rng.choice([1.0, 1.0, 0.6, 0.15], 3)),
        "freckles": float(rng.beta(1, 3)) if fair and rng.random() < 0.4 else 0.0,
        "moles": int(rng.poisson(2.5)),
        "blush": float(rng.uniform(0.2, 1.0)) * (1.0 if makeup or fair else 0.6),
        "gloss": float(rng.uniform(0.4, 1.2)),
        "lip_gloss": float(rng.uniform(0.6, 1.6) if makeup else rng.uniform(0.25, 0.9)),
        "glasses": int(rng.integers(1, 5)) if rng.random() < 0.15 + 0.2 * age else 0,
        "eye_makeup": float(rng.uniform(0.2, 0.8)) if makeup else 0.0,
    }


def _sample_ancestry(rng: RNG) -> tuple[float, float, float]:
    """Draw an ancestry: mostly one of the three, a mixture for a third of the people."""
    alpha = 0.9 if rng.random() < 0.35 else 0.12
    a, b, c = rng.dirichlet([alpha] * 3)
    return float(a), float(b), float(c)


def _skin_tone(rng: RNG, ancestry: tuple[float, float, float]) -> Colour:
    """Draw a skin reflectance: a position among SKIN_TONES by ancestry, and a small change of hue."""
    centre = float(np.dot(ancestry, (5.3, 2.0, 1.0)))
    position = float(np.clip(rng.normal(centre, 0.9), 0, len(SKIN_TONES) - 1.001))
    low = int(position)
    base = _mix_colours(SKIN_TONES[low], SKIN_TONES[low + 1], position - low)
    hue = rng.normal(0, 0.035)  # redder or yellower
    return base[0] * (1 + hue / 2), base[1] * (1 - hue / 2), base[2] * (1 - 1.5 * hue)


def _hair_colour(rng: RNG, ancestry: tuple[float, float, float], grey: bool) -> Colour:
    if grey:
        return _mix_colours(HAIR_COLOURS[7], HAIR_COLOURS[8], float(rng.random()))
    pale = rng.random() < 0.75 * ancestry[2]
    pick = int(rng.integers(2, 7)) if pale else int(rng.integers(0, 3))
    other = HAIR_COLOURS[min(pick + 1, 5)] if pick < 5 else HAIR_COLOURS[pick]
    return _mix_colours(HAIR_COLOURS[pick], other, float(rng.random()))


def _iris_texture(rng: RNG, ancestry: tuple[float, float, float]) -> str:
    return str(rng.choice(EYES)) if rng.random() < 0.8 * ancestry[2] else str(rng.choice(EYES[:2], p=[0.85, 0.15]))


def _hair_style(rng: RNG, ancestry: tuple[float, float, float], male: float, age: float) -> str | None:
    if male > 0.5 and rng.random() < 0.12 + 0.35 * age:
        return None
    names = [n for n in (MALE_HAIR if male > 0.5 else FEMALE_HAIR) if n != "afro01" or ancestry[0] > 0.4]
    return str(rng.choice(names))


def _skin_texture(rng: RNG, ancestry: tuple[float, float, float], male: float, age: float) -> str:
    stage = "young" if age < 0.25 else "middleage" if age < 0.5 else "old"
    sex = "male" if male > 0.5 else "female"
    if ancestry[0] > 0.5:
        return f"{stage}_darkskinned_{sex}_diffuse"
    variant = ["", "2", "3"][int(rng.integers(0, 3 if stage == "young" else 2))]
    return f"{stage}_lightskinned_{sex}_diffuse{variant}"


def _tooth_colour(rng: RNG, age: float) -> Colour:
    yellow = float(rng.uniform(0, 0.25) + 0.3 * age)
    return 0.80, 0.80 - 0.14 * yellow, 0.76 - 0.42 * yellow


def _sample_shape(rng: RNG, key_names: frozenset[str]) -> dict[str, float]:
    """Draw weights of shape keys: paired keys share one signed value, left and right keys nearly the same value."""
    weights: dict[str, float] = {}
    shared: dict[str, float] = {}
    for less, more in opposite_keys(key_names):
        folder, stem = less.split("/")[0], less[: less.rindex("-") + 1]
        twin = re.sub(r"/[lr]-", "/", stem)
        value = shared.setdefault(twin, float(rng.normal(0, SHAPE_SPREAD[folder])))
        value += float(rng.normal(0, 0.06)) if twin != stem else _SHAPE_MEAN.get(less, 0.0)
        weights[more if value > 0 else less] = round(min(abs(value), 0.9), 4)
    chosen = f"head/head-{rng.choice(_HEAD_SHAPES)}"
    weights[chosen] = round(float(rng.uniform(0, 0.4)), 4)
    for name in sorted(n for n in key_names if n.startswith("asym/") and not _FIXED.search(n)):
        if rng.random() < 0.25:
            weights[name] = round(float(rng.uniform(0, 0.16)), 4)
    return {n: w for n, w in weights.items() if n in key_names}


def opposite_keys(key_names: frozenset[str]) -> list[tuple[str, str]]:
    """Return the pairs (less, more) of opposite shape keys, of the parts that differ from person to person."""
    found = []
    for name in sorted(key_names):
        if name.split("/")[0] in SHAPE_SPREAD and not _FIXED.search(name):
            for low, high in (pair.split("/") for pair in _OPPOSITES):
                if name.endswith(f"-{low}") and f"{name[: -len(low)]}{high}" in key_names:
                    found.append((name, name[: -len(low)] + high))
    return found


def macro_weights(identity: Identity) -> dict[str, float]:
    """Return the weights of MakeHuman's macro keys (ancestry x sex x age, and body weight) for a person."""
    return macro_key_weights(identity.ancestry, identity.male, identity.age, identity.weight)


def macro_key_weights(ancestry: tuple[float, float, float], male: float, age: float, weight: float) -> dict[str, float]:
    """Return the weights of MakeHuman's macro keys for four facts; the arguments are fields of `Identity`."""
    weights: dict[str, float] = {}
    heavy = "maxweight" if weight > 0 else "minweight"
    for sex, of_sex in (("female", 1 - male), ("male", male)):
        for years, of_age in (("young", 1 - age), ("old", age)):
            for name, part in zip(("african", "asian", "caucasian"), ancestry, strict=True):
                weights[f"macro/{name}-{sex}-{years}"] = part * of_sex * of_age
            body = f"macro/universal-{sex}-{years}-averagemuscle-{heavy}"
            weights[body] = abs(weight) * of_sex * of_age
    return {n: w for n, w in weights.items() if w > 1e-4}


def _mix_colours(a: Colour, b: Colour, t: float) -> Colour:
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _scale_colour(a: Colour, k: float) -> Colour:
    return tuple(x * k for x in a)  # type: ignore[return-value]
