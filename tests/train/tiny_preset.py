"""The preset with which tests train: small networks, a few steps."""

from dithead.config import Preset, get_preset


def tiny(*changes: str) -> Preset:
    """Return the tiny preset with a few steps."""
    return get_preset("tiny", ["autoencoder.steps=3", "autoencoder.batch=2", "dit.steps=2", *changes])
