// The list of one's own jobs, newest first.

import { ask } from "./api.js";
import { icon, make } from "./dom.js";
import { OPEN } from "./job.js";
import { ago, t } from "./texts.js";

const EVERY = 5000; // milliseconds between two looks while a job is open

export function historyPanel(element) {
  const list = make("ul", { class: "history" });
  const empty = make("p", { class: "soft small", text: t("noJobs") });
  const more = make("button", { type: "button", class: "plain", text: t("showMore"), hidden: true });
  element.replaceChildren(make("h2", { id: "history-title", text: t("history") }), empty, list, more);
  let shown = 20;
  let timer = 0;

  async function refresh() {
    clearTimeout(timer);
    const jobs = [];
    let next = null;
    do {
      const page = await ask("GET", `/v1/jobs?limit=20${next ? `&before=${next}` : ""}`);
      jobs.push(...page.jobs);
      next = page.next;
    } while (next && jobs.length < shown);
    empty.hidden = jobs.length > 0;
    more.hidden = !next;
    const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    list.replaceChildren(...jobs.map(entry));
    if (focused) list.querySelector(`a[href="${focused}"]`)?.focus();
    if (jobs.some((job) => OPEN.includes(job.state))) timer = setTimeout(() => refresh().catch(() => {}), EVERY);
  }
  more.onclick = () => { shown += 20; refresh(); };
  return { refresh: () => refresh().catch(() => {}), stop: () => clearTimeout(timer) };
}

function entry(job) {
  const symbol = OPEN.includes(job.state) && job.state !== "queued" ? "running" : job.state;
  const running = job.state === "running" && job.progress ? `${Math.floor(job.progress.fraction * 100)} %` : t(`state.${job.state}`);
  const link = make("a", { href: `#/job/${job.id}` },
    make("span", { class: "dot", "data-state": job.state }, icon(symbol)),
    make("span", { class: "stack-tight" }, make("span", { class: "name", text: job.name }), make("span", { class: "soft small", text: `${running} · ${ago(job.created)}` })));
  if (location.hash === `#/job/${job.id}`) link.setAttribute("aria-current", "page");
  return make("li", {}, link);
}
