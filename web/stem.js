/** Shows a stem as a row: what it is, its sound, what was measured, and its files. */

import { element } from "./dom.js";

/** Returns the row as a list's item; `title` is the song's name, `measures` are pairs of a term and its value. */
export function stemRow(stem, title, { heading, measures, files = [] }) {
  const download = `/api/stems/${encodeURIComponent(stem.id)}/download`;
  const size = (stem.fileSizeBytes / 1e6).toFixed(1);
  const label = `${stem.type} of ${title}`;
  const player = element("audio", { controls: "", preload: "none", src: download, "aria-label": label });
  player.addEventListener("error", () => {
    player.replaceWith(element("p", { role: "alert" }, "This stem can't be loaded."));
  });
  const wav = element(
    "a",
    { class: "button quiet", href: download, "aria-label": `Download ${label} as WAV, ${size} MB` },
    element("span", {}, "WAV"),
    element("small", {}, `${size} MB`),
  );
  return element(
    "li",
    { class: "stem", "data-type": stem.type },
    heading,
    player,
    facts(...measures),
    element("div", { class: "files" }, wav, ...files),
  );
}

export function facts(...pairs) {
  const rows = pairs.map(([term, value]) => element("div", {}, element("dt", {}, term), element("dd", {}, value)));
  return element("dl", { class: "facts" }, ...rows);
}
