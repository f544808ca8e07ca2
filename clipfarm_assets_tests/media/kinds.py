"""Every kind of medium in the wild, as small files: ``python -m clipfarm_assets_tests.media.kinds FOLDER`` makes all.

``KINDS`` names each file and makes it: what encoders make (``making.RECIPES``), what is put together from their packets
or patched into their bytes, what is damaged, and what is no video. PyAV alone makes them; no ffmpeg command line.
"""

import io
import struct
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from clipfarm_assets_tests.media.making import RECIPES, Recipe, make_sound, make_video, tone, x264, x265

Maker = Callable[[Path], object]

TRUNCATIONS = 21
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_GOP = x264("keyint=20:bframes=3")
_TWO_HOURS_SEC = 7200


def make(name: str, folder: Path) -> Path:
    """The file of a kind, made in the folder unless it lies there."""
    path = folder / name
    if not path.exists():
        KINDS[name](path)
    return path


def boxes(data: bytes | bytearray, kind: bytes) -> list[int]:
    """Where the bodies of an MP4's boxes of a kind begin; good enough for files made here."""
    found, at = [], data.find(kind)
    while at >= 0:
        found.append(at + 4)
        at = data.find(kind, at + 1)
    return found


def remux(
    source: Path, path: Path, keep: Callable[[int, Any], bool] = lambda number, packet: True,
    options: dict[str, str] | None = None, file: Any = None,
) -> None:  # fmt: skip
    """Copies the packets that ``keep`` lets through (it may change them) into another container."""
    out_format = {"mkv": "matroska", "ts": "mpegts"}.get(path.suffix[1:], path.suffix[1:])
    with av.open(str(source)) as container:
        with av.open(file or str(path), "w", format=out_format, options=options or {}) as out:
            copies = {s.index: out.add_stream_from_template(s) for s in container.streams}
            for number, packet in enumerate(container.demux()):
                if packet.size and keep(number, packet):
                    packet.dts = packet.pts if packet.dts is None else packet.dts
                    packet.stream = copies[packet.stream.index]
                    out.mux(packet)


def with_sound(name: str, **more: Any) -> Maker:
    recipe = Recipe(name, **({"options": _GOP} | more))
    return lambda path: make_video(path.parent, replace(recipe, name=path.name), tone(recipe.n_frames / 25))


def patched(recipe: Recipe, patch: Callable[[bytearray], bytes | bytearray | None], sound: bool = False) -> Maker:
    """A recipe's file with its bytes changed in place, or replaced by what ``patch`` returns."""

    def write(path: Path) -> None:
        audio = tone(recipe.n_frames / 25) if sound else None
        make_video(path.parent, replace(recipe, name=path.name), audio)
        data = bytearray(path.read_bytes())
        path.write_bytes(patch(data) or data)

    return write


def _display(turn: int, flip: bool = False) -> Callable[[Any], None]:
    def set_up(stream: Any) -> None:
        stream.set_display_rotation(turn, hflip=flip)

    return set_up


def _wide_pixels(stream: Any) -> None:
    stream.codec_context.sample_aspect_ratio = Fraction(8, 9)


def _rotated_mkv(path: Path) -> None:
    source = path.with_name(path.stem + "-source.mp4")
    make_video(path.parent, Recipe(source.name, options=_GOP, set_up=_display(90)))
    remux(source, path)
    source.unlink()


def _without_duration(path: Path) -> None:
    """Matroska written to a pipe: neither duration nor index."""
    source = make_video(path.parent, Recipe(path.stem + "-source.webm", "libvpx", options={"g": "20"}), tone(2.4))
    buffer = io.BytesIO()
    remux(source, path, options={"live": "1"}, file=buffer)
    path.write_bytes(buffer.getvalue())
    source.unlink()


def _resizing(codec: str, sizes: tuple[tuple[int, int], ...], options: dict[str, str]) -> Maker:
    """Pictures of another size from the middle on, at a key frame, in one stream."""

    def write(path: Path) -> None:
        parts = [
            make_video(path.parent, Recipe(f"{path.stem}-{n}{path.suffix}", codec, 30, size, options=options))
            for n, size in enumerate(sizes)
        ]
        with av.open(str(parts[0])) as first, av.open(str(path), "w") as out:
            copy = out.add_stream_from_template(first.streams.video[0])
            for n, part in enumerate(parts):
                with av.open(str(part)) as container:
                    for packet in container.demux(video=0):
                        if packet.size:
                            ticks = round(n * 30 / 25 / packet.time_base)
                            packet.pts += ticks
                            packet.dts = packet.pts if packet.dts is None else packet.dts + ticks
                            packet.stream = copy
                            out.mux(packet)
        for part in parts:
            part.unlink()

    return write


def _png(size: int = 32) -> bytes:
    encoder: Any = av.CodecContext.create("png", "w")
    encoder.width = encoder.height = size
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.full((size, size, 3), 200, np.uint8), format="rgb24")
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def _cover(with_video: bool) -> Maker:
    """An attached picture in an MP4, first among the streams."""

    def write(path: Path) -> None:
        source = path.with_name(path.stem + "-source.mp4")
        if with_video:
            make_video(path.parent, Recipe(source.name, options=_GOP), tone(2.4))
        else:
            make_sound(source, tone(2.4))
        with av.open(str(source)) as container, av.open(str(path), "w") as out:
            cover: Any = out.add_mux_stream("png", width=32, height=32)
            cover.disposition = Disposition.attached_pic
            copies = {s.index: out.add_stream_from_template(s) for s in container.streams}
            out.start_encoding()
            picture = av.Packet(_png())
            picture.stream, picture.pts, picture.dts, picture.time_base = cover, 0, 0, Fraction(1, 25)
            out.mux(picture)
            for packet in container.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    out.mux(packet)
        source.unlink()

    return write


def _cover_in_tag(path: Path) -> None:
    """An MP3 whose ID3 tag holds a picture."""
    make_sound(path, tone(1.0))
    body = b"\0image/png\0\3\0" + _png()
    frame = b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\3\0\0" + length + frame + path.read_bytes())


def _broken_sound(path: Path) -> None:
    """The second half of the sound's packets is noise."""
    make_video(path.parent, Recipe(path.name, options=_GOP), tone(2.4))
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size) for p in container.demux(audio=0) if p.size and p.pos is not None]
    data, random = bytearray(path.read_bytes()), np.random.default_rng(0)
    for at, size in spans[len(spans) // 2 :]:
        data[at : at + size] = random.bytes(size)
    path.write_bytes(data)


def _unknown_sound(path: Path) -> None:
    """A sound track whose codec nobody knows."""
    make_video(path.parent, Recipe(path.name, options=_GOP), tone(2.4))
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_ZZZ"))


def damage_packets(path: Path, numbers: Callable[[int], bool]) -> None:
    """Overwrites the payload of some of the video's packets with zeros."""
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]
    data = bytearray(path.read_bytes())
    for number, (at, size) in enumerate(spans):
        if numbers(number):
            data[at + 4 : at + size] = bytes(max(size - 4, 0))
    path.write_bytes(data)


def _damaged(recipe: Recipe, numbers: Callable[[int], bool]) -> Maker:
    def write(path: Path) -> None:
        make_video(path.parent, replace(recipe, name=path.name))
        damage_packets(path, numbers)

    return write


def _headless(path: Path) -> None:
    """Cut off before its first key frame."""
    options = x264("open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0")
    source = make_video(path.parent, Recipe(path.stem + "-source.mkv", options=options))
    remux(source, path, lambda number, packet: number > 5)
    source.unlink()


def _same_time_twice(path: Path) -> None:
    source = make_video(path.parent, Recipe(path.stem + "-source.mkv", options=x264("keyint=20:bframes=0")))

    def keep(number: int, packet: Any) -> bool:
        if number % 10 == 5:
            packet.pts = packet.dts = packet.pts - 40
        return True

    remux(source, path, keep)
    source.unlink()


def _trimmed_mid_gop(data: bytearray) -> None:
    """The edit list shows the video from its 30th frame on, in the middle of a group of pictures."""
    at = boxes(data, b"elst")[0]
    start = struct.unpack(">i", data[at + 12 : at + 16])[0]
    scale = struct.unpack(">I", data[boxes(data, b"mdhd")[0] + 12 :][:4])[0]
    struct.pack_into(">i", data, at + 12, start + 30 * scale // 25)
    struct.pack_into(">I", data, at + 8, struct.unpack(">I", data[at + 8 : at + 12])[0] // 2)


def _no_timing(data: bytearray) -> None:
    """Every sample lasts no time, so that all have the same timestamp."""
    at = boxes(data, b"stts")[0]
    struct.pack_into(">I", data, at + 12, 0)


def _two_hours(path: Path) -> None:
    """A minute of pictures and sound, 120 times over, packets copied."""
    minute = Recipe(path.stem + "-minute.mp4", n_frames=300, size=(64, 48), ticks=range(0, 60_000, 200),
                    options=x264("keyint=100:bframes=2"))  # fmt: skip
    source = make_video(path.parent, minute)
    repeat(source, path, _TWO_HOURS_SEC // 60, 60)
    source.unlink()


def repeat(source: Path, path: Path, times: int, each_sec: float) -> None:
    """The video's packets over and over, as one longer video."""
    with av.open(str(source)) as container, av.open(str(path), "w") as out:
        copy = out.add_stream_from_template(container.streams.video[0])
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe, p.time_base, p.duration) for p in container.demux(video=0) if p.size]  # fmt: skip  # noqa: E501
        for number in range(times):
            for data, pts, dts, is_key, base, duration in packets:
                packet = av.Packet(data)
                shift = round(number * each_sec / base)
                packet.pts, packet.dts, packet.time_base, packet.duration = pts + shift, dts + shift, base, duration
                packet.is_keyframe, packet.stream = is_key, copy
                out.mux(packet)


def _subtitles(codec: str, lines: tuple[str, ...] = ("Good morning.", "How are you?")) -> Maker:
    def write(path: Path) -> None:
        source = make_video(path.parent, Recipe(path.stem + "-source.mp4", options=_GOP), tone(2.4))
        with av.open(str(source)) as container, av.open(str(path), "w") as out:
            copies = {s.index: out.add_stream_from_template(s) for s in container.streams}
            text: Any = out.add_mux_stream(codec, time_base=Fraction(1, 1000))
            text.metadata["language"] = "eng"
            for number, line in enumerate(lines):
                data = line.encode()
                packet = av.Packet(struct.pack(">H", len(data)) + data if codec == "mov_text" else data)
                packet.pts = packet.dts = number * 1000 + 200
                packet.duration, packet.time_base, packet.stream = 800, Fraction(1, 1000), text
                out.mux(packet)
            for packet in container.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    out.mux(packet)
        source.unlink()

    return write


def _with_start(sound_sec: float = 0.0, picture_ms: int = 0) -> Maker:
    """Sound or pictures begin half a second after the other."""

    def write(path: Path) -> None:
        coder = ("libvpx", _VPX) if path.suffix == ".webm" else ("libx264", _GOP)
        sound = tone(2.4, 48_000 if path.suffix == ".webm" else 44_100)
        make_video(path.parent, Recipe(path.name, coder[0], options=coder[1], start_ms=picture_ms), sound, sound_sec)

    return write


def _cut(part: float, muxer: dict[str, str] | None = None) -> Maker:
    def write(path: Path) -> None:
        recipe = Recipe("whole-" + path.name, options=_GOP, muxer=muxer or {})
        source = make_video(path.parent, recipe, tone(2.4))
        data = source.read_bytes()
        path.write_bytes(data[: int(len(data) * part)])
        source.unlink()

    return write


def cuts() -> dict[str, Maker]:
    """Four containers, each truncated at many places; an MP4 whose index stands at its end has lost it at any."""
    ways = {"mp4": {"movflags": "faststart"}, "mkv": {}, "ts": {}, "fragmented.mp4": _FRAGMENTED}
    return {
        f"cut_{n:02}.{ending}": _cut(n / TRUNCATIONS, muxer)
        for ending, muxer in ways.items()
        for n in range(1, TRUNCATIONS)
    } | {"cut_no_index.mp4": _cut(0.9)}


def _raw_stream(codec: str, options: dict[str, str]) -> Maker:
    """Coded pictures without a container: no times at all."""

    def write(path: Path) -> None:
        make_video(path.parent, Recipe(path.name, codec, options=options))

    return write


def _text(content: bytes) -> Maker:
    return lambda path: path.write_bytes(content)


def _recipe(recipe: Recipe) -> Maker:
    return lambda path: make_video(path.parent, replace(recipe, name=path.name))


_HDR = "keyint=20:bframes=3:colorprim=bt2020:transfer={}:colormatrix=bt2020nc"
_VPX = {"g": "20", "cpu-used": "8", "deadline": "realtime"}
_AV1 = {"preset": "12", "g": "20", "svtav1-params": "lp=1"}
_INTERLACED = {"flags": "+ildct+ilme"}

MORE_RECIPES = (
    Recipe("rotated_90.mp4", options=_GOP, set_up=_display(90)),
    Recipe("rotated_180.mp4", options=_GOP, set_up=_display(180)),
    Recipe("rotated_270.mp4", options=_GOP, set_up=_display(270)),
    Recipe("mirrored.mp4", options=_GOP, set_up=_display(0, flip=True)),
    Recipe("rotated_90_mpeg2.mov", "mpeg2video", options={"g": "12"}, set_up=_display(90)),
    Recipe("hevc_ten_bit.mkv", "libx265", pix_fmt="yuv420p10le", options=x265("keyint=20")),
    Recipe("hdr_pq.mp4", "libx265", pix_fmt="yuv420p10le", options=x265(_HDR.format("smpte2084"))),
    Recipe("hdr_hlg.mp4", "libx265", pix_fmt="yuv420p10le",
           options=x265(_HDR.format("arib-std-b67"))),
    Recipe("full_range.mp4", pix_fmt="yuvj420p", options=_GOP),
    Recipe("full_range.avi", "mjpeg", pix_fmt="yuvj420p"),
    Recipe("wide_pixels.mpg", "mpeg2video", options={"g": "12"}, set_up=_wide_pixels),
    Recipe("bt709.mkv", "ffv1", options={"colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}),
    Recipe("four_four_four.mkv", "ffv1", pix_fmt="yuv444p", size=(97, 63)),
    Recipe("four_two_two.mov", "prores_ks", pix_fmt="yuv422p10le"),
    Recipe("h264.avi", options=x264("keyint=20:bframes=0")),
    Recipe("b_frames.avi", options=_GOP),
    Recipe("h264.flv", options=_GOP),
    Recipe("h264.mov", options=_GOP),
    Recipe("h264.mkv", options=_GOP),
    Recipe("hevc.mkv", "libx265", options=x265("keyint=20:bframes=3")),
    Recipe("hevc.ts", "libx265", options=x265("keyint=20:bframes=3")),
    Recipe("hevc_open_gop.mp4", "libx265",
           options=x265("keyint=12:min-keyint=12:bframes=3:open-gop=1:scenecut=0")),
    Recipe("vp8.mkv", "libvpx", options=_VPX),
    Recipe("vp8.avi", "libvpx", options=_VPX),
    Recipe("odd.webm", "libvpx", size=(97, 63), options=_VPX),
    Recipe("vp9.mkv", "libvpx-vp9", options=_VPX),
    Recipe("vp9_odd.webm", "libvpx-vp9", size=(97, 63), options=_VPX),
    Recipe("av1.webm", "libsvtav1", options=_AV1),
    Recipe("av1.mkv", "libsvtav1", options=_AV1),
    Recipe("vp9.avi", "libvpx-vp9", options=_VPX),
    Recipe("av1.avi", "libsvtav1", options=_AV1),
    Recipe("av1_ten_bit.mp4", "libsvtav1", pix_fmt="yuv420p10le", options=_AV1),
    Recipe("mpeg2.mp4", "mpeg2video", options={"g": "12", "bf": "2"}),
    Recipe("mpeg2.avi", "mpeg2video", options={"g": "12"}),
    Recipe("mpeg2.ts", "mpeg2video", options={"g": "12", "bf": "2"}),
    Recipe("mpeg4.mkv", "mpeg4", options={"g": "12", "bf": "2"}),
    Recipe("odd.avi", "mpeg4", size=(97, 63), options={"g": "12"}),
    Recipe("wmv2.wmv", "wmv2", options={"g": "12"}),
    Recipe("flv1.flv", "flv", options={"g": "12"}),
    Recipe("animation.gif", "gif", pix_fmt="rgb8"),
    Recipe("interlaced.mp4", options=x264("keyint=20:tff=1", **_INTERLACED)),
    Recipe("interlaced.mpg", "mpeg2video", options={"g": "12", **_INTERLACED}),
    Recipe("faststart.mp4", options=_GOP, muxer={"movflags": "faststart"}),
    Recipe("fragmented.mp4", options=_GOP, muxer=_FRAGMENTED),
    Recipe("negative_ctts.mp4", options=_GOP, muxer={"movflags": "negative_cts_offsets"}),
    Recipe("no_edit_list.mp4", options=_GOP, muxer={"use_editlist": "0"}),
    Recipe("two_by_two.mp4", size=(2, 2), options=x264("keyint=20")),
    Recipe("two_by_two.webm", "libvpx-vp9", size=(2, 2), options=_VPX),
    Recipe("two_by_two.avi", "mpeg4", size=(2, 2), options={"g": "12"}),
    Recipe("one_frame.webm", "libvpx", n_frames=1, options=_VPX),
    Recipe("thousand_fps.mp4", n_frames=200, ticks=range(200), options=_GOP),
)  # fmt: skip

_CFR = Recipe("cfr.mp4", options=_GOP)

KINDS: dict[str, Maker] = {
    **{recipe.name: _recipe(recipe) for recipe in (*RECIPES, *MORE_RECIPES)},
    "rotated_90.mkv": _rotated_mkv,
    "sound.mp4": with_sound("sound.mp4"),
    "sound.mkv": with_sound("sound.mkv"),
    "sound.ts": with_sound("sound.ts"),
    "sound.avi": with_sound("sound.avi", codec="mpeg4", options={"g": "12"}),
    "sound.webm": with_sound("sound.webm", codec="libvpx", options=_VPX),
    "sound_fragmented.mp4": with_sound("x.mp4", muxer=_FRAGMENTED),
    "late_sound.mp4": _with_start(sound_sec=0.5),
    "late_sound.mkv": _with_start(sound_sec=0.5),
    "late_sound.webm": _with_start(sound_sec=0.5),
    "early_sound.mp4": _with_start(picture_ms=480),
    "early_sound.mkv": _with_start(picture_ms=480),
    "early_sound.webm": _with_start(picture_ms=480),
    "no_duration.webm": _without_duration,
    "resizing.ts": _resizing("libx264", ((96, 64), (64, 96)), {**_GOP, "flags": "-global_header"}),
    "resizing.webm": _resizing("libvpx", ((96, 64), (160, 120)), _VPX),
    "cover.mp4": _cover(with_video=True),
    "cover_only.mp4": _cover(with_video=False),
    "cover.mp3": _cover_in_tag,
    "sound_only.mp4": lambda path: make_sound(path, tone(1.0)),
    "sound_only.flac": lambda path: make_sound(path, tone(1.0)),
    "broken_sound.mp4": _broken_sound,
    "unknown_sound.mkv": _unknown_sound,
    "first_frames_damaged.mp4": _damaged(_CFR, lambda number: number < 3),
    "some_frames_damaged.mp4": _damaged(_CFR, lambda number: number % 9 == 4),
    "all_frames_damaged.mp4": _damaged(_CFR, lambda number: True),
    "headless.mkv": _headless,
    "no_times.h264": _raw_stream("libx264", {**_GOP, "flags": "-global_header"}),
    "no_times.hevc": _raw_stream("libx265", x265("keyint=20:repeat-headers=1")),
    "same_time_twice.mkv": _same_time_twice,
    "no_sample_times.mp4": patched(_CFR, _no_timing),
    "trimmed.mp4": patched(_CFR, _trimmed_mid_gop),
    "subtitles.mp4": _subtitles("mov_text"),
    "subtitles.mkv": _subtitles("subrip"),
    "two_hours.mp4": _two_hours,
    **cuts(),
    "empty.mp4": _text(b""),
    "page.mp4": _text(b"<!doctype html><html><body>Sign in to watch this video.</body></html>"),
    "zeros.mp4": _text(bytes(4096)),
    "playlist.mp4": _text(b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nsound.ts\n#EXT-X-ENDLIST\n"),
}


def make_all(folder: Path) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in KINDS:
        yield make(name, folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m clipfarm_assets_tests.media.kinds FOLDER")
    for made in make_all(Path(sys.argv[1])):
        sys.stdout.write(f"{made.stat().st_size:>10,} {made}\n")
