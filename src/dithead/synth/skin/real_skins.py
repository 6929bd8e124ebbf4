"""Real skins for synthetic people: each person of a prepared dataset gives one, kept in the corpus's folder.

Hair, eyes, teeth and clothes stay the synthetic person's own. Sex and ancestry follow the photographed person, and the
shape is a mixture of the fitted one and a random one: the folds in the skin lie where the head has them, and the
person is not the photographed one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from dithead.errors import DataError, FaceError
from dithead.synth.head.body import Body
from dithead.synth.head.identity import FEMALE_HAIR, MALE_HAIR, Identity
from dithead.synth.skin.atlas import SkinAtlas
from dithead.synth.skin.make_skin import make_skin
from dithead.synth.skin.skin_record import SKINS_FOLDER, SkinRecord, load_skin, write_skin
from dithead.synth.skin.views import Footage


def make_skins(
    footage: Sequence[Footage],
    output: str | Path,
    body: Body,
    *,
    progress: Callable[[str], None] | None = None,
) -> tuple[str, ...]:
    """Make the skins of all people in ``footage``; skins that exist are kept.

    Args:
        footage: clips of any number of people.
        output: the corpus; skins lie in its folder ``skins``.
        body: the head model's shared parts.
        progress: called with a line for each person who gives no skin.

    Returns:
        Names of the people who gave one, sorted.

    Raises:
        DataError: when nobody gives a skin.
    """
    folder = Path(output) / SKINS_FOLDER
    people: dict[str, list[Footage]] = {}
    for clip in footage:
        people.setdefault(clip.identity, []).append(clip)
    atlas: SkinAtlas | None = None
    made: list[str] = []
    refused: dict[str, str] = {}
    for name in sorted(people):
        if not (folder / f"{name}.json").is_file():
            atlas = atlas or SkinAtlas(body)
            try:
                write_skin(folder, *make_skin(atlas, name, people[name]))
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


def skin_names(footage: Sequence[Footage]) -> tuple[tuple[str, ...], str]:
    """Return the names of the people in ``footage``, sorted, and the sources and licences of their clips."""
    origins = sorted({f"{clip.source}, {clip.licence}" for clip in footage})
    return tuple(sorted({clip.identity for clip in footage})), " and ".join(origins)


@lru_cache(maxsize=4)
def _existing_skins(folder: Path, names: tuple[str, ...]) -> tuple[SkinRecord, ...]:
    return tuple(load_skin(folder, name)[1] for name in names if (folder / f"{name}.json").is_file())


def skin_of_person(folder: Path, names: tuple[str, ...], index: int) -> SkinRecord | None:
    """Choose the skin that a synthetic person wears: those that could be made, in turn.

    Args:
        folder: of the skins.
        names: of the skins that were wanted.
        index: number of the synthetic person.
    """
    existing = _existing_skins(folder, names) if names else ()
    return existing[index % len(existing)] if existing else None


def wear_skin(identity: Identity, record: SkinRecord) -> Identity:
    """Return the person in a real skin; what its picture already shows is not painted again."""
    shape = {name: 0.5 * weight for name, weight in identity.shape.items()}
    for name, weight in record.shape.items():
        shape[name] = round(shape.get(name, 0.0) + 0.6 * weight, 4)
    same_sex = (identity.male > 0.5) == (record.male > 0.5)
    styles = MALE_HAIR if record.male > 0.5 else FEMALE_HAIR
    return replace(
        identity,
        hair=identity.hair if same_sex else styles[identity.seed % len(styles)],
        photo=record.name,
        tone=record.tone,
        male=record.male,
        ancestry=record.ancestry,
        age=record.age,
        shape=shape,
        hair_colour=record.hair,
        brow_colour=record.hair,
        stubble=0.0,
        freckles=0.0,
        moles=0,
        blush=0.0,
        lip_strength=0.0,
        eye_makeup=0.0,
    )
