// Starts the page: language, colours, signing in, and which view is shown.

import { ask } from "./api.js";
import { composeView } from "./compose.js";
import { errorBox, make } from "./dom.js";
import { historyPanel } from "./history.js";
import { jobView } from "./job.js";
import { liveView } from "./live.js";
import { loadTexts, preferredLanguage, t } from "./texts.js";

const main = document.getElementById("main");
const aside = document.getElementById("history");
const views = document.getElementById("views");
let info = null;
let history = null;
let stop = () => {};

function show(view, title) {
  main.replaceChildren(view);
  document.title = `${title} – dithead`;
}

function route(isFirst = false) {
  stop();
  stop = () => {};
  const job = /^#\/job\/([0-9a-f]{24})$/.exec(location.hash);
  if (job) {
    const [view, end] = jobView(job[1], (changed) => { document.title = `${changed.name} – dithead`; history.refresh(); focusTitle(isFirst); }, () => { location.hash = "#/"; });
    stop = end;
    show(view, t("history"));
  } else if (location.hash === "#/live") {
    const [view, end] = liveView();
    stop = end;
    show(view, t("liveTitle"));
    focusTitle(isFirst);
  } else {
    show(composeView(info, (made) => { location.hash = `#/job/${made.id}`; }), t("composeTitle"));
    focusTitle(isFirst);
  }
  for (const link of views.querySelectorAll("a")) {
    if (link.hash === (location.hash || "#/")) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  views.hidden = false;
  history.refresh();
}

// After a change of view, reading goes on at its heading.
function focusTitle(isFirst) {
  if (isFirst !== true) main.querySelector("h1")?.focus({ preventScroll: true });
}

function signIn() {
  views.hidden = true;
  aside.replaceChildren();
  const key = make("input", { type: "password", id: "key", class: "text", autocomplete: "current-password", required: true });
  const line = make("div");
  const send = async (event) => {
    event.preventDefault();
    try {
      await ask("POST", "/v1/session", { key: key.value.trim() });
      start();
    } catch (error) {
      line.replaceChildren(errorBox(error.message));
      key.focus();
    }
  };
  show(make("form", { class: "card pad stack sign-in", onsubmit: send },
    make("h1", { tabindex: "-1", text: t("signInTitle") }), make("p", { class: "soft", text: t("signInHint") }),
    make("label", { class: "stack-tight", for: "key" }, t("key"), key), line,
    make("button", { class: "primary", type: "submit", text: t("signIn") })), t("signInTitle"));
  key.focus();
}

async function start() {
  const out = document.getElementById("sign-out");
  try {
    info = await ask("GET", "/v1/info");
    await ask("GET", "/v1/session");
  } catch (error) {
    if (error.status === 401) { out.hidden = true; signIn(); return; }
    show(errorBox(error.message), "dithead");
    setTimeout(start, 5000);
    return;
  }
  out.hidden = !info.needs_key;
  history?.stop();
  history = historyPanel(aside);
  route(true);
}

document.getElementById("sign-out").onclick = async () => {
  await ask("DELETE", "/v1/session").catch(() => {});
  stop();
  history?.stop();
  start();
};

document.getElementById("theme").onclick = () => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  localStorage.setItem("theme", (document.documentElement.dataset.theme = now === "dark" ? "light" : "dark"));
};

const language = document.getElementById("language");
language.onchange = async () => {
  localStorage.setItem("language", language.value);
  await loadTexts(language.value);
  if (info) start();
};

window.addEventListener("hashchange", () => { if (history) route(); });
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => event.preventDefault());
if (localStorage.getItem("theme")) document.documentElement.dataset.theme = localStorage.getItem("theme");
language.value = preferredLanguage();
await loadTexts(language.value);
start();
