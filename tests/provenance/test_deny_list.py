"""A face on the operator's list is recognised, on this machine alone, and the list is its owner's alone."""

from __future__ import annotations

import stat
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from dithead.cli import app
from dithead.errors import ConfigError, FaceError
from dithead.media.contact_sheet import save_picture
from dithead.media.video import read_frames
from dithead.provenance.deny_list import read_deny_list
from dithead.provenance.face_pictures import embeddings_of

PRESENTERS = Path(__file__).parents[2] / "examples" / "presenters"


def test_an_empty_list_matches_nobody(configuration):
    deny_list = read_deny_list()
    assert deny_list.match(np.zeros(128, np.float32)) is None
    assert not deny_list.path.exists()


def test_the_nearest_face_within_the_distance_is_found(configuration):
    deny_list = read_deny_list()
    near, far = np.full(128, 0.02, np.float32), np.full(128, 0.1, np.float32)
    deny_list.add("near", [near])
    deny_list.add("far", [far])
    deny_list.save()
    assert stat.S_IMODE(deny_list.path.stat().st_mode) == 0o600
    again = read_deny_list()
    found = again.match(near + 0.01)
    assert found is not None
    assert found.name == "near"
    assert again.match(np.full(128, -0.1, np.float32)) is None
    assert again.remove("near") == 1
    assert [face.name for face in again.faces] == ["far"]


def test_a_list_that_is_named_must_exist_and_be_whole(configuration):
    configuration.mkdir()
    (configuration / "trust.toml").write_text('deny_list = "forbidden.json"\n')
    with pytest.raises(ConfigError, match="names this deny list, but there is none"):
        read_deny_list()
    assert read_deny_list(may_be_new=True).path == configuration / "forbidden.json"
    for content in ("[]", "{", '{"faces": [{"name": "a", "embedding": [1]}]}'):
        (configuration / "forbidden.json").write_text(content)
        with pytest.raises(ConfigError, match="is not a deny list"):
            read_deny_list()


def test_two_pictures_of_one_person_are_near_and_two_people_far(tmp_path):
    found = {}
    for name in ("mia", "ben"):
        frames = list(islice(read_frames(PRESENTERS / f"{name}.mp4"), 0, 40, 30))
        for k, frame in enumerate(frames):
            save_picture(frame.pixels, tmp_path / f"{name}{k}.png")
            (found[name, k],) = embeddings_of(tmp_path / f"{name}{k}.png")
    assert np.linalg.norm(found["mia", 0] - found["mia", 1]) < 0.4
    assert np.linalg.norm(found["mia", 0] - found["ben", 0]) > 0.6


def test_a_picture_without_a_face_is_refused(tmp_path):
    save_picture(np.full((96, 96, 3), 90, np.uint8), tmp_path / "wall.png")
    with pytest.raises(FaceError, match=r"wall\.png: shows no face"):
        embeddings_of(tmp_path / "wall.png")


def test_a_face_that_is_too_small_to_be_recognised_is_refused(tmp_path):
    large = next(read_frames(PRESENTERS / "mia.mp4")).pixels
    save_picture(cv2.resize(large, (24, 24), interpolation=cv2.INTER_AREA), tmp_path / "mia.png")
    with pytest.raises(FaceError, match="too small"):
        embeddings_of(tmp_path / "mia.png")


def test_the_command_adds_lists_and_removes(configuration, tmp_path):
    save_picture(next(read_frames(PRESENTERS / "mia.mp4")).pixels, tmp_path / "mia.png")
    run = CliRunner().invoke
    assert run(app, ["deny", "add", str(tmp_path / "mia.png"), "--name", "Mia"]).exit_code == 0
    assert run(app, ["deny", "list"]).stdout == "Mia  1 picture\n"
    refused = run(app, ["deny", "remove", "Ben"])
    assert refused.exit_code == 2
    assert run(app, ["deny", "remove", "Mia"]).exit_code == 0
    assert run(app, ["deny", "list"]).stdout == ""
