// Makes elements: make("p", { class: "soft", text: "…" }, child, child). Text is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function make(tag, about = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(about)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#${name}`);
  svg.append(use);
  return svg;
}

export function setIcon(button, name) {
  button.querySelector("use").setAttribute("href", `#${name}`);
}

// Tell people who use a screen reader what has changed.
export function announce(text) {
  const place = document.getElementById("polite");
  if (place.textContent !== text) place.textContent = text;
}

// The server's line, as it is: it is in English, like the command line's.
export function errorBox(line) {
  return make("p", { class: "error", role: "alert", lang: "en", text: line });
}
