/** Follows an analysis by polling its audio file and its job. */

import { getJson, request } from "./api.js";

const POLL_SECONDS = 1;
const ENDED = ["Completed", "Failed", "Rejected"];

/**
 * Returns the audio file once its analysis has ended, or null where there is none of this id.
 *
 * `onProgress` gets the step's name and the per cent done. Until `expectedUntil` (a time in ms) an
 * unknown id is an upload that was not noticed yet.
 */
export async function follow(id, { onProgress, signal, expectedUntil }) {
  for (;;) {
    let pause = POLL_SECONDS;
    try {
      const audio = await orNull(getJson(`/api/audio/${encodeURIComponent(id)}`, { signal }));
      if (audio && ENDED.includes(audio.analysisStatus)) return audio;
      if (!audio && Date.now() > expectedUntil) return null;
      pause = await reportJob(audio?.jobId, onProgress, signal);
    } catch (error) {
      if (!error.isPassing) throw error;
      onProgress("Waiting for the server", null);
    }
    await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    signal.throwIfAborted();
  }
}

/** Reports the job's step; returns the seconds after which the API wants to be asked again. */
async function reportJob(jobId, onProgress, signal) {
  // A job that has ended is deleted soon after; its audio file says what became of it.
  const answer = jobId && (await orNull(request(`/api/jobs/${jobId}`, { signal })));
  if (!answer) {
    onProgress("Waiting", 0);
    return POLL_SECONDS;
  }
  const job = await answer.json();
  onProgress(job.currentStep ?? "Waiting", job.progress);
  return Number(answer.headers.get("Retry-After")) || POLL_SECONDS;
}

async function orNull(answer) {
  try {
    return await answer;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}
