"""``prepare_dataset``: a folder of raw videos to a dataset folder, over processes, resumable.

Which worker does which file never shows in the result, and the same command again does only what is missing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dithead.engine import Engine, map_tasks
from dithead.errors import ConfigError, DataError, OutputError
from dithead.prepare.clip_writer import Outcome, prepare_video
from dithead.prepare.manifest import read_record, replace_text, write_manifest, write_record
from dithead.prepare.raw_videos import Source, choose_val, find_sources
from dithead.prepare.settings import PrepareConfig


@dataclass(frozen=True)
class PrepareResult:
    """What a dataset holds after ``prepare_dataset``."""

    output: Path
    files: int
    files_done_before: int
    clips: int
    seconds: float  # of accepted clips
    identities: int
    rejected: dict[str, int]  # reason, without its details -> clips
    corrected: int  # clips whose sound was moved to where the lips are


def prepare_dataset(
    raw_dir: str | PathLike[str],
    output: str | PathLike[str],
    *,
    size: int = PrepareConfig.model_fields["size"].default,
    fps: int = PrepareConfig.model_fields["fps"].default,
    min_seconds: float = PrepareConfig.model_fields["min_seconds"].default,
    max_seconds: float = PrepareConfig.model_fields["max_seconds"].default,
    correct_offset: bool = PrepareConfig.model_fields["correct_offset"].default,
    offset_confidence: float = PrepareConfig.model_fields["offset_confidence"].default,
    min_confidence: float = PrepareConfig.model_fields["min_confidence"].default,
    sources: str | PathLike[str] | None = None,
    source: str | None = None,
    licence: str | None = None,
    identity: str | None = None,
    val_fraction: float = 0.1,
    val_identities: Sequence[str] = (),
    workers: int = 2,
    engine: Engine = "local",
    progress: bool = True,
) -> PrepareResult:
    """Find the videos below ``raw_dir``, track, align and crop their faces, and write the dataset ``output``.

    ``sources`` is a JSON file that says who is in which folder and under which licence (default:
    ``SOURCES.json`` in ``raw_dir``); ``source``, ``licence`` and ``identity`` (``"folder"``, ``"file"``
    or a name) are used where it is silent. People are held
    out for validation by name (``val_identities``) or as a fraction of all. Running the same call again
    resumes it. The sync expert measures by how many frames the sound of each clip is late and how sure that is;
    ``correct_offset`` moves the sound where it is as sure as ``offset_confidence``, and a clip below
    ``min_confidence``, whose picture does not speak, is rejected. ``engine`` says where the ``workers`` are: processes
    of this machine, or a Ray cluster whose machines all see both folders under the same path.

    Raises DataError for a folder without videos, ConfigError for settings that are out of range or differ
    from those the dataset was begun with, OutputError when the dataset cannot be written, MissingExtraError
    when Ray is asked for and not installed.
    """
    raw, dataset = Path(raw_dir), Path(output)
    config = _config(
        size=size, fps=fps, min_seconds=min_seconds, max_seconds=max_seconds, correct_offset=correct_offset,
        offset_confidence=offset_confidence, min_confidence=min_confidence,
    )  # fmt: skip
    table = Path(sources) if sources else None
    found = find_sources(raw, dataset, table, source=source, licence=licence, identity=identity)
    val = choose_val((s.identity for s in found), val_fraction, val_identities)
    _begin(dataset, config)
    done = {s.slug: record for s in found if (record := read_record(dataset, s)) is not None}
    before = len(done)
    todo = [s for s in found if s.slug not in done]
    try:
        for item, outcomes in _shown(_work(todo, dataset, config, workers, engine), len(found), before, progress):
            done[item.slug] = outcomes
    finally:  # an interrupted run leaves a manifest of what is there
        entries = write_manifest(dataset, [(s, done[s.slug]) for s in found if s.slug in done], val, fps)
    return _result(dataset, len(found), before, entries, fps)


def _config(**values: Any) -> PrepareConfig:
    try:
        return PrepareConfig(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _begin(dataset: Path, config: PrepareConfig) -> None:
    """Make the folder, or check that what is in it was made with the same settings."""
    path = dataset / "config.json"
    text = config.model_dump_json(indent=1) + "\n"
    if path.is_file():
        _require_same(path, config)
        return
    if dataset.exists() and (not dataset.is_dir() or any(dataset.iterdir())):
        raise OutputError(f"{dataset}: exists and is no dataset; choose a new or empty folder")
    try:
        (dataset / "clips").mkdir(parents=True)
        replace_text(path, text)
    except OSError as error:
        raise OutputError(f"{dataset}: cannot be written ({error.strerror}); choose another place") from None


def _require_same(path: Path, config: PrepareConfig) -> None:
    try:
        stored = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise DataError(f"{path}: cannot be understood; choose a new folder") from None
    wanted = config.model_dump()
    differing = sorted(k for k in wanted | stored if wanted.get(k) != stored.get(k))
    if differing:
        what = ", ".join(f"{k} {stored.get(k)} there, {wanted.get(k)} now" for k in differing)
        raise ConfigError(f"{path.parent}: was begun with other settings ({what}); choose a new folder")


def _work(
    todo: list[Source], dataset: Path, config: PrepareConfig, workers: int, engine: Engine
) -> Iterator[tuple[Source, list[Outcome]]]:
    """Do the files and yield each with its outcomes as it is finished.

    A file over which a worker died is rejected and not recorded as done: the next run tries it again.
    """
    do = partial(_do_one, dataset=dataset.absolute(), config=config)  # a cluster's workers start in other folders
    here = [replace(source, path=source.path.absolute()) for source in todo]
    for index, outcome in map_tasks(do, here, engine=engine, workers=min(workers, max(len(todo), 1))):
        if isinstance(outcome, DataError):
            yield todo[index], [Outcome(todo[index].slug, 0, f"crashed: {outcome}")]
        elif isinstance(outcome, OSError):
            raise OutputError(f"{dataset}: cannot be written ({outcome.strerror or outcome}); run again to go on")
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            yield todo[index], outcome


_landmarker: Any = None  # one per process: building its networks takes as long as a short clip


def _do_one(source: Source, dataset: Path, config: PrepareConfig) -> list[Outcome]:
    global _landmarker
    if _landmarker is None:
        from dithead.face.landmarks import FaceLandmarker, limit_threads

        limit_threads()
        _landmarker = FaceLandmarker()
    outcomes = prepare_video(source.path, source.slug, source.audio_offset, dataset / "clips", config, _landmarker)
    write_record(dataset, source, outcomes)
    return outcomes


def _shown(
    items: Iterator[tuple[Source, list[Outcome]]], total: int, before: int, progress: bool
) -> Iterator[tuple[Source, list[Outcome]]]:
    """Pass the items on, with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    note = TextColumn("{task.fields[note]}")
    columns = (TextColumn("prepare"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), note)
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar:
        task, clips, rejected = bar.add_task("", total=total, completed=before, note=""), 0, 0
        for item in items:
            clips += sum(not o.reason for o in item[1])
            rejected += sum(bool(o.reason) for o in item[1])
            bar.update(task, advance=1, note=f"{clips} clips, {rejected} rejected")
            yield item


def _result(dataset: Path, files: int, before: int, entries: list[dict[str, Any]], fps: int) -> PrepareResult:
    good = [e for e in entries if e["status"] == "ok"]
    return PrepareResult(
        output=dataset,
        files=files,
        files_done_before=before,
        clips=len(good),
        seconds=sum(e["frames"] for e in good) / fps,
        identities=len({e["identity"] for e in good}),
        rejected=dict(Counter(e["reason"].split(":")[0] for e in entries if e["reason"])),
        corrected=sum(bool(e["speech"] and e["speech"]["corrected"]) for e in good),
    )
