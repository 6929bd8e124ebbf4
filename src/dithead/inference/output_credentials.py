"""Gives the outputs of generation their credentials: what was redrawn, by which model, from which files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.errors import DitheadError
from dithead.hub import resolve_model
from dithead.options import GenerateJob, SamplingOptions
from dithead.provenance.consent import read_consent
from dithead.provenance.manifest import Claim, RedrawnSpan, Source
from dithead.provenance.sign import Credentials, Signer

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead

OFF = (
    "no Content Credentials were written (--no-credentials): to say that this video is AI-generated "
    "is now up to whoever publishes it"
)
"""Note of a result whose credentials were switched off."""


class OutputCredentials:
    """The credentials of one output; everything that can be refused is checked when it is made.

    Args:
        options: Whether to sign, and the statement of consent.

    Raises:
        ConfigError: The configuration is wrong, or consent is required and missing.
        OutputError: No key can be stored.
    """

    def __init__(self, options: SamplingOptions) -> None:
        self.options = options
        self.consent = read_consent(options.consent)
        self.signer = Signer() if options.credentials else None
        self.credentials = Credentials()

    def write(self, path: Path, claim: Claim, final: Path) -> None:
        """Sign the complete file at ``path``, which will be called ``final``, unless credentials are switched off."""
        if self.signer is not None:
            self.credentials = self.signer.sign(path, claim, final=final)

    def notes(self) -> list[str]:
        """Return the note that belongs into the result when credentials are switched off."""
        return [] if self.signer is not None else [OFF]

    def job_claim(
        self, job: GenerateJob, model: dict[str, Any], redrawn: Sequence[RedrawnSpan], *, portrait: bool
    ) -> Claim:
        """Compose the claim of a finished job.

        Args:
            job: The job.
            model: See ``model_record``.
            redrawn: When and where mouths were redrawn.
            portrait: Whether the source is a picture.
        """
        speakers = [Source(Path(path), "inputTo") for path in (job.speakers or {}).values()]
        sources = (
            Source(Path(job.video), "inputTo" if portrait else "parentOf"),
            Source(Path(job.audio), "componentOf"),
            *speakers,
        )
        return Claim(
            "trainedAlgorithmicMedia" if portrait else "compositeWithTrainedAlgorithmicMedia",
            "a picture was made to speak" if portrait else "mouths were redrawn so that the lips follow the speech",
            sources,
            tuple(redrawn),
            {"job": "portrait" if portrait else "video", "model": model, "seed": job.seed},
            self.consent,
        )


def model_record(ref: Any, talker: TalkingHead, parameters_sha256: str) -> dict[str, Any]:
    """Describe a model for credentials: its name, version and hashes.

    Args:
        ref: What the user gave as model.
        talker: The loaded model.
        parameters_sha256: SHA-256 of its parameters as they were used.
    """
    record: dict[str, Any] = {"name": talker.config.name, "parameters_sha256": parameters_sha256}
    if not isinstance(ref, str | PathLike):
        return record
    try:
        folder = resolve_model(str(ref))
        version = json.loads((folder / "config.json").read_text("utf-8")).get("version")
        files = json.loads((folder / "hashes.json").read_text("utf-8"))
    except (OSError, ValueError, DitheadError):  # the folder was moved meanwhile; the model is in memory
        return record
    return record | {"version": version, "files_sha256": files}
