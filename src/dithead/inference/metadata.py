"""Chooses the metadata that the output keeps of its source, and marks the output as AI-generated."""

from __future__ import annotations

from dithead.media.info import VideoInfo

_KEPT_TAGS = ("title", "artist", "album", "copyright", "date", "creation_time", "description", "language")


def kept_metadata(info: VideoInfo) -> dict[str, str]:
    """Return the source's title, people and dates, and its comment with ours appended; an earlier mark is kept."""
    tags = {name.lower(): text for name, text in info.metadata.items()}
    notes = [text for text in (tags.get("comment"), synthetic_note()) if text]
    return {name: tags[name] for name in _KEPT_TAGS if name in tags} | {"comment": "; ".join(dict.fromkeys(notes))}


def omitted_notes(info: VideoInfo) -> list[str]:
    """Return one sentence for each part of the source that the output omits."""
    notes = [f"of the source: {remark}" for remark in info.remarks]
    others = [kind for kind in info.other_streams if kind != "audio"]
    if others:
        notes.append(f"the source's other streams are left out: {', '.join(others)}")
    return notes


def synthetic_note() -> str:
    """Return the text of the container's ``comment`` tag in every output."""
    from dithead import __version__

    return f"AI-generated: lips re-synthesised by dithead {__version__}"
