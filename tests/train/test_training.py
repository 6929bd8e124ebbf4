"""Both stages on the tiny preset: they learn, they resume to the bit, and what they write is a model folder."""

import html
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dithead.checkpoint import load_model
from dithead.config import AutoencoderTraining, DiTTraining, Preset, get_preset
from dithead.errors import ConfigError, DataError, ModelError
from dithead.models.talking_head import Conditions
from dithead.train.data.clips import DataSource, Mixture
from dithead.train.data.lip_basis import LipBasis
from dithead.train.loop.run_folder import RunFolder
from dithead.train.loop.schedule import Schedule
from dithead.train.metrics.explanations import explain
from dithead.train.report.run_report import read_metrics
from dithead.train.stages.audio_encoder import train_audio
from dithead.train.stages.autoencoder import train_autoencoder
from dithead.train.stages.denoiser import train_dit
from dithead.train.stages.options import AudioOptions, AutoencoderOptions, DenoiserOptions

ON_CPU, DENOISER_ON_CPU = AutoencoderOptions(device="cpu"), DenoiserOptions(device="cpu")


def preset(**changes: int | float) -> Preset:
    tiny = get_preset("tiny")
    both = {"steps": 6, "batch": 2, **changes}
    autoencoder = tiny.autoencoder.model_copy(update=both)
    audio, dit = (part.model_copy(update={"steps": both["steps"]}) for part in (tiny.audio, tiny.dit))
    return tiny.model_copy(update={"autoencoder": autoencoder, "audio": audio, "dit": dit})


@pytest.fixture(scope="module")
def stage_one(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_autoencoder([str(dataset)], preset(), tmp_path_factory.mktemp("runs") / "ae", ON_CPU)


@pytest.fixture(scope="module")
def audio_run(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_audio([str(dataset)], preset(), tmp_path_factory.mktemp("runs") / "audio", AudioOptions(device="cpu"))


def weights(run: Path, part: str) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    return dict(state[part]["module"])


def test_stage_one_leaves_weights_metrics_and_a_sheet(stage_one: Path) -> None:
    lines = [json.loads(line) for line in (stage_one / "metrics.jsonl").read_text().splitlines()]
    assert any("pixel" in line for line in lines)
    assert any("held_out_mouth_l1" in line for line in lines)
    assert (stage_one / "autoencoder.safetensors").exists()
    assert list((stage_one / "samples").glob("*.png"))


def test_a_run_ends_with_a_page_that_needs_nothing_beside_it(stage_one: Path) -> None:
    page = (stage_one / "report.html").read_text()
    costs = ("loader rows per second", "seconds per step", "trained for", "torch")
    for text in ("held_out_psnr", "data:image/png;base64,", "From above: truth", "training.batch 2", *costs):
        assert text in page, text
    assert "http" not in page


def test_every_metric_of_a_run_is_explained_on_its_page(
    dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path
) -> None:
    settings = get_preset("tiny", ["dit.adversarial_weight=0.1", "dit.adversarial_start=0"])
    options = DenoiserOptions(steps=2, device="cpu")
    dit = train_dit([str(dataset)], settings, tmp_path / "dit", stage_one, audio_run, options).parent
    for run in (stage_one, audio_run, dit):
        names = read_metrics(run / "metrics.jsonl").keys()
        stage = json.loads((run / "config.json").read_text())["stage"]
        assert explain(stage, names).keys() == names
        page = (run / "report.html").read_text()
        for name, text in explain(stage, names).items():
            assert f"<dt>{name}</dt><dd>{html.escape(text)}</dd>" in page
    assert "gets the same reference frame" in (dit / "report.html").read_text()


def test_a_run_writes_to_tensorboard(stage_one: Path) -> None:
    pytest.importorskip("tensorboard")
    assert list((stage_one / "tensorboard").glob("events.*"))


def test_stage_one_lowers_the_loss(dataset: Path, tmp_path: Path) -> None:
    run = train_autoencoder([str(dataset)], preset(steps=61, adversarial_start=2.0), tmp_path / "ae", ON_CPU)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["pixel"] for line in lines if "pixel" in line]
    assert losses[-1] < 0.8 * losses[0]
    assert "pixel, steps 1 to 61" in (run / "report.html").read_text()


def test_stopping_and_resuming_gives_the_same_bits(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_autoencoder([str(dataset)], preset(), tmp_path / "whole", ON_CPU)
    save = RunFolder.save
    schedule = Schedule

    def stop_after_saving(self: RunFolder, state: dict) -> None:  # type: ignore[type-arg]
        save(self, state)
        raise KeyboardInterrupt

    monkeypatch.setattr("dithead.train.stages.autoencoder.Schedule", lambda steps: schedule(steps, save_every=3))
    monkeypatch.setattr(RunFolder, "save", stop_after_saving)
    with pytest.raises(KeyboardInterrupt):
        train_autoencoder([str(dataset)], preset(), tmp_path / "parts", ON_CPU)
    monkeypatch.setattr(RunFolder, "save", save)
    parts = train_autoencoder([str(dataset)], preset(), tmp_path / "parts", ON_CPU)
    for part in ("autoencoder", "discriminator"):
        for name, tensor in weights(whole, part).items():
            assert torch.equal(tensor, weights(parts, part)[name]), name


def test_stage_two_writes_a_model_folder_that_loads(
    dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path
) -> None:
    folder = train_dit([f"{dataset}:0.5"], preset(), tmp_path / "dit", stage_one, audio_run, DENOISER_ON_CPU)
    model = load_model(folder)
    assert model.config.name == "tiny"
    assert list((tmp_path / "dit" / "samples").glob("*.png"))
    by_clip = json.loads((tmp_path / "dit" / "held_out.json").read_text())["error"]
    assert list(by_clip) == ["person3: clip3 (0)"]
    assert "person3: clip3" in (tmp_path / "dit" / "report.html").read_text()


def test_stage_two_resumes_by_the_same_call(dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path) -> None:
    first = train_dit([str(dataset)], preset(), tmp_path / "dit", stage_one, audio_run, DENOISER_ON_CPU)
    before = weights(first.parent, "dit")
    again = train_dit([str(dataset)], preset(), tmp_path / "dit", stage_one, audio_run, DENOISER_ON_CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights(again.parent, "dit").items())


def test_stage_two_starts_from_a_model_folder(dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path) -> None:
    parts = (stage_one, audio_run)
    model = train_dit([str(dataset)], preset(), tmp_path / "plain", *parts, DENOISER_ON_CPU)
    begun = load_model(model).dit.state_dict()
    still = get_preset("tiny", ["dit.batch=8", "dit.learning_rate=0", "dit.steps=1"])
    folder = train_dit([str(dataset)], still, tmp_path / "alone", *parts, DenoiserOptions(device="cpu", init=model))
    made = load_model(folder).dit.state_dict()
    assert set(begun) == set(made)
    assert all(torch.equal(made[name], tensor) for name, tensor in begun.items())
    other = get_preset("tiny", ["model.dit.depth=3", "dit.steps=1"])
    with pytest.raises(ModelError, match="does not fit the preset"):
        train_dit([str(dataset)], other, tmp_path / "back", *parts, DenoiserOptions(device="cpu", init=model))
    (model / "dit.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="SHA-256"):
        train_dit([str(dataset)], preset(), tmp_path / "damaged", *parts, DenoiserOptions(device="cpu", init=model))


def test_a_start_from_elsewhere_keeps_the_calibration_of_the_audio_encoder_at_hand(
    dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path
) -> None:
    first = train_dit([str(dataset)], preset(), tmp_path / "first", stage_one, audio_run, DENOISER_ON_CPU)
    shutil.copytree(audio_run, tmp_path / "audio")
    basis = LipBasis.load(audio_run / "lips.npz")
    replace(basis, gain=basis.gain * 2).save(tmp_path / "audio" / "lips.npz")
    for init in (first, first.parent):
        other = tmp_path / f"from-{init.name}"
        folder = train_dit(
            [str(dataset)], preset(), other, stage_one, tmp_path / "audio", DenoiserOptions(device="cpu", init=init)
        )
        np.testing.assert_allclose(load_model(folder).dit.get_buffer("lip_gain"), basis.gain * 2)


def test_other_settings_in_the_same_folder_are_refused(dataset: Path, stage_one: Path) -> None:
    with pytest.raises(ConfigError, match="other settings"):
        train_autoencoder([str(dataset)], preset(batch=3), stage_one, ON_CPU)


def test_stage_two_without_stage_one_says_what_to_do(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dithead train autoencoder"):
        train_dit([str(dataset)], preset(), tmp_path / "dit", tmp_path / "nowhere", tmp_path, DENOISER_ON_CPU)


def test_stage_two_without_the_audio_encoder_says_what_to_do(dataset: Path, stage_one: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dithead train audio"):
        train_dit([str(dataset)], preset(), tmp_path / "dit", stage_one, tmp_path / "nowhere", DENOISER_ON_CPU)


def test_warm_start_begins_from_the_other_runs_average(dataset: Path, stage_one: Path, tmp_path: Path) -> None:
    still = preset(steps=1, learning_rate=0.0)
    run = train_autoencoder([str(dataset)], still, tmp_path / "warm", AutoencoderOptions(device="cpu", init=stage_one))
    average = torch.load(stage_one / "checkpoint.pt", weights_only=True)["autoencoder"]["average"]
    for name, tensor in weights(run, "autoencoder").items():
        torch.testing.assert_close(tensor, average[f"module.{name}"])


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not finite at step 0 .*the batch was: clip\d frames"):
        train_autoencoder([str(dataset)], preset(detail_weight=float("inf")), tmp_path / "nan", ON_CPU)
    assert not (tmp_path / "nan" / "checkpoint.pt").exists()


def test_sources_are_parsed() -> None:
    assert DataSource.parse("a/b:0.25") == DataSource(Path("a/b"), 0.25)
    assert DataSource.parse("a/b") == DataSource(Path("a/b"), 1.0)
    assert DataSource.parse("a:0.7..0.2") == DataSource(Path("a"), 0.7, 0.2)
    assert DataSource.parse("s3://bucket/people") == DataSource("s3://bucket/people")
    for wrong in ("a:-1", "a:0", "a:1..-1"):
        with pytest.raises(DataError, match="positive"):
            DataSource.parse(wrong)


def test_a_mixture_changes_evenly_over_the_training() -> None:
    rng, mixture = np.random.default_rng(0), Mixture([3.0, 1.0], [0.0, 1.0])
    for progress, share in ((0.0, 0.75), (0.5, 0.375), (1.0, 0.0)):
        picks = [mixture.pick(rng, progress) for _ in range(4000)]
        assert picks.count(0) / 4000 == pytest.approx(share, abs=0.03)
    with pytest.raises(DataError, match="weight 0"):
        Mixture([0.0], [1.0])


def test_the_mixture_is_part_of_the_configuration(dataset: Path, tmp_path: Path) -> None:
    run = train_autoencoder([f"{dataset}:0.7..0.2"], preset(steps=2), tmp_path / "run", ON_CPU)
    assert json.loads((run / "config.json").read_text())["data"] == [
        {"path": str(dataset), "weight": 0.7, "final": 0.2}
    ]


def test_a_dataset_without_training_clips_is_refused(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((dataset / "config.json").read_text())
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(DataError, match="no clip of split 'train'"):
        train_autoencoder([str(tmp_path)], preset(), tmp_path / "run", ON_CPU)


@pytest.mark.slow
def test_the_papers_design_trains_on_pretrained_parts(dataset: Path, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    AutoencoderKL(**blocks, block_out_channels=(8,) * 4, norm_num_groups=4).save_pretrained(tmp_path / "kl")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    small = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4, **sizes}
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**small)).save_pretrained(tmp_path / "w2v")
    changes = ("model.size=64", "model.dit.grid=4", "model.dit.width=32", "model.dit.depth=1", "model.dit.heads=2",
               "model.dit.audio_width=16", "model.audio.width=16", f"model.audio.source={tmp_path / 'w2v'}",
               "model.steps=2", "dit.batch=2", "dit.steps=4", "dit.variants=1", "audio.batch=4",
               "audio.steps=4")  # fmt: skip
    paper = get_preset("paper", changes)
    audio = train_audio([str(dataset)], paper, tmp_path / "audio", AudioOptions(device="cpu"))
    model = load_model(train_dit([str(dataset)], paper, tmp_path / "dit", tmp_path / "kl", audio, DENOISER_ON_CPU))
    assert (model.config.audio.kind, model.config.autoencoder.kind) == ("speech", "kl")
    with pytest.raises(ConfigError, match="nothing to train"):
        train_autoencoder([str(dataset)], paper, tmp_path / "ae", ON_CPU)


def test_defaults_of_training_settings_are_sane() -> None:
    assert 0 < AutoencoderTraining().adversarial_start < 1
    assert DiTTraining().audio_dropout + DiTTraining().reference_dropout < 0.5


@pytest.mark.parametrize("backbone", ["dit", "unet"])
def test_stage_two_learns_without_references(
    dataset: Path, stage_one: Path, audio_run: Path, tmp_path: Path, backbone: str
) -> None:
    none = get_preset(
        "tiny", ["model.dit.references=0", f"model.dit.backbone={backbone}", "dit.previous_reference=0.5"]
    )
    folder = train_dit(
        [str(dataset)], none, tmp_path / "dit", stage_one, audio_run, DenoiserOptions(steps=2, device="cpu")
    )
    model = load_model(folder)
    parts = torch.rand(2, 3, 64, 64), torch.ones(2, 1, 64, 64)
    tokens = model.speech_tokens(torch.zeros(40, 80), torch.zeros(2))
    latents = [model.generate(Conditions(*parts, r, tokens), model.initial_noise(0))[1] for r in (-parts[0], parts[0])]
    assert torch.equal(*latents), "the decoder sees the reference, the denoiser does not"
