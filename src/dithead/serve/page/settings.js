// All options of a job, made from what the server says of them; only what differs from the default is sent.

import { make } from "./dom.js";
import { has, t } from "./texts.js";

const ELSEWHERE = ["face"]; // chosen by its picture

export function settingsPanel(info) {
  const inputs = new Map();
  const grid = make("div", { class: "settings" });
  for (const option of info.options.filter((each) => !ELSEWHERE.includes(each.name))) {
    const [element, read] = setting(option);
    inputs.set(option, read);
    grid.append(element);
  }
  if (info.models.length > 1) {
    const [element, read] = setting({ name: "model", kind: "choice", choices: info.models, default: info.models[0], help: "" });
    inputs.set({ name: "model", default: info.models[0] }, read);
    grid.prepend(element);
  }
  const element = make("details", {}, make("summary", { text: t("moreSettings") }), grid);
  const values = () => {
    const chosen = {};
    for (const [option, read] of inputs) {
      const value = read();
      if (value !== option.default && value !== null) chosen[option.name] = value;
    }
    return chosen;
  };
  return { element, values };
}

function setting(option) {
  const id = `option-${option.name}`;
  const title = has(`option.${option.name}`) ? t(`option.${option.name}`) : option.name.replaceAll("_", " ");
  const help = make("p", { class: "help", id: `${id}-help`, lang: "en", text: option.help });
  const common = { id, "aria-describedby": `${id}-help` };
  if (option.kind === "bool") {
    const input = make("input", { type: "checkbox", checked: option.default, ...common });
    return [make("div", { class: "setting" }, make("label", { class: "check", for: id }, input, make("span", { text: title })), help), () => input.checked];
  }
  const label = make("label", { for: id, text: title });
  if (option.kind === "choice") {
    const input = make("select", common, option.choices.map((choice) => make("option", { value: choice, text: choice, selected: choice === option.default })));
    return [make("div", { class: "setting" }, label, input, help), () => input.value];
  }
  const isNumber = option.kind !== "str";
  const input = make("input", {
    ...common, type: isNumber ? "number" : "text", min: option.minimum?.toString(), max: option.maximum?.toString(),
    step: option.kind === "float" ? "any" : undefined, value: option.default === null ? "" : String(option.default),
    placeholder: option.default === null ? "–" : undefined, autocomplete: "off",
  });
  const read = () => (input.value === "" ? null : isNumber ? Number(input.value) : input.value);
  return [make("div", { class: "setting" }, label, input, help), read];
}
