"""Every output is signed, wherever it is made; what is signed is what was done."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from dithead.errors import ConfigError, FaceError, SigningError
from dithead.inference.pipeline import generate
from dithead.inference.redrawn_spans import _merged_in_pairs
from dithead.models.talking_head import TalkingHead
from dithead.option_fields import MOST_SEED
from dithead.provenance.c2pa_library import credentials_library, offline_context
from dithead.provenance.consent import read_consent
from dithead.provenance.manifest import CONSENT, GENERATION, SOURCE_TYPES, WATERMARK, RedrawnSpan
from dithead.provenance.media_types import media_type_of, sidecar_of
from dithead.provenance.settings import FOLDER_VARIABLE
from dithead.provenance.sign import Signer
from dithead.provenance.switched_off import NO_CREDENTIALS
from dithead.provenance.watermark import SCHEME, Payload

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"


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
    result = generate(
        source, speech, output, model=talker, fit="silence", seed=MOST_SEED, consent="Mia agreed on 3 May."
    )
    assert (result.credentials.place, result.credentials.sidecar) == ("embedded", None)
    state, store = store_of(output)
    assert state == "Trusted"
    found = assertions_of(store)
    opened, edited, placed, marked = found["c2pa.actions.v2"]["actions"]
    assert [each["action"] for each in (opened, edited, placed, marked)] == [
        "c2pa.opened", "c2pa.edited", "c2pa.placed", "c2pa.watermarked.unbound",
    ]  # fmt: skip
    payload = Payload.of_model(talker.config.name, "video")
    assert marked["parameters"] == {
        WATERMARK: {"scheme": SCHEME, "payload": f"{payload.number:04x}", "key": "public"},
    }
    assert result.watermark == "public"
    assert edited["digitalSourceType"] == SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
    (change,) = edited["changes"]
    time, place = change["region"]
    assert (time["time"]["start"], time["time"]["end"]) == ("0.000", "0.480")
    shape = place["shape"]
    left, right = shape["origin"]["x"], shape["origin"]["x"] + shape["width"]
    assert 30 < left < 128 < right < 226  # the lower half of a centred face, 256 pixels wide with its surroundings
    assert found[GENERATION]["model"]["name"] == talker.config.name
    assert len(found[GENERATION]["model"]["parameters_sha256"]) == 64
    hashes = {each["name"]: each["sha256"] for each in found[GENERATION]["sources"]}
    assert hashes == {path.name: sha256(path.read_bytes()).hexdigest() for path in (source, speech)}
    assert found[GENERATION]["seed"] == MOST_SEED
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
    assert NO_CREDENTIALS in plain.notes
    assert NO_CREDENTIALS not in signed.notes
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
    monkeypatch.setattr(TalkingHead, "generate", None)  # nothing is drawn again: it would fail
    generate(source, speech, output, **options)
    assert store_of(output)[0] == "Trusted"


def test_required_consent_is_asked_for_before_any_work(footage, pictures, speech, talker, tmp_path, monkeypatch):
    (tmp_path / "trust.toml").write_text("require_consent = true\n")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="requires a statement of consent; give it with --consent"):
        generate(footage(pictures[:3]), speech, tmp_path / "out.mp4", model=talker)
    assert not (tmp_path / "out.mp4").exists()


def test_a_label_is_seen_in_every_frame_also_where_nothing_is_drawn(footage, pictures, speech, talker, tmp_path):
    from dithead.media.video import read_frames

    source = footage([*pictures[:3], np.full_like(pictures[0], 200)])
    options: dict[str, Any] = {"model": talker, "fit": "silence", "lossless": True}
    generate(source, speech, tmp_path / "plain.mp4", **options)
    result = generate(source, speech, tmp_path / "labelled.mp4", **options, label="zh")
    changed = [
        np.abs(a.pixels.astype(int) - b.pixels).max(axis=2) > 40
        for a, b in zip(read_frames(tmp_path / "plain.mp4"), read_frames(result.output), strict=True)
    ]
    assert all(each.any() for each in changed)
    rows = np.flatnonzero(np.any(changed, axis=0).any(axis=1))
    assert rows.max() - rows.min() < 40
    assert assertions_of(store_of(result.output)[1])[GENERATION]["label"] == "AI生成"
    with pytest.raises(ConfigError, match="no letter"):
        generate(source, speech, tmp_path / "arabic.mp4", **options, label="تم")


def test_a_denied_face_is_not_redrawn_and_another_is(footage, pictures, speech, talker, tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "configuration"))
    from itertools import islice

    from dithead.media.video import read_frames
    from dithead.provenance.deny_list import read_deny_list
    from dithead.provenance.face_pictures import embeddings_of

    source = footage(pictures[:3])
    deny_list = read_deny_list()
    other = footage([next(islice(read_frames(PRESENTERS / "ben.mp4"), 1)).pixels], "ben.mkv")
    deny_list.add("Ben", embeddings_of(other))
    deny_list.save()
    generate(source, speech, tmp_path / "out.mp4", model=talker, fit="silence")
    deny_list.add("Mia", embeddings_of(source))
    deny_list.save()
    with pytest.raises(FaceError, match=r"face 1, in frames 0 to 2, looks like 'Mia', who is on this installation's"):
        generate(source, speech, tmp_path / "denied.mp4", model=talker, fit="silence")
    assert not (tmp_path / "denied.mp4").exists()


def test_what_drives_the_lips_unheard_is_named_too(footage, pictures, speech, talker, tmp_path):
    from shutil import copy

    anna = Path(copy(speech, tmp_path / "anna.wav"))
    result = generate(
        footage(pictures[:3]), speech, tmp_path / "out.mp4", model=talker, fit="silence", speakers={1: anna}
    )
    store = store_of(result.output)[1]
    ingredients = store["manifests"][store["active_manifest"]]["ingredients"]
    assert {i["title"]: i["relationship"] for i in ingredients} == {
        "source.mkv": "parentOf", "speech.wav": "componentOf", "anna.wav": "inputTo",
    }  # fmt: skip


def test_long_outputs_have_few_spans_that_cover_everything():
    spans = [RedrawnSpan(1 + k % 2, float(k), k + 1.0, (k, 0, 10, 10)) for k in range(1000)]
    merged = sorted(spans)
    while len(merged) > 120:
        merged = _merged_in_pairs(merged)
    assert len(merged) <= 120
    for face in (1, 2):
        own = [span for span in merged if span.face == face]
        assert (own[0].start, own[-1].end) == (face - 1.0, 999.0 + face - 1)
        assert min(span.box[0] for span in own) == face - 1
        assert max(span.box[0] + span.box[2] for span in own) == 1008 + face - 1


def test_the_name_of_a_file_of_consent_that_is_not_there_is_no_statement(tmp_path):
    for given in ("agreed.txt", "papers/mia", tmp_path / "none.pdf"):
        with pytest.raises(ConfigError, match="no such file"):
            read_consent(given)
    for sentence in ("Mia agreed.", "Agreed", "Ja.", "Mia agreed on 3/5/2026."):
        assert read_consent(sentence).statement == sentence
