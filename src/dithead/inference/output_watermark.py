"""Gives the outputs of generation their invisible mark, and says so where it is switched off."""

from __future__ import annotations

from typing import Any, Literal

from dithead.options import SamplingOptions
from dithead.provenance.switched_off import NO_WATERMARK
from dithead.provenance.watermark import PUBLIC_KEY, SCHEME, Payload, Watermarker
from dithead.provenance.watermark_keys import KeyKind, marking_key, marking_key_state


class OutputWatermark:
    """The invisible mark of one output; whether its key can be read is checked when it is made.

    Args:
        options: Whether to mark.

    Raises:
        ConfigError: The key that ``trust.toml`` names cannot be used.
    """

    def __init__(self, options: SamplingOptions) -> None:
        self.key = marking_key() if options.watermark else None

    @property
    def key_kind(self) -> KeyKind | Literal["off"]:
        """Whose key marks the output: everyone's, or the installation's own; off: it stays unmarked."""
        if self.key is None:
            return "off"
        return "public" if self.key == PUBLIC_KEY else "own"

    def marker(self, model: str, job: str) -> Watermarker | None:
        """Return what marks the mouths of an output, or None where the mark is switched off.

        Args:
            model: The name of the model that draws.
            job: One of ``provenance.watermark.JOBS``.
        """
        return None if self.key is None else Watermarker(Payload.of_model(model, job), self.key)

    def record(self, model: str, job: str) -> dict[str, Any] | None:
        """Return what an output's credentials say of its mark; None where it has none. See ``marker``."""
        if self.key is None:
            return None
        return {"scheme": SCHEME, "payload": f"{Payload.of_model(model, job).number:04x}", "key": self.key_kind}

    def key_record(self) -> dict[str, Any]:
        """Return what changes when the key does, for the key of a job that may be resumed; nothing of the secret."""
        return {} if self.key is None else {"watermark_key": marking_key_state()}

    def notes(self) -> list[str]:
        """Return the note that belongs into the result when the mark is switched off."""
        return [NO_WATERMARK] if self.key is None else []
