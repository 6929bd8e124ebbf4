"""What has been done: one record per source file, and the manifest made of all of them.

A record is written after all clips of its file, so it is also the proof that they are whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dithead.prepare.clip_writer import Outcome
from dithead.prepare.raw_videos import Source
from dithead.prepare.sync_check import Speech

MANIFEST = "manifest.jsonl"


def fingerprint(source: Source) -> dict[str, Any]:
    """What makes a file the same file as last time, as far as its clips go."""
    stat = source.path.stat()
    return {"bytes": stat.st_size, "mtime_ns": stat.st_mtime_ns, "audio_offset": source.audio_offset}


def write_record(dataset: Path, source: Source, outcomes: list[Outcome]) -> None:
    """Remember that a file is done."""
    record = {
        "file": source.relative,
        "fingerprint": fingerprint(source),
        "outcomes": [asdict(o) for o in outcomes],
    }
    path = _record_path(dataset, source)
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, json.dumps(record) + "\n")


def read_record(dataset: Path, source: Source) -> list[Outcome] | None:
    """The outcomes of a file that is done and unchanged, its clips still there; else None."""
    try:
        record = json.loads(_record_path(dataset, source).read_text("utf-8"))
        outcomes = [_outcome(**o) for o in record["outcomes"]]
        same = record["fingerprint"] == fingerprint(source)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(o.reason or (dataset / "clips" / o.id / "meta.json").is_file() for o in outcomes)
    return outcomes if same and whole else None


def _outcome(*, speech: dict[str, Any] | None = None, **rest: Any) -> Outcome:
    return Outcome(**rest, speech=None if speech is None else Speech(**speech))


def write_manifest(
    dataset: Path, done: Iterable[tuple[Source, list[Outcome]]], val: frozenset[str], fps: int
) -> list[dict[str, Any]]:
    """Write and return the manifest, one JSON object a line, sorted by id: it does not depend on who did what when."""
    entries = [
        {
            "id": o.id,
            "identity": s.identity,
            "split": "val" if s.identity in val else "train",
            "source": s.source,
            "licence": s.licence,
            "file": s.relative,
            "frames": o.frames,
            "fps": fps,
            "status": o.status,
            "reason": o.reason,
            "speech": None if o.speech is None else asdict(o.speech),
        }
        for s, outcomes in done
        for o in outcomes
    ]
    entries.sort(key=lambda e: str(e["id"]))
    replace_text(dataset / MANIFEST, "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in entries))
    return entries


def replace_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)


def _record_path(dataset: Path, source: Source) -> Path:
    return dataset / "sources" / f"{source.slug}.json"
