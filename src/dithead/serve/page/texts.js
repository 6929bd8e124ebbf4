// The page's words in the visitor's language, and numbers and times as that language writes them.

const LANGUAGES = ["en", "de", "es", "zh"];
let words = {};
export let language = "en";

export function preferredLanguage() {
  const saved = localStorage.getItem("language");
  const wanted = [saved, ...navigator.languages].filter(Boolean).map((tag) => tag.slice(0, 2));
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export async function loadTexts(chosen) {
  const answer = await fetch(`/page/texts/${chosen}.json`);
  words = await answer.json();
  language = chosen;
  document.documentElement.lang = chosen;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", t(element.dataset.label));
    element.title = t(element.dataset.label);
  }
}

// t("ahead", { count: 3 }): a key whose words hold {count}; with "one" and "other" where the number matters.
export function t(key, values = {}) {
  let text = words[key] ?? key;
  if (typeof text === "object") {
    const form = new Intl.PluralRules(language).select(values.count ?? 0);
    text = text[form] ?? text.other;
  }
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

export function has(key) {
  return key in words;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, place) => (place ? String(part).padStart(2, "0") : String(part))).join(":");
}

export function ago(time) {
  const passed = time - Date.now() / 1000;
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(passed) >= size) return format.format(Math.round(passed / size), unit);
  }
  return format.format(0, "second");
}

export function bytes(size) {
  const units = ["kilobyte", "megabyte", "gigabyte"];
  let value = size / 1000;
  while (value >= 1000 && units.length > 1) { value /= 1000; units.shift(); }
  return new Intl.NumberFormat(language, { style: "unit", unit: units[0], maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);
}
