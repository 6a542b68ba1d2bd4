/** Searches the library's stems. The address's fragment holds a search as the API's query: `#stems?key=C%23m`. */

import { getJson } from "./api.js";
import { element } from "./dom.js";
import { stemRow } from "./stem.js";
import { keyName, measured, tempo } from "./values.js";

const PLACE = "#stems?";

const find = (id) => document.getElementById(id);
const form = find("search-form");
const found = find("found");
let loading = new AbortController();
let shown = null;
/** The address of the search whose stems are listed. */
let nextLink;

/** Returns the address of a search; `query` is what the API takes. */
export function searchAddress(query) {
  return PLACE + new URLSearchParams(query);
}

/** Shows the search that an address names, and hides it where another thing is named; returns which it was. */
export function showSearch(address) {
  const isSearch = address.startsWith(PLACE);
  find("results").hidden = !isSearch;
  pauseAllBut(null);
  if (isSearch) search(address);
  return isSearch;
}

function search(address) {
  const query = new URLSearchParams(address.slice(PLACE.length));
  fillIn(query);
  if (address === shown) return; // back from a song: all pages are still there
  shown = address;
  nextLink = undefined;
  found.replaceChildren();
  load(`/api/stems?${query}`);
}

/** Lists a page of stems below those that are there; returns its rows. */
async function load(link) {
  loading.abort();
  loading = new AbortController();
  const { signal } = loading;
  tell("Searching");
  try {
    const page = await getJson(link, { signal });
    const rows = page.value.map(resultRow);
    found.append(...rows);
    nextLink = page.nextLink;
    tell(counted(found.children.length));
    return rows;
  } catch (error) {
    if (!signal.aborted) tell("", error.message);
    return [];
  }
}

function tell(count, fault = "") {
  find("count").textContent = count;
  find("search-alert").textContent = fault;
  find("search-alert").hidden = !fault;
  find("more").hidden = !nextLink;
}

function counted(count) {
  // The API may have to look further than one page goes.
  if (count === 0 && !nextLink) return "No stem in the library fits.";
  return `${count} ${count === 1 ? "stem" : "stems"}${nextLink ? " so far" : ""}`;
}

function resultRow(stem) {
  const { song, artist, unmeasured } = stem;
  const heading = element(
    "div",
    { class: "whose" },
    element("h3", {}, stem.type),
    element("a", { href: `#${stem.audioFileId}` }, song),
    artist ? element("small", {}, artist) : null,
  );
  const measures = [
    ["Tempo", measured(stem.bpm, tempo, unmeasured.bpm)],
    ["Key", measured(stem.key, (key) => keyName(key, stem.camelot), unmeasured.key)],
  ];
  return stemRow(stem, song, { heading, measures });
}

function fillIn(query) {
  form.reset();
  for (const [name, value] of query) {
    const field = form.elements.namedItem(name);
    if (field?.type === "checkbox") field.checked = value === field.value;
    else if (field) field.value = value;
  }
}

function pauseAllBut(player) {
  for (const each of found.querySelectorAll("audio")) if (each !== player) each.pause();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const address = searchAddress([...new FormData(form)].filter(([, value]) => value.trim()));
  shown = null; // the library may hold more by now
  if (location.hash === address) showSearch(address);
  else location.hash = address;
});
find("more").addEventListener("click", async () => {
  const [first] = await load(nextLink);
  first?.querySelector("a").focus();
});
// It does not bubble.
found.addEventListener("play", (event) => pauseAllBut(event.target), { capture: true });
