"""Chooses the metadata that the output keeps of its source, and marks the output as AI-generated."""

from __future__ import annotations

from dithead.media.info import VideoInfo

_TECHNICAL_TAGS = (
    "comment", "compatible_brands", "duration", "encoder", "handler_name", "major_brand", "minor_version",
)  # fmt: skip
"""Tags that say how the source was written, which is not true of the output; its comment is kept beside our own."""
_HINT = "; FFmpeg can copy them from the source (guide: dub a long film)"
_NAMED = 5  # tags that a note names (our choice)
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
        notes.append(f"the source's other streams are left out: {', '.join(others)}{_HINT}")
    if info.chapters:
        notes.append(f"the source's {info.chapters} chapters are left out{_HINT}")
    dropped = [name for name in info.metadata if name.lower() not in (*_KEPT_TAGS, *_TECHNICAL_TAGS)]
    if dropped:
        more = f" and {len(dropped) - _NAMED} more" if len(dropped) > _NAMED else ""
        notes.append(f"the source's tags are left out: {', '.join(sorted(dropped)[:_NAMED])}{more}")
    return notes


def synthetic_note() -> str:
    """Return the text of the container's ``comment`` tag in every output."""
    from dithead import __version__

    return f"AI-generated: lips re-synthesised by dithead {__version__}"
