"""Reads the Content Credentials of a file, of this or any other tool, and says whether they hold.

What a manifest says is written by strangers: every text is cut to a sane length and made printable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dithead.errors import MediaError
from dithead.limits import parse_json
from dithead.media.files import printable
from dithead.provenance.c2pa_library import credentials_library, is_c2pa_error, offline_context, read_store
from dithead.provenance.manifest import CONSENT, GENERATION, RedrawnSpan
from dithead.provenance.media_types import OTHER, content_type, media_type_of, sidecar_of

State = Literal["none", "trusted", "valid", "invalid", "unreadable"]
"""none: there are no credentials; trusted: they hold, and the signer is known here; valid: they hold, the signer is not
known here; invalid: they are broken or the file was changed; unreadable: there is something that cannot be read."""
_LONGEST = 500  # characters of a text of a manifest that are kept (our choice)
_MOST = 1000  # regions of a manifest that are kept (our choice)
_ABOUT_THE_SIGNER = ("signingCredential.", "timeStamp.", "timestamp.", "cawg.")
"""Beginnings of the codes of failures that say nothing about the file itself: about its signer, the time-stamp
authority, and whoever else claims a part in it (CAWG)."""
_REMOTE = "must fetch remote manifests from url "  # how c2pa-rs words it
_REVOKED = "signingCredential.revoked"


@dataclass(frozen=True)
class Step:
    """One link of a file's history: what one tool signed."""

    tool: str
    signer: str
    issuer: str
    signed_at: str  # by a time-stamp authority; empty without one
    actions: tuple[str, ...]
    source_type: str  # the last part of IPTC's name, such as trainedAlgorithmicMedia
    redrawn: tuple[RedrawnSpan, ...]
    model: str = ""
    consent: str = ""

    @property
    def is_synthetic(self) -> bool:
        """Whether it says that a trained model made all or parts of it."""
        return self.source_type.lower().endswith("trainedalgorithmicmedia")

    @property
    def is_ours(self) -> bool:
        """Whether it says that this tool was used."""
        return self.tool.split(" ")[0] == "dithead"


@dataclass(frozen=True)
class CredentialsFinding:
    """What was found in a file, the newest step first."""

    state: State
    place: str = ""  # embedded or sidecar
    problems: tuple[str, ...] = ()  # C2PA's codes of what does not hold, with explanations
    steps: tuple[Step, ...] = ()
    remote: str = ""  # address where credentials are said to lie; it is never opened
    signer_notes: tuple[str, ...] = field(default=())  # what does not hold about the signer, such as an expired one

    @property
    def holds(self) -> bool:
        """Whether the signature is right and the file is as it was signed."""
        return self.state in ("trusted", "valid")


def read_credentials(path: Path) -> CredentialsFinding:
    """Read the credentials inside a file, or those beside it.

    Raises:
        MediaError: The file cannot be read.
        ConfigError: The C2PA library is missing.
    """
    sidecar = sidecar_of(path)
    try:
        media_type = content_type(path)
        found = _read(path, media_type, None)
        if found.state == "none" and not found.remote and sidecar.is_file():
            found = _read(path, media_type_of(path) if media_type == OTHER else media_type, read_store(sidecar))
    except OSError as error:
        raise MediaError(f"{printable(path)}: cannot be read ({error.strerror or error}); check the path") from None
    return found


def _read(path: Path, media_type: str, store: bytes | None) -> CredentialsFinding:
    c2pa = credentials_library()
    try:
        with (
            path.open("rb") as file,
            offline_context() as context,
            c2pa.Reader(media_type, file, store, context=context) as reader,
        ):
            return _finding(parse_json(reader.json()), reader.get_validation_state(), store is not None)
    except ValueError as error:
        return CredentialsFinding("unreadable", problems=(f"what they say cannot be read: {error}",))
    except Exception as error:
        if not is_c2pa_error(error):
            raise
        return _unread(str(error))


def _unread(message: str) -> CredentialsFinding:
    """What an error of the library says of a file."""
    kind, _, rest = message.partition(":")
    if kind in ("Remote", "RemoteManifest"):
        return CredentialsFinding("none", remote=_text(rest.strip().removeprefix(_REMOTE)))
    if kind in ("ManifestNotFound", "NotSupported") or "no JUMBF data found" in message:
        return CredentialsFinding("none")
    return CredentialsFinding("unreadable", problems=(_text(message),))


def _finding(store: dict[str, Any], state: str | None, beside: bool) -> CredentialsFinding:
    failures = list(_failures(store))
    about_file = tuple(text for code, text in failures if not code.startswith(_ABOUT_THE_SIGNER) or code == _REVOKED)
    about_signer = tuple(
        text for code, text in failures if code.startswith(_ABOUT_THE_SIGNER) and not code.endswith(".untrusted")
    )
    outcome: State = "invalid" if about_file else "trusted" if state == "Trusted" else "valid"
    steps = tuple(_step(manifest) for manifest in _history(store))
    return CredentialsFinding(
        outcome, "sidecar" if beside else "embedded", about_file, steps, signer_notes=about_signer
    )


def _failures(store: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Codes and explanations of what does not hold about the file itself, not about its sources."""
    results = store.get("validation_results") or {}
    for each in (results.get("activeManifest") or {}).get("failure") or []:
        code = _text(each.get("code", "unknown"))
        yield code, f"{code}: {_text(each.get('explanation', ''))}".rstrip(": ")


def _history(store: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The manifests from the newest to the oldest: the active one, then those of its sources."""
    manifests, seen = store.get("manifests") or {}, set()
    waiting = [store.get("active_manifest")]
    while waiting:
        label = waiting.pop(0)
        if label in manifests and label not in seen:
            seen.add(label)
            yield manifests[label]
            waiting += [each.get("active_manifest") for each in manifests[label].get("ingredients") or []]


def _step(manifest: dict[str, Any]) -> Step:
    assertions = {each.get("label", ""): each.get("data") for each in manifest.get("assertions") or []}
    actions = _actions(assertions)
    signature = manifest.get("signature_info") or {}
    types = [str(action["digitalSourceType"]) for action in actions if action.get("digitalSourceType")]
    return Step(
        tool=_tool(manifest),
        signer=_text(signature.get("common_name") or ""),
        issuer=_text(signature.get("issuer") or ""),
        signed_at=_text(signature.get("time") or ""),
        actions=tuple(_text(action.get("action", "")) for action in actions),
        source_type=_text(types[-1].rsplit("/", 1)[-1]) if types else "",
        redrawn=tuple(_spans(actions)),
        model=_model(assertions.get(GENERATION)),
        consent=_consent(assertions.get(CONSENT)),
    )


def _actions(assertions: dict[str, Any]) -> list[dict[str, Any]]:
    found = (data for label, data in assertions.items() if label.startswith("c2pa.actions") and isinstance(data, dict))
    return [action for data in found for action in data.get("actions") or [] if isinstance(action, dict)]


def _tool(manifest: dict[str, Any]) -> str:
    info = (manifest.get("claim_generator_info") or [{}])[0]
    name = f"{info.get('name', '')} {info.get('version') or ''}".strip()
    return _text(name or manifest.get("claim_generator") or "an unnamed tool")


def _spans(actions: list[dict[str, Any]]) -> Iterator[RedrawnSpan]:
    """The regions of time that the actions name, with their boxes where they are in pixels."""
    changes = [change for action in actions for change in action.get("changes") or [] if isinstance(change, dict)]
    for change in changes[:_MOST]:
        ranges = [each for each in change.get("region") or [] if isinstance(each, dict)]
        times = [each.get("time") or {} for each in ranges if each.get("type") == "temporal"]
        shapes = [each.get("shape") or {} for each in ranges if each.get("type") == "spatial"]
        try:
            start, end = float(times[0]["start"]), float(times[0]["end"])
        except (IndexError, KeyError, TypeError, ValueError):
            continue
        if math.isfinite(start) and math.isfinite(end):
            yield RedrawnSpan(_face(change), start, end, _box(shapes[0] if shapes else {}))


def _face(change: dict[str, Any]) -> int:
    number = str(change.get("name", "")).removeprefix("face ")
    return int(number) if number.isdecimal() and len(number) < 4 else 0


def _box(shape: dict[str, Any]) -> tuple[int, int, int, int]:
    try:
        origin = shape["origin"]
        values = (origin["x"], origin["y"], shape["width"], shape["height"])
        left, top, width, height = (int(value) for value in values)
    except (KeyError, TypeError, ValueError, OverflowError):
        return 0, 0, 0, 0
    return left, top, width, height


def _model(data: Any) -> str:
    model = data.get("model") if isinstance(data, dict) else None
    if not isinstance(model, dict):
        return ""
    return _text(f"{model.get('name', '')} {model.get('version') or ''}".strip())


def _consent(data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    return _text(data.get("statement") or data.get("file") or "")


def _text(value: Any) -> str:
    """A text of a stranger, on one line, printable and not too long."""
    text = "".join(c if c.isprintable() else " " for c in str(value)[: _LONGEST + 1])
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
