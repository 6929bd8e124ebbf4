"""Explains each metric of a training run in plain words, for the legend of the run report."""

from __future__ import annotations

from collections.abc import Iterable

_SHARED = {
    "norm": "size of the gradient before it is clipped; sudden peaks mean an unstable training",
    "rate": "learning rate",
}
_ADVERSARIAL = {
    "fake": "how clearly the discriminator tells generated pictures from real ones; lower is better for the generator",
    "critic": "the discriminator's own loss",
}
_BY_STAGE: dict[str, dict[str, str]] = {
    "autoencoder": {
        **_ADVERSARIAL,
        "pixel": "mean absolute error of the rebuilt pixels under the mask, lips weighted more",
        "detail": "the same error over edges and texture of several sizes (Laplacian pyramid)",
        "lpips": "perceptual distance (LPIPS) of rebuilt and true picture; 0 is identical",
        "matching": "difference between the discriminator's features of rebuilt and true pictures",
        "masked": "mean squared difference between the masked frames' own latents and those of the encoder of whole "
        "pictures; latents have variance 1",
        "identity": "relative difference between a face recognition network's features of rebuilt and true faces",
        "held_out_mouth_l1": "mean absolute error at the lips for people not trained on (pixels run from -1 to 1); "
        "lower is better",
        "held_out_psnr": "peak signal-to-noise ratio under the mask in dB, people not trained on; higher is better",
        "held_out_ssim": "structural similarity under the mask, people not trained on; 1 is identical",
        "held_out_lpips": "perceptual distance (LPIPS), people not trained on; 0 is identical",
        "held_out_identity": "distance of rebuilt and true face to a face recognition network, people not trained on; "
        "below 0.6 it takes both for one person",
    },
    "audio": {
        "centre": "error of the lip coefficients predicted for the frame in the middle of the audio window",
        "lips": "error of the lip coefficients predicted at every token of the audio window",
        "mouth": "error of the mouth controls (jaw, rounding and so on) predicted for voices without a face",
        "lip_predictor": "error of the lip coefficients that the lip predictor gives over its whole stretch of sound",
        "closures": "cross-entropy of the closure head's odds that lips are closed",
        "held_out_r": "correlation of predicted and measured lip opening, people not trained on; 1 is perfect",
        "held_out_gain": "how far the predicted opening moves, relative to the measured one; 1 is right, below 1 the "
        "prediction is too mild",
    },
    "dit": {
        **_ADVERSARIAL,
        "loss": "the denoising loss: mean square error under the mask, lips weighted more",
        "mouth": "the same error at the lips alone",
        "sync": "1 less the sync expert's similarity of generated mouths and their speech; 0 is best",
        "held_out_error": "mean square error of the generated latents at the lips for people not trained on, driven by "
        "their own speech; lower is better",
        "held_out_listening": "by what share that error grows when another clip's speech drives the mouth; 0 means "
        "that the model ignores the speech, higher is better; it takes two clips",
        "held_out_gain": "how much the generated lips vary over time, relative to the true ones; 1 is right, below 1 "
        "the mouth moves too little",
        "held_out_jitter": "how much the generated lips change from frame to frame, relative to the true ones; 1 is "
        "right, above 1 the mouth trembles",
        "held_out_fixed": "held_out_error when every frame gets the same reference frame instead of one whose mouth "
        "is about as open as predicted: how well the model does without that help",
        "held_out_copied": "held_out_error of a baseline without a model, which pastes the chosen reference frame: a "
        "useful model stays below it",
    },
    "sync": {
        "pair": "loss of deciding whether a mouth and a piece of speech belong together; 0.693 is chance",
        "near": "loss of finding the right moment within a clip; lower is better",
        "wide": "loss of finding the right speech among all clips of the batch; lower is better",
        "scale": "the learned sharpness of the similarity between mouth and speech",
        "gradient": _SHARED["norm"],
        "held_out_pair": "the pair loss on clips not trained on; 0.693 is chance",
        "held_out_offset": "share of clips not trained on whose shifted sound is put right to within one frame; 1 is "
        "perfect",
        "held_out_confidence": "how clearly the best offset stands out from the others, clips not trained on; higher "
        "is better",
    },
}


def explain(stage: str, names: Iterable[str]) -> dict[str, str]:
    """Return what the metrics ``names`` of a ``stage`` mean; a name without an explanation is left out.

    Args:
        stage: ``autoencoder``, ``audio``, ``dit`` or ``sync``, as ``config.json`` names it.
        names: Names as in ``metrics.jsonl``.
    """
    known = _SHARED | _BY_STAGE.get(stage, {})
    return {name: known[name] for name in names if name in known}
