"""Who a synthetic person is: a small, repeatable record sampled from a seed. No geometry, no pictures."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from dithead.errors import DataError

RNG = np.random.Generator
Colour = tuple[float, float, float]  # linear RGB, 0..1

# Linear-light skin reflectances, light to dark, spanning human skin (Fitzpatrick I to VI). Green and blue are lower
# than a spectrometer says: the camera's response bleaches, and pictures must look like real ones
# (experiments/synth_appearance.py).
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
# Those that leave both eyes free; the likelier ones twice.
FEMALE_HAIR = ("ponytail01", "braid01", "long01", "ponytail01", "short01", "afro01", "long01", "short04")

# Shape keys that come as opposite pairs; the stem takes one signed value.
_PAIRS = ("decr/incr", "in/out", "down/up", "backward/forward", "concave/convex", "compress/uncompress")
_HEAD_SHAPES = ("diamond", "invertedtriangular", "oval", "rectangular", "round", "square", "triangular")
SPREAD = {"head": 0.13, "neck": 0.12, "forehead": 0.22, "ears": 0.3, "eyes": 0.17, "nose": 0.17,
           "mouth": 0.13, "chin": 0.19, "cheek": 0.22, "eyebrows": 0.2}  # fmt: skip
# MakeHuman's brows lie low and slant inwards: towards the mean of tracked real faces (experiments/synth_appearance.py).
_CENTRE = {"eyebrows/eyebrows-trans-down": 0.6, "eyebrows/eyebrows-angle-down": 0.4}
_FROZEN = re.compile(r"head/head-(trans|age|fat|back)|neck/neck-(trans|double|scale-vert)|breast|trunk|dimples")


@dataclass(frozen=True)
class Identity:
    """Everything that makes one person; JSON round-trips (`save`, `load`) and builds the same person."""

    seed: int
    ancestry: tuple[float, float, float]  # african, asian, caucasian; sums to 1
    male: float  # 0 female .. 1 male
    age: float  # 0 about 25 years .. 1 about 90
    weight: float  # -1 thin .. 1 heavy
    shape: dict[str, float]  # shape key -> weight
    skin: str  # texture stem
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
    lip_strength: float  # how far lips differ from skin
    stubble: float  # 0 none .. 1 full short beard
    stubble_style: tuple[float, float, float]  # moustache, chin, cheeks
    freckles: float
    moles: int
    blush: float
    gloss: float  # skin shine
    lip_gloss: float
    glasses: int  # 0 none, else frame style
    eye_makeup: float
    photo: str = ""  # name of the real skin worn (`skin_source`), instead of a painted one

    def save(self, path: str | Path) -> None:
        """Write the record as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=1) + "\n")

    @staticmethod
    def load(path: str | Path) -> Identity:
        """Read a record `save` wrote; raises DataError when it is not one."""
        try:
            record = json.loads(Path(path).read_text())
            record = {"photo": "", **record}  # records from before there were real skins
            return Identity(**{f.name: _tupled(record[f.name]) for f in fields(Identity)})
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not an identity file ({error})") from error


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def sample_identity(seed: int, key_names: frozenset[str], man: bool | None = None) -> Identity:
    """A person drawn from ``seed``, of the sex that ``man`` says; the shape keys come from those the head model has."""
    rng = np.random.default_rng([0x1D, seed])
    ancestry = _ancestry(rng)
    drawn = bool(rng.random() < 0.5)
    male = float(drawn if man is None else man)
    male = abs(male - 0.25 * float(rng.beta(1, 3)))
    age = float(np.clip(rng.beta(1.2, 2.6), 0.0, 0.85))
    tone = _tone(rng, ancestry)
    grey = age > 0.35 and rng.random() < age
    hair_colour = _hair_colour(rng, ancestry, grey)
    return Identity(
        seed=seed,
        ancestry=ancestry,
        male=male,
        age=age,
        weight=float(np.clip(rng.normal(0, 0.4), -0.9, 0.9)),
        shape=_shape(rng, key_names),
        skin=_skin(rng, ancestry, male, age),
        tone=tone,
        eyes=_eyes(rng, ancestry),
        hair=_hair(rng, ancestry, male, age),
        hair_colour=hair_colour,
        brows=f"eyebrow{rng.integers(1, 13):03d}",
        brow_colour=_mix(hair_colour, (0.02, 0.014, 0.01), 0.5 if not grey else 0.4),
        lashes=f"eyelashes{rng.integers(1, 4):02d}",
        teeth=str(rng.choice(["teeth_base", *(f"teeth_shape{i:02d}" for i in range(1, 6))])),
        tooth_colour=_tooth(rng, age),
        **_surface(rng, tone, male, age),
    )


def _surface(rng: RNG, tone: Colour, male: float, age: float) -> dict[str, Any]:
    """Skin marks, lips, beard, make-up and glasses."""
    makeup = male < 0.5 and rng.random() < 0.45
    red = (0.42, 0.07, 0.07) if makeup and rng.random() < 0.5 else (0.40, 0.13, 0.11)
    strength = rng.uniform(0.6, 0.95) if makeup else rng.uniform(0.4, 0.75)
    bearded = male > 0.5 and rng.random() < 0.65
    fair = tone[0] > 0.4
    return {
        "lip_colour": _mix(tone, _scaled(red, 0.25 + 0.95 * tone[0]), 0.85),
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


def _ancestry(rng: RNG) -> tuple[float, float, float]:
    """Mostly one ancestry, a third of the people mixed."""
    alpha = 0.9 if rng.random() < 0.35 else 0.12
    a, b, c = rng.dirichlet([alpha] * 3)
    return float(a), float(b), float(c)


def _tone(rng: RNG, ancestry: tuple[float, float, float]) -> Colour:
    """Skin reflectance: a position on the tone ramp by ancestry, with a spread as wide as people's."""
    centre = float(np.dot(ancestry, (5.3, 2.0, 1.0)))
    where = float(np.clip(rng.normal(centre, 0.9), 0, len(SKIN_TONES) - 1.001))
    low = int(where)
    base = _mix(SKIN_TONES[low], SKIN_TONES[low + 1], where - low)
    hue = rng.normal(0, 0.035)  # redder or yellower
    return base[0] * (1 + hue / 2), base[1] * (1 - hue / 2), base[2] * (1 - 1.5 * hue)


def _hair_colour(rng: RNG, ancestry: tuple[float, float, float], grey: bool) -> Colour:
    if grey:
        return _mix(HAIR_COLOURS[7], HAIR_COLOURS[8], float(rng.random()))
    pale = rng.random() < 0.75 * ancestry[2]
    pick = int(rng.integers(2, 7)) if pale else int(rng.integers(0, 3))
    other = HAIR_COLOURS[min(pick + 1, 5)] if pick < 5 else HAIR_COLOURS[pick]
    return _mix(HAIR_COLOURS[pick], other, float(rng.random()))


def _eyes(rng: RNG, ancestry: tuple[float, float, float]) -> str:
    return str(rng.choice(EYES)) if rng.random() < 0.8 * ancestry[2] else str(rng.choice(EYES[:2], p=[0.85, 0.15]))


def _hair(rng: RNG, ancestry: tuple[float, float, float], male: float, age: float) -> str | None:
    if male > 0.5 and rng.random() < 0.12 + 0.35 * age:
        return None
    names = [n for n in (MALE_HAIR if male > 0.5 else FEMALE_HAIR) if n != "afro01" or ancestry[0] > 0.4]
    return str(rng.choice(names))


def _skin(rng: RNG, ancestry: tuple[float, float, float], male: float, age: float) -> str:
    stage = "young" if age < 0.25 else "middleage" if age < 0.5 else "old"
    sex = "male" if male > 0.5 else "female"
    if ancestry[0] > 0.5:
        return f"{stage}_darkskinned_{sex}_diffuse"
    variant = ["", "2", "3"][int(rng.integers(0, 3 if stage == "young" else 2))]
    return f"{stage}_lightskinned_{sex}_diffuse{variant}"


def _tooth(rng: RNG, age: float) -> Colour:
    yellow = float(rng.uniform(0, 0.25) + 0.3 * age)
    return 0.80, 0.80 - 0.14 * yellow, 0.76 - 0.42 * yellow


def _shape(rng: RNG, key_names: frozenset[str]) -> dict[str, float]:
    """Random detail weights: paired keys take one signed value, left and right nearly the same one."""
    weights: dict[str, float] = {}
    shared: dict[str, float] = {}
    for less, more in key_pairs(key_names):
        folder, stem = less.split("/")[0], less[: less.rindex("-") + 1]
        twin = re.sub(r"/[lr]-", "/", stem)
        value = shared.setdefault(twin, float(rng.normal(0, SPREAD[folder])))
        value += float(rng.normal(0, 0.06)) if twin != stem else _CENTRE.get(less, 0.0)
        weights[more if value > 0 else less] = round(min(abs(value), 0.9), 4)
    chosen = f"head/head-{rng.choice(_HEAD_SHAPES)}"
    weights[chosen] = round(float(rng.uniform(0, 0.4)), 4)
    for name in sorted(n for n in key_names if n.startswith("asym/") and not _FROZEN.search(n)):
        if rng.random() < 0.25:
            weights[name] = round(float(rng.uniform(0, 0.16)), 4)
    return {n: w for n, w in weights.items() if n in key_names}


def key_pairs(key_names: frozenset[str]) -> list[tuple[str, str]]:
    """Shape keys that are each other's opposite, (less, more), of the parts that differ from person to person."""
    found = []
    for name in sorted(key_names):
        if name.split("/")[0] in SPREAD and not _FROZEN.search(name):
            for low, high in (pair.split("/") for pair in _PAIRS):
                if name.endswith(f"-{low}") and f"{name[: -len(low)]}{high}" in key_names:
                    found.append((name, name[: -len(low)] + high))
    return found


def macro_weights(identity: Identity) -> dict[str, float]:
    """MakeHuman's macro keys (ancestry x sex x age, weight) for this person."""
    return macro_keys(identity.ancestry, identity.male, identity.age, identity.weight)


def macro_keys(ancestry: tuple[float, float, float], male: float, age: float, weight: float) -> dict[str, float]:
    """`macro_weights` of somebody of whom only these four facts are known."""
    weights: dict[str, float] = {}
    heavy = "maxweight" if weight > 0 else "minweight"
    for sex, of_sex in (("female", 1 - male), ("male", male)):
        for years, of_age in (("young", 1 - age), ("old", age)):
            for name, part in zip(("african", "asian", "caucasian"), ancestry, strict=True):
                weights[f"macro/{name}-{sex}-{years}"] = part * of_sex * of_age
            body = f"macro/universal-{sex}-{years}-averagemuscle-{heavy}"
            weights[body] = abs(weight) * of_sex * of_age
    return {n: w for n, w in weights.items() if w > 1e-4}


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _scaled(a: Colour, k: float) -> Colour:
    return tuple(x * k for x in a)  # type: ignore[return-value]
