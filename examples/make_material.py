"""Render the demo material in this folder: three synthetic presenters and three speech tracks.

    python examples/make_material.py HEAD_MODEL_FOLDER

Nobody here exists. See README.md beside this file for where everything comes from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from dithead.media.audio import write_audio
from dithead.synth.corpus.presenter import PresenterOptions, present
from dithead.synth.voice.espeak import EspeakVoice, speak
from dithead.synth.voice.microphone import SAMPLE_RATE, simulate_microphone

HERE = Path(__file__).parent

PRESENTERS = {
    "ben": (
        106,
        EspeakVoice("en", "m3", 160, 35),
        "Good evening. My brother and I moved to a small village by the bay.",
    ),
    "mia": (
        129,
        EspeakVoice("en-us", "f2", 160, 60),
        "Hello, and welcome back. Today we will bake a very simple apple pie.",
    ),
    "ruth": (109, EspeakVoice("en", "f4", 150, 50), "People often ask me how many books a life has room for."),
}
SPEECH = {
    "english": (
        EspeakVoice("en-us", "f3", 155, 55),
        "Maybe tomorrow we have better weather, and more time for both of us.",
    ),
    "spanish": (EspeakVoice("es", "m2", 155, 40), "Buenos días, me llamo Pablo y vivo muy cerca del mar."),
    "hindi": (EspeakVoice("hi", "f5", 150, 55), "नमस्ते, मुझे सुबह की चाय बहुत पसंद है।"),
}
FRAMING = {"height": 2.9, "shift": (0.0, 0.0), "azimuth": 0.05, "elevation": 0.0, "handheld": 0.0, "vignette": 0.1}


def main(head_model: str) -> None:
    """Write presenters/*.mp4 with their exact lip apertures and speech/*.flac."""
    for folder in ("presenters", "speech"):
        (HERE / folder).mkdir(exist_ok=True)
    for name, (voice, text) in SPEECH.items():
        speech = speak(text, voice)
        clean = simulate_microphone(speech.wave, speech.rate, np.random.default_rng(0), clean=True)
        quiet = np.zeros(SAMPLE_RATE // 4, np.float32)
        write_audio(HERE / "speech" / f"{name}.flac", np.concatenate([quiet, clean, quiet]), SAMPLE_RATE)
    for name, (seed, voice, text) in PRESENTERS.items():
        target = HERE / "presenters" / f"{name}.mp4"
        options = PresenterOptions(seed=seed, seconds=5.0, setting=FRAMING)
        made = present(target, text, voice, head_model=head_model, options=options)
        truth = {"aperture": [round(float(a), 4) for a in made.aperture]}
        (HERE / "presenters" / f"{name}.json").write_text(json.dumps(truth) + "\n")
        print(made.output)


if __name__ == "__main__":
    main(sys.argv[1])
