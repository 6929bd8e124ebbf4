"""Gives the outputs of generation their credentials: what was redrawn, by which model, from which files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.inference.source.soundtrack import Soundtrack
from dithead.media.files import Seal
from dithead.media.sound_mix import SoundMix
from dithead.options import GenerateJob, SamplingOptions
from dithead.provenance.consent import read_consent
from dithead.provenance.label_text import label_wording
from dithead.provenance.manifest import Claim, RedrawnSpan, Source
from dithead.provenance.sign import Credentials, Signer
from dithead.provenance.switched_off import NO_CREDENTIALS
from dithead.stages import stage

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


class OutputCredentials:
    """The credentials of one output; everything that can be refused is checked when it is made.

    Args:
        options: Whether to sign, the statement of consent, and the label.
        load: Load what signs at once, which takes a tenth of a second; else ``load`` must be called before anything
            is drawn.

    Raises:
        ConfigError: The configuration is wrong, consent is required and missing, or the label cannot be written.
        OutputError: No key can be stored.
    """

    def __init__(self, options: SamplingOptions, *, load: bool = True) -> None:
        self.options = options
        self.consent = read_consent(options.consent)
        if options.label is not None:
            label_wording(options.label)
        self.signer: Signer | None = None
        self.credentials = Credentials()
        if load:
            self.load()

    def load(self) -> None:
        """Load the library and the key that sign, unless credentials are switched off.

        Raises:
            ConfigError: The configured certificate or key cannot be used.
            OutputError: No key can be stored.
        """
        if self.options.credentials and self.signer is None:
            self.signer = Signer()

    def seal(self, claim: Callable[[], Claim]) -> Seal | None:
        """Return what signs the finished file with a claim; None where credentials are switched off."""
        signer = self.signer
        if signer is None:
            return None

        def sign(path: Path, final: Path) -> None:
            with stage("sign"):
                self.credentials = signer.sign(path, claim(), final=final)

        return sign

    def notes(self) -> list[str]:
        """Return the note that belongs into the result when credentials are switched off."""
        return [] if self.options.credentials else [NO_CREDENTIALS]

    def job_claim(
        self,
        model: dict[str, Any],
        redrawn: Sequence[RedrawnSpan],
        sources: Sequence[Source],
        watermark: dict[str, Any] | None = None,
    ) -> Claim:
        """Compose the claim of a finished job; without a source that was edited, it is a portrait.

        Args:
            model: See ``model_record``.
            redrawn: When and where mouths were redrawn.
            sources: See ``job_sources``.
            watermark: What the mark in the redrawn mouths is, see ``OutputWatermark.record``; None: there is none.
        """
        portrait = all(source.relationship != "parentOf" for source in sources)
        details = {"job": "portrait" if portrait else "video", "model": model, "seed": self.options.seed}
        if self.options.label is not None:
            details["label"] = label_wording(self.options.label)
        return Claim(
            "trainedAlgorithmicMedia" if portrait else "compositeWithTrainedAlgorithmicMedia",
            "a picture was made to speak" if portrait else "mouths were redrawn so that the lips follow the speech",
            tuple(sources),
            tuple(redrawn),
            details,
            self.consent,
            watermark if redrawn else None,
        )


def job_sources(job: GenerateJob, sound: Soundtrack, *, portrait: bool) -> list[Source]:
    """List the files that went into a job's output, each once.

    Args:
        job: The job.
        sound: What is heard and who speaks.
        portrait: Whether the source is a picture, of which no frame is in the output as it was.
    """
    video = Source(Path(job.video), "inputTo" if portrait else "parentOf")
    heard = [layer.path for layer in sound.heard.layers] if isinstance(sound.heard, SoundMix) else [sound.speech]
    parts = [Source(path, "componentOf") for path in heard]
    driving = [Source(path, "inputTo") for path in (sound.speech, *sound.speakers.values())]
    return list({source.path.resolve(): source for source in reversed([video, *parts, *driving])}.values())[::-1]


def model_record(talker: TalkingHead, parameters_sha256: str) -> dict[str, Any]:
    """Describe a model for credentials: its name, the version and hashes of the files it was loaded from, its hash.

    Args:
        talker: The loaded model.
        parameters_sha256: SHA-256 of its parameters as they were used.
    """
    return {"name": talker.config.name, "parameters_sha256": parameters_sha256, **talker.files}
