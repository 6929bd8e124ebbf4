"""Puts into plain words what was found in a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from dithead.provenance.certificates import ORGANISATION
from dithead.provenance.manifest import RedrawnSpan
from dithead.provenance.read_credentials import CredentialsFinding, Step
from dithead.provenance.verify import VerifyResult
from dithead.provenance.watermark_finding import WatermarkFinding

_ORIGINS = {
    "compositewithtrainedalgorithmicmedia": "a recording, parts of which were made by artificial intelligence",
    "trainedalgorithmicmedia": "made by artificial intelligence",
    "compositesynthetic": "a composite with synthetic parts",
    "algorithmicmedia": "computed, without a trained model",
    "digitalcapture": "captured by a camera or a microphone",
    "computationalcapture": "captured, with several frames computed into one",
    "digitalcreation": "made by a person with a program",
    "humanedits": "edited by a person",
}
"""IPTC's digital source types in plain words."""
_JOIN = 0.5  # seconds between two spans of one face that are told as one


def sentences(result: VerifyResult) -> list[str]:
    """Return what was found in a file as a headline and sentences."""
    if result.verdict == "unreadable":
        return [result.error]
    lines = [f"{result.file}: {_headline(result)}"]
    lines += [f"  {line}" for line in _about_credentials(result.credentials)]
    if result.watermark is not None:
        lines += [f"  {line}" for line in _about_watermark(result.watermark)]
    if result.is_contradicted:
        lines.append("  the credentials do not mention what the watermark shows: whoever signed left it out")
    if result.comment:
        lines.append(f"  its metadata say: {result.comment!r}; anybody can write or remove that")
    return lines


def _headline(result: VerifyResult) -> str:
    """The verdict in plain words."""
    if result.verdict == "intact":
        return "marked and intact"
    if result.verdict == "unmarked":
        return "no mark found, which proves nothing: marks can be removed"
    if result.credentials.state == "none":
        return "marked, but its Content Credentials are gone, so it was changed or copied since"
    return "marked, but changed since it was signed"


def _about_watermark(found: WatermarkFinding) -> Iterator[str]:
    model = f", with model {found.model}" if found.model else ""
    yield f"watermark: {found.note}{model}" if found.found else f"watermark: {found.note}"
    if not found.found:
        return
    for face in found.faces:
        where = f"the face around x = {face.place[0]}, y = {face.place[1]}"
        yield f"redrawn, by the watermark: {where}, {_seconds(face.seconds) or 'at no certain second'}"
    key = "this installation's own key" if found.key == "own" else "the public key, which anybody can use"
    mirrored = "; the picture was mirrored since" if found.mirrored else ""
    right = f"{100 * (found.bit_accuracy or 0):.0f} % of its bits were read right"
    yield f"made with {key}; by chance in {found.chance}; {right}{mirrored}"


def _seconds(spans: Sequence[tuple[float, float]]) -> str:
    shown = [f"about {start:.0f} to {end:.0f} s" for start, end in spans[:20]]
    return ", ".join(shown) + (f" and {len(spans) - 20} more" if len(spans) > 20 else "")


def _about_credentials(found: CredentialsFinding) -> Iterator[str]:
    if found.remote:
        yield f"credentials are said to lie at {found.remote}, which was not opened"
    if found.state == "none":
        yield "no Content Credentials"
        return
    if found.state == "unreadable":
        yield f"there are Content Credentials, but they are damaged: {found.problems[0]}"
        return
    yield _integrity(found)
    for problem in found.problems:
        yield f"  {problem}"
    if found.steps:
        yield _signer(found)
    yield from (f"about the signer: {note}" for note in found.signer_notes)
    for number, step in enumerate(found.steps):
        yield from _about_step(step, is_newest=number == 0)


def _integrity(found: CredentialsFinding) -> str:
    where = "beside the file" if found.place == "sidecar" else "in the file"
    if found.holds:
        return f"Content Credentials {where}: the signature holds, and nothing was changed since"
    return f"Content Credentials {where} do not hold: the file was changed after it was signed, or they are another's"


def _signer(found: CredentialsFinding) -> str:
    step = found.steps[0]
    when = f" on {step.signed_at}" if step.signed_at else ", at a time that nobody witnessed"
    known = {
        "trusted": "whom this machine knows",
        "valid": "whom this machine does not know, so the name proves nothing",
        "invalid": "as it claims",
    }[found.state]
    made = " (a self-made certificate: it names an installation, not a person)" if step.issuer == ORGANISATION else ""
    return f"signed by {step.signer or step.issuer or 'nobody named'}{made}, {known}{when}"


def _about_step(step: Step, *, is_newest: bool) -> Iterator[str]:
    origin = _ORIGINS.get(step.source_type.lower(), step.source_type)
    model = f", model {step.model}" if step.model else ""
    begin = "made with" if is_newest else "its source was made with"
    yield f"{begin} {step.tool}{model}: {origin or 'it does not say how the content came about'}"
    for face, spans in groupby(sorted(step.redrawn), key=lambda span: span.face):
        who = f"the mouth of face {face}" if face else "a part of the picture"
        yield f"redrawn: {who}, {_times(list(spans))}"
    if step.consent:
        yield f"consent, as the maker states it: {step.consent}"


def _times(spans: list[RedrawnSpan]) -> str:
    """Stretches of time, those that follow one another as one."""
    joined: list[tuple[float, float]] = []
    for span in spans:
        if joined and span.start - joined[-1][1] <= _JOIN:
            joined[-1] = (joined[-1][0], max(joined[-1][1], span.end))
        else:
            joined.append((span.start, span.end))
    shown = [f"{start:.1f} to {end:.1f} s" for start, end in joined[:20]]
    return ", ".join(shown) + (f" and {len(joined) - 20} more" if len(joined) > 20 else "")
