"""Every output is signed, wherever it is made; what is signed is what was done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import pytest

from dithead.errors import ConfigError, SigningError
from dithead.inference import pipeline
from dithead.inference.output_credentials import OFF
from dithead.inference.pipeline import generate
from dithead.provenance.c2pa_library import credentials_library, offline_context
from dithead.provenance.manifest import CONSENT, GENERATION, SOURCE_TYPES
from dithead.provenance.media_types import media_type_of, sidecar_of
from dithead.provenance.settings import FOLDER_VARIABLE
from dithead.provenance.sign import Signer


def store_of(path: Path, sidecar: Path | None = None) -> tuple[str, dict[str, Any]]:
    """The validation state and the manifest store of a signed file, by the library itself."""
    data = None if sidecar is None else sidecar.read_bytes()
    library = credentials_library()
    with path.open("rb") as file, offline_context() as context:
        reader = library.Reader(media_type_of(path), file, data, context=context)
        return reader.get_validation_state(), json.loads(reader.json())


def assertions_of(store: dict[str, Any]) -> dict[str, Any]:
    """The assertions of the active manifest by label."""
    return {each["label"]: each["data"] for each in store["manifests"][store["active_manifest"]]["assertions"]}


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as media:
        return [bytes(packet) for packet in media.demux()]


def test_an_output_says_what_was_redrawn_when_and_by_which_model(footage, pictures, speech, talker, tmp_path):
    source, output = footage(pictures), tmp_path / "out.mp4"
    result = generate(source, speech, output, model=talker, fit="silence", seed=3, consent="Mia agreed on 3 May.")
    assert (result.credentials.place, result.credentials.sidecar) == ("embedded", None)
    state, store = store_of(output)
    assert state == "Trusted"
    found = assertions_of(store)
    opened, edited, placed = found["c2pa.actions.v2"]["actions"]
    assert [each["action"] for each in (opened, edited, placed)] == ["c2pa.opened", "c2pa.edited", "c2pa.placed"]
    assert edited["digitalSourceType"] == SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
    (change,) = edited["changes"]
    time, place = change["region"]
    assert (time["time"]["start"], time["time"]["end"]) == ("0.000", "0.480")
    shape = place["shape"]
    left, right = shape["origin"]["x"], shape["origin"]["x"] + shape["width"]
    assert 30 < left < 128 < right < 226  # the lower half of a centred face, 256 pixels wide with its surroundings
    assert found[GENERATION]["model"]["name"] == talker.config.name
    assert len(found[GENERATION]["model"]["parameters_sha256"]) == 64
    assert found[GENERATION]["seed"] == 3
    assert found[CONSENT] == {"statement": "Mia agreed on 3 May."}
    ingredients = store["manifests"][store["active_manifest"]]["ingredients"]
    assert [(i["title"], i["relationship"]) for i in ingredients] == [
        ("source.mkv", "parentOf"), ("speech.wav", "componentOf"),
    ]  # fmt: skip


def test_a_portrait_is_wholly_made_by_a_model(pictures, speech, talker, tmp_path):
    from dithead.media.contact_sheet import save_picture

    save_picture(pictures[0], tmp_path / "mia.png")
    generate(tmp_path / "mia.png", speech, tmp_path / "out.mp4", model=talker)
    _, store = store_of(tmp_path / "out.mp4")
    created = assertions_of(store)["c2pa.actions.v2"]["actions"][0]
    assert created["action"] == "c2pa.created"
    assert created["digitalSourceType"] == SOURCE_TYPES + "trainedAlgorithmicMedia"


def test_credentials_of_a_source_are_carried_forward_also_from_a_sidecar(footage, pictures, speech, talker, tmp_path):
    options: dict[str, Any] = {"model": talker, "fit": "silence"}
    first = generate(footage(pictures[:4]), speech, tmp_path / "first.mkv", **options)
    assert first.credentials.sidecar == sidecar_of(first.output)
    assert json.loads(first.to_json())["credentials"]["sidecar"] == str(tmp_path / "first.mkv.c2pa")
    assert store_of(first.output, first.credentials.sidecar)[0] == "Trusted"
    second = generate(first.output, speech, tmp_path / "second.mp4", **options)
    third = generate(second.output, speech, tmp_path / "third.mov", **options)
    state, store = store_of(third.output)
    assert state == "Trusted"
    assert len(store["manifests"]) == 3


def test_without_credentials_the_result_says_so_and_the_packets_are_the_same(
    footage, pictures, speech, talker, tmp_path
):
    options: dict[str, Any] = {"model": talker, "fit": "silence"}
    source = footage(pictures[:3])
    signed = generate(source, speech, tmp_path / "signed.mp4", **options)
    plain = generate(source, speech, tmp_path / "plain.mp4", **options, credentials=False)
    assert OFF in plain.notes
    assert OFF not in signed.notes
    assert plain.credentials.place == "off"
    with pytest.raises(credentials_library().C2paError):
        store_of(plain.output)
    assert packets_of(signed.output) == packets_of(plain.output)
    again = generate(source, speech, tmp_path / "again.mp4", **options, credentials=False)
    assert plain.output.read_bytes() == again.output.read_bytes()


def test_a_signature_that_fails_loses_no_work(footage, pictures, speech, talker, tmp_path, monkeypatch):
    source, output = footage(pictures[:3]), tmp_path / "out.mp4"
    options: dict[str, Any] = {"model": talker, "fit": "silence"}
    sign = Signer.sign

    def fail(*_: object, **__: object) -> None:
        raise SigningError("the authority does not answer")

    monkeypatch.setattr(Signer, "sign", fail)
    with pytest.raises(SigningError):
        generate(source, speech, output, **options)
    assert not output.exists()
    monkeypatch.setattr(Signer, "sign", sign)
    drawn: list[int] = []
    monkeypatch.setattr(pipeline, "write_segment", lambda *_: drawn.append(1))
    generate(source, speech, output, **options)
    assert not drawn, "the segments were drawn again"
    assert store_of(output)[0] == "Trusted"


def test_required_consent_is_asked_for_before_any_work(footage, pictures, speech, talker, tmp_path, monkeypatch):
    (tmp_path / "trust.toml").write_text("require_consent = true\n")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="requires a statement of consent; give it with --consent"):
        generate(footage(pictures[:3]), speech, tmp_path / "out.mp4", model=talker)
    assert not (tmp_path / "out.mp4").exists()
