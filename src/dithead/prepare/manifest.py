"""Records which raw videos are done, and makes the manifest of the dataset from all records.

A record is written after all clips of its video, so it is also the proof that they are complete.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dithead.media.files import file_fingerprint
from dithead.prepare.clip_writer import ClipOutcome
from dithead.prepare.raw_videos import RawVideo
from dithead.prepare.sync_check import SyncMeasurement

MANIFEST = "manifest.jsonl"


def _fingerprint(video: RawVideo) -> dict[str, Any]:
    """The facts by which a video is recognised as unchanged since its clips were made."""
    return file_fingerprint(video.path) | {"audio_offset": video.audio_offset}


def write_record(dataset: Path, video: RawVideo, outcomes: list[ClipOutcome]) -> None:
    """Record that a raw video is done."""
    record = {
        "file": video.relative,
        "fingerprint": _fingerprint(video),
        "outcomes": [o.to_dict() for o in outcomes],
    }
    path = _record_path(dataset, video)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(record) + "\n")


def read_record(dataset: Path, video: RawVideo) -> list[ClipOutcome] | None:
    """Return the outcomes of a raw video that is done and unchanged, and whose clips are still there; else None."""
    try:
        record = json.loads(_record_path(dataset, video).read_text("utf-8"))
        outcomes = [_outcome(**o) for o in record["outcomes"]]
        unchanged = record["fingerprint"] == _fingerprint(video)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    complete = all(o.reason or (dataset / "clips" / o.id / "meta.json").is_file() for o in outcomes)
    return outcomes if unchanged and complete else None


def _outcome(*, speech: dict[str, Any] | None = None, **rest: Any) -> ClipOutcome:
    return ClipOutcome(**rest, speech=None if speech is None else SyncMeasurement(**speech))


def write_manifest(
    dataset: Path, done: Iterable[tuple[RawVideo, list[ClipOutcome]]], validation: frozenset[str], fps: int
) -> list[dict[str, Any]]:
    """Write the manifest: one JSON object a line, sorted by id, whoever did what when.

    Args:
        dataset: Folder of the dataset.
        done: Raw videos with their outcomes.
        validation: Identities that are held out.
        fps: Frame rate of the dataset.

    Returns:
        The entries.
    """
    entries = [_entry(video, o, validation, fps) for video, outcomes in done for o in outcomes]
    entries.sort(key=lambda e: str(e["id"]))
    replace_text(dataset / MANIFEST, "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries))
    return entries


def _entry(video: RawVideo, outcome: ClipOutcome, validation: frozenset[str], fps: int) -> dict[str, Any]:
    entry = {
        "id": outcome.id,
        "identity": video.identity,
        "split": "val" if video.identity in validation else "train",
        "source": video.source,
        "licence": video.licence,
        "file": video.relative,
        "frames": outcome.frames,
        "fps": fps,
        "status": outcome.status,
        "reason": outcome.reason,
        "speech": None if outcome.speech is None else asdict(outcome.speech),
    }
    return entry if outcome.has_speech else entry | {"has_speech": False}


def replace_text(path: Path, text: str) -> None:
    """Write a text file, which appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _record_path(dataset: Path, video: RawVideo) -> Path:
    return dataset / "sources" / f"{video.slug}.json"
