"""``prepare_dataset``: a folder of raw videos to a dataset folder, over processes, resumable.

Which worker does which file never shows in the result, and the same command again does only what is missing.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dithead.errors import ConfigError, DataError, OutputError
from dithead.prepare.clip import Outcome, prepare_video
from dithead.prepare.manifest import read_record, replace_text, write_manifest, write_record
from dithead.prepare.settings import PrepareConfig
from dithead.prepare.sources import Source, choose_val, find_sources


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


def prepare_dataset(
    raw_dir: str | PathLike[str],
    output: str | PathLike[str],
    *,
    size: int = PrepareConfig.model_fields["size"].default,
    fps: int = PrepareConfig.model_fields["fps"].default,
    min_seconds: float = PrepareConfig.model_fields["min_seconds"].default,
    max_seconds: float = PrepareConfig.model_fields["max_seconds"].default,
    sources: str | PathLike[str] | None = None,
    source: str | None = None,
    licence: str | None = None,
    identity: str | None = None,
    val_fraction: float = 0.1,
    val_identities: Sequence[str] = (),
    workers: int = 2,
    progress: bool = True,
) -> PrepareResult:
    """Find the videos below ``raw_dir``, track, align and crop their faces, and write the dataset ``output``.

    ``sources`` is a JSON file that says who is in which folder and under which licence (default:
    ``SOURCES.json`` in ``raw_dir``); ``source``, ``licence`` and ``identity`` (``"folder"``, ``"file"``
    or a name) are used where it is silent. People are held
    out for validation by name (``val_identities``) or as a fraction of all. Running the same call again
    resumes it.

    Raises DataError for a folder without videos, ConfigError for settings that are out of range or differ
    from those the dataset was begun with, OutputError when the dataset cannot be written.
    """
    raw, dataset = Path(raw_dir), Path(output)
    config = _config(size=size, fps=fps, min_seconds=min_seconds, max_seconds=max_seconds)
    table = Path(sources) if sources else None
    found = find_sources(raw, dataset, table, source=source, licence=licence, identity=identity)
    val = choose_val((s.identity for s in found), val_fraction, val_identities)
    _begin(dataset, config)
    done = {s.slug: record for s in found if (record := read_record(dataset, s)) is not None}
    before = len(done)
    todo = [s for s in found if s.slug not in done]
    try:
        for item, outcomes in _shown(_work(todo, dataset, config, workers), len(found), before, progress):
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
    todo: list[Source], dataset: Path, config: PrepareConfig, workers: int
) -> Iterator[tuple[Source, list[Outcome]]]:
    """Do the files and yield each with its outcomes as it is finished."""
    if workers < 1:
        raise ConfigError(f"workers: {workers} is not a number of processes; give 1 or more")
    if min(workers, len(todo)) <= 1:
        for source in todo:
            yield source, _do_one(source, dataset, config)
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy the threads of the landmark networks
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, initializer=_leave_interrupts_to_parent)
    try:
        futures = {pool.submit(_do_one, source, dataset, config): source for source in todo}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool:
        raise DataError(
            "a worker process died (out of memory, or a file that crashes the decoder); run again to go on, "
            "with one worker to see at which file"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


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
    )
