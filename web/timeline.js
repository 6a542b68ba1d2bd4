/** Shows a song's sections and chords along its time, and where the stem that plays is. */

import { element } from "./dom.js";
import { measured, minutes } from "./values.js";

const QUALITIES = { maj: "", min: "m", min7: "m7", dim: "°", aug: "+", hdim7: "ø7" };
/** Short for Harte's names of chords; the others are written as they are. */

/** Returns the timeline of a song from what it shares with its stems; `players` move the playhead. */
export function timeline({ seconds, sections, chords, unmeasured, players }) {
  const playhead = element("span", { class: "playhead", hidden: "" });
  const axis = element(
    "div",
    { class: "axis" },
    ...lane("Sections", sections, (section) => section.label, seconds, unmeasured.sections),
    ...lane("Chords", chords, (chord) => shortName(chord.chord), seconds, unmeasured.chordProgression),
    playhead,
  );
  // A rem and a half a second: names of chords stay legible, and a long song scrolls.
  axis.style.minWidth = `${1.5 * seconds}rem`;
  const view = element("div", { class: "timeline", tabindex: "0", role: "group", "aria-label": "Sections and chords" }, axis);
  for (const player of players) {
    player.addEventListener("timeupdate", () => {
      const place = (player.currentTime / seconds) * axis.clientWidth;
      playhead.hidden = false;
      playhead.style.left = `${place}px`;
      view.scrollLeft = place - view.clientWidth / 2;
    });
  }
  return view;
}

function lane(title, spans, nameOf, seconds, reason) {
  const heading = element("h3", {}, title);
  if (spans === null) return [heading, element("p", {}, measured(spans, null, reason))];
  const items = spans.map((span) => {
    const when = `${minutes(span.start)} to ${minutes(span.end)}`;
    const item = element("li", { title: `${span.chord ?? span.label}, ${when}` }, nameOf(span));
    item.style.left = `${(100 * span.start) / seconds}%`;
    item.style.width = `${(100 * (span.end - span.start)) / seconds}%`;
    return item;
  });
  return [heading, element("ol", { class: "lane", "aria-label": title }, ...items)];
}

/** A chord as musicians write it: `C#:min7` is C♯m7; nothing for `N`, no chord. The bass note is left out. */
function shortName(harte) {
  if (harte === "N") return "";
  const [root, quality = "maj"] = harte.split("/")[0].split(":");
  return root.replace("#", "♯").replace("b", "♭") + (QUALITIES[quality] ?? quality);
}
