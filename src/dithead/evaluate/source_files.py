"""Notes which files the clips of a report were made from, and discards what was made from files replaced since."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dithead.errors import OutputError
from dithead.evaluate.report import DRIVEN_BY, write_json
from dithead.limits import read_json
from dithead.media.files import file_fingerprint
from dithead.prepare.dataset import Clip

NOTED = "sources.json"
"""Clip -> the fingerprints of its files, the clip that drives it in the protocol ``cross``, and that one's."""


def clip_fingerprints(clip: Clip) -> list[dict[str, Any]]:
    """Return the facts by which a clip of a dataset is recognised; a packed one is not fetched for them."""
    if clip.shard:
        return [{"list": clip.list_hash}]
    return [file_fingerprint(clip.folder / name) for name in ("crop.mp4", "audio.flac")]


def noted_sources(report: Path) -> dict[str, Any]:
    """Return what a report notes of the files of its clips; nothing where it was made before they were noted."""
    path = report / NOTED
    return dict(read_json(path, str(path), OutputError)) if path.exists() else {}


def discard_replaced(
    output: Path, files: Mapping[str, list[dict[str, Any]]], drivers: Mapping[str, str]
) -> tuple[str, ...]:
    """Discard what was made from files that were replaced since, and note those that are there now.

    What is there of a clip that has no note yet is kept.

    Args:
        output: Folder of the report.
        files: Clip -> the fingerprints of its files.
        drivers: Clip -> the clip whose speech drives it in the protocol ``cross``.

    Returns:
        The clips that must be measured again.
    """
    earlier, now = noted_sources(output), {clip: _note(clip, files, drivers) for clip in files}
    replaced = {clip: earlier[clip] for clip in now if earlier.get(clip, now[clip]) != now[clip]}
    _discard(output, {clip: old["files"] == now[clip]["files"] for clip, old in replaced.items()})
    write_json(output / NOTED, earlier | now)
    return tuple(replaced)


def _note(clip: str, files: Mapping[str, list[dict[str, Any]]], drivers: Mapping[str, str]) -> dict[str, Any]:
    driver = drivers.get(clip)
    return {"files": files[clip], "driver": driver, "driver_files": None if driver is None else files[driver]}


def _discard(output: Path, clips: Mapping[str, bool]) -> None:
    """Remove the records of clips, and of those with False all that was made, else what another's speech drove."""
    for clip, only_driven in clips.items():
        protocols = ["cross"] if only_driven else list(DRIVEN_BY)
        previews = (output / "previews" / f"{clip}_{name}" for name in protocols)
        for path in (output / "clips" / clip, *previews):
            for kind in (".json", ".npz", ".mp4", ".jpg"):
                path.with_name(path.name + kind).unlink(missing_ok=True)
    for path in (output / "videos").rglob("*") if clips else ():
        if path.stem in clips and path.is_file() and (path.parent.name == "cross" or not clips[path.stem]):
            path.unlink()
