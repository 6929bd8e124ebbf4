"""The human study: blind, balanced, and counted right."""

import json

import pytest

from dithead.errors import DataError, OutputError
from dithead.evaluate.study import key_path, make_study, study_results, win_rate


@pytest.fixture
def folders(tmp_path):
    for tool in ("ours", "theirs"):
        (tmp_path / tool).mkdir()
        for clip in ("a", "b", "c", "d", "e", "f"):
            (tmp_path / tool / f"{clip}.mp4").write_bytes(f"{tool}{clip}".encode())
    (tmp_path / "ours" / "only_here.mp4").write_bytes(b"x")
    return {name: tmp_path / name for name in ("ours", "theirs")}


def answers(tmp_path, choose, study=None):
    key = json.loads(key_path(tmp_path / "study").read_text())
    content = {
        "study": study or key["study"],
        "answers": [{"trial": t, "choice": choose(entry), "seconds": 1.0} for t, entry in key["trials"].items()],
    }
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(content))
    return path


def side_of(name):
    return lambda entry: "left" if entry["left"] == name else "right"


def test_the_folder_that_is_sent_out_says_nothing(folders, tmp_path):
    page = make_study(folders, tmp_path / "study")
    text = page.read_text()
    sent = [p.name for p in (tmp_path / "study").rglob("*")]
    assert "ours" not in text
    assert "theirs" not in text
    assert not any("key" in name or "ours" in name for name in sent)
    assert len(list((tmp_path / "study" / "videos").iterdir())) == 12


def test_every_pair_is_asked_once_and_sides_change(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    trials = json.loads(key_path(tmp_path / "study").read_text())["trials"].values()
    assert sorted(t["clip"] for t in trials) == list("abcdef")
    assert {t["left"] for t in trials} == {"ours", "theirs"}


def test_the_key_names_the_right_videos(folders, tmp_path):
    page = make_study(folders, tmp_path / "study")
    start = page.read_text().index("const study = ") + len("const study = ")
    study, _ = json.JSONDecoder().raw_decode(page.read_text()[start:])
    key = json.loads(key_path(tmp_path / "study").read_text())["trials"]
    for trial in study["trials"]:
        entry = key[trial["id"]]
        content = (tmp_path / "study" / trial["left"]).read_bytes().decode()
        assert content == entry["left"] + entry["clip"]


def test_a_tool_that_is_always_chosen_wins_all(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    result = study_results(tmp_path / "study", [answers(tmp_path, side_of("ours"))])
    assert result["overall"]["ours"]["rate"] == 1
    assert result["overall"]["theirs"]["rate"] == 0
    assert result["overall"]["ours"]["n"] == 6


def test_no_difference_counts_half(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    result = study_results(tmp_path / "study", [answers(tmp_path, lambda _: "same")])
    assert result["overall"]["theirs"]["rate"] == 0.5


def test_a_pair_that_could_not_be_played_does_not_count(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    file = answers(tmp_path, side_of("ours"))
    content = json.loads(file.read_text())
    content["answers"][0]["broken"] = True
    file.write_text(json.dumps(content))
    result = study_results(tmp_path / "study", [file])
    assert (result["broken"], result["overall"]["ours"]["n"]) == (1, 5)


def test_what_browsers_do_not_play_is_named(folders, tmp_path):
    (folders["ours"] / "a.mp4").rename(folders["ours"] / "a.mpg")
    with pytest.raises(DataError, match=r"a\.mpg: browsers do not play \.mpg"):
        make_study(folders, tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_wilson_interval_by_hand():
    low, high = win_rate([1.0] * 8 + [0.0] * 2)["ci"]
    assert (low, high) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))


def test_answers_to_another_study_are_refused(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    with pytest.raises(DataError, match="another study"):
        study_results(tmp_path / "study", [answers(tmp_path, lambda _: "same", study="other")])


def test_an_unknown_choice_is_refused(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    with pytest.raises(DataError, match="damaged"):
        study_results(tmp_path / "study", [answers(tmp_path, lambda _: "clip")])


def test_no_common_clip_and_an_existing_output_are_errors(folders, tmp_path):
    with pytest.raises(DataError, match="two folders"):
        make_study({"ours": folders["ours"]}, tmp_path / "study")
    make_study(folders, tmp_path / "study")
    with pytest.raises(OutputError, match="already"):
        make_study(folders, tmp_path / "study")
