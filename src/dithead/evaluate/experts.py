"""Metrics that need networks we do not ship. Without weights they are listed as missing."""

from __future__ import annotations

from importlib.util import find_spec

_NEEDS = {
    "lpips": "perceptual distance (AlexNet or VGG with learned weights)",
    "fid": "Inception features of full crops",
    "fid_mouth": "Inception features of mouths",
    "lse_c": "SyncNet confidence",
    "lse_d": "SyncNet distance",
    "lse_offset": "SyncNet offset",
    "identity": "face embedding similarity",
}


def missing_metrics() -> dict[str, str]:
    """Name -> why it was not measured, for every metric this run leaves out."""
    missing = {name: f"no weights given for {what}" for name, what in _NEEDS.items()}
    if find_spec("torchmetrics") is None:
        missing["ssim"] = "torchmetrics is not installed; pip install 'dithead[evaluate]'"
    return missing
