import tracemalloc
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import NoAudioTrack, UnsupportedMedia
from clipfarm_assets.media.audio import decode_audio, write_wav
from clipfarm_assets_tests.media import making

FILES = {
    "stereo.wav": {"rate": 44_100},
    "mono.wav": {"rate": 16_000, "channels": 1},
    "low.wav": {"rate": 8_000},
    "lossless.flac": {"rate": 48_000},
    "aac.mp4": {"rate": 44_100},
    "opus.webm": {"rate": 48_000},
    "mp3.mp3": {"rate": 44_100},
}


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as wav:
        assert (wav.getnchannels(), wav.getsampwidth(), wav.getframerate()) == (1, 2, 16_000)
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


@pytest.mark.parametrize("name", FILES)
def test_samples_equal_those_of_ffmpeg(tmp_path: Path, ffmpeg: Callable[..., bytes], name: str) -> None:
    kind = FILES[name]
    path = making.make_sound(tmp_path / name, making.tone(2.0, kind["rate"], kind.get("channels", 2)), kind["rate"])
    as_ffmpeg_decodes(path, tmp_path, ffmpeg, 0)


@pytest.mark.parametrize("name", ["chaplin.mp4", "jfk.flac", "nasa_13013.mp4", "video_with_failing_audio.mp4"])
def test_samples_of_real_recordings_equal_those_of_ffmpeg(
    real: Callable[[str], Path], tmp_path: Path, ffmpeg: Callable[..., bytes], name: str
) -> None:
    as_ffmpeg_decodes(real(name), tmp_path, ffmpeg, 0 if name.endswith("flac") else 1)


def as_ffmpeg_decodes(path: Path, tmp_path: Path, ffmpeg: Callable[..., bytes], stream: int) -> None:
    ask = ("-i", path, "-map", f"0:{stream}", "-ac", 1, "-ar", 16_000)
    ours = decode_audio(path)
    theirs = np.frombuffer(ffmpeg(*ask, "-f", "s16le", "-"), "<i2") / 32768
    assert ours.dtype == np.float32
    assert ours.ndim == 1
    info = write_wav(path, tmp_path / "out.wav")
    delay = round(info.start_silence_sec * 16_000)
    assert not ours[:delay].any()
    assert abs(len(ours) - delay - len(theirs)) <= 1
    length = min(len(ours) - delay, len(theirs))
    assert np.abs(ours[delay : delay + length] - theirs[:length]).max() < 1e-4
    assert np.abs(read_wav(tmp_path / "out.wav") / 32768 - ours).max() <= 1 / 32768
    assert info.n_samples == len(ours)
    assert (info.decode_errors, info.lost_sec) == (0, 0)


def test_a_video_without_sound_has_no_audio_track(made: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(NoAudioTrack):
        decode_audio(made("cfr.mp4"))
    with pytest.raises(NoAudioTrack):
        write_wav(made("cfr.mp4"), tmp_path / "out.wav")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_sound_that_starts_later_is_preceded_by_silence(tmp_path: Path, name: str) -> None:
    path = making.make_video(tmp_path, making.Recipe(name, n_frames=50), making.tone(1.0), audio_start_sec=0.5)
    samples = decode_audio(path)
    assert np.abs(samples[: 16_000 * 45 // 100]).max() < 0.01
    assert np.abs(samples[16_000 * 55 // 100 : 16_000]).max() > 0.2
    assert write_wav(path, tmp_path / "out.wav").start_silence_sec == pytest.approx(0.5, abs=0.05)


def test_float_samples_equal_those_of_ffmpeg_with_the_same_gains(tmp_path: Path, ffmpeg: Callable[..., bytes]) -> None:
    path = making.make_sound(tmp_path / "sound.mp4", making.tone(2.0))
    mix = "aresample=16000:rematrix_maxval=1.0:ochl=mono"
    theirs = np.frombuffer(ffmpeg("-i", path, "-af", mix, "-f", "f32le", "-"), "<f4")
    assert np.abs(decode_audio(path) - theirs).max() < 1e-6


def test_a_damaged_track_keeps_what_decodes_and_its_place_in_time(tmp_path: Path) -> None:
    path = tmp_path / "sound.flac"
    making.make_sound(path, (making.tone(4.0) * np.linspace(1, 0.5, 4 * 44_100)).astype(np.int16))
    data = bytearray(path.read_bytes())
    whole = decode_audio(path)
    data[len(data) // 2 : len(data) // 2 + 40_000] = bytes(40_000)
    path.write_bytes(data)
    info = write_wav(path, tmp_path / "out.wav")
    assert info.decode_errors > 0 or info.lost_sec > 0
    samples = read_wav(tmp_path / "out.wav") / 32768
    assert np.abs(samples[:16_000] - whole[:16_000]).max() < 1e-3


def test_a_track_of_which_nothing_decodes_is_unsupported(tmp_path: Path) -> None:
    recipe = making.Recipe("sound.mkv", n_frames=5)
    path = making.make_video(tmp_path, recipe, making.tone(1.0))
    import av

    with av.open(str(path)) as container:
        broken = [(bytes(p)) for p in container.demux(audio=0) if p.size]
    data = path.read_bytes()
    for packet in broken:
        data = data.replace(packet, b"\xff" * len(packet)) if len(packet) > 8 else data
    path.write_bytes(data)
    with pytest.raises((UnsupportedMedia, NoAudioTrack)):
        decode_audio(path)


def test_memory_stays_flat_however_long_the_sound(tmp_path: Path) -> None:
    path = making.make_sound(tmp_path / "long.wav", making.tone(240.0, 8_000, 1), 8_000)
    tracemalloc.start()
    write_wav(path, tmp_path / "out.wav")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_other_sample_rates_can_be_had(tmp_path: Path) -> None:
    path = making.make_sound(tmp_path / "a.wav", making.tone(1.0, 48_000), 48_000)
    assert len(decode_audio(path, 8_000)) == pytest.approx(8_000, abs=8)
