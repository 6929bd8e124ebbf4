"""The page in a real Chromium: upload, click a face, run, play, step, download, cancel; languages, accessibility.

The server is a process of its own with the tiny model, as `dithead serve` starts it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dithead.checkpoint import save_model

from .processes import Cluster, until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)  # fmt: skip
LANGUAGES = {"en-US": "en", "de-DE": "de", "es-ES": "es", "zh-CN": "zh"}
PAGE = Path(str(package_files("dithead.serve"))) / "page"
TEXTS = {lang: json.loads((PAGE / "texts" / f"{lang}.json").read_text("utf-8")) for lang in LANGUAGES.values()}


def test_every_language_has_the_same_words_with_the_same_blanks():
    for lang, words in TEXTS.items():
        assert set(words) == set(TEXTS["en"]), lang
        for key, text in words.items():
            blanks = [set(re.findall(r"\{\w+\}", json.dumps(each))) for each in (text, TEXTS["en"][key])]
            assert blanks[0] == blanks[1], (lang, key)


def test_every_word_that_the_scripts_use_exists():
    source = "".join(path.read_text("utf-8") for path in [*PAGE.glob("*.js"), PAGE / "index.html"])
    used = set(re.findall(r'\bt\("([\w.]+)"', source)) | set(re.findall(r'data-(?:text|label)="(\w+)"', source))
    assert len(used) > 50
    assert used <= set(TEXTS["en"])


def test_the_page_fetches_nothing_from_elsewhere_and_has_no_inline_code():
    for path in PAGE.rglob("*.*"):
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//\w+\.\w+/|@import|innerHTML|eval\(", text), path.name
    assert not re.search(r"<script(?![^>]*src=)|style=|\son\w+=", (PAGE / "index.html").read_text("utf-8"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, talker: Any) -> Iterator[str]:
    """A running server with one worker and the tiny model."""
    folder = tmp_path_factory.mktemp("served")
    cluster = Cluster(folder, save_model(folder / "tiny", talker))
    cluster.serve(workers=1)
    try:
        cluster.ready()
        yield f"http://127.0.0.1:{cluster.port}/"
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Callable[..., Any]]:
    """Open the page; any message of the console or fault of a script fails the test."""
    problems: list[str] = []
    contexts: list[Any] = []

    def open_it(width: int = 1280, height: int = 900, locale: str = "en-US", scheme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height}, locale=locale, color_scheme=scheme, accept_downloads=True,
            permissions=["camera", "microphone"],
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.goto(address)
        page.wait_for_selector("h1")
        return page

    yield open_it
    for context in contexts:
        context.close()
    refused = ("status of 404", "status of 422")  # which the tests ask for
    assert not [line for line in problems if not any(each in line for each in refused)], problems


@pytest.fixture(scope="module")
def two_faces(tmp_path_factory: pytest.TempPathFactory, files: dict[str, Path]) -> Path:
    """A picture of two presenters side by side."""
    from dithead.media.video import read_frames

    presenters = Path(__file__).parents[2] / "examples" / "presenters"
    faces = [next(iter(read_frames(presenters / f"{name}.mp4"))).pixels for name in ("mia", "ben")]
    path = tmp_path_factory.mktemp("two") / "mia and ben.png"
    cv2.imwrite(str(path), np.hstack(faces)[..., ::-1])
    return path


def compose(page: Any, video: Path, audio: Path, settings: dict[str, str] | None = None) -> None:
    page.set_input_files("#face-file", video)
    page.set_input_files("#speech-file", audio)
    page.wait_for_selector(".face-picture img")
    page.locator("section[aria-labelledby=speech-title] .file-name").wait_for()
    if settings:
        page.locator("summary").click()
        for name, value in settings.items():
            field = page.locator(f"#option-{name}")
            field.select_option(value) if field.evaluate("e => e.tagName") == "SELECT" else field.fill(value)
    page.check("#consent")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_upload_click_a_face_run_play_step_download(open_page, files, two_faces):
    page = open_page()
    button = page.get_by_role("button", name="Make the video")
    assert button.is_disabled()
    compose(page, two_faces, files["speech.wav"])
    assert page.get_by_role("radio").count() == 3
    page.get_by_role("radio", name="Face 2").check()
    button.click()
    page.get_by_role("progressbar").wait_for()
    page.get_by_role("button", name="Download").or_(page.get_by_role("link", name="Download")).wait_for(timeout=120_000)
    video = page.locator("video[aria-label='The result']")
    until(lambda: video.evaluate("v => v.readyState >= 2"), 20)
    page.get_by_role("button", name="One frame forward").click()
    page.get_by_role("button", name="One frame forward").click()
    until(lambda: abs(video.evaluate("v => v.currentTime") - 2.5 / 25) < 0.001, 5)
    page.get_by_role("button", name="One frame back").click()
    until(lambda: abs(video.evaluate("v => v.currentTime") - 1.5 / 25) < 0.001, 5)
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: video.evaluate("v => v.ended || v.currentTime > 0.2"), 10)
    slider = page.get_by_role("slider", name=re.compile("How much of the picture"))
    slider.fill("80")
    assert page.locator(".frame").evaluate("f => f.style.getPropertyValue('--cut')") == "80%"
    page.get_by_text("artificial intelligence").first.wait_for(timeout=60_000)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == "mia-and-ben.mp4"
    assert Path(download.value.path()).stat().st_size > 1000
    job = page.url.rpartition("/")[2]
    options = page.evaluate("id => fetch(`/v1/jobs/${id}`).then((a) => a.json()).then((j) => j.options)", job)
    assert options["face"] == "2"
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("heading", name="Give a face something to say").wait_for()
    assert page.evaluate("id => fetch(`/v1/jobs/${id}`).then((a) => a.status)", job) == 404


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_cancel_and_an_error_and_speech_for_each_face(open_page, files, two_faces, tmp_path):
    page = open_page()
    page.set_input_files("#face-file", files["notes.txt"])
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert alert.inner_text().startswith("notes.txt: ")
    presenter = Path(__file__).parents[2] / "examples" / "presenters" / "ruth.mp4"
    compose(page, presenter, presenter)
    page.get_by_role("button", name="Make the video").click()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_text("This video was cancelled").wait_for(timeout=60_000)
    page.get_by_role("link", name="Make another").click()
    page.set_input_files("#face-file", two_faces)
    page.get_by_label("Each face has speech of its own").check()
    page.set_input_files("#speech-1", files["speech.wav"])
    page.get_by_text("speech.wav").wait_for()
    page.check("#consent")
    page.get_by_role("button", name="Make the video").click()
    page.get_by_role("link", name="Download").wait_for(timeout=120_000)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_record_from_camera_and_microphone_by_keyboard_alone(open_page):
    page = open_page()
    for section, kind in (("face-title", "video"), ("speech-title", "audio")):
        place = page.locator(f"section[aria-labelledby={section}]")
        record = place.get_by_role("button", name="Record")
        for _ in range(40):
            if record.evaluate("b => b === document.activeElement"):
                break
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Start").wait_for()
        page.keyboard.press("Enter")
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Stop and use").wait_for()
        page.keyboard.press("Enter")
        place.locator(".file-name, .error").first.wait_for(timeout=30_000)
        name = place.locator(".file-name")
        name.wait_for(timeout=30_000)
        assert name.inner_text().startswith("Recorded"), kind


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_every_language_and_size_is_readable_and_reachable(open_page, files, locale, width, scheme):
    page = open_page(width, 800, locale, scheme)
    words = TEXTS[LANGUAGES[locale]]
    assert page.locator("h1").inner_text() == words["composeTitle"]
    assert page.evaluate("document.documentElement.lang") == LANGUAGES[locale]
    page.locator("summary").click()
    if locale == "en-US":
        page.set_input_files("#face-file", files["mia.mp4"])
        page.wait_for_selector(".face-picture img")
    assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing is cut off at the side"
    assert page.evaluate(CHECKS) == []


CHECKS = (Path(__file__).parent / "accessibility_checks.js").read_text("utf-8")
"""Checks of our own: contrast of text (WCAG 2.2 AA), names of controls, size of targets, ids, headings."""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_checks_see_faults(open_page):
    page = open_page()
    page.evaluate("""() => {
        const main = document.querySelector("main");
        main.append(Object.assign(document.createElement("p"), { textContent: "pale", style: "color: #ccc" }));
        main.append(document.createElement("button"), document.createElement("img"), document.createElement("h1"));
    }""")
    faults = " ".join(page.evaluate(CHECKS))
    for fault in ("no name", "picture without text", "not one h1"):
        assert fault in faults


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("connection", ["socket", "call"])
def test_speak_live_interrupt_and_stop(open_page, files, connection):
    """The fake microphone beeps once a second; a recording is said besides."""
    page = open_page()
    page.get_by_role("link", name="Speak live").click()
    start = page.get_by_role("button", name="Start")
    assert start.is_disabled()
    page.set_input_files("#face-file", files["mia.mp4"])
    page.locator(".file-name").wait_for()
    page.select_option("#live-connection", connection)
    page.check("#live-consent")
    start.click()
    wait_until_live(page)
    until(lambda: re.fullmatch(r"\d+ ms", page.locator("#liveLatency").inner_text()), 60)
    assert 100 < int(page.locator("#liveLatency").inner_text().split()[0]) < 5000
    assert re.fullmatch(r"\d+ of 25", page.locator("#liveRate").inner_text())
    until(lambda: int(page.locator("#liveShown").inner_text().replace("–", "0")) > 3, 90)
    until(lambda: page.evaluate(COLOURS) > 20, 60)
    page.set_input_files("#live-recording", files["speech.wav"])
    page.get_by_role("button", name="Stop speaking").click()
    page.get_by_role("button", name="Mute microphone").click()
    assert page.get_by_role("button", name="Mute microphone").get_attribute("aria-pressed") == "true"
    assert page.evaluate(CHECKS) == []
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Start").wait_for()
    until(lambda: "conversations 0.0" in page.evaluate("fetch('/metrics').then((a) => a.text())"), 30)


def wait_until_live(page: Any) -> None:
    """Wait for the conversation; a line of error fails the test at once."""

    def state() -> str:
        assert page.locator("main .error").count() == 0, page.locator("main").inner_text()
        return page.locator("main .chip").inner_text().strip()

    until(lambda: state() == "Live", 180)


COLOURS = """() => {
    const shown = document.querySelector(".live");
    const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
    const brush = canvas.getContext("2d");
    brush.drawImage(shown, 0, 0, 64, 64);
    return new Set(brush.getImageData(0, 0, 64, 64).data).size;
}"""
"""How many different values the pixels of the person have: one in a black picture."""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_live_conversation_survives_a_broken_connection(open_page, files):
    page = open_page()
    page.goto(page.url.partition("#")[0] + "#/live")
    page.set_input_files("#face-file", files["mia.mp4"])
    page.locator(".file-name").wait_for()
    page.select_option("#live-voice", "recording")
    page.check("#live-consent")
    page.evaluate("""() => {
        const Real = window.WebSocket;
        window.sockets = [];
        window.WebSocket = class extends Real { constructor(...all) { super(...all); window.sockets.push(this); } };
    }""")
    page.get_by_role("button", name="Start").click()
    wait_until_live(page)
    page.evaluate("window.sockets[0].close()")
    page.locator(".chip", has_text="trying again").wait_for()
    wait_until_live(page)
    assert page.evaluate("window.sockets.length") == 2
    page.get_by_role("button", name="Stop", exact=True).click()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_consent_goes_into_the_credentials_and_the_watermark_is_looked_for(open_page, files):
    page = open_page()
    compose(page, files["mia.mp4"], files["speech.wav"])
    page.get_by_label("Who agreed, and to what?").fill("Mia agreed to this test.")
    page.get_by_role("button", name="Make the video").click()
    page.get_by_role("link", name="Download").wait_for(timeout=120_000)
    page.get_by_text("Mia agreed to this test.").wait_for(timeout=60_000)
    page.get_by_text("signed, and unchanged since").wait_for()
    page.get_by_role("button", name="Look for the invisible watermark").click()
    page.get_by_text(re.compile("^invisible watermark: ")).wait_for(timeout=90_000)
