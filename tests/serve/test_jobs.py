"""Jobs through the REST API: each becomes what ``dithead.generate`` makes, once, and can be followed and ended."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from dithead.inference.pipeline import generate
from dithead.inference.resume import WorkFolder
from dithead.option_fields import option_fields
from dithead.options import GenerateOptions
from dithead.provenance.verify import verify
from dithead.serve import job_run
from dithead.serve.database import JOBS
from dithead.serve.job_run import WorkerStopped
from dithead.serve.request_options import BY_SERVER, offered_options

from .conftest import events_of


def packets_of(path: Path) -> list[bytes]:
    """The encoded pictures and sounds of a file; its signature, which differs from run to run, is no part of them."""
    with av.open(str(path)) as media:
        return [bytes(packet) for packet in media.demux()]


def test_a_job_makes_the_pictures_and_sounds_of_the_call(server, files, talker, tmp_path):
    job = server.add(files, options={"fit": "cut", "seed": 3}, name="Mia says hello")
    assert job["state"] == "queued"
    assert job["progress"]["stage"] == "waiting"
    server.work()
    job = server.job(job["id"])
    assert (job["state"], job["attempts"], job["error"]) == ("done", 1, None)
    assert job["result"]["frames"] == 10
    assert job["result"]["file_name"] == "Mia-says-hello.mp4"
    generate(files["mia.mp4"], files["speech.wav"], tmp_path / "direct.mp4", model=talker, fit="cut", seed=3)
    answer = server.client.get(f"/v1/jobs/{job['id']}/result", params={"download": True})
    (tmp_path / "answer.mp4").write_bytes(answer.content)
    assert packets_of(tmp_path / "answer.mp4") == packets_of(tmp_path / "direct.mp4")
    assert verify(tmp_path / "answer.mp4", watermark=False).credentials.steps[0].consent.startswith("Whoever asked")
    assert answer.headers["content-disposition"] == 'attachment; filename="Mia-says-hello.mp4"'
    part = server.client.get(f"/v1/jobs/{job['id']}/result", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert server.client.get(f"/v1/jobs/{job['id']}/files/video").content == files["mia.mp4"].read_bytes()
    told = server.client.get(f"/v1/jobs/{job['id']}/credentials").json()["statements"]
    assert any("AI-generated" in sentence for sentence in told)


def test_every_option_is_offered_or_kept_by_the_server(server):
    """A new option is in the API at once; one whose value is a file needs a decision, which this test asks for."""
    offered = [each.name for each in offered_options()]
    assert set(offered) | set(BY_SERVER) == {each.name for each in option_fields(GenerateOptions)}
    schema = server.client.get("/openapi.json").json()["components"]["schemas"]["Options"]["properties"]
    assert set(schema) == {*offered, "model"}
    described = {each["name"]: each for each in server.client.get("/v1/info").json()["options"]}
    for each in option_fields(GenerateOptions):
        if each.name in offered:
            assert schema[each.name]["description"] == described[each.name]["help"] == each.metadata["help"]
            assert described[each.name]["default"] == each.default


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"crf": 99}, "options.crf: input should be less than or equal to 51"),
        ({"fit": "stretch"}, "options.fit: input should be 'bounce', 'loop', 'freeze', 'silence' or 'cut'"),
        ({"face": "nose"}, "face must be largest, left, right, all, a number from 1, or X,Y in pixels, not 'nose'"),
        (
            {"background": "nocolour"},
            "background must be the name of a colour, such as white, or #RRGGBB, not 'nocolour'",
        ),
        ({"speed": 2}, "options.speed: extra inputs are not permitted"),
        ({"device": "cuda"}, "options.device: extra inputs are not permitted"),
        ({"model": "/etc"}, "options.model: input should be 'small'"),
        ({"seed": 1.5}, "options.seed: input should be a valid integer"),
        (
            {"crf": 99, "speed": 2},
            "options.crf: input should be less than or equal to 51; options.speed: extra inputs are not permitted",
        ),
        ({"steps": 1001}, "options.steps: input should be less than or equal to 1000"),
        ({"batch": True}, "options.batch: input should be a valid integer"),
    ],
)
def test_a_wrong_option_is_one_line(server, files, options, line):
    answer = server.client.post("/v1/jobs", json=server.body(files, options=options))
    assert (answer.status_code, answer.json()) == (422, {"detail": line})


def test_what_does_not_fit_a_pattern_is_said_in_words(server, files):
    answer = server.client.post("/v1/jobs", json=server.body(files) | {"name": "a/b"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "name: must be one line without a slash")
    answer = server.client.get("/v1/jobs/nonsense")
    assert answer.json()["detail"] == "job_id: is no id, which has 24 characters of 0 to 9 and a to f"
    answer = server.client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "the request is invalid JSON")


def test_nothing_is_made_without_consent(server, files):
    body = server.body(files)
    for consent in (False, None):
        answer = server.client.post("/v1/jobs", json=body | {"consent": consent})
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith("consent: ")
    del body["consent"]
    assert server.client.post("/v1/jobs", json=body).json()["detail"] == "consent: field required"


def test_a_repeated_request_adds_nothing(server, files):
    body, key = server.body(files), {"Idempotency-Key": "monday-1"}
    first = server.client.post("/v1/jobs", json=body, headers=key)
    again = server.client.post("/v1/jobs", json=body, headers=key)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert len(server.client.get("/v1/jobs").json()["jobs"]) == 1
    other = server.client.post("/v1/jobs", json=body | {"name": "other"}, headers=key)
    assert other.status_code == 409


def test_a_bad_job_of_a_batch_stops_no_other(server, files):
    good = server.body(files)
    bad = good | {"audio": {"upload": "0" * 24}}
    batch = server.client.post("/v1/batches", json={"jobs": [good, bad, good]}).json()
    assert [item["error"] for item in batch["items"]] == [
        None, "there is no such upload; it may have been deleted", None
    ]  # fmt: skip
    listed = server.client.get("/v1/jobs", params={"batch": batch["id"]}).json()["jobs"]
    assert len(listed) == 2
    assert listed[0]["progress"]["ahead"] == 1


def test_pages_list_every_job_once_newest_first(server, files):
    body = server.body(files)
    made = [server.client.post("/v1/jobs", json=body | {"name": str(n)}).json()["id"] for n in range(5)]
    seen, before = [], {}
    while True:
        page = server.client.get("/v1/jobs", params={"limit": 2} | before).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == made[::-1]


def test_the_next_page_is_there_when_the_jobs_of_the_last_one_are_deleted(server, files):
    body = server.body(files)
    made = [server.client.post("/v1/jobs", json=body).json()["id"] for _ in range(5)]
    with server.state.engine.begin() as c:
        c.execute(JOBS.update().values(created=1764000000.1234567))  # all at once: then the id decides
    seen, before = [], {}
    while True:
        page = server.client.get("/v1/jobs", params={"limit": 2} | before).json()
        for job in page["jobs"]:
            seen.append(job["id"])
            server.client.post(f"/v1/jobs/{job['id']}/cancel")
            assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
        if page["next"] is None:
            break
        before = {"before": page["next"]}
    assert seen == sorted(made)


def test_a_page_may_begin_after_the_id_of_a_job(server, files):
    body = server.body(files)
    made = [server.client.post("/v1/jobs", json=body).json()["id"] for _ in range(3)]
    page = server.client.get("/v1/jobs", params={"before": made[2]}).json()
    assert [job["id"] for job in page["jobs"]] == [made[1], made[0]]
    assert server.client.get("/v1/jobs", params={"before": "0" * 24}).status_code == 404
    answer = server.client.get("/v1/jobs", params={"before": "yesterday"})
    assert answer.json()["detail"] == "before: is neither the id of a job nor the `next` of a page"


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(server, files):
    job = server.add(files)
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 409
    assert server.client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"] == "cancelled"
    server.runner.run(job["id"])
    assert server.job(job["id"])["state"] == "cancelled"
    answer = server.client.get(f"/v1/jobs/{job['id']}/result")
    assert (answer.status_code, answer.json()["detail"]) == (409, "mia: has no result; the job is cancelled")
    assert server.client.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert server.client.get(f"/v1/jobs/{job['id']}").status_code == 404


def test_a_running_job_is_cancelled_and_leaves_no_file(server, files, monkeypatch):
    job = server.add(files)
    seen = []

    def cancel_when_drawing(self, what, done, total):
        self.check(self.path.parent)
        if what == "drawing mouths" and not seen:
            seen.append(server.client.post(f"/v1/jobs/{job['id']}/cancel").json()["state"])

    monkeypatch.setattr(job_run.ProgressFile, "report", cancel_when_drawing)
    server.work()
    assert seen == ["cancelling"]
    assert server.job(job["id"])["state"] == "cancelled"
    assert not server.state.storage.job(job["id"]).exists()


def test_progress_is_polled_and_streamed_until_the_end(server, files, monkeypatch):
    job = server.add(files)
    polled = []
    original = job_run.ProgressFile.report

    def report(self, what, done, total):
        self.written = -1.0
        original(self, what, done, total)
        polled.append(server.job(job["id"])["progress"])

    monkeypatch.setattr(job_run.ProgressFile, "report", report)
    server.work()
    assert {each["stage"] for each in polled} == {"finding the face", "drawing mouths"}
    fractions = [each["fraction"] for each in polled]
    assert fractions == sorted(fractions)
    assert fractions[-1] > 0.8
    stream = server.client.get(f"/v1/jobs/{job['id']}/events")
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert events_of(stream.text)[-1]["state"] == "done"


def test_a_failed_job_has_the_line_of_the_command_with_the_clients_names(server, files, tmp_path):
    import cv2
    import numpy as np

    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 128, np.uint8))
    video, audio = server.upload(tmp_path / "wall.png"), server.upload(files["speech.wav"])
    job = server.add(files, video={"upload": video["id"]}, audio={"upload": audio["id"]})
    server.work()
    job = server.job(job["id"])
    assert job["state"] == "failed"
    assert job["error"].startswith("wall.png: no ")
    assert str(server.state.storage.data) not in job["error"]


def test_a_fault_of_ours_fails_the_job_and_not_the_worker(server, files, monkeypatch):
    job = server.add(files)
    monkeypatch.setattr("dithead.inference.pipeline.generated", lambda *_, **__: 1 / 0)
    server.work()
    assert server.job(job["id"])["error"].startswith("a fault of dithead stopped the job")


def test_a_stopped_worker_leaves_the_job_to_the_next_which_ends_with_the_same_bytes(
    server, files, talker, tmp_path, monkeypatch
):
    monkeypatch.setattr("dithead.inference.output_segments.SEGMENT", 4)
    job = server.add(files)
    original = job_run.ProgressFile.report

    def stop_at_nine(self, what, done, total):
        if (what, done) == ("drawing mouths", 9):
            server.runner.stop.set()
            self.written = -1.0
        original(self, what, done, total)

    monkeypatch.setattr(job_run.ProgressFile, "report", stop_at_nine)
    with pytest.raises(WorkerStopped):
        server.work()
    assert server.job(job["id"])["state"] == "running"
    folder = server.state.storage.job(job["id"])
    kept = list(folder.glob(".result.mp4.dithead/*.segment"))
    assert kept
    monkeypatch.setattr(job_run.ProgressFile, "report", original)
    server.runner.stop.clear()
    server.runner.run(job["id"])
    job = server.job(job["id"])
    assert (job["state"], job["attempts"]) == ("done", 2)
    generate(files["mia.mp4"], files["speech.wav"], tmp_path / "direct.mp4", model=talker, fit="cut")
    assert packets_of(folder / "result.mp4") == packets_of(tmp_path / "direct.mp4")


def test_a_job_that_ended_is_not_done_again(server, files, quick):
    job = server.add(files)
    server.work()
    server.runner.run(job["id"])
    assert (server.job(job["id"])["attempts"], len(quick)) == (1, 1)


def test_a_result_that_was_finished_before_the_worker_died_is_kept(server, files, quick, monkeypatch):
    """The worker dies between the video and the row that says so."""
    job = server.add(files)
    with monkeypatch.context() as patch:
        patch.setattr(server.runner, "_end", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            server.work()
    server.runner.run(job["id"])
    assert (server.job(job["id"])["state"], len(quick)) == ("done", 1)


@pytest.mark.parametrize("moment", ["before its note", "while its segments are removed"])
def test_a_video_whose_worker_died_right_after_it_was_whole_is_not_made_again(server, files, monkeypatch, moment):
    """Same bytes, and so the same signature; nothing is drawn, joined or signed a second time."""
    job = server.add(files)
    folder = server.state.storage.job(job["id"])
    with monkeypatch.context() as patch:
        patch.setattr(WorkFolder, "_remove", _die_amid_removal if "segments" in moment else WorkFolder._remove)
        if "note" in moment:
            patch.setattr(job_run, "write_json", _die_before("result.json", job_run.write_json))
            patch.setattr(WorkFolder, "__exit__", lambda work, *_: work._lock.close())  # nobody tidies up
        with pytest.raises(SystemExit):
            server.work()
    made = (folder / "result.mp4").read_bytes()
    if "segments" in moment:
        (folder / "result.json").unlink()
    monkeypatch.setattr("dithead.inference.pipeline.write_output", lambda *_: 1 / 0)
    server.runner.run(job["id"])
    job = server.job(job["id"])
    assert (job["state"], job["attempts"], job["result"]["frames"]) == ("done", 2, 10)
    assert (folder / "result.mp4").read_bytes() == made
    assert verify(folder / "result.mp4", watermark=False).verdict == "intact"
    assert not list(folder.glob(".result*"))


def _die_before(name, write):
    def die(path, value):
        if path.name == name:
            raise SystemExit
        write(path, value)

    return die


def _die_amid_removal(work):
    work.files.segments()[0].unlink()
    work._lock.close()
    raise SystemExit


def test_a_job_that_kills_its_worker_again_and_again_is_given_up(server, files):
    job = server.add(files)
    folder = server.state.storage.job(job["id"])
    (folder / "deaths.json").write_text(json.dumps({"segments": 0, "deaths": job_run.MOST_DEATHS - 1}))
    server.work()
    assert server.job(job["id"])["error"].startswith("mia.mp4: the worker died 10 times over it")


def test_speakers_have_speech_of_their_own(server, files):
    speech = server.upload(files["speech.wav"], "ben.wav")
    job = server.add(files, speakers={"1": {"upload": speech["id"]}})
    assert job["inputs"]["speaker 1"]["name"] == "ben.wav"
    server.work()
    assert server.job(job["id"])["state"] == "done"
    job = server.add(files, audio=None, speakers={"1": {"upload": speech["id"]}}, background_sound="source")
    assert job["options"]["background_sound"] == "source"
    answer = server.client.post("/v1/jobs", json=server.body(files, audio=None))
    assert answer.json()["detail"] == "give audio, or speakers with speech of their own"
    job = server.add(files, speakers={"7": {"upload": speech["id"]}})
    server.work()
    assert "no face 7" in server.job(job["id"])["error"]


def test_a_picture_and_a_video_as_speech_are_taken(server, files):
    picture, speech = server.upload(files["mia.png"]), server.upload(PRESENTER, "ruth.mp4")
    assert picture["media"]["kind"] == "picture"
    job = server.add(files, video={"upload": picture["id"]}, audio={"upload": speech["id"]}, options={"end": 0.4})
    assert job["inputs"]["audio"]["kind"] == "video"
    for role, upload in (("audio", picture), ("video", server.upload(files["speech.wav"]))):
        answer = server.client.post("/v1/jobs", json=server.body(files, **{role: {"upload": upload["id"]}}))
        assert answer.status_code == 422
        assert "; give a file with " in answer.json()["detail"]


PRESENTER = Path(__file__).parents[2] / "examples" / "presenters" / "ruth.mp4"
