/** Uploads a file: the API gives a URL for one blob, and the browser puts the bytes straight into the storage. */

import { ApiError, postJson } from "./api.js";

/** Returns the audio file's id. `onProgress` gets the share that is sent, from 0 to 1. */
export async function upload(file, onProgress) {
  const ticket = await postJson("/api/audio/uploads", {
    fileName: file.name,
    contentType: file.type || null,
    sizeBytes: file.size,
  });
  await put(ticket.uploadUrl, file, onProgress);
  return ticket.audioFileId;
}

/** XMLHttpRequest, since fetch does not report the progress of what it sends. */
function put(url, file, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("PUT", url);
    sending.setRequestHeader("x-ms-blob-type", "BlockBlob");
    sending.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    sending.onerror = () => reject(new ApiError(0, "The storage can't be reached, or refuses uploads from this page."));
    sending.onload = () => {
      if (sending.status === 201) resolve();
      else reject(new ApiError(sending.status, `The storage refused the upload (status ${sending.status}).`));
    };
    sending.send(file);
  });
}
