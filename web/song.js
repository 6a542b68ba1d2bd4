/** Shows an analysed song: what it shares with its stems, and a row for each stem. */

import { element } from "./dom.js";
import { searchAddress } from "./search.js";
import { facts, stemRow } from "./stem.js";
import { timeline } from "./timeline.js";
import { decibels, keyName, measured, minutes, tempo } from "./values.js";

const PREVIEW = "preview@";
const PREVIEW_NOTE =
  "These stems were separated with the preview model. It was trained on rendered music only, so expect the " +
  "stems of real recordings to leak into each other. For htdemucs, connect the worker to the network or set " +
  "STEM_MODEL_REPO to a folder with its weights.";

const NO_STEM = { camelot: null, sections: null, chordProgression: null, unmeasured: {} };

/** Returns the song as an element. */
export function songView(audio, stems) {
  const { camelot, sections, chordProgression, unmeasured } = musicOf(stems);
  const title = audio.title ?? audio.name.replace(/\.[^.]+$/, "");
  const rows = stems.map((stem) => rowOf(stem, title));
  const players = rows.map((row) => row.querySelector("audio"));
  return element(
    "article",
    { class: "song", "aria-labelledby": "song-title" },
    element(
      "header",
      {},
      element("h2", { id: "song-title", tabindex: "-1" }, title),
      audio.artist ? element("p", {}, audio.artist) : null,
      facts(
        ["Tempo", measured(audio.bpm, tempo, unmeasured.bpm)],
        ["Key", measured(audio.key, (key) => keyLink(key, camelot), unmeasured.key)],
        ["Time", measured(audio.timeSignature, String, unmeasured.timeSignature)],
        ["Tuning", measured(audio.tuning, (tuning) => `A4 ${tuning.toFixed(1)} Hz`, unmeasured.tuning)],
        ["Length", measured(audio.durationSeconds, minutes)],
      ),
    ),
    stems.some((stem) => stem.separationModel?.startsWith(PREVIEW)) ? previewNotice() : null,
    timeline({ seconds: audio.durationSeconds, sections, chords: chordProgression, unmeasured, players }),
    element("ul", { class: "stems" }, ...rows),
  );
}

/** What a song shares with its stems stands in each of those that sound. */
function musicOf(stems) {
  const { camelot, sections, chordProgression, unmeasured } =
    stems.find((stem) => stem.beats ?? stem.chordProgression) ?? stems[0] ?? NO_STEM;
  return {
    camelot,
    sections: JSON.parse(sections),
    chordProgression: JSON.parse(chordProgression),
    unmeasured,
  };
}

/** A key leads to what can be mixed with it. */
function keyLink(key, camelot) {
  const href = searchAddress({ key, compatible: true });
  return element("a", { href, title: "Stems that mix well with it" }, keyName(key, camelot));
}

function rowOf(stem, title) {
  const { rmsLevel, loudnessLufs, unmeasured } = stem;
  return stemRow(stem, title, {
    heading: element("h3", {}, stem.type),
    measures: [
      ["RMS", measured(rmsLevel, (level) => decibels(level, "dBFS"), unmeasured.rmsLevel)],
      ["Loudness", measured(loudnessLufs, (level) => decibels(level, "LUFS"), unmeasured.loudnessLufs)],
    ],
    files: noteLinks(stem, title),
  });
}

/** Links to the files of a stem's notes; of those that there are not, why. */
function noteLinks(stem, title) {
  const { unmeasured } = stem;
  const notation = JSON.parse(stem.notationData);
  const files = [
    ["MIDI", "midi", notation?.midiUri, unmeasured.midiUri],
    ["MusicXML", "musicxml", notation?.musicXmlUri, unmeasured.musicXmlUri],
    ["JSON", "json", notation, undefined],
  ];
  return files.map(([name, format, isThere, reason]) => {
    if (!isThere) {
      const why = `${name}: ${reason ?? unmeasured.notationData ?? "not made"}`;
      return element("abbr", { title: why, "aria-label": why }, "–");
    }
    const href = `/api/stems/${encodeURIComponent(stem.id)}/notation?format=${format}`;
    return element("a", { href, download: `${title} (${stem.type}).${format}`, "aria-label": `${stem.type} as ${name}` }, name);
  });
}

function previewNotice() {
  return element(
    "aside",
    { class: "notice", "aria-label": "Preview model" },
    element("strong", {}, "Preview model"),
    element("p", {}, PREVIEW_NOTE),
  );
}
