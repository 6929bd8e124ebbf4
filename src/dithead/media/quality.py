"""Names the codecs and the default quality, for the command line, without loading the encoder."""

from __future__ import annotations

DEFAULT_CRF = 10.0
"""Constant rate factor of x264 and x265 at which every frame of every source tried keeps 45 dB in each plane."""
CODECS = {"h264": "libx264", "hevc": "libx265"}
"""FFmpeg's encoder for each codec that users can name."""
