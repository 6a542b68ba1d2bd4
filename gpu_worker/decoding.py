"""Decoding of untrusted audio: recognised by content, bounded before and while it is decoded.

It is done in a process of its own, of limited memory and time, since a header may state what it likes:
`python -m gpu_worker.decoding SOURCE TARGET MINUTES`.
"""

import json
import signal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
import soundfile as sf

from gpu_worker.confined import complaint, run_confined
from gpu_worker.errors import UnsuitableAudioError

SAMPLE_RATE = 44_100
CHANNELS = 2
MIN_SECONDS = 0.1
MAX_CHANNELS = 8
SAMPLE_RATES = range(8_000, 192_001)
MAX_BAD_PACKETS = 0.01
MAX_MEMORY_BYTES = 1024**3
MAX_COMPUTING_SECONDS = 300
"""An hour of FLAC takes 7 s on one core."""

FORMATS_THAT_STATE_THEIR_LENGTH = frozenset({"wav", "flac", "mov", "aiff"})
"""Of the others, the header's length is an estimate, or read from the last page that is there."""

NOT_AUDIO = "This is not an audio file that can be read here (WAV, FLAC, MP3, OGG, Opus, M4A, AAC or AIFF)."
DAMAGED = "The audio file is damaged and can't be decoded to its end."
TOO_COSTLY = "The audio file takes too long to decode: it must be damaged, or made to."
BY_THE_FILE = {-signal.SIGXCPU: TOO_COSTLY, -signal.SIGSEGV: DAMAGED, -signal.SIGABRT: DAMAGED}
"""Ends of the decoding process that are the file's fault."""


@dataclass(frozen=True, kw_only=True)
class SourceFormat:
    """What the uploaded file was."""

    duration_seconds: float
    sample_rate: int
    channels: int


def recognise(head: bytes) -> str | None:
    """Return the FFmpeg demuxer for a file that starts with `head` (12 bytes); None if it is no known audio.

    The demuxer is then forced: FFmpeg's own probing also knows playlists, which open other files.
    """
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mov"
    for magic, demuxer in ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"ID3", "mp3")):
        if head.startswith(magic):
            return demuxer
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "aac"  # ADTS sync word: layer bits are zero
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        return "mp3"
    return None


def decode(
    source: Path, target: Path, *, max_minutes: float, computing_seconds: int = MAX_COMPUTING_SECONDS
) -> SourceFormat:
    """Decode `source` to a stereo 44.1 kHz float WAV at `target`, in limited memory and time.

    Parameters
    ----------
    source : Path
        The uploaded file; its name says nothing.
    target : Path
        Written as 32-bit float WAV.
    max_minutes : float
        Longer audio is refused, by its header or while it is decoded.
    computing_seconds : int
        Of one core, at most.

    Raises
    ------
    UnsuitableAudioError
        With a sentence that says what is wrong with the file.
    RuntimeError
        If decoding failed by a fault that is not the file's.
    """
    ended = run_confined(
        "gpu_worker.decoding",
        str(source.absolute()),
        str(target.absolute()),
        str(max_minutes),
        memory_bytes=MAX_MEMORY_BYTES,
        computing_seconds=computing_seconds,
    )
    if ended.returncode in BY_THE_FILE:
        raise UnsuitableAudioError(BY_THE_FILE[ended.returncode])
    if ended.returncode:
        raise RuntimeError(f"The song could not be decoded: {complaint(ended)}")
    answer = json.loads(ended.stdout)
    if "refusal" in answer:
        raise UnsuitableAudioError(answer["refusal"])
    return SourceFormat(**answer)


def main() -> None:
    """Decode one file, and print as JSON what it was, or why it is refused."""
    source, target, minutes = sys.argv[1:]
    try:
        answer = asdict(decode_here(Path(source), Path(target), max_minutes=float(minutes)))
    except UnsuitableAudioError as error:
        answer = {"refusal": str(error)}
    sys.stdout.write(json.dumps(answer))


def decode_here(source: Path, target: Path, *, max_minutes: float) -> SourceFormat:
    """Decode as `decode` does, in this process: nothing limits what a file may cost it."""
    with source.open("rb") as file:
        head = file.read(12)
        if not head:
            raise UnsuitableAudioError("The file is empty.")
        demuxer = recognise(head)
        if demuxer is None:
            raise UnsuitableAudioError(NOT_AUDIO)
        file.seek(0)
        try:
            # Tags are often in another encoding than they should be; here they don't matter.
            with av.open(file, mode="r", format=demuxer, metadata_errors="replace") as container:
                return _decode(container, demuxer, target, max_minutes * 60)
        except av.error.FFmpegError as error:
            raise UnsuitableAudioError(DAMAGED) from error


def _decode(
    container: av.container.InputContainer, demuxer: str, target: Path, max_seconds: float
) -> SourceFormat:
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        raise UnsuitableAudioError("The file holds no sound.")
    channels, rate = stream.codec_context.channels, stream.codec_context.sample_rate
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnsuitableAudioError(f"The file has {channels} channels; at most {MAX_CHANNELS} can be taken.")
    if rate not in SAMPLE_RATES:
        raise UnsuitableAudioError(f"A sample rate of {rate} Hz can't be taken (8 to 192 kHz can).")
    stated = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
    too_long = f"The song is longer than {max_seconds / 60:g} minutes."
    if stated is not None and stated > max_seconds and demuxer in FORMATS_THAT_STATE_THEIR_LENGTH:
        raise UnsuitableAudioError(too_long)

    resampler = _Resampler()
    packets = bad_packets = 0
    with sf.SoundFile(target, "w", SAMPLE_RATE, CHANNELS, subtype="FLOAT", format="WAV") as output:
        for packet in container.demux(stream):
            packets += 1
            try:
                frames = packet.decode()
            except av.error.InvalidDataError:
                bad_packets += 1
                continue
            for frame in frames:
                _write(resampler.take(frame), output)
            if output.frames > max_seconds * SAMPLE_RATE:
                raise UnsuitableAudioError(too_long)
        if output.frames:
            _write(resampler.rest(), output)
        seconds = output.frames / SAMPLE_RATE
    if bad_packets > max(1, MAX_BAD_PACKETS * packets):
        raise UnsuitableAudioError(DAMAGED)
    if seconds < MIN_SECONDS:
        raise UnsuitableAudioError("The file holds no sound, or less than a tenth of a second of it.")
    if stated and demuxer in FORMATS_THAT_STATE_THEIR_LENGTH and seconds < 0.95 * stated:
        raise UnsuitableAudioError(
            f"The file is cut off: it says that it lasts {stated:.0f} s, but holds {seconds:.0f} s."
        )
    return SourceFormat(duration_seconds=seconds, sample_rate=rate, channels=channels)


class _Resampler:
    """Makes all frames alike, also those of joined files, whose channels and rate change on the way."""

    def __init__(self) -> None:
        self._source: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def take(self, frame: av.AudioFrame) -> Iterator[av.AudioFrame]:
        source = (frame.format.name, frame.layout.name, frame.sample_rate)
        if source != self._source:
            yield from self.rest()
            # One channel stays one until it is written: FFmpeg's mono to stereo would take 3 dB off.
            layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._resampler = av.AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE)
            self._source = source
        assert self._resampler is not None
        yield from self._resampler.resample(frame)

    def rest(self) -> list[av.AudioFrame]:
        """Return what is still held back."""
        return self._resampler.resample(None) if self._resampler else []


def _write(frames: Iterable[av.AudioFrame], output: sf.SoundFile) -> None:
    for frame in frames:
        samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
        if not np.isfinite(samples).all():
            raise UnsuitableAudioError("The file holds samples that are no numbers (NaN or infinite).")
        output.write(np.broadcast_to(samples, (len(samples), CHANNELS)))


if __name__ == "__main__":
    main()
