"""The field's terms that reports and messages use, each explained in one sentence.

The documentation's glossary is made from this file, and every report ends with the entries that it needs.
"""

from __future__ import annotations

from collections.abc import Iterable

GLOSSARY: dict[str, str] = {
    "as drawn": (
        "The model's drawing as it is: no detail is transferred to it, and no picture of the source replaces "
        "it or mends its lips (`--no-detail`)."
    ),
    "calibration": (
        "What is learned of how a person opens the mouth from their own speech in the source, and applied to "
        "the predicted lips."
    ),
    "clip": "One video of an evaluation.",
    "confidence interval": (
        "The range in which the mean would lie for 95 of 100 other draws of such clips (bootstrap)."
    ),
    "copied input": "A baseline: the source as it is. What a tool scores that does nothing.",
    "crop": "The square around the face that the model sees and draws, aligned by the eyes and the nose.",
    "cross-audio": "A protocol: another clip's speech drives the video. The lips should follow the driver.",
    "denoiser": (
        "The network (`dit` in commands and settings) that draws the latent of a mouth from noise, given the "
        "masked face, a reference and the speech."
    ),
    "detail transfer": "Giving the drawn mouth the fine contrast of a frame of the same person, where both agree.",
    "driver": "The clip whose speech drives the video.",
    "frozen mouth": "A baseline: the source with its most closed mouth in every frame.",
    "held out": (
        "Kept from training. Metrics that begin with `held_out_` are measured on people whom the model has never seen."
    ),
    "held_out_copied": (
        "The error of a baseline without a model, which pastes the chosen reference frame; a useful model "
        "stays below it."
    ),
    "held_out_fixed": (
        "The error when every frame gets the same reference frame instead of one whose mouth is about as open "
        "as predicted: how well the model does without that help."
    ),
    "latent": "A picture as the autoencoder codes it, in which the denoiser works.",
    "leak": "What of the source's own lips shows in the output although the speech does not ask for it.",
    "lip opening": "The distance between the inner lips over that between the outer eye corners.",
    "loudness": "How loud a whole recording is, in LUFS (EBU R128); -23 is broadcast, -16 usual for podcasts.",
    "mask": "The part of the crop that the model draws: the lower face, from a polygon through landmarks.",
    "mended": (
        "A drawn mouth of which a part of the lips was replaced by a picture of the source, because it was smeared."
    ),
    "occluder": "Something in front of the mouth, such as a hand or a microphone, that stays visible.",
    "passed through": (
        "A frame that the output shows as the source does, because it has no face that can be drawn on."
    ),
    "preset": "A set of settings for training a model. `tiny` only proves that everything works together.",
    "protocol": (
        "What drives the clips of an evaluation: their own speech (self), another's (cross) or silence "
        "(silent), with the person as the clip shows it, as one closed picture (portrait) or with its talking "
        "frames hidden (hidden); or the test of the mask (mask)."
    ),
    "reference frame": ("The frame of the source that the model is shown, whose mouth is about as open as predicted."),
    "replaced": (
        "A drawn mouth for which a picture of the source stands in, because the drawing showed another person."
    ),
    "row": "One set of videos in a report, with a video of every clip: the truth, a baseline, a model or a tool.",
    "speaker": "A numbered face with speech of its own.",
    "step": "One pass of the denoiser. The shipped model takes one for each frame; others may take more.",
    "sync expert": "A network that judges whether a mouth speaks a sound, and by how many frames it is off.",
    "tracklet": "One face through one shot.",
    "truth": "The true video of a clip, encoded once more, which is the best that can be expected.",
}
"""Term -> what it means."""

EVALUATION = (
    "as drawn", "clip", "confidence interval", "copied input", "cross-audio", "driver", "frozen mouth", "leak",
    "lip opening", "mask", "mended", "protocol", "replaced", "row", "step", "sync expert", "truth",
)  # fmt: skip
"""Terms of evaluation reports."""
TRAINING = (
    "crop", "denoiser", "held out", "held_out_copied", "held_out_fixed", "latent", "reference frame", "sync expert",
)  # fmt: skip
"""Terms of training reports."""


def entries(terms: Iterable[str]) -> dict[str, str]:
    """Return terms with their meanings, in plain text."""
    return {term: GLOSSARY[term].replace("`", "") for term in terms}
