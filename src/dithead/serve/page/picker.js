// A place for one file: drop it, choose it or record it; it is uploaded at once and shown.

import { ApiError, upload } from "./api.js";
import { announce, errorBox, icon, make } from "./dom.js";
import { record } from "./recorder.js";
import { bytes, duration, t } from "./texts.js";

// A section with a heading. `about`: number, key of its words, symbol, what it accepts, and what it records.
export function picker(about, onChange) {
  const section = make("section", { class: "card drop", "aria-labelledby": `${about.key}-title` });
  const head = make("div", { class: "drop-head" },
    make("span", { class: "count", "aria-hidden": "true", text: about.number }),
    make("h2", { id: `${about.key}-title`, text: t(`${about.key}Title`) }));
  const place = { upload: null, element: section, clear };
  let running = null;

  function clear() {
    running?.abort();
    running = null;
    place.upload = null;
    section.replaceChildren(head, empty(about, take));
    onChange(place);
  }

  async function take(file) {
    if (!file) return;
    running?.abort();
    const mine = (running = new AbortController());
    place.upload = null;
    onChange(place);
    const bar = make("progress", { max: 1, value: 0, "aria-label": t("uploading") });
    section.replaceChildren(head, full(file, make("div", { class: "stack" }, bar, make("p", { class: "soft small", text: t("uploading") })), clear));
    section.querySelector("button")?.focus();
    try {
      const done = await upload(file, file.name, (share) => { bar.value = share; }, mine.signal);
      if (mine.signal.aborted) return;
      place.upload = done;
      section.replaceChildren(head, full(file, facts(done), clear));
      announce(t("uploaded", { name: done.name }));
      onChange(place);
    } catch (error) {
      if (mine.signal.aborted) return;
      section.replaceChildren(head, empty(about, take), errorBox(error instanceof ApiError ? error.message : t("broken")));
      onChange(place);
    }
  }

  for (const kind of ["dragenter", "dragover"]) {
    section.addEventListener(kind, (event) => { event.preventDefault(); section.classList.add("over"); });
  }
  section.addEventListener("dragleave", (event) => {
    if (!section.contains(event.relatedTarget)) section.classList.remove("over");
  });
  section.addEventListener("drop", (event) => {
    event.preventDefault();
    section.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  section.replaceChildren(head, empty(about, take));
  return place;
}

function empty(about, take) {
  const input = make("input", { type: "file", accept: about.accept, id: `${about.key}-file`, "aria-describedby": `${about.key}-hint` });
  input.addEventListener("change", () => take(input.files[0]));
  const choose = make("label", { class: "button primary", for: `${about.key}-file`, text: t("choose") });
  const recording = make("button", { type: "button", text: t(about.record === "video" ? "useCamera" : "useMicrophone"), onclick: async () => take(await record(about.record)) });
  return make("div", { class: "drop-empty" },
    icon(about.symbol),
    make("p", { text: t(`${about.key}Drop`) }),
    make("p", { class: "soft small", id: `${about.key}-hint`, text: t(`${about.key}Hint`) }),
    make("div", { class: "row" }, make("span", {}, input, choose), recording));
}

function full(file, below, clear) {
  const address = URL.createObjectURL(file);
  const forget = () => { URL.revokeObjectURL(address); clear(); };
  const kind = file.type.split("/")[0];
  const view = kind === "image" ? make("img", { src: address, alt: "" })
    : kind === "audio" ? make("audio", { src: address, controls: true })
      : make("video", { src: address, playsInline: true, preload: "metadata", tabIndex: 0 });
  if (kind !== "image") view.setAttribute("aria-label", file.name);
  if (view.tagName === "VIDEO") {
    for (const [event, shown] of [["pointerenter", true], ["focus", true], ["pointerleave", false]]) {
      view.addEventListener(event, () => { view.controls = shown; });
    }
  }
  view.addEventListener("error", () => view.replaceWith(make("p", { class: "soft small", text: t("noPreview") })));
  return make("div", { class: "drop-full" },
    make("div", { class: kind === "audio" ? "screen sound-only" : "screen" }, kind === "audio" ? icon("wave") : null, view),
    make("div", { class: "file-row" },
      make("div", {}, make("p", { class: "file-name", text: file.name, title: file.name }), below),
      make("button", { type: "button", class: "plain", text: t("remove"), "aria-label": t("removeFile", { name: file.name }), onclick: forget })));
}

function facts(done) {
  const known = [bytes(done.size)];
  if (done.media.seconds) known.unshift(duration(done.media.seconds));
  if (done.media.width) known.unshift(`${done.media.width} × ${done.media.height}`);
  return make("p", { class: "soft small", text: known.join(" · ") });
}
