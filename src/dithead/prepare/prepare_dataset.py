"""``prepare_dataset``: a folder of raw videos to a dataset folder, over many processes, resumable.

The result does not depend on which worker does which file, and the same call again does only what is missing.
"""

from __future__ import annotations

import inspect
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

from dithead.engine import map_tasks
from dithead.errors import ConfigError, DataError, OutputError
from dithead.option_fields import Engine, describe_options, option_fields, option_types
from dithead.option_values import file_name, require_known
from dithead.prepare.clip_writer import ClipOutcome, prepare_video
from dithead.prepare.manifest import read_record, replace_text, write_manifest, write_record
from dithead.prepare.raw_videos import RawVideo, choose_validation_people, find_raw_videos
from dithead.prepare.settings import PrepareConfig, PrepareOptions
from dithead.progress import Progress, annotate, progress_of


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
    silent: int = 0  # clips kept without sound


def prepare_dataset(
    raw_dir: str | PathLike[str], output: str | PathLike[str], *, progress: Progress | bool = True, **options: Any
) -> PrepareResult:
    """Find the videos below a folder, track, align and crop their faces, and write them as a dataset.

    Running the same call again resumes it. The sync expert measures by how many frames the sound of each clip is late,
    and how sure that is; ``correct_offset``, ``offset_confidence`` and ``min_confidence`` say what follows from it.

    Args:
        raw_dir: Folder of videos, searched with its sub-folders.
        output: Folder of the dataset.
        progress: True shows the progress on stderr; a function is called with what is done, the steps done and the
            steps in all.
        {options}

    Returns:
        What the dataset holds.

    Raises:
        DataError: The folder holds no video, or its SOURCES.json cannot be understood.
        ConfigError: An option is out of range or differs from that with which the dataset was begun.
        OutputError: The dataset cannot be written.
        MissingExtraError: Ray is asked for and not installed.
    """
    require_known("prepare_dataset", options, [each.name for each in option_fields(PrepareOptions)])
    chosen = PrepareOptions(**options)
    raw, dataset, config = Path(file_name("raw_dir", raw_dir)), Path(file_name("output", output)), chosen.config
    fallback = {"source": chosen.source, "licence": chosen.licence, "identity": chosen.identity}
    found = find_raw_videos(raw, dataset, Path(chosen.sources) if chosen.sources else None, **fallback)
    validation = choose_validation_people((v.identity for v in found), chosen.val_fraction, chosen.val_identities)
    _begin(dataset, config)
    done = {v.slug: record for v in found if (record := read_record(dataset, v)) is not None}
    before = len(done)
    todo = [v for v in found if v.slug not in done]
    finished = _prepare_videos(todo, dataset, config, chosen.workers, chosen.engine)
    try:
        with progress_of(progress) as shown:
            for video, outcomes in _with_progress(finished, len(found), before, shown):
                done[video.slug] = outcomes
    finally:  # an interrupted run leaves a manifest of what is there
        listed = [(v, done[v.slug]) for v in found if v.slug in done]
        entries = write_manifest(dataset, listed, validation, config.fps)
    return _result(dataset, len(found), before, entries, config.fps)


def _signature() -> inspect.Signature:
    """The signature of ``prepare_dataset`` with each option in it, for ``help`` and editors."""
    *first, _ = inspect.signature(prepare_dataset).parameters.values()
    types = option_types(PrepareOptions)
    options = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=types[each.name])
        for each in option_fields(PrepareOptions)
    ]
    return inspect.Signature([*first, *options], return_annotation=PrepareResult)


prepare_dataset.__doc__ = (inspect.getdoc(prepare_dataset) or "").replace(
    "{options}", describe_options(PrepareOptions).strip()
)
prepare_dataset.__signature__ = _signature()  # type: ignore[attr-defined]


def _begin(dataset: Path, config: PrepareConfig) -> None:
    """Make the folder, or check that what is in it was made with the same settings."""
    path = dataset / "config.json"
    if path.is_file():
        _require_same(path, config)
        return
    if dataset.exists() and (not dataset.is_dir() or any(dataset.iterdir())):
        raise OutputError(f"{dataset}: exists and is no dataset; choose a new or empty folder")
    try:
        (dataset / "clips").mkdir(parents=True)
        replace_text(path, json.dumps(config.stored_values(), indent=1) + "\n")
    except OSError as error:
        raise OutputError(f"{dataset}: cannot be written ({error.strerror}); choose another place") from None


def _require_same(path: Path, config: PrepareConfig) -> None:
    try:
        stored = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise DataError(f"{path}: cannot be understood; choose a new folder") from None
    wanted = config.stored_values()
    differing = sorted(k for k in wanted | stored if wanted.get(k) != stored.get(k))
    if differing:
        what = ", ".join(f"{k} {stored.get(k)} there, {wanted.get(k)} now" for k in differing)
        raise ConfigError(f"{path.parent}: was begun with other settings ({what}); choose a new folder")


def _prepare_videos(
    todo: list[RawVideo], dataset: Path, config: PrepareConfig, workers: int, engine: Engine
) -> Iterator[tuple[RawVideo, list[ClipOutcome]]]:
    """Prepare the videos and yield each with its outcomes as it is finished.

    A file over which a worker died is rejected and not recorded as done: the next run tries it again.
    """
    task = partial(_prepare_one, dataset=dataset.absolute(), config=config)  # a cluster's workers start elsewhere
    items = [replace(video, path=video.path.absolute()) for video in todo]
    for index, outcome in map_tasks(task, items, engine=engine, workers=min(workers, max(len(todo), 1))):
        if isinstance(outcome, DataError):
            yield todo[index], [ClipOutcome(todo[index].slug, 0, f"crashed: {outcome}")]
        elif isinstance(outcome, OSError):
            raise OutputError(f"{dataset}: cannot be written ({outcome.strerror or outcome}); run again to go on")
        elif isinstance(outcome, Exception):
            raise outcome
        else:
            yield todo[index], outcome


_landmarker: Any = None  # one per process: building its networks takes as long as a short clip


def _prepare_one(video: RawVideo, dataset: Path, config: PrepareConfig) -> list[ClipOutcome]:
    """Prepare one video inside a worker and record that it is done."""
    global _landmarker
    if _landmarker is None:
        from dithead.face.landmarks import FaceLandmarker, limit_threads

        limit_threads()
        _landmarker = FaceLandmarker()
    outcomes = prepare_video(video, dataset / "clips", config, _landmarker)
    write_record(dataset, video, outcomes)
    return outcomes


def _with_progress(
    items: Iterator[tuple[RawVideo, list[ClipOutcome]]], total: int, before: int, progress: Progress
) -> Iterator[tuple[RawVideo, list[ClipOutcome]]]:
    """Pass the items on and report how many there were, with how many clips were kept and rejected."""
    clips = rejected = 0
    progress("videos", before, total)
    for done, item in enumerate(items, before + 1):
        clips += sum(not o.reason for o in item[1])
        rejected += sum(bool(o.reason) for o in item[1])
        annotate(progress, f"{clips} clips, {rejected} rejected")
        progress("videos", done, total)
        yield item


def _result(dataset: Path, files: int, before: int, entries: list[dict[str, Any]], fps: int) -> PrepareResult:
    accepted = [e for e in entries if e["status"] == "ok"]
    return PrepareResult(
        output=dataset,
        files=files,
        files_done_before=before,
        clips=len(accepted),
        seconds=sum(e["frames"] for e in accepted) / fps,
        identities=len({e["identity"] for e in accepted}),
        rejected=dict(Counter(e["reason"].split(":")[0] for e in entries if e["reason"])),
        corrected=sum(bool(e["speech"] and e["speech"]["corrected"]) for e in accepted),
        silent=sum(not e.get("has_speech", True) for e in accepted),
    )
