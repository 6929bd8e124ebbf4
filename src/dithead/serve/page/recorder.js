// Records from the camera or the microphone in a dialog; gives back a file, or null where nothing was recorded.

import { errorBox, make } from "./dom.js";
import { duration, t } from "./texts.js";

const VIDEO = ["video/mp4;codecs=avc1", "video/webm;codecs=vp9,opus", "video/webm"];
const SOUND = ["audio/mp4", "audio/webm;codecs=opus", "audio/ogg"];

export async function record(kind) {
  const dialog = make("dialog", { "aria-labelledby": "record-title" });
  const result = new Promise((done) => dialog.addEventListener("close", () => done(dialog.file ?? null)));
  document.body.append(dialog);
  const closing = make("button", { type: "button", text: t("close"), onclick: () => dialog.close() });
  dialog.append(make("div", { class: "stack" }, make("h2", { id: "record-title", text: t(kind === "video" ? "recordVideo" : "recordSpeech") }), closing));
  dialog.showModal();
  let stream = null;
  try {
    stream = await navigator.mediaDevices.getUserMedia(
      kind === "video" ? { video: { width: { ideal: 1280 }, facingMode: "user" }, audio: true } : { audio: true },
    );
    if (dialog.open) fill(dialog, kind, stream);
  } catch {
    dialog.firstChild.insertBefore(errorBox(t("noDevice")), closing);
  }
  const file = await result;
  for (const track of stream?.getTracks() ?? []) track.stop();
  dialog.remove();
  return file;
}

function fill(dialog, kind, stream) {
  const types = kind === "video" ? VIDEO : SOUND;
  const recorder = new MediaRecorder(stream, { mimeType: types.find((type) => MediaRecorder.isTypeSupported(type)) });
  const pieces = [];
  const clock = make("span", { class: "soft", role: "timer", text: duration(0) });
  let began = 0;
  const ticking = setInterval(() => { if (began) clock.textContent = duration((Date.now() - began) / 1000); }, 250);
  recorder.ondataavailable = (event) => pieces.push(event.data);
  recorder.onstop = () => {
    clearInterval(ticking);
    const type = recorder.mimeType.split(";")[0];
    const name = `${t(kind === "video" ? "recordedVideo" : "recordedSpeech")}.${type.split("/")[1]}`;
    dialog.file = new File(pieces, name, { type });
    dialog.close();
  };
  dialog.addEventListener("close", () => clearInterval(ticking));
  const button = make("button", { type: "button", class: "primary rec", text: t("startRecording") });
  button.onclick = () => {
    if (recorder.state === "recording") return recorder.stop();
    began = Date.now();
    recorder.start(1000);
    button.textContent = t("stopRecording");
  };
  const cancel = make("button", { type: "button", class: "plain", text: t("cancel"), onclick: () => dialog.close() });
  dialog.firstChild.replaceChildren(
    dialog.querySelector("h2"),
    kind === "video" ? preview(stream) : meter(stream, dialog),
    make("p", { class: "soft small", text: t(kind === "video" ? "recordVideoHint" : "recordSpeechHint") }),
    make("div", { class: "row spread" }, make("div", { class: "row" }, button, clock), cancel),
  );
  button.focus();
}

function preview(stream) {
  const video = make("video", { muted: true, autoplay: true, playsInline: true, "aria-label": t("preview") });
  video.srcObject = stream;
  return make("div", { class: "screen" }, video);
}

function meter(stream, dialog) {
  const bar = make("i");
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const draw = () => {
    if (!dialog.open) { context.close(); return; }
    analyser.getFloatTimeDomainData(samples);
    const level = Math.sqrt(samples.reduce((sum, value) => sum + value * value, 0) / samples.length);
    bar.style.setProperty("--level", Math.min(1, level * 5).toFixed(3));
    requestAnimationFrame(draw);
  };
  requestAnimationFrame(draw);
  return make("div", { class: "screen" }, make("div", { class: "meter" }, bar));
}
