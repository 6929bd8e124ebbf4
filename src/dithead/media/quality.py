"""Names the codecs, the encoders and the default quality, for the command line, without loading the encoder."""

from __future__ import annotations

DEFAULT_CRF = 10.0
"""Constant rate factor of x264 and x265 at which every frame of every source tried keeps 45 dB in each plane."""
CODECS = {"h264": "libx264", "hevc": "libx265"}
"""FFmpeg's encoder in software for each codec that users can name."""
HARDWARE = ("nvenc", "qsv", "videotoolbox", "amf")
"""Encoders in graphics hardware: NVIDIA, Intel, Apple, AMD. FFmpeg calls them by codec and name, as h264_nvenc."""
ENCODERS = ("auto", "x264", "x265", *HARDWARE)
"""Encoders that users can name. ``auto`` is the software encoder of the codec: the others' quality was not measured."""
REALTIME = "realtime"
"""Preset of our own for x264, see ``media.encoder``; all other presets are those of x264 and x265."""
PRESETS = (REALTIME, "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
"""Presets that users can name, from fast and large to slow and small."""
