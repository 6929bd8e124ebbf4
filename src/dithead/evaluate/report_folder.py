"""The report's folder: claimed by its settings, so that a resumed run never mixes models; then written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dithead.errors import OutputError
from dithead.evaluate.report import ClipRecord, markdown, write_json
from dithead.evaluate.report_page import page

if TYPE_CHECKING:
    from dithead.models.talking_head import TalkingHead


def fingerprint(model: TalkingHead) -> str:
    """SHA-256 over the weights of a loaded model: two reports with the same one measured the same model."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()


def claim(output: Path, settings: Mapping[str, Any]) -> None:
    """Make the folder, or check that it was made with the same settings. Raises OutputError."""
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
    (output / "report.md").write_text(markdown(report), "utf-8")
    (output / "report.html").write_text(page(output, report, records), "utf-8")
