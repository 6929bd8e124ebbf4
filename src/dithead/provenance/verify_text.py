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
    "compositewithtrainedalgorithmicmedia": "a recording in which artificial intelligence made some parts",
    "trainedalgorithmicmedia": "made by artificial intelligence",
    "compositesynthetic": "a composite with synthetic parts",
    "algorithmicmedia": "computed, without a trained model",
    "digitalcapture": "captured by a camera or a microphone",
    "computationalcapture": "captured, with several frames computed into one",
    "digitalcreation": "made by a person with a program",
    "humanedits": "edited by a person",
}
"""IPTC's digital source types in plain words."""
_JOBS = {"video": "in a recording", "portrait": "in a picture that was made to speak", "live": "live"}
"""What the watermark says of the kind of work, in plain words."""
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
        lines.append("  the Content Credentials do not mention what the watermark shows: whoever signed left it out")
    if result.comment:
        lines.append(f"  comment in the file: {result.comment!r} (anybody can write or remove it)")
    return lines


def _headline(result: VerifyResult) -> str:
    """The verdict in plain words."""
    if result.verdict == "intact":
        return "signed, and unchanged since"
    if result.verdict == "unmarked":
        return "no mark found, which proves nothing, because marks can be removed"
    if result.credentials.state == "none":
        return "marked by dithead, but no longer signed: it was converted, or its signature was removed"
    return "signed, but changed since"


def _about_watermark(found: WatermarkFinding) -> Iterator[str]:
    if not found.found:
        yield f"invisible watermark: {found.note}"
        return
    work = ", ".join(filter(None, (_JOBS.get(found.job), f"model {found.model}")))
    yield f"invisible watermark: {found.note} ({work})"
    for face in found.faces:
        yield f"watermarked: the face{_at(*face.place)}, {_seconds(face.seconds) or 'in seconds that cannot be told'}"
    if found.key == "own":
        yield "the watermark was made with a secret key that this machine has"
    else:
        yield "the watermark was made with the key that comes with dithead, which anybody can use"
    right = f"{100 * (found.bit_accuracy or 0):.0f} % of the watermark could be read"
    yield f"how sure that is: {right}; {found.chance}"
    if found.mirrored:
        yield "the picture was mirrored after the watermark was made"


def _seconds(spans: Sequence[tuple[float, float]]) -> str:
    shown = [f"from about {start:.0f} to {end:.0f} s" for start, end in spans[:20]]
    return ", ".join(shown) + (f" and {len(spans) - 20} more" if len(spans) > 20 else "")


def _about_credentials(found: CredentialsFinding) -> Iterator[str]:
    if found.remote:
        yield f"Content Credentials are said to lie at {found.remote}; this address was not opened"
    if found.state == "none":
        yield "Content Credentials: none"
        return
    if found.state == "unreadable":
        yield f"Content Credentials: there are some, but they are damaged: {found.problems[0]}"
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
    where = "stored beside the file" if found.place == "sidecar" else "stored in the file"
    if found.holds:
        return f"Content Credentials, {where}: the signature is right, and nothing was changed after it was signed"
    return f"Content Credentials, {where}: the file was changed after it was signed, or they belong to another file"


def _signer(found: CredentialsFinding) -> str:
    step = found.steps[0]
    when = f"signed on {step.signed_at}" if step.signed_at else "when it was signed is not proven"
    known = {
        "trusted": "this machine knows the certificate",
        "valid": "this machine does not know the certificate, so the name proves nothing",
        "invalid": "the name proves nothing, because the file was changed",
    }[found.state]
    made = " (a certificate that an installation of dithead made for itself)" if step.issuer == ORGANISATION else ""
    return f"signer: {step.signer or step.issuer or 'nobody named'}{made}; {known}; {when}"


def _about_step(step: Step, *, is_newest: bool) -> Iterator[str]:
    origin = _ORIGINS.get(step.source_type.lower(), step.source_type)
    model = f", model {step.model}" if step.model else ""
    begin = "made with" if is_newest else "its source was made with"
    yield f"{begin} {step.tool}{model}; kind of content: {origin or 'not said'}"
    for face, spans in groupby(sorted(step.redrawn), key=lambda span: span.face):
        who, given = f"the mouth of face {face}" if face else "a part of the picture", list(spans)
        yield f"redrawn: {who}{_where(given)}, from {_times(given)}"
    if step.consent:
        yield f"consent, as the maker states it: {step.consent}"


def _where(spans: list[RedrawnSpan]) -> str:
    """The middle of the first box, where there is one."""
    left, top, width, height = spans[0].box
    return _at(left + width // 2, top + height // 2) if width and height else ""


def _at(x: int, y: int) -> str:
    return f" at {x} pixels from the left and {y} from the top"


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
