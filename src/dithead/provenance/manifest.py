"""Composes what a file's credentials say: what was done, by which model, when and where, from which sources.

The result is a manifest definition of C2PA 2 as c2pa-rs takes it (https://spec.c2pa.org). Standard assertions say as
much as they can; two of our own add the model and the statement of consent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dithead.model_folder import file_hash
from dithead.provenance.consent import Consent

SourceType = Literal[
    "compositeWithTrainedAlgorithmicMedia", "trainedAlgorithmicMedia", "algorithmicMedia", "compositeSynthetic"
]
"""IPTC's names: a recording with parts that a trained model drew; a picture set in motion by such a model; a picture
computed without a trained model; one that has parts of recordings besides."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATION, CONSENT = "org.dithead.generation", "org.dithead.consent"
"""Labels of our own assertions."""
WATERMARK = "org.dithead.watermark"
"""Name of our own parameter of the action that hides the watermark."""
Relationship = Literal["parentOf", "componentOf", "inputTo"]
"""What a source is to the output: it was edited; its sound is part of it; it was used without being part of it."""


class RedrawnSpan(NamedTuple):
    """Seconds from ``start`` to ``end`` in which one face's mouth was redrawn, all of it inside a box of pixels."""

    face: int
    start: float
    end: float
    box: tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class Source:
    """A file that went into the output."""

    path: Path
    relationship: Relationship

    def record(self) -> dict[str, str]:
        """Return its name, what it is to the output, and the SHA-256 of its bytes, for our own assertion."""
        return {"name": self.path.name, "relationship": self.relationship, "sha256": file_hash(self.path)}


@dataclass(frozen=True)
class Claim:
    """What one output's credentials say."""

    source_type: SourceType
    description: str  # one sentence: what was done
    sources: tuple[Source, ...] = ()
    redrawn: tuple[RedrawnSpan, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)  # of our own assertion: model, its hash, seed
    consent: Consent | None = None
    watermark: Mapping[str, Any] | None = None  # scheme, payload and key of the mark in the redrawn mouths

    @property
    def parent(self) -> Source | None:
        """The source that was edited; None for a work that is new."""
        return next((each for each in self.sources if each.relationship == "parentOf"), None)


def manifest_definition(claim: Claim, title: str, media_type: str) -> dict[str, Any]:
    """Return the manifest that ``c2pa.Builder`` takes; its ingredients are added by ``sign``.

    Args:
        claim: What is said.
        title: The file's name.
        media_type: Its MIME type.
    """
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": _actions(claim)}},
        {"label": GENERATION, "data": {"tool": f"dithead {_version()}", **claim.details, **_hashes(claim)}},
    ]
    if claim.consent is not None:
        assertions.append({"label": CONSENT, "data": claim.consent.record()})
    return {
        "claim_generator_info": [{"name": "dithead", "version": _version()}],
        "title": title,
        "format": media_type,
        "assertions": assertions,
    }


def _hashes(claim: Claim) -> dict[str, Any]:
    return {"sources": [each.record() for each in claim.sources]} if claim.sources else {}


def ingredient_label(claim: Claim, source: Source) -> str:
    """Return the label by which the actions of a manifest name a source."""
    return f"source{claim.sources.index(source)}"


def _actions(claim: Claim) -> list[dict[str, Any]]:
    """The actions in order; C2PA wants ``opened`` or ``created`` first."""
    agent = {"name": "dithead", "version": _version()}
    work: dict[str, Any] = {
        "softwareAgent": agent,
        "description": claim.description,
        "digitalSourceType": SOURCE_TYPES + claim.source_type,
    }
    if claim.redrawn:
        work["changes"] = [_region(span) for span in claim.redrawn]
    parent = claim.parent
    if parent is None:
        made = [{"action": "c2pa.created", **work}]
    else:
        made = [_naming("c2pa.opened", claim, [parent]), {"action": "c2pa.edited", **work}]
    placed = [each for each in claim.sources if each.relationship == "componentOf"]
    if placed:
        made.append(_naming("c2pa.placed", claim, placed))
    if claim.watermark is not None:
        made.append(_marked(claim.watermark, agent))
    return made


def _marked(watermark: Mapping[str, Any], agent: Mapping[str, str]) -> dict[str, Any]:
    """The action of hiding the watermark. It names a kind of work, not this file, so it is no soft binding."""
    return {
        "action": "c2pa.watermarked.unbound",
        "softwareAgent": agent,
        "description": "an invisible watermark was hidden in the redrawn mouths",
        "parameters": {WATERMARK: dict(watermark)},
    }


def _naming(action: str, claim: Claim, sources: list[Source]) -> dict[str, Any]:
    return {"action": action, "parameters": {"ingredientIds": [ingredient_label(claim, each) for each in sources]}}


def _region(span: RedrawnSpan) -> dict[str, Any]:
    """A region of interest: a stretch of time and a box of pixels."""
    left, top, width, height = span.box
    time = {"type": "npt", "start": f"{span.start:.3f}", "end": f"{span.end:.3f}"}
    shape = {
        "type": "rectangle", "unit": "pixel", "origin": {"x": left, "y": top}, "width": width, "height": height,
    }  # fmt: skip
    return {
        "region": [{"type": "temporal", "time": time}, {"type": "spatial", "shape": shape}],
        "name": f"face {span.face}",
        "description": f"mouth of face {span.face}",
    }


def _version() -> str:
    from dithead import __version__

    return __version__
