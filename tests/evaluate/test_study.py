"""The human study: blind, balanced, and counted right."""

import json
import shutil

import pytest

from dithead.errors import DataError, OutputError
from dithead.evaluate.study import key_path, make_study, study_results, win_rate

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


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


@pytest.mark.parametrize("participants", [(None, None), ("p", "p"), (None, "p")])
def test_answers_that_were_saved_twice_count_once(folders, tmp_path, participants):
    make_study(folders, tmp_path / "study")
    files = copies(tmp_path, participants)
    result = study_results(tmp_path / "study", files)
    assert (result["people"], result["overall"]["ours"]["n"]) == (1, 6)
    assert result["notes"] == [f"{files[1]} repeats the answers of {files[0]}; they count once"]


def test_equal_answers_of_two_participants_count_twice(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    result = study_results(tmp_path / "study", copies(tmp_path, ("p", "q")))
    assert (result["people"], result["overall"]["ours"]["n"], result["notes"]) == (2, 12, [])


def test_other_answers_of_one_participant_are_refused(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    files = copies(tmp_path, ("p", "p"))
    files[1].write_text(files[1].read_text().replace('"left"', '"right"'))
    with pytest.raises(DataError, match=r"1\.json: has other answers of the participant of .*0\.json; leave one"):
        study_results(tmp_path / "study", files)


def copies(tmp_path, participants):
    """One set of answers in a file for each name of a participant."""
    content, files = json.loads(answers(tmp_path, side_of("ours")).read_text()), []
    for number, participant in enumerate(participants):
        files.append(tmp_path / f"{number}.json")
        files[-1].write_text(json.dumps(content | ({} if participant is None else {"participant": participant})))
    return files


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_saves_once_and_under_one_name(folders, tmp_path):
    page_file = make_study(folders, tmp_path / "study")
    files = []
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        saved = []
        page.on("download", lambda download: saved.append(download))
        page.goto(page_file.as_uri())
        for pair in range(1, 7):
            page.get_by_text(f"pair {pair} of 6").wait_for()
            page.locator("button:enabled[data-answer=left]").click()  # enabled, because the videos are none
        page.wait_for_timeout(500)
        page.reload()
        page.wait_for_timeout(500)
        assert len(saved) == 1, "reloading saves nothing"
        page.get_by_text("Save your answers").click()
        page.wait_for_timeout(500)
        for number, download in enumerate(saved):
            files.append(tmp_path / f"{number}.json")
            download.save_as(files[-1])
        assert len({download.suggested_filename for download in saved}) == 1
        browser.close()
    assert len(files) == 2
    result = study_results(tmp_path / "study", files)
    assert (result["people"], result["broken"], len(result["notes"])) == (1, 6, 1)
    assert len(json.loads(files[0].read_text())["participant"]) == 16


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"answers": {}}', '{"answers": [1]}'])
def test_what_is_no_file_of_answers_is_named(folders, tmp_path, text):
    make_study(folders, tmp_path / "study")
    (tmp_path / "list.json").write_text(text)
    with pytest.raises(DataError, match=r"list\.json: is no file of answers"):
        study_results(tmp_path / "study", [tmp_path / "list.json"])


def test_damaged_answers_and_keys_are_named(folders, tmp_path):
    make_study(folders, tmp_path / "study")
    file = answers(tmp_path, side_of("ours"))
    content = json.loads(file.read_text())
    content["answers"][0]["trial"] = ["t0000"]
    file.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"answers\.json: damaged"):
        study_results(tmp_path / "study", [file])
    key_path(tmp_path / "study").write_text("[]")
    with pytest.raises(DataError, match=r"study\.key\.json: is not the key of a study"):
        study_results(tmp_path / "study", [file])


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
