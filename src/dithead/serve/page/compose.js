// The view in which a video is asked for: a face, speech, consent.

import { ApiError, ask } from "./api.js";
import { errorBox, make } from "./dom.js";
import { facesPanel } from "./faces.js";
import { picker } from "./picker.js";
import { settingsPanel } from "./settings.js";
import { t } from "./texts.js";

export function composeView(info, onCreated) {
  const faces = facesPanel(refresh);
  let shown = null;
  const video = picker({ number: "1", key: "face", symbol: "face", accept: "video/*,image/*,.mkv,.heic", record: "video" }, (place) => {
    if (place.upload?.id === shown) return refresh();
    shown = place.upload?.id ?? null;
    if (shown) faces.show(shown); else faces.hide();
    refresh();
  });
  const audio = picker({ number: "2", key: "speech", symbol: "wave", accept: "audio/*,video/*,.mkv", record: "audio" }, refresh);
  const settings = settingsPanel(info);
  const consent = make("input", { type: "checkbox", id: "consent", onchange: refresh });
  const who = make("input", { class: "text", id: "consent-who", maxlength: "2000", autocomplete: "off", placeholder: t("consentExample") });
  const button = make("button", { class: "primary wide", type: "submit", text: t("make") });
  const missing = make("p", { class: "soft small", id: "missing" });
  button.setAttribute("aria-describedby", "missing");
  const problem = make("div");

  function refresh() {
    const speaks = audio.upload || Object.keys(faces.speakers).length;
    const wanted = [[video.upload, "missingFace"], [speaks, "missingSpeech"], [consent.checked, "missingConsent"]];
    const first = wanted.find(([there]) => !there);
    button.disabled = Boolean(first);
    missing.textContent = first ? t(first[1]) : t("readyToMake");
  }

  async function send(event) {
    event.preventDefault();
    button.disabled = true;
    problem.replaceChildren();
    const options = settings.values();
    if (faces.face !== "largest" && !Object.keys(faces.speakers).length) options.face = faces.face;
    const request = { video: { upload: video.upload.id }, speakers: faces.speakers, options, consent: consent.checked };
    if (who.value.trim()) request.consent_statement = who.value.trim();
    if (audio.upload) request.audio = { upload: audio.upload.id };
    try {
      onCreated(await ask("POST", "/v1/jobs", request, { "Idempotency-Key": crypto.randomUUID() }));
    } catch (error) {
      problem.replaceChildren(errorBox(error instanceof ApiError ? error.message : t("broken")));
      refresh();
    }
  }

  refresh();
  return make("form", { class: "stack", onsubmit: send, novalidate: true },
    make("div", {}, make("h1", { tabindex: "-1", text: t("composeTitle") }), make("p", { class: "lead", text: t("composeLead") })),
    make("div", { class: "pair" }, video.element, audio.element),
    faces.element,
    settings.element,
    make("div", { class: "consent stack" },
      make("label", { class: "check", for: "consent" }, consent, make("span", { text: t("consent") })),
      make("label", { class: "stack-tight", for: "consent-who" }, make("span", { class: "soft small", text: t("consentWho") }), who)),
    make("div", { class: "go" }, button, missing),
    problem);
}
