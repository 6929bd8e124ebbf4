// The view of one job: how far it is, then its result.

import { ask, follow } from "./api.js";
import { compareView } from "./compare.js";
import { announce, errorBox, icon, make } from "./dom.js";
import { ago, bytes, duration, t } from "./texts.js";

export const OPEN = ["queued", "running", "cancelling"];

export function stateChip(state) {
  const symbol = OPEN.includes(state) && state !== "queued" ? "running" : state;
  return make("span", { class: "chip", "data-state": state }, icon(symbol), t(`state.${state}`));
}

// Returns the view and a function that stops following the job.
export function jobView(jobId, onChange, onDeleted) {
  const view = make("div", { class: "stack" }, make("p", { class: "soft", text: t("loading") }));
  let state = "";
  let update = () => {};
  const stop = follow(jobId, (job) => {
    if (job.state !== state) {
      state = job.state;
      update = draw(view, job, onDeleted);
      onChange(job);
      if (!OPEN.includes(state)) announce(t(`announce.${state}`, { name: job.name }));
    }
    update(job);
  }, () => view.replaceChildren(make("h1", { tabindex: "-1", text: t("gone") })));
  return [view, stop];
}

function draw(view, job, onDeleted) {
  const title = make("div", { class: "row spread" }, make("h1", { tabindex: "-1", text: job.name }), stateChip(job.state));
  if (OPEN.includes(job.state)) {
    const [panel, update] = progressPanel(job);
    view.replaceChildren(title, panel);
    return update;
  }
  const remove = make("button", { type: "button", class: "plain bad", text: t("delete"), onclick: () => removeJob(job, view, onDeleted) });
  if (job.state !== "done") {
    const line = job.error ? errorBox(job.error) : make("p", { class: "soft", text: t("wasCancelled") });
    view.replaceChildren(title, line, make("div", { class: "row" }, make("a", { class: "button primary", href: "#/", text: t("startNew") }), remove));
    return () => {};
  }
  const download = make("a", { class: "button primary", href: `/v1/jobs/${job.id}/result?download=true`, download: job.result.file_name, text: t("download") });
  const actions = make("div", { class: "row" }, download, make("a", { class: "button", href: "#/", text: t("startNew") }), remove);
  view.replaceChildren(title, compareView(job), actions, about(job));
  return () => {};
}

function progressPanel() {
  const percent = make("p", { class: "percent" });
  const bar = make("progress", { max: 1, "aria-label": t("progress") });
  const stage = make("p");
  const left = make("p", { class: "soft" });
  const cancel = make("button", { type: "button", text: t("cancel") });
  const line = make("div");
  let id = "";
  cancel.onclick = async () => {
    cancel.disabled = true;
    try { await ask("POST", `/v1/jobs/${id}/cancel`); } catch (error) { line.replaceChildren(errorBox(error.message)); cancel.disabled = false; }
  };
  const panel = make("section", { class: "card pad stack", "aria-label": t("progress") },
    make("div", { class: "row spread" }, percent, cancel), bar, make("div", { class: "row spread" }, stage, left), line,
    make("p", { class: "soft small", text: t("mayLeave") }));
  const update = (job) => {
    id = job.id;
    const known = job.progress ?? { fraction: 1, stage: "", seconds_left: null, ahead: 0 };
    const waits = job.state === "queued";
    percent.textContent = waits ? t("waiting") : `${Math.floor(known.fraction * 100)} %`;
    bar.value = known.fraction;
    stage.textContent = waits ? t("ahead", { count: known.ahead }) : job.state === "cancelling" ? t("state.cancelling") : t(`stage.${known.stage}`);
    left.textContent = known.seconds_left === null || waits ? "" : t("left", { time: duration(known.seconds_left) });
    announce(`${stage.textContent} ${waits ? "" : `${Math.floor(known.fraction * 10) * 10} %`}`);
    cancel.disabled ||= job.state === "cancelling";
  };
  return [panel, update];
}

function about(job) {
  const facts = make("dl", { class: "facts" });
  const add = (key, value) => facts.append(make("dt", { text: t(key) }), make("dd", { text: value }));
  add("length", duration(job.result.frames / job.result.fps));
  add("fileSize", bytes(job.result.bytes));
  add("took", duration(job.result.seconds));
  add("madeFrom", Object.values(job.inputs).map((input) => input.name).join(", "));
  if (job.expires) add("deletedWhen", ago(job.expires));
  const notes = make("ul", { class: "notes", lang: "en" }, job.result.notes.map((note) => make("li", { text: note })));
  const said = make("ul", { class: "notes", lang: "en" });
  const look = (watermark) => ask("GET", `/v1/jobs/${job.id}/credentials?watermark=${watermark}`)
    .then((answer) => said.replaceChildren(...answer.statements.map((line) => make("li", { text: line }))))
    .catch((error) => said.replaceChildren(make("li", { text: error.message })));
  look(false);
  const search = make("button", { type: "button", text: t("searchWatermark") });
  search.onclick = async () => {
    search.disabled = true;
    search.textContent = t("searching");
    await look(true);
    search.remove();
  };
  return make("div", { class: "pair" },
    make("section", { class: "card pad stack top-aligned" }, make("h2", { text: t("aboutVideo") }), facts,
      ...(job.result.notes.length ? [make("h2", { text: t("notes") }), notes] : [])),
    make("section", { class: "card pad stack top-aligned" }, make("h2", { text: t("credentials") }),
      make("p", { class: "soft small", text: t("credentialsHint") }), said, search));
}

async function removeJob(job, view, onDeleted) {
  if (!window.confirm(t("confirmDelete", { name: job.name }))) return;
  try {
    await ask("DELETE", `/v1/jobs/${job.id}`);
    onDeleted();
  } catch (error) {
    view.append(errorBox(error.message));
  }
}
