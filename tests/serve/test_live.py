"""Live speech over a websocket and a video call: the same sound back, frames in step, interruptions, reconnecting."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import httpx
import numpy as np
import pytest

pytest.importorskip("aiortc")

from websockets.exceptions import ConnectionClosed, InvalidStatus

from dithead.errors import FaceError
from dithead.inference.live_conversation import LiveCounts
from dithead.serve.live_hub import LiveHub, LiveLink
from dithead.serve.live_load import LiveLoad, cores
from dithead.serve.live_process import LiveProcess
from dithead.serve.routers.live import LARGEST_SPEECH

from .conftest import Server
from .live_server import Running, Talk, thread_for_process

RATE = 16000


@pytest.fixture
def start(
    make_server: Callable[..., Server], talker: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Running]]:
    monkeypatch.setattr(LiveHub, "_start", thread_for_process(talker))
    started: list[Running] = []

    def begin(**options: Any) -> Running:
        started.append(Running(make_server(**options)))
        return started[-1]

    yield begin
    for running in started:
        running.stop()


def wish(running: Running, files: dict[str, Path], name: str = "mia.mp4", **more: Any) -> dict[str, Any]:
    return {"video": {"upload": running.server.upload(files[name])["id"]}, "consent": True} | more


def tone(seconds: float, level: float = 0.3) -> bytes:
    t = np.arange(round(seconds * RATE)) / RATE
    return (32767 * level * np.sin(2 * np.pi * 300 * t)).astype("<i2").tobytes()


def test_the_same_speech_comes_back_with_frames_and_the_person_goes_on_listening(start, files):
    running = start()
    talk = Talk(running, wish(running, files))
    ready = talk.ready()
    assert (ready["type"], ready["width"], ready["height"], ready["fps"]) == ("ready", 256, 256, 25.0)
    assert 0.2 < ready["delay"] < 2
    speech = tone(1.0)
    came = time.monotonic()
    talk.socket.send(speech)
    talk.socket.send(json.dumps({"type": "finish"}))
    talk.until(lambda: talk.spoken)
    assert time.monotonic() - came < ready["delay"] + 1.5, "bounded"
    talk.until(lambda: np.count_nonzero(talk.heard) and not talk.heard[-RATE // 2 :].any())
    first = int(np.flatnonzero(talk.heard)[0])
    given = np.frombuffer(speech, "<i2")
    skipped = int(np.flatnonzero(given)[0])
    assert np.array_equal(talk.heard[first - skipped :][: len(given)], given), "sample by sample"
    assert [t for t, _ in talk.sounds] == pytest.approx(np.arange(len(talk.sounds)) * 0.04), "without a gap"
    assert [n for n, *_ in talk.pictures] == sorted({n for n, *_ in talk.pictures})
    assert all(abs(t - n / 25) < 1e-6 for n, t, _ in talk.pictures), "pictures and sound share one clock"
    picture = cv2.imdecode(np.frombuffer(talk.pictures[-1][2], np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (256, 256, 3)
    figures = [each for each in talk.statuses if each["type"] == "figures"]
    assert figures[-1]["latency"] < 2
    assert figures[-1]["drawn"] > 0
    assert 0 <= figures[-1]["rate"] <= 60
    assert sum(each["rate"] for each in figures) > 1, "frames a second"
    talk.socket.send(json.dumps({"type": "end"}))


def test_one_message_holds_much_speech_and_no_byte_of_it_is_lost(start, files, monkeypatch):
    came: list[bytes] = []
    monkeypatch.setattr(LiveLink, "speak", lambda _, pcm: came.append(pcm))
    running = start()
    talk = Talk(running, wish(running, files, name="mia.png", rate=48000))
    talk.ready()
    speech = tone(LARGEST_SPEECH / 2 / RATE)
    assert len(speech) == LARGEST_SPEECH
    talk.socket.send(speech)
    talk.until(lambda: came)
    assert came == [speech]
    talk.socket.send(speech + b"xx")
    talk.until(lambda: talk.statuses[-1]["type"] == "refused")
    assert talk.statuses[-1]["detail"].endswith("are too many for one message; send at most 8388608 in each")
    assert came == [speech]


def test_speech_beyond_five_waiting_minutes_is_refused_and_said(start, files):
    running = start()
    talk = Talk(running, wish(running, files, name="mia.png", rate=8000))
    talk.ready()
    talk.socket.send(bytes(2 * 8000 * 301))
    talk.until(lambda: talk.statuses[-1]["type"] == "refused")
    assert talk.statuses[-1]["detail"] == "more than 300 s of speech wait already; send the rest later"


def test_an_interruption_drops_what_is_queued(start, files):
    running = start()
    talk = Talk(running, wish(running, files))
    talk.ready()
    talk.socket.send(tone(20.0))
    talk.until(lambda: talk.spoken)
    talk.socket.send(json.dumps({"type": "interrupt"}))
    talk.until(lambda: len(talk.heard) > RATE and not talk.heard[-RATE // 2 :].any(), 30)
    assert np.count_nonzero(talk.heard) < 4 * RATE


def test_a_client_that_was_cut_off_comes_back_to_its_conversation(start, files):
    running = start()
    talk = Talk(running, wish(running, files, name="mia.png"))
    session = talk.ready()["session"]
    talk.until(lambda: talk.sounds)
    talk.socket.close()
    again = Talk(running, {"session": session})
    assert again.ready()["session"] == session
    again.until(lambda: again.sounds)
    assert again.sounds[0][0] > talk.sounds[-1][0], "it went on in the meantime"
    again.socket.send(json.dumps({"type": "end"}))
    with pytest.raises(ConnectionClosed):
        again.until(lambda: False, 20)
    gone = Talk(running, {"session": session}).ready()
    assert (gone["type"], gone["status"]) == ("error", 404)


def test_who_finds_no_room_is_told_so(start, files):
    running = start(live=1)
    first = Talk(running, wish(running, files))
    first.ready()
    second = Talk(running, wish(running, files))
    refused = second.ready()
    assert (refused["type"], refused["status"]) == ("busy", 503)
    assert "1 live places are taken" in refused["detail"]
    with pytest.raises(ConnectionClosed) as closed:
        second.take()
    assert closed.value.rcvd.code == 1013
    metrics = httpx.get(f"http://127.0.0.1:{running.port}/metrics").text
    assert "dithead_live_conversations 1.0" in metrics


@pytest.mark.parametrize("count", [3, pytest.param(8, marks=pytest.mark.slow)])
def test_several_conversations_share_one_person(start, files, count):
    running = start()
    same = wish(running, files)
    talks = [Talk(running, same) for _ in range(count)]
    said = [talk.ready()["type"] for talk in talks]
    assert set(said) <= {"ready", "busy"}
    admitted = [talk for talk, kind in zip(talks, said, strict=True) if kind == "ready"]
    assert admitted
    for talk in admitted:
        talk.socket.send(tone(0.4))
        talk.until(lambda talk=talk: talk.spoken)


def test_the_machine_is_busy_when_its_cores_are_or_frames_are_left_out():
    now = work = 0.0
    load = LiveLoad(lambda: now, lambda: work)
    assert not load.busy()
    counts = LiveCounts()
    load.add(1, counts)
    for _ in range(5):
        now, work = now + 1, work + 0.5
        counts.drawn += 25
        load.look()
    assert not load.busy()
    for _ in range(8):
        now, work = now + 1, work + 0.95 * cores()
        load.look()
    assert "cores are busy" in load.busy()
    for _ in range(8):
        now, work = now + 1, work + 0.2
        counts.drawn, counts.skipped = counts.drawn + 15, counts.skipped + 10
        load.look()
    assert "falls behind" in load.busy()
    load.remove(1)
    assert not load.busy(), "there is always room for the first"


def test_wrong_wishes_get_one_line(start, files):
    running = start()
    video = wish(running, files)
    for asked, status, line in (
        ("nonsense", 422, "invalid JSON"),
        ({"consent": True}, 422, "video"),
        (video | {"consent": False}, 422, "consent"),
        (video | {"rate": 16001}, 422, "rate"),
        (video | {"options": {"steps": 0}}, 422, "steps"),
        (video | {"options": {"crf": 10}}, 422, "crf"),
        ({"video": {"upload": "0" * 24}, "consent": True}, 404, "no such"),
        (wish(running, files, name="speech.wav"), 422, "speech.wav: has no video"),
    ):
        said = Talk(running, asked).ready()
        assert (said["type"], said["status"]) == ("error", status), said
        assert line.lower() in said["detail"].lower(), said
        assert "\n" not in said["detail"]


def test_a_server_that_requires_a_statement_of_consent_speaks_live(start, files, tmp_path, monkeypatch):
    monkeypatch.setenv("DITHEAD_CONFIG_DIR", str(tmp_path))
    (tmp_path / "trust.toml").write_text("require_consent = true\n")
    running = start()
    assert Talk(running, wish(running, files, name="mia.png")).ready()["type"] == "ready"


@pytest.fixture
def process(tmp_path, talker) -> LiveProcess:
    """A live process that starts no thread, with the tiny model."""
    folder = tmp_path / "live"
    folder.mkdir()
    made = LiveProcess({"tiny": "tiny"}, "cpu", folder)
    made._talkers["tiny"] = talker
    return made


def test_the_file_of_a_person_goes_when_nobody_needs_it_any_more(process, files, tmp_path, monkeypatch):
    monkeypatch.setattr("dithead.serve.live_process._HEADS", 1)  # people who are kept ready
    upload = tmp_path / "content.png"
    upload.write_bytes(files["mia.png"].read_bytes())
    talks = []
    for number in range(3):  # more than are kept ready, one of them in a conversation
        asked = {"key": str(number), "options": {"seed": number}, "path": str(upload), "name": "mia.png"}
        talks = talks or [process._prepared(asked)]
        process._prepared(asked)
    assert len(list(process.folder.iterdir())) == 2
    assert talks[0].head.clip.path.exists()
    talks.clear()
    assert len(list(process.folder.iterdir())) == 1
    process._heads.clear()
    assert not list(process.folder.iterdir())
    assert upload.exists()


def test_a_file_that_cannot_be_shown_is_not_kept_and_is_called_as_the_client_does(process, tmp_path):
    upload = tmp_path / "content"
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((256, 256, 3), 128, np.uint8))
    (tmp_path / "grey.png").rename(upload)
    with pytest.raises(FaceError, match=r"^grey.png: no usable face in any of its 100 frames \(no face\)"):
        process._prepared({"key": "grey", "options": {}, "path": str(upload), "name": "grey.png"})
    assert not list(process.folder.iterdir())


def test_nobody_speaks_without_a_key_or_from_another_site(start, files):
    running = start()
    asked = wish(running, files)
    key = running.server.state.keys.add("anna")
    assert Talk(running, asked).ready()["status"] == 401
    said = Talk(running, asked, additional_headers={"Authorization": f"Bearer {key}"}).ready()
    assert said["status"] == 404, "the upload belongs to the local user"
    with pytest.raises(InvalidStatus):
        Talk(running, asked, origin="https://evil.example")


def test_a_video_call_carries_picture_and_speech(start, files):
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.contrib.media import MediaPlayer

    running = start()
    asked = wish(running, files)

    async def call() -> tuple[Any, float, list[str]]:
        peer, told = RTCPeerConnection(), []
        channel = peer.createDataChannel("figures")
        channel.on("message", told.append)
        peer.addTrack(MediaPlayer(str(files["speech.wav"])).audio)
        peer.addTransceiver("video", direction="recvonly")
        tracks: dict[str, Any] = {}
        peer.on("track", lambda track: tracks.setdefault(track.kind, track))
        await peer.setLocalDescription(await peer.createOffer())
        async with httpx.AsyncClient(timeout=60) as client:
            body = asked | {"sdp": peer.localDescription.sdp}
            answer = await client.post(f"http://127.0.0.1:{running.port}/v1/live/call", json=body)
        assert answer.status_code == 200, answer.text
        await peer.setRemoteDescription(RTCSessionDescription(answer.json()["sdp"], "answer"))
        frame = await asyncio.wait_for(tracks["video"].recv(), 30)
        loudest = 0.0
        for _ in range(400):
            heard = await asyncio.wait_for(tracks["audio"].recv(), 30)
            loudest = max(loudest, float(np.abs(heard.to_ndarray()).max()))
            if loudest > 2000 and told:
                break
        channel.send(json.dumps({"type": "end"}))
        await asyncio.sleep(0.2)
        await peer.close()
        return frame, loudest, told

    frame, loudest, told = asyncio.run(call())
    assert (frame.width, frame.height) == (256, 256)
    assert loudest > 2000
    assert json.loads(told[0])["type"] == "figures"
    assert not running.server.state.live.links


def test_a_call_is_hung_up_when_its_conversation_has_ended():
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack

    from dithead.serve.live_call import answer_call

    async def call() -> None:
        peer, link = RTCPeerConnection(), SimpleNamespace(ended=asyncio.Event(), speak=lambda _: None)
        link.attach = link.detach = lambda _: None
        peer.createDataChannel("figures")
        peer.addTrack(AudioStreamTrack())
        peer.addTransceiver("video", direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        sdp = await answer_call(None, link, peer.localDescription.sdp)
        await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        try:
            await _state(peer, "connected")
            link.ended.set()  # the live process died
            await _state(peer, "closed")
        finally:
            await peer.close()
            while len(asyncio.all_tasks()) > 1:  # the server's side
                await asyncio.sleep(0.1)

    asyncio.run(call())


async def _state(peer: Any, wanted: str) -> None:
    """Wait until a connection has a state."""
    for _ in range(100):
        if peer.connectionState == wanted:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still {peer.connectionState}")


def test_an_offer_that_is_none_is_refused(start, files):
    running = start()
    body = wish(running, files) | {"sdp": "v=0 nothing"}
    answer = httpx.post(f"http://127.0.0.1:{running.port}/v1/live/call", json=body, timeout=60)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("sdp: ")
