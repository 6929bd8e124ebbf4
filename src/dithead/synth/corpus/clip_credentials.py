"""Signs rendered clips: their credentials say that the person was computed, and whether parts of real people are in."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from dithead.media.files import Seal
from dithead.provenance.manifest import Claim
from dithead.provenance.sign import Signer


def rendering_seal(*, real_parts: bool = False, enabled: bool = True) -> Seal | None:
    """Return what signs a rendered video when it is written.

    Args:
        real_parts: Whether it has the voice or the skin of a real person.
        enabled: False returns None.
    """
    if not enabled:
        return None
    kind = "with the voice or the skin of a real person" if real_parts else "with a synthetic voice"
    claim = Claim(
        "compositeSynthetic" if real_parts else "algorithmicMedia",
        f"a talking person who does not exist was rendered, {kind}",
        details={"job": "rendering"},
    )

    def sign(path: Path, final: Path) -> None:
        _signer().sign(path, claim, final=final)

    return sign


@cache
def _signer() -> Signer:
    return Signer()
