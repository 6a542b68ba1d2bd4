"""An example of each model that goes over the wire, all of one song: the API document shows them."""

import json
from typing import Any

SONG_ID = "0b0c9f0e-6a0e-4f0b-9d6b-2f6f0c8f5a11"
STEM_ID = "5d1f0a52-6c0b-5f54-8f3e-3f0f5a6f7c22"
JOB_ID = "c3a1d1a4-9d0f-5b7e-8a1c-7d9e4b2f6a33"
STORAGE = "https://stemlibrary.blob.core.windows.net/audio-files"
STEM_BLOB = f"{STORAGE}/{SONG_ID}/stems/{JOB_ID}/1/bass.wav"
DAY = "2026-03-14"
MODEL = "htdemucs@955717e8"
WORKER = {"attempt": 1, "workerId": "gpu-0"}

MUSIC: dict[str, Any] = {
    "bpm": 120.5,
    "key": "C# major",
    "timeSignature": "4/4",
    "tuning": 440.2,
    "beatTracker": "beat_this-final0@1a2b3c4d",
}
CHORDS = '[{"start":0.0,"end":1.99,"chord":"C#:maj","confidence":0.91}]'
BEATS = '[{"time":0.512,"position":1},{"time":1.01,"position":2}]'
SECTIONS = '[{"start":0.0,"end":15.9,"label":"A","confidence":0.6}]'
NOTATION = {
    "notes": [{"onset": 0.51, "offset": 0.98, "pitch": 37, "velocity": 96, "confidence": 0.8}],
    "midiUri": f"{STORAGE}/{SONG_ID}/stems/{JOB_ID}/1/bass.mid",
    "musicXmlUri": f"{STORAGE}/{SONG_ID}/stems/{JOB_ID}/1/bass.musicxml",
}
STRUCTURES = {
    "chordProgression": CHORDS,
    "beats": BEATS,
    "sections": SECTIONS,
    "notationData": json.dumps(NOTATION, separators=(",", ":")),
    "activeRegions": '[{"start":0.49,"end":15.8}]',
}

VALUES: dict[str, Any] = {
    **MUSIC,
    "confidence": {"bpm": 0.97, "key": 0.84, "timeSignature": 0.93, "tuning": 0.71},
    "rmsLevel": -18.4,
    "peakLevel": -3.1,
    "loudnessLufs": -17.2,
    "spectralCentroid": 412.7,
    "spectralBandwidth": 655.1,
    "spectralRolloff": 790.3,
    "zeroCrossingRate": 0.018,
    "dynamicRange": 14.6,
    "onsetRate": 3.9,
    "silenceRatio": 0.07,
    "unmeasured": {},
}

STEM_WRITE: dict[str, Any] = {
    "audioFileId": SONG_ID,
    "type": "Bass",
    "blobUri": STEM_BLOB,
    "durationSeconds": 201.4,
    "fileSizeBytes": 35526960,
    "sampleRate": 44100,
    "channels": 2,
    "separatedAt": f"{DAY}T15:09:26Z",
    "separationModel": MODEL,
    "analysisVersion": 1,
    "analysisStatus": "Completed",
    "analysisError": None,
    "analysedAt": f"{DAY}T15:09:40Z",
    **VALUES,
}
STEM_ITEM: dict[str, Any] = {
    "id": STEM_ID,
    **STEM_WRITE,
    "camelot": "3B",
    "createdAt": f"{DAY}T15:09:41Z",
}

JOB_SUMMARY: dict[str, Any] = {
    "id": JOB_ID,
    "type": "Analysis",
    "audioFileId": SONG_ID,
    "status": "Running",
    "attempt": 1,
    "errorMessage": None,
    "createdAt": f"{DAY}T15:08:53Z",
    "completedAt": None,
}
JOB: dict[str, Any] = {
    **JOB_SUMMARY,
    "analysisVersion": 1,
    "retries": 0,
    "maxRetries": 3,
    "currentStep": "Separating",
    "progress": 42,
    "notBefore": None,
    "workerId": "gpu-0",
    "lastHeartbeat": f"{DAY}T15:09:20Z",
    "fileAtFault": False,
    "startedAt": f"{DAY}T15:08:55Z",
    "deleteAfter": None,
    "metadata": {},
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "UploadRequest": {"fileName": "My song.flac", "contentType": "audio/flac", "sizeBytes": 24117248},
    "Upload": {
        "audioFileId": SONG_ID,
        "uploadUrl": f"{STORAGE}/{SONG_ID}/My%20song.flac?se={DAY}T16%3A08%3A00Z&sp=cw&sig=...",
        "expiresAt": f"{DAY}T16:08:00Z",
    },
    "AudioFile": {
        "id": SONG_ID,
        "name": "My song.flac",
        "blobUri": f"{STORAGE}/{SONG_ID}/My%20song.flac",
        "contentType": "audio/flac",
        "sizeBytes": 24117248,
        "etag": '"0x8DC4431F8B1D2E0"',
        "contentHash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "durationSeconds": 201.4,
        "sampleRate": 44100,
        "channels": 2,
        "title": "My song",
        "artist": "The Founders",
        "album": None,
        "artworkUri": f"{STORAGE}/{SONG_ID}/stems/{JOB_ID}/1/artwork.jpg",
        "createdAt": f"{DAY}T15:08:50Z",
        "uploadedAt": f"{DAY}T15:08:50Z",
        "analysisStatus": "Completed",
        "analysisVersion": 1,
        "error": None,
        "jobId": JOB_ID,
        **MUSIC,
    },
    "Stem": {**STEM_ITEM, **STRUCTURES},
    "StemItem": {
        **STEM_ITEM,
        "analysisUrl": f"/api/stems/{STEM_ID}/analysis",
        "song": "My song",
        "artist": "The Founders",
    },
    "StemWrite": {**STEM_WRITE, **STRUCTURES, "jobId": JOB_ID, "attempt": 1},
    "StemAnalysis": {
        "chordProgression": [{"start": 0.0, "end": 1.99, "chord": "C#:maj", "confidence": 0.91}],
        "beats": [{"time": 0.512, "position": 1}, {"time": 1.01, "position": 2}],
        "sections": None,
        "notationData": NOTATION,
        "activeRegions": [{"start": 0.49, "end": 15.8}],
    },
    "LibraryStats": {
        "songs": 1,
        "songsByStatus": {"Completed": 1},
        "stems": 4,
        "stemsByType": {"Drums": 1, "Bass": 1, "Vocals": 1, "Other": 1},
        "stemsByKey": {"C# major": 3, "unknown": 1},
        "stemsByStatus": {"Completed": 4},
        "bpmHistogram": [{"fromBpm": 120, "toBpm": 125, "stems": 4}],
        "stemSeconds": 805.6,
        "stemBytes": 142107840,
        "growth": [{"day": DAY, "songs": 1, "stems": 4}],
    },
    "JobSummary": JOB_SUMMARY,
    "JobView": JOB,
    "Job": {
        **JOB,
        "blobName": f"{SONG_ID}/My song.flac",
        "etag": '"0x8DC4431F8B1D2E0"',
        "idempotencyKey": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
        "queuedAttempt": 1,
        "checkpoints": {},
        "knownContentHash": None,
        "result": None,
        "unsettledSince": None,
    },
    "JobStats": {
        "byStatus": {"Running": 1, "Pending": 2},
        "averageCompletionSeconds": 61.5,
        "p95CompletionSeconds": 98.7,
        "days": [
            {"day": DAY, "completed": 8, "failed": 1, "cancelled": 0, "completedDeleted": 8, "purged": 0},
        ],
    },
    "ClaimRequest": WORKER,
    "Heartbeat": {**WORKER, "step": "Separating", "progress": 42, "checkpoints": {}},
    "Lease": {"status": "Running", "attempt": 1, "progress": 42},
    "Completion": {
        **WORKER,
        "contentHash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "unchanged": False,
        "durationSeconds": 201.4,
        "sampleRate": 44100,
        "channels": 2,
        "song": MUSIC,
        "metadata": {"model": MODEL},
    },
    "Failure": {**WORKER, "error": "The file is no audio that we know.", "kind": "permanent"},
    "SweepReport": {
        "rescued": 0,
        "settled": 1,
        "announced": 0,
        "uploadsFound": 0,
        "deletionsFinished": 0,
        "indexed": 0,
    },
    "Notation": NOTATION,
    "RepairReport": {"checked": 200, "records": 0, "counts": 0, "sums": 0, "projections": 0, "busy": 0},
    "ReanalysisReport": {"started": 20, "failed": 0, "waiting": 20, "done": False},
    "Purged": {"purged": 3},
    "Health": {
        "status": "healthy",
        "dependencies": {"storage": "healthy", "serviceBus": "healthy", "cosmos": "healthy"},
    },
    "Problem": {
        "type": "about:blank",
        "title": "Invalid input",
        "status": 400,
        "detail": "The query can't be taken.",
        "instance": "/api/stems",
        "errors": [{"field": "minBpm", "message": "must be a number"}],
    },
}
"""By the model's name, under wire names."""

PARAMETERS: dict[str, Any] = {"id": STEM_ID, "key": "C# major"}
"""Of paths."""
