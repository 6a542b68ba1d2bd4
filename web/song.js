/** Shows an analysed song: tempo, key, length, and a row for each stem. */

import { element } from "./dom.js";

const PREVIEW = "preview@";
const PREVIEW_NOTE =
  "These stems were separated with the preview model. It was trained on rendered music only, so expect the " +
  "stems of real recordings to leak into each other. For htdemucs, connect the worker to the network or set " +
  "STEM_MODEL_REPO to a folder with its weights.";

/** Returns the song as an element. */
export function songView(audio, stems) {
  const { camelot = null, unmeasured = {} } = stems[0] ?? {};
  const title = audio.title ?? audio.name.replace(/\.[^.]+$/, "");
  return element(
    "article",
    { class: "song", "aria-labelledby": "song-title" },
    element(
      "header",
      {},
      element("h2", { id: "song-title", tabindex: "-1" }, title),
      audio.artist ? element("p", {}, audio.artist) : null,
      facts(
        ["Tempo", measured(audio.bpm, (bpm) => `${bpm.toFixed(1)} bpm`, unmeasured.bpm)],
        ["Key", measured(audio.key, (key) => [musical(key), camelot].filter(Boolean).join(" · "), unmeasured.key)],
        ["Length", measured(audio.durationSeconds, minutes)],
      ),
    ),
    stems.some((stem) => stem.separationModel.startsWith(PREVIEW)) ? previewNotice() : null,
    element("ul", { class: "stems" }, ...stems.map((stem) => stemRow(stem, title))),
  );
}

function stemRow(stem, title) {
  const download = `/api/stems/${encodeURIComponent(stem.id)}/download`;
  const size = (stem.fileSizeBytes / 1e6).toFixed(1);
  const label = `${stem.type} of ${title}`;
  const player = element("audio", { controls: "", preload: "none", src: download, "aria-label": label });
  player.addEventListener("error", () => {
    player.replaceWith(element("p", { role: "alert" }, "This stem can't be loaded."));
  });
  return element(
    "li",
    { class: "stem", "data-type": stem.type },
    element("h3", {}, stem.type),
    player,
    facts(
      ["RMS", measured(stem.rmsLevel, (level) => decibels(level, "dBFS"), stem.unmeasured.rmsLevel)],
      ["Loudness", measured(stem.loudnessLufs, (level) => decibels(level, "LUFS"), stem.unmeasured.loudnessLufs)],
    ),
    element(
      "a",
      { class: "button quiet", href: download, "aria-label": `Download ${stem.type} as WAV, ${size} MB` },
      element("span", {}, "WAV"),
      element("small", {}, `${size} MB`),
    ),
  );
}

function previewNotice() {
  return element(
    "aside",
    { class: "notice", "aria-label": "Preview model" },
    element("strong", {}, "Preview model"),
    element("p", {}, PREVIEW_NOTE),
  );
}

function facts(...pairs) {
  const rows = pairs.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("dl", { class: "facts" }, ...rows);
}

/** What could not be measured is a dash with its reason, never a default. */
function measured(value, format, reason = "not measured") {
  if (value !== null) return format(value);
  return element("abbr", { title: reason, "aria-label": reason }, "–");
}

function decibels(level, unit) {
  return `${level.toFixed(1).replace("-", "−")} ${unit}`;
}

function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

function musical(key) {
  return key.replace("#", "♯");
}
