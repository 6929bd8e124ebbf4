// The view of live speech: whose face, which voice; then the person, how long speech takes to be seen, and what can be done.

import { announce, errorBox, icon, make, setIcon } from "./dom.js";
import { CallTalk } from "./live_call.js";
import { SocketTalk } from "./live_socket.js";
import { picker } from "./picker.js";
import { t } from "./texts.js";

const RATES = [48000, 44100, 32000, 24000, 16000]; // that the server takes and sound cards have

// Returns the view and a function that ends what goes on in it.
export function liveView() {
  const view = make("div", { class: "stack" });
  let end = () => {};
  const begin = (wish) => { end = talkView(view, wish, () => { end = () => {}; view.replaceChildren(askView(begin)); }); };
  view.replaceChildren(window.AudioWorkletNode ? askView(begin) : errorBox(t("liveOld")));
  return [view, () => end()];
}

function askView(begin) {
  const face = picker({ number: "1", key: "face", symbol: "face", accept: "video/*,image/*,.mkv,.heic", record: "video" }, refresh);
  const voice = choice("voice", ["microphone", "recording"]);
  const connection = choice("connection", ["socket", "call"]);
  const consent = make("input", { type: "checkbox", id: "live-consent", onchange: refresh });
  const button = make("button", { class: "primary wide", type: "submit", text: t("liveStart"), "aria-describedby": "live-missing" });
  const missing = make("p", { class: "soft small", id: "live-missing" });

  function refresh() {
    const lacks = face.upload ? (consent.checked ? null : "missingConsent") : "missingFace";
    button.disabled = Boolean(lacks);
    missing.textContent = t(lacks ?? "liveReady");
  }

  const send = (event) => {
    event.preventDefault();
    begin({ upload: face.upload.id, voice: voice.value(), connection: connection.value() });
  };
  refresh();
  return make("form", { class: "stack", onsubmit: send, novalidate: true },
    make("div", {}, make("h1", { tabindex: "-1", text: t("liveTitle") }), make("p", { class: "lead", text: t("liveLead") })),
    face.element,
    make("div", { class: "choices" }, voice.element, connection.element),
    make("div", { class: "consent" }, make("label", { class: "check", for: "live-consent" }, consent, make("span", { text: t("liveConsent") }))),
    make("div", { class: "go" }, button, missing));
}

function choice(key, values) {
  const input = make("select", { id: `live-${key}` }, values.map((value) => make("option", { value, text: t(`${key}.${value}`) })));
  return { element: make("div", { class: "setting" }, make("label", { for: `live-${key}`, text: t(key) }), input), value: () => input.value };
}

// Shows the conversation; returns a function that ends it.
function talkView(view, wish, onEnd) {
  const isCall = wish.connection === "call";
  const screen = isCall ? make("video", { class: "live", autoplay: true, playsInline: true, "aria-label": t("livePicture") })
    : make("canvas", { class: "live", role: "img", "aria-label": t("livePicture"), width: 512, height: 512 });
  const state = make("span", { class: "chip", "data-state": "running" });
  const figures = ["liveLatency", "liveRate", "liveShown", "liveLeftOut"].map((key) => [make("dt", { text: t(key) }), make("dd", { id: key, text: "–" })]);
  const problem = make("div");
  const slow = make("p", { class: "soft small", hidden: true });
  const sound = toggle("sound", "mute", (isOn) => { talk?.mute(isOn); setIcon(sound, isOn ? "silent" : "sound"); });
  const hush = make("button", { type: "button", text: t("interrupt"), disabled: true, onclick: () => { voice?.hush(); talk?.say("interrupt"); } });
  const file = make("input", { type: "file", id: "live-recording", accept: "audio/*,video/*" });
  const speak = make("label", { class: "button", for: "live-recording", text: t("sayRecording") });
  const silence = toggle("wave", "muteMicrophone", (isOn) => voice?.mute(isOn));
  silence.hidden = wish.voice !== "microphone";
  const close = make("button", { type: "button", class: "plain bad", text: t("liveStop"), onclick: () => { stop(); onEnd(); } });
  let talk = null;
  let voice = null;
  let slowSeconds = 0;

  function tell(key) {
    state.replaceChildren(icon(key === "live.live" ? "done" : "running"), t(key));
    announce(t(key));
  }

  function refuse(line) {
    problem.replaceChildren(errorBox(line));
    state.hidden = true;
  }

  function stop() {
    talk?.stop();
    voice?.close();
  }

  const on = {
    ready: () => { tell("live.live"); hush.disabled = false; problem.replaceChildren(); },
    figures: (now) => {
      document.getElementById("liveLatency").textContent = t("milliseconds", { count: Math.round(now.latency * 1000) });
      document.getElementById("liveRate").textContent = t("rateOf", { now: Math.round(now.rate), full: Math.round(now.fps) });
      slowSeconds = now.rate < 0.8 * now.fps ? slowSeconds + 1 : 0;
      slow.hidden = slowSeconds < 3;
      document.getElementById("liveShown").textContent = String(now.drawn + now.kept);
      document.getElementById("liveLeftOut").textContent = String(now.skipped);
    },
    refused: refuse,
    reconnecting: () => tell("live.reconnecting"),
    ended: () => { if (!problem.firstChild) tell("live.ended"); hush.disabled = true; },
  };

  async function start() {
    tell("live.connecting");
    try {
      voice = await openVoice(wish.voice === "microphone", isCall, (samples) => talk?.speak(samples));
    } catch {
      refuse(t("noDevice"));
      return;
    }
    if (!view.isConnected) { voice.close(); return; }
    const asked = { video: { upload: wish.upload }, consent: true, rate: voice.context.sampleRate, real_time: wish.voice === "microphone" };
    tell("live.preparing");
    talk = isCall ? new CallTalk(asked, voice.stream, screen, on) : new SocketTalk(asked, voice.context, screen, on);
  }

  file.addEventListener("change", async () => {
    const chosen = file.files[0];
    if (!chosen || !voice) return;
    try {
      const wave = await voice.context.decodeAudioData(await chosen.arrayBuffer());
      voice.say(wave);
      if (!isCall) talk?.say("finish");
    } catch {
      problem.replaceChildren(errorBox(t("noPreview")));
    }
    file.value = "";
  });
  view.replaceChildren(
    make("div", { class: "row spread" }, make("h1", { tabindex: "-1", text: t("liveTitle") }), state),
    problem,
    make("section", { class: "card", "aria-label": t("livePicture") },
      make("div", { class: "stage" }, screen, make("span", { class: "tag left", text: t("synthetic") })),
      make("dl", { class: "live-figures" }, figures.map((pair) => make("div", {}, ...pair))),
      make("div", { class: "row live-actions" }, make("span", {}, file, speak), hush, silence, sound, close)),
    slow, make("p", { class: "soft small", text: t("headphones") }));
  slow.textContent = t("liveSlow");
  view.querySelector("h1").focus({ preventScroll: true });
  start();
  return stop;
}

function toggle(symbol, key, onChange) {
  const button = make("button", { type: "button", class: "icon", "aria-pressed": "false", "aria-label": t(key), title: t(key) }, icon(symbol));
  button.addEventListener("click", () => {
    const isOn = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isOn));
    onChange(isOn);
  });
  return button;
}

// Opens the microphone, or nothing but recordings. `give` gets 16-bit samples; a call gets a stream instead.
async function openVoice(hasMicrophone, isCall, give) {
  const device = hasMicrophone ? await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } }) : null;
  let context = new AudioContext();
  if (!RATES.includes(context.sampleRate)) context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const mixed = context.createGain();
  const sent = context.createMediaStreamDestination();
  const gate = context.createGain();
  gate.connect(mixed);
  if (device) context.createMediaStreamSource(device).connect(gate);
  if (isCall) mixed.connect(sent);
  else if (device) {
    await context.audioWorklet.addModule("/page/live_microphone.js");
    const worklet = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    worklet.port.onmessage = ({ data }) => { if (gate.gain.value) give(data); };
    mixed.connect(worklet);
  }
  let playing = null;
  const say = (wave) => {
    if (isCall) {
      playing = context.createBufferSource();
      playing.buffer = wave;
      playing.connect(mixed);
      playing.start();
    } else for (const piece of pieces(wave)) give(piece);
  };
  const close = () => {
    for (const track of device?.getTracks() ?? []) track.stop();
    setTimeout(() => context.close(), 500);
  };
  return { context, stream: sent.stream, say, close, hush: () => playing?.stop(), mute: (isMuted) => { gate.gain.value = isMuted ? 0 : 1; } };
}

// A recording as 16-bit mono in pieces of a second.
function* pieces(wave) {
  const mono = new Int16Array(wave.length);
  for (let k = 0; k < wave.length; k++) {
    let sum = 0;
    for (let channel = 0; channel < wave.numberOfChannels; channel++) sum += wave.getChannelData(channel)[k];
    mono[k] = Math.max(-1, Math.min(1, sum / wave.numberOfChannels)) * 32767;
  }
  for (let k = 0; k < mono.length; k += wave.sampleRate) yield mono.slice(k, k + wave.sampleRate);
}
