"""Finds the raw videos below a folder, who is in them, and under which licence.

A ``SOURCES.json`` in the raw folder, or elsewhere, says so for each folder; the longest matching prefix counts:

    {"interviews": {"source": "My interviews, 2025", "licence": "CC BY 4.0", "identity": "file"},
     "anna": {"source": "...", "licence": "...", "identity": "anna", "audio_offset": 0.08}}

``identity`` is a name, ``"folder"`` (the name of the file's folder, the default) or ``"file"`` (one person a file).
``audio_offset`` is how many seconds the sound lags behind the picture in those files; the sound is moved by as much.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dithead.errors import DataError
from dithead.limits import parse_json, read_text

SIDECAR = "SOURCES.json"
_SUFFIXES = """.3g2 .3gp .asf .avi .divx .dv .f4v .flv .m2ts .m2v .m4v .mkv .mov .mp4 .mpe .mpeg .mpg .mts
    .mxf .nut .ogg .ogv .rm .rmvb .ts .vob .webm .wmv .y4m"""
VIDEO_SUFFIXES = frozenset(_SUFFIXES.split())


class Provenance(BaseModel):
    """What is known about a folder of videos."""

    model_config = ConfigDict(extra="forbid")
    source: str = "unknown"
    licence: str = "unknown"
    identity: str = "folder"
    audio_offset: float = Field(default=0.0, ge=-2, le=2)


@dataclass(frozen=True)
class RawVideo:
    """One video file to prepare."""

    path: Path
    relative: str  # path below the raw folder, with forward slashes
    slug: str  # unique, safe as a file name
    identity: str
    source: str
    licence: str
    audio_offset: float  # seconds by which the sound lags behind the picture


def find_raw_videos(
    raw_dir: Path,
    output: Path,
    sidecar: Path | None = None,
    *,
    source: str | None = None,
    licence: str | None = None,
    identity: str | None = None,
) -> list[RawVideo]:
    """Find every video below a folder, in a fixed order.

    Args:
        raw_dir: The folder.
        output: Folder of the dataset; what is in it is no raw video.
        sidecar: File that describes the folders; None: ``SOURCES.json`` in ``raw_dir``, if there is one.
        source: Where a video comes from, if the sidecar is silent.
        licence: Its licence, if the sidecar is silent.
        identity: Who is in it, if the sidecar is silent.

    Raises:
        DataError: The folder is missing, holds no video, or its sidecar cannot be understood.
    """
    if not raw_dir.is_dir():
        raise DataError(f"{raw_dir}: no such folder; give the folder that holds the videos")
    table = read_sidecar(sidecar or raw_dir / SIDECAR, required=sidecar is not None)
    options = {"source": source, "licence": licence, "identity": identity}
    fallback = {k: v for k, v in options.items() if v is not None}
    files = sorted(_video_files(raw_dir, output), key=lambda p: p.relative_to(raw_dir).as_posix())
    if not files:
        raise DataError(f"{raw_dir}: no video in it; supported are {', '.join(sorted(VIDEO_SUFFIXES))}")
    taken: set[str] = set()
    return [_raw_video(path, raw_dir, table, fallback, taken) for path in files]


def read_sidecar(path: Path, required: bool) -> dict[str, Provenance]:
    """Return what a sidecar says of each folder; nothing when there is none, unless it is ``required``."""
    if not path.is_file():
        if required:
            raise DataError(f"{path}: no such file; give the JSON file that describes the sources")
        return {}
    try:
        return {k.strip("/"): Provenance(**v) for k, v in parse_json(read_text(path, str(path), DataError)).items()}
    except (ValueError, TypeError, AttributeError, ValidationError) as error:
        why = str(error).splitlines()[0]
        raise DataError(
            f'{path}: not as expected ({why}); write {{"folder": {{"source": "...", "licence": "..."}}}}'
        ) from None


def choose_validation_people(identities: Iterable[str], fraction: float, named: Iterable[str]) -> frozenset[str]:
    """Choose who is held out for validation, by a hash of the name, so that adding people never moves the others.

    Args:
        identities: Everybody.
        fraction: Share of them to hold out; above 0, with two people or more, neither side is empty.
        named: People to hold out instead.

    Raises:
        DataError: A named person is not among the identities.
    """
    known = sorted(set(identities), key=_hash)
    chosen = set(named)
    if missing := chosen - set(known):
        raise DataError(f"no such identity: {', '.join(sorted(missing))}; there are {', '.join(sorted(known))}")
    if chosen or fraction <= 0 or len(known) < 2:
        return frozenset(chosen)
    chosen = {name for name in known if _hash(name) < fraction} or {known[0]}
    return frozenset(chosen - {known[-1]})


def _hash(name: str) -> float:
    digest = hashlib.sha256(f"split:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _video_files(raw_dir: Path, output: Path) -> Iterable[Path]:
    inside = output.resolve()
    for path in raw_dir.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(raw_dir).parts)
        if hidden or path.suffix.lower() not in VIDEO_SUFFIXES or not path.is_file():
            continue
        if inside not in path.resolve().parents:
            yield path


def _raw_video(
    path: Path, raw_dir: Path, table: dict[str, Provenance], fallback: dict[str, str], taken: set[str]
) -> RawVideo:
    relative = PurePosixPath(path.relative_to(raw_dir).as_posix())
    known = _lookup(relative, table)
    facts = known.model_copy(update={k: v for k, v in fallback.items() if k not in known.model_fields_set})
    return RawVideo(
        path=path,
        relative=str(relative),
        slug=_slug(relative, taken),
        identity=_identity(relative, facts.identity, raw_dir),
        source=facts.source,
        licence=facts.licence,
        audio_offset=known.audio_offset,
    )


def _lookup(relative: PurePosixPath, table: dict[str, Provenance]) -> Provenance:
    for name in (relative, *relative.parents):
        if found := table.get("" if str(name) == "." else str(name)):
            return found
    return table.get(".", Provenance())


def _identity(relative: PurePosixPath, rule: str, raw_dir: Path) -> str:
    if rule == "file":
        return relative.stem
    if rule == "folder":
        return relative.parent.name or raw_dir.resolve().name
    return rule


def _slug(relative: PurePosixPath, taken: set[str]) -> str:
    """Return a readable unique name: the path in safe characters, with a hash where that would be ambiguous."""
    plain = "-".join(relative.with_suffix("").parts)
    slug = re.sub(r"[^A-Za-z0-9._-]", "_", plain)[:100]
    if slug != plain or slug.lower() in taken or slug.startswith("."):
        slug = f"{slug.lstrip('.')}-{hashlib.sha256(str(relative).encode()).hexdigest()[:8]}"
    taken.add(slug.lower())
    return slug
