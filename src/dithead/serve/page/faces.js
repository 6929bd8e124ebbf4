// The faces that the video shows, as pictures to click; each may have speech of its own.

import { ask, upload } from "./api.js";
import { errorBox, icon, make } from "./dom.js";
import { t } from "./texts.js";

export function facesPanel(onChange) {
  const list = make("div", { class: "faces" });
  const note = make("p", { class: "soft small" });
  const own = make("input", { type: "checkbox", onchange: () => { choice.speakers = {}; draw(); onChange(); } });
  const ownLabel = make("label", { class: "check" }, own, make("span", { text: t("ownSpeech") }));
  const element = make("fieldset", { class: "card pad", hidden: true },
    make("legend", { class: "hidden", text: t("facesTitle") }),
    make("h2", { "aria-hidden": "true", text: t("facesTitle") }), note, list, make("div", { class: "stack" }, ownLabel));
  const choice = { element, face: "largest", speakers: {}, show, hide };
  let faces = [];

  function hide() {
    element.hidden = true;
    faces = [];
    Object.assign(choice, { face: "largest", speakers: {} });
    own.checked = false;
  }

  async function show(uploadId) {
    hide();
    element.hidden = false;
    element.classList.remove("one-face");
    ownLabel.hidden = true;
    note.textContent = t("searchingFaces");
    list.replaceChildren();
    try {
      const found = (await ask("GET", `/v1/uploads/${uploadId}/faces`)).faces;
      faces = [...new Map([...found].reverse().map((face) => [face.number, face])).values()].sort((a, b) => a.number - b.number);
      note.textContent = faces.length > 1 ? t("facesHint") : t("oneFace");
      element.classList.toggle("one-face", faces.length === 1);
      ownLabel.hidden = faces.length < 2;
      draw();
    } catch (error) {
      note.textContent = "";
      list.replaceChildren(errorBox(error.message));
    }
  }

  function draw() {
    const several = faces.length > 1 && !own.checked;
    list.classList.toggle("own", own.checked);
    if (faces.length > 1) note.textContent = t(own.checked ? "ownHint" : "facesHint");
    const entries = several ? [automatic(choice, onChange)] : [];
    list.replaceChildren(...entries, ...faces.map((face) => (own.checked ? speaking(face, choice, onChange) : pick(face, choice, onChange, several))));
  }
  return choice;
}

function automatic(choice, onChange) {
  return radio("largest", t("largestFace"), make("span", { class: "face-picture" }, icon("face")), choice, onChange, choice.face === "largest");
}

function pick(face, choice, onChange, several) {
  const picture = make("span", { class: "face-picture" }, make("img", { src: face.picture, alt: "" }));
  const label = t("faceNumber", { number: face.number });
  if (!several) return make("div", { class: "face" }, picture, make("span", { class: "small", text: label }));
  return radio(String(face.number), label, picture, choice, onChange, choice.face === String(face.number));
}

function radio(value, label, picture, choice, onChange, checked) {
  const input = make("input", { type: "radio", name: "face", value, checked, "aria-label": label });
  input.addEventListener("change", () => { choice.face = value; onChange(); });
  return make("div", { class: "face" }, input, picture, make("span", { class: "small", "aria-hidden": "true", text: label }));
}

function speaking(face, choice, onChange) {
  const id = `speech-${face.number}`;
  const input = make("input", { type: "file", id, accept: "audio/*,video/*" });
  const name = make("span", { text: t("chooseSpeech") });
  const line = make("div");
  input.addEventListener("change", async () => {
    const file = input.files[0];
    if (!file) return;
    name.textContent = t("uploading");
    try {
      const done = await upload(file, file.name, () => {}, new AbortController().signal);
      choice.speakers[face.number] = { upload: done.id };
      name.textContent = done.name;
      line.replaceChildren();
    } catch (error) {
      name.textContent = t("chooseSpeech");
      line.replaceChildren(errorBox(error.message));
    }
    onChange();
  });
  const picture = make("span", { class: "face-picture" }, make("img", { src: face.picture, alt: "" }));
  const label = make("label", { class: "button", for: id }, make("span", { class: "hidden", text: t("faceNumber", { number: face.number }) }), name);
  return make("div", { class: "face" }, picture, make("span", {}, input, label), line);
}
