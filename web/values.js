/** Values as the page writes them. */

import { element } from "./dom.js";

/** What could not be measured is a dash with its reason, never a default. */
export function measured(value, format, reason = "not measured") {
  if (value !== null) return format(value);
  return element("abbr", { title: reason, "aria-label": reason }, "–");
}

export function decibels(level, unit) {
  return `${level.toFixed(1).replace("-", "−")} ${unit}`;
}

export function minutes(seconds) {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

export function tempo(bpm) {
  return `${bpm.toFixed(1)} bpm`;
}

/** A key with its place on the Camelot wheel, where that is known. */
export function keyName(key, camelot) {
  return [key.replace("#", "♯"), camelot].filter(Boolean).join(" · ");
}
