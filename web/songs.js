/** The songs that were uploaded from this browser: ids and names in localStorage, newest first. */

const STORE = "stem-library.songs";

export function remembered() {
  return JSON.parse(localStorage.getItem(STORE) ?? "[]");
}

export function remember(id, name) {
  save([{ id, name, uploadedAt: Date.now() }, ...remembered().filter((song) => song.id !== id)]);
}

export function forget(id) {
  save(remembered().filter((song) => song.id !== id));
}

function save(songs) {
  localStorage.setItem(STORE, JSON.stringify(songs));
}
