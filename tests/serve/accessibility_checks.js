// Run in the page: lists faults of accessibility, nothing where there are none.
() => {
  const faults = [];
  const shown = (e) => e.checkVisibility({ opacityProperty: false, visibilityProperty: true });
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const solid = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const luminance = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => { for (let p = e; p; p = p.parentElement) { const c = solid(getComputedStyle(p).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  for (const e of document.querySelectorAll("body *")) {
    const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!text || !shown(e) || e.closest(".hidden, option, .tag, [disabled], noscript")) continue;
    const [a, b] = [luminance(solid(getComputedStyle(e).color)), luminance(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faults.push(`contrast ${ratio.toFixed(1)}: ${e.textContent.trim().slice(0, 40)}`);
  }
  const name = (e) => e.getAttribute("aria-label") || [...(e.labels ?? [])].map((l) => l.textContent).join("").trim() || e.textContent.trim() || (e.getAttribute("aria-labelledby") ?? "");
  for (const e of document.querySelectorAll("button, a[href], input, select, summary, video:not([aria-hidden]), audio, progress")) {
    if (!name(e)) faults.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  }
  for (const e of document.querySelectorAll("button, a.button, label.button, select, summary")) {
    const box = e.getBoundingClientRect();
    if (shown(e) && (box.height < 24 || box.width < 24)) faults.push(`small target: ${e.outerHTML.slice(0, 80)}`);
  }
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) faults.push("picture without text");
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`id twice: ${id}`);
  for (const kind of ["aria-labelledby", "aria-describedby", "for"]) {
    for (const e of document.querySelectorAll(`[${kind}]`)) {
      for (const id of e.getAttribute(kind).split(" ")) if (!document.getElementById(id)) faults.push(`${kind}=${id} names nothing`);
    }
  }
  if (document.querySelectorAll("h1").length !== 1 || document.querySelectorAll("main").length !== 1) faults.push("not one h1 and main");
  return [...new Set(faults)];
}
