import io
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

from gpu_worker.decoding import CHANNELS, SAMPLE_RATE, decode, decode_here, recognise
from gpu_worker.errors import UnsuitableAudioError

SECONDS = 2.0


def tone(rate: int = 44_100, channels: int = 2, seconds: float = SECONDS) -> np.ndarray:
    time = np.arange(int(rate * seconds)) / rate
    return np.repeat(0.5 * np.sin(2 * np.pi * 440 * time)[:, None], channels, axis=1).astype("float32")


def written(path: Path, rate: int = 44_100, channels: int = 2, **options: str) -> Path:
    sf.write(path, tone(rate, channels), rate, **options)
    return path


def encoded_by_ffmpeg(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=44_100)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone().T), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(format=stream.format, layout="stereo", rate=44_100, frame_size=1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "decoded.wav"


def refused(source: Path, target: Path, sentence: str, *, max_minutes: float = 60) -> None:
    with pytest.raises(UnsuitableAudioError, match=sentence) as error:
        decode_here(source, target, max_minutes=max_minutes)
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg", "a.aiff", "a.opus", "a.m4a", "a.aac"])
def test_every_accepted_format_is_decoded(tmp_path: Path, target: Path, name: str):
    path = tmp_path / name
    if name in ("a.m4a", "a.aac"):
        encoded_by_ffmpeg(path, "aac")
    elif name == "a.opus":
        written(path, 48_000, format="OGG", subtype="OPUS")
    else:
        written(path)
    source = decode_here(path, target, max_minutes=1)
    samples, rate = sf.read(target)
    assert (rate, samples.shape[1]) == (SAMPLE_RATE, CHANNELS)
    assert source.duration_seconds == pytest.approx(SECONDS, abs=0.1)  # codecs pad
    middle = samples[SAMPLE_RATE // 2 : SAMPLE_RATE]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("rate", "channels"), [(8_000, 1), (22_050, 1), (48_000, 2), (96_000, 2), (192_000, 1)]
)
def test_rates_and_channels_become_stereo_at_44100(tmp_path: Path, target: Path, rate: int, channels: int):
    source = decode_here(written(tmp_path / "a.wav", rate, channels), target, max_minutes=1)
    assert (source.sample_rate, source.channels) == (rate, channels)
    samples, _ = sf.read(target)
    assert len(samples) == pytest.approx(SECONDS * SAMPLE_RATE, abs=64)
    assert np.abs(samples).max() == pytest.approx(0.5, rel=0.05)
    assert np.allclose(samples[:, 0], samples[:, 1], atol=1e-4)


def test_six_channels_are_mixed_down(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.wav", channels=6)
    assert decode_here(path, target, max_minutes=1).channels == 6
    assert sf.info(target).channels == 2


def test_a_lossless_stereo_file_comes_through_unchanged(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.wav", subtype="FLOAT")
    decode_here(path, target, max_minutes=1)
    assert np.array_equal(sf.read(target)[0], sf.read(path)[0])


def test_the_name_says_nothing(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.flac").rename(tmp_path / "a.txt")
    assert decode_here(path, target, max_minutes=1).duration_seconds == pytest.approx(SECONDS)


@pytest.mark.parametrize(
    "content",
    [
        b"Dear diary, today I made no music at all.\n",
        b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"<html></html>",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"PK\x03\x04" + bytes(100),
        b"\x00",
    ],
)
def test_what_is_not_audio_is_refused(tmp_path: Path, target: Path, content: bytes):
    path = tmp_path / "song.mp3"
    path.write_bytes(content)
    refused(path, target, "not an audio file")


def test_an_empty_file_is_refused(tmp_path: Path, target: Path):
    path = tmp_path / "song.wav"
    path.touch()
    refused(path, target, "empty")


@pytest.mark.parametrize("frames", [0, 1, 1000])
def test_next_to_no_sound_is_refused(tmp_path: Path, target: Path, frames: int):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros((frames, 2)), 44_100)
    refused(path, target, "less than a tenth of a second")


def test_a_wav_that_promises_more_is_taken_for_what_it_holds(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.wav")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert decode_here(path, target, max_minutes=1).duration_seconds == pytest.approx(SECONDS / 2, abs=0.1)


@pytest.mark.parametrize("name", ["a.flac", "a.aiff"])
def test_a_file_cut_in_the_middle_is_refused(tmp_path: Path, target: Path, name: str):
    path = written(tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, target, "cut off|damaged")


def test_noise_after_a_good_head_is_refused(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.flac")
    head = path.read_bytes()[:100]
    path.write_bytes(head + np.random.default_rng(1).bytes(50_000))
    refused(path, target, "damaged|cut off|no sound")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, target: Path, value: float):
    samples = tone()
    samples[1000] = value
    path = tmp_path / "a.wav"
    sf.write(path, samples, 44_100, subtype="FLOAT")
    refused(path, target, "NaN or infinite")


def test_a_long_file_is_refused_by_its_header_or_while_it_is_decoded(tmp_path: Path, target: Path):
    silence = np.zeros((8_000 * 61, 1), dtype="float32")
    for name in ("a.flac", "a.ogg"):
        sf.write(tmp_path / name, silence, 8_000)
        refused(tmp_path / name, target, "longer than 1 minutes", max_minutes=1)
    decode_here(tmp_path / "a.flac", target, max_minutes=1.1)


@pytest.mark.parametrize("rate", [1, 7_999, 10_000_000])
def test_a_rate_of_no_music_is_refused(tmp_path: Path, target: Path, rate: int):
    path = tmp_path / "a.wav"
    sf.write(path, np.zeros((1000, 1)), rate)
    refused(path, target, f"{rate} Hz")


def test_tags_in_another_encoding_do_not_matter(tmp_path: Path, target: Path):
    """As old programs write them: Latin-1, where a reader expects UTF-8."""
    path = tmp_path / "a.wav"
    with sf.SoundFile(path, "w", 44_100, 2) as file:
        file.artist = "Bjork"
        file.write(tone())
    path.write_bytes(path.read_bytes().replace(b"Bjork", "Björk".encode("latin-1")))
    assert decode_here(path, target, max_minutes=1).duration_seconds == pytest.approx(SECONDS)


def test_joined_files_of_other_channels_or_rate_are_decoded_to_their_end(tmp_path: Path, target: Path):
    joined = tmp_path / "joined.mp3"
    kinds = ((44_100, 1), (44_100, 2), (48_000, 2))
    parts = [written(tmp_path / f"{number}.mp3", *kind) for number, kind in enumerate(kinds)]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = decode_here(joined, target, max_minutes=1)
    assert source.duration_seconds == pytest.approx(3 * SECONDS, abs=0.3)  # codecs pad
    samples, _ = sf.read(target)
    for part in range(3):
        middle = samples[round((part * SECONDS + 0.5) * SAMPLE_RATE) :][:SAMPLE_RATE]
        assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / 2**0.5, rel=0.05)


def test_a_song_is_decoded_apart(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.wav", 48_000, 1)
    source = decode(path, target, max_minutes=1)
    assert (source.sample_rate, source.channels) == (48_000, 1)
    assert source.duration_seconds == pytest.approx(SECONDS)
    assert sf.info(target).samplerate == SAMPLE_RATE
    with pytest.raises(UnsuitableAudioError, match="longer than"):
        decode(path, target, max_minutes=0.01)


def test_a_file_made_to_keep_its_decoder_busy_is_refused(tmp_path: Path, target: Path):
    """A WAV whose data are said to end at once: its demuxer looks for more in every two bytes that follow."""
    path = tmp_path / "a.wav"
    with sf.SoundFile(path, "w", 8_000, 1) as file:
        file.write(np.zeros(8_000 * 1800, "int16"))
    content = bytearray(path.read_bytes())
    content[40:44] = (16_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UnsuitableAudioError, match="takes too long to decode"):
        decode(path, target, max_minutes=60, computing_seconds=1)


def test_a_fault_that_is_not_the_files_is_no_refusal(tmp_path: Path):
    path = written(tmp_path / "a.wav")
    with pytest.raises(RuntimeError, match="could not be decoded"):
        decode(path, tmp_path / "no folder" / "decoded.wav", max_minutes=1)


def test_too_many_channels_are_refused(tmp_path: Path, target: Path):
    refused(written(tmp_path / "a.wav", channels=16), target, "16 channels")


def test_a_header_that_states_no_length_is_decoded(tmp_path: Path, target: Path):
    path = written(tmp_path / "a.flac")
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # STREAMINFO's 36 bits of total samples
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert decode_here(path, target, max_minutes=1).duration_seconds == pytest.approx(SECONDS)


def test_a_video_gives_its_sound(tmp_path: Path, target: Path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 64
        audio = container.add_stream("aac", rate=44_100)
        audio.layout = "stereo"
        for _ in range(20):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), "uint8"), format="rgb24")
            container.mux(video.encode(picture))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(tone().T), format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=44_100, frame_size=1024)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(audio.encode(part))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    assert decode_here(path, target, max_minutes=1).duration_seconds == pytest.approx(SECONDS, abs=0.1)


@pytest.mark.parametrize(
    ("head", "demuxer"),
    [
        (b"ID3\x04", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf1\x50\x80", "aac"),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_recognition_by_content(head: bytes, demuxer: str | None):
    assert recognise(head) == demuxer


def test_memory_of_the_target_is_bounded_by_its_length(tmp_path: Path, target: Path):
    """A ten-hour file of silence is small on disk; it is refused before it is decoded."""
    buffer = io.BytesIO()
    with sf.SoundFile(buffer, "w", 8_000, 1, format="FLAC") as file:
        block = np.zeros(8_000 * 600, dtype="int16")
        for _ in range(60):
            file.write(block)
    path = tmp_path / "long.flac"
    path.write_bytes(buffer.getvalue())
    refused(path, target, "longer than 60 minutes")
    assert not target.exists()
