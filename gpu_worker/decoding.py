"""Decoding of untrusted audio: recognised by content, bounded before and while it is decoded."""

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile as sf

from gpu_worker.errors import UnsuitableAudioError

SAMPLE_RATE = 44_100
CHANNELS = 2
MIN_SECONDS = 0.1
MAX_CHANNELS = 8
SAMPLE_RATES = range(8_000, 192_001)
MAX_BAD_PACKETS = 0.01
FORMATS_THAT_STATE_THEIR_LENGTH = frozenset({"wav", "flac", "mov", "aiff"})
"""Of the others, the header's length is an estimate, or read from the last page that is there."""

NOT_AUDIO = "This is not an audio file that can be read here (WAV, FLAC, MP3, OGG, Opus, M4A, AAC or AIFF)."
DAMAGED = "The audio file is damaged and can't be decoded to its end."


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


def decode(source: Path, target: Path, *, max_minutes: float) -> SourceFormat:
    """Decode `source` to a stereo 44.1 kHz float WAV at `target`, in constant memory.

    Parameters
    ----------
    source : Path
        The uploaded file; its name says nothing.
    target : Path
        Written as 32-bit float WAV.
    max_minutes : float
        Longer audio is refused, by its header or while it is decoded.

    Raises
    ------
    UnsuitableAudioError
        With a sentence that says what is wrong with the file.
    """
    with source.open("rb") as file:
        head = file.read(12)
        if not head:
            raise UnsuitableAudioError("The file is empty.")
        demuxer = recognise(head)
        if demuxer is None:
            raise UnsuitableAudioError(NOT_AUDIO)
        file.seek(0)
        try:
            with av.open(file, mode="r", format=demuxer) as container:
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

    # One channel stays one until it is written: FFmpeg's mono to stereo would take 3 dB off.
    layout = "mono" if channels == 1 else "stereo"
    resampler = av.AudioResampler(format="flt", layout=layout, rate=SAMPLE_RATE)
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
                _write(resampler.resample(frame), output)
            if output.frames > max_seconds * SAMPLE_RATE:
                raise UnsuitableAudioError(too_long)
        if output.frames:
            _write(resampler.resample(None), output)
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


def _write(frames: list[av.AudioFrame], output: sf.SoundFile) -> None:
    for frame in frames:
        samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
        if not np.isfinite(samples).all():
            raise UnsuitableAudioError("The file holds samples that are no numbers (NaN or infinite).")
        output.write(np.broadcast_to(samples, (len(samples), CHANNELS)))
