"""Read subtitles: SRT and WebVTT text, and the text subtitle stream of a video.

In: text, or a local path. Out: cues as they stand there, without styling. What can go wrong: ``VideoError`` naming
the file and the line; ``UnsupportedMedia`` for a path that is no media.

SRT as players read it: numbers are optional, ``.`` and ``,`` both divide seconds, times may lack the hours. WebVTT as
https://www.w3.org/TR/webvtt1/.
"""

import html
import re
from pathlib import Path

import av
from av.packet import Packet
from av.subtitles.stream import SubtitleStream

from clipfarm_assets.errors import UnsupportedMedia, VideoError
from clipfarm_assets.media.cues import Cue
from clipfarm_assets.media.opening import Media, only, open_media, packets_of, seconds

MAX_CHARACTERS = 10_000_000  # a day of speech has one million

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3})\d*)?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$", re.ASCII)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<\d[\d:.]*>")
_LINE_END = re.compile(r"\r\n|\n|\r")
_OVERRIDE = re.compile(r"\{\\[^{}]*\}")
_IMAGE_SUBTITLES = frozenset({"dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle", "xsub", "dvb_teletext"})


def parse_srt(text: str, name: str) -> list[Cue]:
    """Cues in the file's order.

    Raises:
        VideoError: a timing line that cannot be read, or text before the first one.
    """
    return _parse(_LINE_END.split(text), name, first_line=1, is_vtt=False)


def parse_vtt(text: str, name: str) -> tuple[list[Cue], str | None]:
    """Cues in the file's order, and the language that its header names.

    Raises:
        VideoError: the header is missing, or a timing line cannot be read.
    """
    lines = _LINE_END.split(text)
    if not re.match(r"WEBVTT(\s|$)", lines[0]):
        raise VideoError(f"{name}, line 1: a WebVTT file begins with WEBVTT.")
    header = next((i for i, line in enumerate(lines) if not line.strip() or "-->" in line), len(lines))
    named = [m[1] for line in lines[1:header] if (m := re.match(r"Language:\s*(\S+)", line))]
    return _parse(lines[header:], name, first_line=header + 1, is_vtt=True), next(iter(named), None)


def read_stream(path: Path | str) -> tuple[list[Cue], str | None] | None:
    """Cues and language code of the first text subtitle stream of a video; None without one.

    Raises:
        UnsupportedMedia: the file is no media, or its subtitles exceed ``MAX_CHARACTERS``.
    """
    with open_media(path) as media:
        stream = text_stream(media)
        if stream is None:
            return None
        only(media.container, stream)
        cues: list[Cue] = []
        characters = 0
        try:
            for packet in packets_of(media.container, stream):
                if packet.size == 0 or packet.pts is None:
                    continue
                start = max(seconds(stream, packet.pts) - media.origin_sec, 0.0)
                text = words_of(packet)
                if (characters := characters + len(text)) > MAX_CHARACTERS:
                    raise UnsupportedMedia(f"The subtitles have more than {MAX_CHARACTERS:,} characters.")
                end = start + seconds(stream, packet.duration or 0)
                cues.append(Cue(round(start, 3), round(end, 3), text))
        except av.FFmpegError:
            pass  # a damaged tail: the cues before it stand
        language = stream.language if stream.language not in (None, "und") else None
        return cues, language


def text_stream(media: Media) -> SubtitleStream | None:
    """The first subtitle stream of words rather than pictures of words."""
    streams = [s for s in media.container.streams.subtitles if s.codec_context is not None]
    return next((s for s in streams if s.codec_context.codec.canonical_name not in _IMAGE_SUBTITLES), None)


def words_of(packet: "Packet[SubtitleStream]") -> str:
    """The text of one packet; ffmpeg's decoders give every text format as ASS dialogue."""
    dialogues = [getattr(one, "dialogue", b"").decode("utf-8", "replace") for one in packet.decode()]
    return plain("\n".join(re.sub(r"\\[Nn]", "\n", text).replace("\\h", " ") for text in dialogues))


def plain(text: str) -> str:
    """Text without styling: tags, voices, karaoke times, ASS overrides and HTML entities."""
    text = _OVERRIDE.sub("", _TAG.sub("", text))
    lines = (" ".join(line.split()) for line in html.unescape(text).split("\n"))
    return "\n".join(line for line in lines if line)


def _parse(lines: list[str], name: str, first_line: int, is_vtt: bool) -> list[Cue]:
    """A timing line opens a cue, and the line right before it may be the cue's number or identifier.

    In WebVTT an empty line ends a cue, and what stands outside of cues (notes, styles) is no speech. SRT in the wild
    has empty lines inside of cues and none between them.
    """
    cues: list[Cue] = []
    times: tuple[float, float] | None = None
    text: list[str] = []
    for number, line in enumerate(lines, start=first_line):
        if "-->" in line:
            timing = _TIMING.match(line)
            if timing is None:
                raise VideoError(f"{name}, line {number}: no timing such as 00:01.000 --> 00:02.000.")
            cues += _cue(times, _without_number(text, before_timing=True))
            start, end = _seconds(*timing.groups()[:4]), _seconds(*timing.groups()[4:])
            times, text = (start, max(start, end)), []
        elif times is not None:
            text.append(line)
            if is_vtt and not line:
                cues += _cue(times, text)
                times = None
        elif not is_vtt and line.strip() and not line.strip().isdigit():
            raise VideoError(f"{name}, line {number}: text before the first timing such as 00:01.000 --> 00:02.000.")
    return cues + _cue(times, _without_number(text, before_timing=False))


def _cue(times: tuple[float, float] | None, text: list[str]) -> list[Cue]:
    return [] if times is None else [Cue(*times, plain("\n".join(text)))]


def _without_number(text: list[str], before_timing: bool) -> list[str]:
    """Text of a cue without the number of the next one."""
    *above, last = "\n".join(text).rstrip().split("\n")
    after_blank = bool(above) and not above[-1].strip()
    return above if last.strip().isdigit() and (before_timing or after_blank) else [*above, last]


def _seconds(hours: str | None, minutes: str, secs: str, fraction: str | None) -> float:
    whole_ms = ((int(hours or 0) * 60 + int(minutes)) * 60 + int(secs)) * 1000 + int((fraction or "0").ljust(3, "0"))
    return whole_ms / 1000
