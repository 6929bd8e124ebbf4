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
    "audio encoder": (
        "The network that turns speech into tokens, which the denoiser attends to, and into predicted lips."
    ),
    "autoencoder": "The network that codes a crop as a latent and decodes it again; stage one of the training.",
    "calibration": (
        "What is learned of how a person opens the mouth from their own speech in the source, and applied to "
        "the predicted lips."
    ),
    "clip": "One video of an evaluation.",
    "closure head": "A part of the lip predictor that tells how likely lips are closed, as for p, b and m.",
    "closures kept": "The share of the true lips' closures, as for p, b and m, at which the output's lips close, too.",
    "closures true": "The share of the output's closures at which the true lips close, too.",
    "confidence interval": (
        "The range in which the mean would lie for 95 of 100 other draws of such clips (bootstrap)."
    ),
    "Content Credentials": (
        "The signed manifest (C2PA) in a file, which says how it was made and whether it was changed since."
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
    "eye distance": "The distance between the outer corners of the eyes: the unit of all measures of lips.",
    "face units": (
        "The 52 shapes of a face (as ARKit names them) that move the rendered head, such as a funnel or a pressed lip."
    ),
    "first pass": "Reading the source once to find faces, occluders and reference frames, before a frame is drawn.",
    "frozen mouth": "A baseline: the source with its most closed mouth in every frame.",
    "gain": (
        "How far the output's lips open and close relative to the true ones: the ratio of the standard deviations."
    ),
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
    "jitter": "How restless the lips are: the mean acceleration of their landmarks over that of the true ones.",
    "lag": (
        "The number of frames by which lips follow the truth best when they are shifted; `at the best lag` "
        "allows for it."
    ),
    "latent": "A picture as the autoencoder codes it, in which the denoiser works.",
    "leak": "What of the source's own lips shows in the output although the speech does not ask for it.",
    "lip correlation": (
        "How the output's lip opening follows the true one over time (Pearson's r): 1 is perfect, 0 unrelated."
    ),
    "lip opening": "The distance between the inner lips over that between the outer eye corners.",
    "lip predictor": "The network that predicts opening, width and shape of the lips from the speech.",
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
    "second pass": "Drawing the mouths and composing them into the frames, after the first pass.",
    "sharpness": "The fine contrast of the mouth (variance of the Laplacian) over that of the source; 1 is as sharp.",
    "speaker": "A numbered face with speech of its own.",
    "step": "One pass of the denoiser. The shipped model takes one for each frame; others may take more.",
    "sync expert": "A network that judges whether a mouth speaks a sound, and by how many frames it is off.",
    "tracklet": "One face through one shot.",
    "truth": "The true video of a clip, encoded once more, which is the best that can be expected.",
    "viseme": "The shape of the mouth that belongs to a sound.",
    "width r": (
        "The correlation of the distance of the lips' corners with the true one: whether lips round and spread."
    ),
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
