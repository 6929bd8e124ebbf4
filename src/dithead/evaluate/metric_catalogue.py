"""Every metric that a report shows: its heading, its decimals, what it means, and which value is best.

Names of metrics are keys of ``report.json`` and do not change without a new schema; headings are for readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Metric:
    """One column of the tables.

    Attributes:
        name: Key in ``report.json``.
        heading: Column heading.
        decimals: Decimals after the point.
        meaning: One sentence for readers; it is the hover title and the entry of the legend.
    """

    name: str
    heading: str
    decimals: int
    meaning: str


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that answer one question, shown as one table."""

    title: str
    question: str
    metrics: tuple[Metric, ...]
    short: str = ""  # what their headings begin with, where each names the group

    @property
    def columns(self) -> tuple[Metric, ...]:
        """The metrics with the headings that they have in the group's own table, whose title names it."""
        return tuple(replace(m, heading=m.heading.removeprefix(f"{self.short}: ")) for m in self.metrics)


_OFFSET_REMOVED = (
    "the same, compared with the lips of the moment that the sound belongs to, where the sync expert is confident that "
    "the true video's own sound is late or early."
)

LIPS = MetricGroup(
    "Lips",
    "Driven by its own speech: do the lips do what the true lips did?",
    (
        Metric("lip_correlation", "lip correlation", 2,
               "Pearson correlation of the lip opening with the true one, frame by frame; 1 is best."),
        Metric("lip_synced_correlation", "lip correlation, sound offset removed", 2,
               "Lip correlation: " + _OFFSET_REMOVED),
        Metric("lip_lag", "lag (frames)", 1,
               "Shift within ±10 frames of the truth at which the lip correlation is largest; positive when the output "
               "is late."),
        Metric("lip_gain", "gain", 2, "Standard deviation of the lip opening over that of the true one; 1 is best."),
        Metric("lip_velocity_correlation", "velocity correlation", 2,
               "Correlation of the changes of the lip opening from frame to frame; 1 is best."),
        Metric("lip_width_correlation", "lip width r", 2,
               "Correlation of the distance of the lips' corners with the true one, at the lag at which the lip "
               "correlation is largest: whether an oo is rounded and an ee is spread; 1 is best."),
        Metric("lip_width_gain", "gain of width", 2,
               "Standard deviation of that distance over that of the true one; 1 is best."),
        Metric("closures_kept", "closures kept", 2,
               "Share of the moments at which the true lips close and open again, as for p, b and m, at which those of "
               "the output do, too, within a frame, at the same lag; 1 is best."),
        Metric("closures_true", "closures true", 2,
               "Share of the output's closures that are closures of the true lips, too: lips that always close gain "
               "nothing; 1 is best."),
        Metric("lmd", "LMD", 3,
               "Mean distance of the mouth's landmarks from the true ones in eye distances; best is 0."),
        Metric("jitter", "jitter", 2,
               "Mean acceleration of the mouth's landmarks over that of the true ones; 1 is best."),
    ),
)  # fmt: skip
SYNC = MetricGroup(
    "Lips and sound",
    "Does the picture fit the sound? Two experts judge it; their values may not be mixed.",
    (
        Metric("sync_confidence", "sync confidence", 3,
               "The shipped expert's confidence; near 0 when the picture does not speak the sound. Nothing is trained "
               "against this expert."),
        Metric("sync_distance", "sync distance", 2,
               "The shipped expert's distance of mouth and speech embeddings; the smaller, the better."),
        Metric("sync_offset", "sync offset (frames)", 1,
               "Frames at 25 per second by which the sound is late, by the shipped expert; 0 is best."),
        Metric("lse_c", "LSE-C", 2, "Confidence of the original SyncNet, when given; larger is better."),
        Metric("lse_d", "LSE-D", 2, "Distance by the original SyncNet, when given; smaller is better."),
        Metric("lse_offset", "LSE offset (frames)", 1, "Offset by the original SyncNet, when its weights are given."),
        Metric("cross_sync_confidence", "other speech: sync confidence", 3,
               "Sync confidence when another clip's speech drives the video."),
        Metric("cross_lse_c", "other speech: LSE-C", 2, "LSE-C when another clip's speech drives the video."),
    ),
)  # fmt: skip
LEAKS = MetricGroup(
    "Leaks",
    "Driven by another clip's speech, by silence, and under the masks of other mouths: does the source show through?",
    (
        Metric("cross_driver_correlation", "other speech: driver correlation", 2,
               "Driven by another clip's speech: correlation with the lips in that clip (the driver); 1 is best."),
        Metric("cross_driver_synced_correlation", "driver correlation, sound offset removed", 2,
               "Driver correlation: " + _OFFSET_REMOVED),
        Metric("cross_source_correlation", "other speech: source correlation", 2,
               "Driven by another clip's speech: correlation with the lips of the source; 0 is best."),
        Metric("cross_source_partial", "other speech: source partial correlation", 2,
               "The source correlation with the driver's lips taken into account; 0 is no leak."),
        Metric("cross_source_chance", "chance level of the partial correlation", 2,
               "The size that the source partial correlation exceeds once in twenty times without any leak."),
        Metric("silent_aperture_ratio", "silence: motion", 2,
               "Driven by silence: standard deviation of the lip opening over the speaking source's; 0 is at rest."),
        Metric("mask_shift", "mask: shift", 2,
               "Drawn under the mask of the source's most open mouths and under that of its closed ones: difference of "
               "the mean lip opening, in standard deviations of the source's; 0 is no leak."),
        Metric("mask_agreement", "mask: agreement", 2,
               "Correlation of the lip openings under those two masks; 1 is no leak."),
        Metric("mask_partial", "mask: partial correlation", 2,
               "Each frame drawn under the mask of another moment: correlation with the lips of that moment, the true "
               "ones taken into account; 0 is no leak."),
    ),
)  # fmt: skip
PICTURE = MetricGroup(
    "Picture",
    "Does the mouth look as it should, and is the rest of the picture untouched?",
    (
        Metric("sharpness", "sharpness", 2,
               "Variance of the Laplacian in the box of the lips over the source's, at the source's resolution; 1 is "
               "best."),
        Metric("sharpness_crop", "sharpness in the crop", 2,
               "The same in the aligned crop of 256 pixels: what is seen of the mouth in a small window; 1 is best."),
        Metric("psnr", "PSNR (dB)", 1,
               "Peak signal-to-noise ratio of the aligned crop of 256 pixels; the larger, the better."),
        Metric("ssim", "SSIM", 3, "Structural similarity of the same crop; 1 is best."),
        Metric("flicker", "flicker", 2,
               "Change from frame to frame of output minus source above the mask, in grey levels of 255; 0 is best."),
        Metric("cross_sharpness", "other speech: sharpness", 2,
               "Sharpness when another clip's speech drives the video; 1 is best."),
        Metric("cross_flicker", "other speech: flicker", 2,
               "Flicker when another clip's speech drives the video; 0 is best."),
        Metric("lpips", "LPIPS", 3, "Perceptual distance of the crops, when weights are given; 0 is best."),
        Metric("fid", "FID", 2,
               "Fréchet distance of the crops of all clips together, when weights are given; 0 is best."),
        Metric("fid_mouth", "FID of the mouth", 2, "The same of the box of the mouth."),
        Metric("identity", "identity", 2,
               "Cosine of the face embedding with the true one's, when weights are given; 1 is best."),
    ),
)  # fmt: skip


def _without_talking(prefix: str, short: str, title: str, question: str) -> MetricGroup:
    """The group of a protocol in which no talking frame lends anything: most of it means what it means elsewhere."""
    known = {metric.name: metric for metric in (*LIPS.metrics, *SYNC.metrics)}

    def same(*names: str) -> list[Metric]:
        return [replace(known[name], name=prefix + name, heading=f"{short}: {known[name].heading}") for name in names]

    return MetricGroup(
        title,
        question,
        (
            *same("lip_correlation"),
            Metric(f"{prefix}lip_lag_correlation", f"{short}: at the best lag", 2,
                   "The same at the shift within ±10 frames at which it is largest; 1 is best."),
            *same("lip_gain", "lip_width_correlation", "closures_kept", "closures_true", "jitter"),
            Metric(f"{prefix}sharpness_open", f"{short}: sharpness of open mouths", 2,
                   "Variance of the Laplacian in the box of the lips, over the frames with open lips, over the same of "
                   "the person's own open mouths; 1 is best."),
            Metric(f"{prefix}identity_kept", f"{short}: identity kept", 2,
                   "How clearly a face network takes the output for this person, relative to the true frames: 1 is as "
                   "clearly as those, 0 is where it begins to see somebody else."),
            Metric(f"{prefix}identity_picture", f"{short}: identity of the picture", 2,
                   "The same of the clip's most closed frame as it is, which a portrait can hardly exceed."),
            *same("sync_confidence"),
        ),
        short,
    )  # fmt: skip


PORTRAIT = _without_talking(
    "portrait_", "portrait", "One picture",
    "The clip's most closed frame as a picture that speaks the clip's own sound: do lips, sharpness and person stay?",
)  # fmt: skip
HIDDEN = _without_talking(
    "hidden_", "hidden", "Talking frames hidden",
    "Driven by its own speech, but only frames with closed lips may lend references and detail: is it as good?",
)  # fmt: skip
FILE = MetricGroup(
    "File",
    "Is the file whole, and its sound in place?",
    (
        Metric("frames_error", "extra frames", 0, "Frames more than the source has; negative: fewer."),
        Metric("duration_error", "extra seconds", 2, "Seconds by which the file is longer than its source."),
        Metric("audio_offset_ms", "sound offset (ms)", 0,
               "Milliseconds by which the sound in the file is later than the sound that drove it; 0 is best."),
        Metric("cross_frames_error", "other speech: extra frames", 0,
               "Extra frames when another clip's speech drives the video; 0 is best."),
        Metric("cross_audio_offset_ms", "other speech: sound offset (ms)", 0,
               "Sound offset when another clip's speech drives the video; 0 is best."),
        Metric("mouths_replaced", "replaced mouths", 2,
               "Share of the drawn mouths for which a picture of the source stands in, because the drawing showed "
               "another person; 0 is best."),
        Metric("mouths_mended", "mended mouths", 2,
               "Share of the drawn mouths of which a part of the lips comes from a picture of the source; 0 is best."),
        Metric("faces_missed", "frames without a face", 0, "Frames in which no face was found."),
        Metric("frames_per_second", "frames per second", 1,
               "Speed of generation on the machine that ran the evaluation."),
    ),
)  # fmt: skip

GROUPS = (LIPS, SYNC, LEAKS, PORTRAIT, HIDDEN, PICTURE, FILE)
"""What the tables show, in this order."""
METRICS = tuple(metric for group in GROUPS for metric in group.metrics)

BEST_VALUES: dict[str, float] = {
    **dict.fromkeys(("lip_correlation", "lip_synced_correlation", "lip_velocity_correlation"), 1.0),
    **dict.fromkeys(("lip_width_correlation", "lip_lag_correlation", "closures_kept", "closures_true"), 1.0),
    **dict.fromkeys(("identity_kept", "identity_picture"), 1.0),
    **dict.fromkeys(("driver_correlation", "driver_synced_correlation", "mask_agreement", "ssim", "identity"), 1.0),
    **dict.fromkeys(("lip_gain", "lip_slope", "lip_width_gain", "jitter"), 1.0),
    **dict.fromkeys(("sharpness", "sharpness_gradient", "sharpness_crop", "sharpness_open"), 1.0),
    **dict.fromkeys(("lip_lag", "frames_error", "duration_error", "audio_offset_ms"), 0.0),
    **dict.fromkeys(("lmd", "flicker", "faces_missed", "aperture_ratio", "source_partial"), 0.0),
    **dict.fromkeys(("mouths_replaced", "mouths_mended"), 0.0),
    **dict.fromkeys(("source_correlation", "driver_lag", "sync_offset", "lse_offset", "sync_distance", "lse_d"), 0.0),
    **dict.fromkeys(("mask_shift", "mask_partial", "lpips", "fid", "fid_mouth"), 0.0),
}
"""Metric, without the prefix of its protocol -> the value that is best; of all others a larger value is better."""

_NEVER_BELOW_ZERO = (
    "lmd", "flicker", "sync_distance", "lse_d", "lpips", "fid", "fid_mouth", "faces_missed", "mouths_replaced",
    "mouths_mended", "aperture_ratio",
)  # fmt: skip
"""Metrics, without the prefix of their protocol, of which the smaller is better."""
NOT_COMPARED = ("cross_source_chance", "cross_coupling")
"""Metrics that describe the clips and not what was generated."""


def best_value(name: str) -> float | None:
    """Return the value of a metric that is best; None when a larger value is better."""
    return BEST_VALUES.get(_bare(name))


def best_words(name: str) -> str:
    """Return in a word or two which value of a metric is best."""
    best, bare = best_value(name), _bare(name)
    if name in NOT_COMPARED:
        return "–"
    if best is None:
        return "larger"
    return "smaller" if bare in _NEVER_BELOW_ZERO else f"{best:g}"


def _bare(name: str) -> str:
    """The name of a metric without the prefix of its protocol."""
    for prefix in ("cross_", "silent_", "portrait_", "hidden_"):
        name = name.removeprefix(prefix)
    return name


def measured_groups(names: Iterable[str]) -> list[MetricGroup]:
    """Return the groups with only those metrics that are among ``names``, and without empty groups."""
    known = set(names)
    groups = [replace(group, metrics=tuple(m for m in group.metrics if m.name in known)) for group in GROUPS]
    return [group for group in groups if group.metrics]
