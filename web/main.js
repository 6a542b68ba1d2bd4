/** Ties the page together. The address's fragment is the id of the song that is shown, or a search of stems. */

import { follow } from "./analysis.js";
import { getJson } from "./api.js";
import { element } from "./dom.js";
import { showSearch } from "./search.js";
import { songView } from "./song.js";
import { forget, remember, remembered } from "./songs.js";
import { upload } from "./upload.js";

const NOTICED_MS = 5 * 60 * 1000;
/** How long an upload may wait to be noticed before its song counts as gone. */

const find = (id) => document.getElementById(id);
const fileInput = find("file");
const dropZone = find("drop-zone");
let following = new AbortController();

/** Uploads the file that was dropped or chosen. */
async function take(files) {
  if (files.length === 0) return;
  if (files.length > 1 || fileInput.disabled) {
    showAlert("One song at a time, please.");
    return;
  }
  const [file] = files;
  following.abort();
  clear();
  fileInput.disabled = true;
  try {
    showProgress(file.name, "Uploading", 0);
    const id = await upload(file, (share) => showProgress(file.name, "Uploading", share * 100));
    remember(id, file.name);
    location.hash = id;
  } catch (error) {
    clear();
    showAlert(`${file.name}: ${error.message}`);
  } finally {
    fileInput.disabled = false;
    fileInput.value = "";
  }
}

/** Shows what the address names: stems, or a song; its progress first, where it is still at work. */
async function show() {
  following.abort();
  clear();
  listRemembered();
  if (showSearch(location.hash)) return;
  const id = location.hash.slice(1);
  if (!id) return;
  following = new AbortController();
  const { signal } = following;
  const known = remembered().find((song) => song.id === id);
  const name = known?.name ?? "This song";
  try {
    const audio = await follow(id, {
      signal,
      expectedUntil: (known?.uploadedAt ?? 0) + NOTICED_MS,
      onProgress: (step, percent) => showProgress(name, step, percent),
    });
    if (audio?.analysisStatus === "Completed") await showStems(audio, signal);
    else dismiss(id, audio ? `${audio.name}: ${audio.error}` : `${name} is no longer in the library.`);
  } catch (error) {
    if (signal.aborted) return;
    clear();
    showAlert(`${name}: ${error.message}`);
  }
}

async function showStems(audio, signal) {
  const stems = await getJson(`/api/audio/${encodeURIComponent(audio.id)}/stems`, { signal });
  clear();
  find("song").replaceChildren(songView(audio, stems.value));
  find("song-title").focus();
}

/** Says why a song can't be shown, and drops it from the list. */
function dismiss(id, reason) {
  forget(id);
  clear();
  showAlert(reason);
  listRemembered();
}

function showProgress(name, step, percent) {
  find("progress").hidden = false;
  find("progress-name").textContent = name;
  // Only a new step is announced: a screen reader need not read every per cent.
  if (find("progress-step").textContent !== step) find("progress-step").textContent = step;
  if (percent === null) return;
  find("progress-percent").textContent = `${Math.round(percent)} %`;
  document.querySelector("progress").value = percent;
}

function showAlert(text) {
  find("alert").textContent = text;
  find("alert").hidden = false;
}

function clear() {
  find("progress").hidden = true;
  find("alert").hidden = true;
  find("song").replaceChildren();
}

function listRemembered() {
  const songs = remembered();
  find("remembered").hidden = songs.length === 0;
  find("remembered").querySelector("ul").replaceChildren(
    ...songs.map(({ id, name, uploadedAt }) => {
      const current = id === location.hash.slice(1) ? { "aria-current": "page" } : {};
      const day = new Date(uploadedAt).toLocaleDateString(undefined, { dateStyle: "medium" });
      const link = element("a", { href: `#${id}`, ...current }, element("span", {}, name), element("small", {}, day));
      return element("li", {}, link);
    }),
  );
}

fileInput.addEventListener("change", () => take(fileInput.files));
for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  // Without this, a file that is dropped beside the zone would replace the page.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    dropZone.classList.toggle("is-over", kind === "dragenter" || kind === "dragover");
  });
}
document.addEventListener("drop", (event) => take(event.dataTransfer.files));
window.addEventListener("hashchange", show);
show();
