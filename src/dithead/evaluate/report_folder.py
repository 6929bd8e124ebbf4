"""Reserves the folder of a report by its settings, so that models never mix, and writes the report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.errors import OutputError
from dithead.evaluate.report import ClipRecord, write_json
from dithead.evaluate.report_page import report_page
from dithead.evaluate.report_tables import report_document

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


def hash_weights(model: TalkingHead) -> str:
    """Return the SHA-256 of a loaded model's weights: two reports with the same hash measured the same model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def claim_folder(output: Path, settings: Mapping[str, Any]) -> None:
    """Create the folder of a report, or check that it was created with the same settings. Raises OutputError."""
    config = output / "config.json"
    try:
        output.mkdir(parents=True, exist_ok=True)
        if config.exists() and json.loads(config.read_text("utf-8")) != dict(settings):
            raise OutputError(f"{output}: holds a report made with other settings; choose a new folder")
        if not config.exists() and any(output.iterdir()):
            raise OutputError(f"{output}: is not empty and holds no report; choose a new folder")
        write_json(config, settings)
    except OSError as error:
        raise OutputError(f"{output}: cannot be written ({error.strerror}); choose another place") from None


def write_reports(output: Path, report: Mapping[str, Any], records: Sequence[ClipRecord]) -> None:
    """Write report.json, report.md and the self-contained report.html."""
    write_json(output / "report.json", report)
    (output / "report.md").write_text(report_document(report), "utf-8")
    (output / "report.html").write_text(report_page(output, report, records), "utf-8")
