// The result and its source in one frame with a slider between them; plays both in step, and steps by single frames.

import { icon, make, setIcon } from "./dom.js";
import { duration, t } from "./texts.js";

const DRIFT = 0.06; // seconds by which the source may be off while both play

export function compareView(job) {
  const result = make("video", { src: `/v1/jobs/${job.id}/result`, playsInline: true, preload: "auto", "aria-label": t("resultVideo") });
  const given = job.inputs.video;
  const source = given.kind === "picture"
    ? make("img", { class: "before", src: `/v1/jobs/${job.id}/files/video`, alt: t("sourcePicture") })
    : make("video", { class: "before", src: `/v1/jobs/${job.id}/files/video`, muted: true, playsInline: true, preload: "auto", "aria-hidden": "true" });
  const slide = make("input", { class: "slide", type: "range", min: "0", max: "100", value: "50", "aria-label": t("slider") });
  const frame = make("div", { class: "frame" }, result, source, slide, make("span", { class: "cut" }),
    make("span", { class: "tag left", text: t("before") }), make("span", { class: "tag right", text: t("after") }));
  slide.addEventListener("input", () => frame.style.setProperty("--cut", `${slide.value}%`));
  source.addEventListener("error", () => {
    for (const element of [source, slide, ...frame.querySelectorAll(".cut, .tag")]) element.remove();
    frame.after(make("p", { class: "tag left", text: t("noSourcePreview") }));
  });
  const follow = () => keepInStep(source, result, job);
  result.addEventListener("seeked", follow);
  result.addEventListener("loadeddata", follow);
  source.addEventListener("loadeddata", follow);
  return make("section", { class: "card", "aria-label": t("player") }, make("div", { class: "stage" }, frame), controls(result, follow, job));
}

function controls(video, follow, job) {
  const play = iconButton("play", t("play"), () => (video.paused ? video.play() : video.pause()));
  const sound = iconButton("sound", t("mute"), () => { video.muted = !video.muted; });
  const clock = make("span", { class: "clock" });
  const total = job.result.frames / job.result.fps;
  const seek = make("input", { type: "range", min: "0", max: String(total), step: "any", value: "0", "aria-label": t("position") });
  const step = (frames) => {
    video.pause();
    const number = Math.round(video.currentTime * job.result.fps - 0.5) + frames;
    video.currentTime = (Math.min(job.result.frames - 1, Math.max(0, number)) + 0.5) / job.result.fps;
  };
  const show = () => {
    seek.value = String(video.currentTime);
    seek.setAttribute("aria-valuetext", duration(video.currentTime));
    clock.textContent = `${duration(video.currentTime)} / ${duration(total)}`;
    play.setAttribute("aria-label", video.paused ? t("play") : t("pause"));
    setIcon(play, video.paused ? "play" : "pause");
    sound.setAttribute("aria-pressed", String(video.muted));
    setIcon(sound, video.muted ? "silent" : "sound");
  };
  const run = () => {
    show();
    follow();
    if (!video.paused && video.isConnected) requestAnimationFrame(run);
  };
  seek.addEventListener("input", () => { video.currentTime = Number(seek.value); });
  for (const kind of ["play", "pause", "seeked", "volumechange", "ended", "loadedmetadata"]) video.addEventListener(kind, run);
  show();
  return make("div", { class: "player-bar" }, play, iconButton("back", t("stepBack"), () => step(-1)), iconButton("next", t("stepForward"), () => step(1)), seek, clock, sound);
}

function iconButton(name, label, onclick) {
  return make("button", { type: "button", class: "icon", "aria-label": label, title: label, onclick }, icon(name));
}

// Show the moment of the source that the result shows.
function keepInStep(source, result, job) {
  if (source.tagName !== "VIDEO" || !source.duration) return;
  const [moment, forwards] = sourceMoment(result.currentTime, source.duration, job.options);
  const off = Math.abs(source.currentTime - moment);
  if (!result.paused && forwards && off < 1) {
    if (source.paused) source.play().catch(() => {});
    if (off > DRIFT) source.currentTime = moment;
  } else {
    source.pause();
    if (off > 0.001) source.currentTime = moment;
  }
}

// Which moment of the source is shown at a time of the result, as the option `fit` says; and whether it runs forwards.
export function sourceMoment(time, length, options) {
  const start = options.start ?? 0;
  const used = Math.max(0.04, Math.min(options.end ?? length, length) - start);
  const round = Math.floor(time / used);
  const inside = time - round * used;
  const fit = options.fit ?? "bounce";
  if (round === 0 || fit === "loop") return [start + inside, true];
  if (fit === "bounce") return round % 2 ? [start + used - inside, false] : [start + inside, true];
  return [start + used - 0.01, false];
}
