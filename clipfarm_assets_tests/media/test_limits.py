"""A few bytes that claim too much end at a limit that the error names, before memory or time is spent on them."""

import http.server
import struct
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.audio import decode_audio, write_wav
from clipfarm_assets.media.containers import to_mp4
from clipfarm_assets.media.frames import decode_all, sample_frames
from clipfarm_assets.media.limits import current_limits
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.sample_tables import read_tables
from clipfarm_assets.media.transcripts import from_subtitle_stream, parse_transcript
from clipfarm_assets_tests.media import kinds
from clipfarm_assets_tests.media.fuzzing import in_own_processes
from clipfarm_assets_tests.media.making import Recipe, make_sound, make_video, tone, x264

MOST_BYTES = 300 * 2**20


def refused(path: Path, what: str) -> None:
    """The file ends in a named error, in a process of its own that stays small."""
    (ending,) = in_own_processes([path])
    assert not ending.fault
    assert ending.grown_bytes < MOST_BYTES
    with pytest.raises(UnsupportedMedia, match=what):
        probe(path)
    with pytest.raises(UnsupportedMedia, match=what):
        sample_frames(path, 4)


def patched(folder: Path, recipe: Recipe, box: bytes, offset: int, *numbers: int) -> Path:
    """A file with some numbers of one of its boxes overwritten."""
    path = make_video(folder, recipe)
    data = bytearray(path.read_bytes())
    struct.pack_into(f">{len(numbers)}I", data, kinds.boxes(data, box)[0] + offset, *numbers)
    path.write_bytes(data)
    return path


NO_B_FRAMES = x264("keyint=20:bframes=0")


@pytest.mark.parametrize("count", [1_000_001, 80_000_000, 0xFFFFFFFF])
def test_a_table_of_samples_that_are_not_there(tmp_path: Path, count: int) -> None:
    path = patched(tmp_path, Recipe("x.mp4", options=NO_B_FRAMES), b"stsz", 4, 1, count)
    refused(path, f"has {count:,} frames, above the limit of 1,000,000 .CLIPFARM_MAX_VIDEO_FRAMES")


@pytest.mark.parametrize(("box", "offset"), [(b"stts", 8), (b"ctts", 8)])
def test_a_run_of_durations_that_never_ends(tmp_path: Path, box: bytes, offset: int) -> None:
    refused(patched(tmp_path, Recipe("x.mp4", options=x264("keyint=20:bframes=3")), box, offset, 0xFFFFFFF0), "claim")


def test_a_fragment_of_samples_that_are_not_there(tmp_path: Path) -> None:
    recipe = Recipe("x.mp4", options=NO_B_FRAMES, muxer={"movflags": "frag_keyframe+empty_moov+default_base_moof"})
    refused(patched(tmp_path, recipe, b"trun", 0, 0x01000000, 60_000_000), "claim 60,0")


def test_an_edit_list_that_shows_everything_a_million_times(tmp_path: Path) -> None:
    refused(patched(tmp_path, Recipe("x.mp4", options=NO_B_FRAMES), b"elst", 4, 1_000_000), "claim 60,000,000")


def test_a_video_of_more_hours_than_allowed(tmp_path: Path) -> None:
    hours = Recipe("x.mp4", n_frames=11, ticks=range(0, 39_600_000, 3_600_000), options=NO_B_FRAMES)
    refused(make_video(tmp_path, hours), "lasts .* seconds, above the limit of 21,600 .CLIPFARM_MAX_VIDEO_SEC")


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "h264"])
def test_pictures_that_are_too_large(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(f"x.{ending}", n_frames=2, size=(128, 64), options={**NO_B_FRAMES, "flags": "-global_header"})
    path = make_video(tmp_path, recipe if ending == "h264" else Recipe(recipe.name, n_frames=2, size=(128, 64)))
    monkeypatch.setenv("CLIPFARM_MAX_FRAME_PIXELS", str(128 * 64))
    assert len(sample_frames(path, 2).images) == 2
    monkeypatch.setenv("CLIPFARM_MAX_FRAME_PIXELS", str(128 * 64 - 1))
    refused(path, "128 × 64 pixels, above the limit of 8,191 .CLIPFARM_MAX_FRAME_PIXELS")


def test_a_picture_that_grows_on_its_way_never_reaches_the_decoder(
    made: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made("resizing.webm")
    assert {p.image.shape for p in decode_all(path)} == {(64, 96, 3), (120, 160, 3)}
    monkeypatch.setenv("CLIPFARM_MAX_FRAME_PIXELS", "10000")
    assert {p.image.shape for p in decode_all(path)} == {(64, 96, 3)}


@pytest.mark.parametrize(
    "name", ["cfr.mp4", "fragmented.mp4", "h264.mkv", "vp8.webm", "stream.ts", "mpeg2.mpg", "no_times.h264"]
)
def test_more_pictures_than_allowed(
    made: Callable[[str], Path], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIPFARM_MAX_VIDEO_FRAMES", "60")
    assert len(sample_frames(made(name), 60).images) == 60
    monkeypatch.setenv("CLIPFARM_MAX_VIDEO_FRAMES", "59")
    with pytest.raises(UnsupportedMedia, match=r"60 frames.*CLIPFARM_MAX_VIDEO_FRAMES"):
        sample_frames(made(name), 4)
    if not name.endswith(".mp4") or name == "cfr.mp4":  # a fragmented MP4 is stored as it is, and counted when read
        with pytest.raises(UnsupportedMedia, match="CLIPFARM_MAX_VIDEO_FRAMES"):
            to_mp4(made(name), tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


def test_more_streams_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "many.mkv"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        texts = [out.add_mux_stream("subrip", time_base=Fraction(1, 1000)) for _ in range(100)]
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        assert len(texts) == 100
    refused(path, "101 streams, above the limit of 100 .CLIPFARM_MAX_STREAMS")


def test_more_sound_than_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_sound(tmp_path / "long.ts", tone(3.0))  # its length is known to nobody before it is decoded
    monkeypatch.setenv("CLIPFARM_MAX_VIDEO_SEC", "2")
    with pytest.raises(UnsupportedMedia, match=r"sound lasts .*CLIPFARM_MAX_VIDEO_SEC"):
        decode_audio(path)
    with pytest.raises(UnsupportedMedia, match=r"sound lasts .*CLIPFARM_MAX_VIDEO_SEC"):
        write_wav(path, tmp_path / "out.wav")
    assert [p.name for p in tmp_path.iterdir()] == ["long.ts"]


@pytest.mark.parametrize("rate", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_sound_of_a_rate_that_cannot_be(tmp_path: Path, rate: int) -> None:
    path = make_sound(tmp_path / "sound.wav", tone(0.5))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 24, rate)
    path.write_bytes(data)
    with pytest.raises(UnsupportedMedia):
        decode_audio(path)


def test_a_video_of_a_thousand_frames_a_second(made: Callable[[str], Path]) -> None:
    assert sample_frames(made("thousand_fps.mp4"), 16).n_frames == 200


def test_subtitles_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kinds.make("subtitles.mkv", tmp_path)
    monkeypatch.setattr("clipfarm_assets.media.subtitles.MAX_CHARACTERS", 20)
    with pytest.raises(UnsupportedMedia, match="more than 20 characters"):
        from_subtitle_stream(path)
    with pytest.raises(UnsupportedMedia, match="above the limit"):
        parse_transcript(b" " * 100_000_001, "words.srt")


def test_the_tables_of_a_long_but_honest_video_are_within_the_limits(made: Callable[[str], Path]) -> None:
    (video,) = read_tables(made("two_hours.mp4"), current_limits())
    assert video.is_video
    assert video.n_samples == 36_000


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on loopback, and the paths that anyone asked it for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=control:{}\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><BaseURL>{}'
    "</BaseURL></Period></MPD>",
    "asx": '<asx version="3.0"><entry><ref href="{}"/></entry></asx>',
    "reference": "[Reference]\r\nRef1={}\r\n",
    "rtsptext": "rtsptext\r\n{}\r\n",
}


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "ffconcat", "mkv", "sdp", "mpd", "asf"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_list_of_other_files_and_addresses_is_not_followed(
    made: Callable[[str], Path], tmp_path: Path, visits: tuple[str, list[str]], kind: str, ending: str
) -> None:
    address, asked = visits
    video = made("stream.ts")
    for target in (f"{address}/video.ts", str(video), f"file:{video}", f"subfile,,start,0,end,0,,:{video}", video.name):
        path = video.with_name(f"list-{kind}.{ending}")
        path.write_text(PLAYLISTS[kind].format(target))
        with pytest.raises(UnsupportedMedia):
            probe(path)
        with pytest.raises(UnsupportedMedia):
            to_mp4(path, tmp_path / "out.mp4")
        path.unlink()
    assert asked == []


@pytest.mark.parametrize("kind", [b"alis", b"url "])
def test_an_mp4_that_keeps_its_media_in_another_file_does_not_get_it(
    made: Callable[[str], Path], visits: tuple[str, list[str]], kind: bytes
) -> None:
    """QuickTime's data references: the samples lie in a file that the header names."""
    address, asked = visits
    whole = made("faststart.mp4")
    data = bytearray(whole.read_bytes())
    at = kinds.boxes(data, b"dref")[0]
    names = {b"url ": f"{address}/x.mp4".encode() + b"\0", b"alis": _alias(whole)}
    entry = struct.pack(">I4sI", 12 + len(names[kind]), kind, 0) + names[kind]
    old = struct.unpack(">I", data[at + 8 : at + 12])[0]
    grown = len(entry) - old
    data[at + 8 : at + 8 + old] = entry
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        place = kinds.boxes(data, box)[0] - 8
        struct.pack_into(">I", data, place, struct.unpack(">I", data[place : place + 4])[0] + grown)
    end = kinds.boxes(data, b"mdat")[0]
    path = whole.with_name("elsewhere.mp4")
    path.write_bytes(data[:end])  # without media of its own
    with pytest.raises(UnsupportedMedia):
        sample_frames(path, 2)
    assert asked == []


def _alias(target: Path) -> bytes:
    """A Macintosh alias record with an absolute path (type 2), as QuickTime writes it."""
    name = str(target).encode()
    head = bytes(10) + bytes([9]) + b"Untitled\0".ljust(27, b"\0") + bytes(12) + bytes([len(target.name[:63])])
    head += target.name.encode().ljust(63, b"\0") + bytes(16) + struct.pack(">hh", 0, 0) + bytes(16)
    return head + struct.pack(">hH", 2, len(name)) + name + b"\0" * (len(name) % 2) + struct.pack(">hH", -1, 0)
