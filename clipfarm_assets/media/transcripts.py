"""What is said in a video, with times.

In: the bytes of a subtitle or transcript file (SRT, WebVTT, JSON), or a video with a text subtitle stream. Out: a
``Transcript``, and its canonical JSON. What can go wrong: ``VideoError`` naming the file, the line and what is wrong
there.

The JSON is ``{transcript, language, source, model, cues: [{start, end, text, words: [{start, end, word,
probability}]}]}``; times are seconds from time 0 of the video. ``transcript`` is the whole text; cues and everything
else may be absent.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clipfarm_assets.errors import UnsupportedMedia, VideoError
from clipfarm_assets.media import subtitles
from clipfarm_assets.media.cues import Cue, Word, without_repeats

__all__ = ["EMPTY", "Cue", "Transcript", "Word", "from_subtitle_stream", "of_cues", "parse_transcript", "to_json"]


_MAX_BYTES = 10 * subtitles.MAX_CHARACTERS  # word times take several times the words


@dataclass(frozen=True)
class Transcript:
    """A video's words.

    Attributes:
        transcript: the whole text.
        language: a code such as ``en``; None where unknown.
        source: where it came from (``sidecar``, ``subtitle_stream``, ``captions``, ``recognition`` or a file's own).
        model: the recogniser's name.
        cues: by start, then end; empty where only the text is known.
    """

    transcript: str
    language: str | None = None
    source: str | None = None
    model: str | None = None
    cues: tuple[Cue, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.transcript.strip()


EMPTY = Transcript("")


def of_cues(
    cues: Iterable[Cue], language: str | None = None, source: str | None = None, model: str | None = None
) -> Transcript:
    """A transcript whose text is that of its cues, in order of time, without blank and repeated ones."""
    kept = tuple(without_repeats(sorted((c for c in cues if c.text.strip()), key=lambda c: (c.start, c.end))))
    return Transcript(" ".join(" ".join(c.text.split()) for c in kept), language, source, model, kept)


def parse_transcript(data: bytes, name: str) -> Transcript:
    """A transcript file, by the ending of its name: ``.srt``, ``.vtt`` or ``.json``.

    Raises:
        VideoError: another ending, an unknown encoding, or contents that are not of the format.
        UnsupportedMedia: far more text than a video can have.
    """
    if len(data) > _MAX_BYTES:
        raise UnsupportedMedia(f"{Path(name).name} has {len(data):,} bytes, above the limit of {_MAX_BYTES:,}.")
    ending = Path(name).suffix.lower()
    text = _text(data, Path(name).name)
    if ending == ".json":
        return _from_json(text, Path(name).name)
    if ending == ".srt":
        return of_cues(subtitles.parse_srt(text, Path(name).name))
    if ending == ".vtt":
        cues, language = subtitles.parse_vtt(text, Path(name).name)
        return of_cues(cues, language)
    raise VideoError(f"{Path(name).name} is no transcript: its name ends in none of .srt, .vtt and .json.")


def from_subtitle_stream(path: Path | str) -> Transcript | None:
    """The first text subtitle stream of a video; None without one. ``language`` is the container's code.

    Raises:
        UnsupportedMedia: the file is no media.
    """
    found = subtitles.read_stream(path)
    return None if found is None else of_cues(*found, source="subtitle_stream")


def to_json(transcript: Transcript) -> bytes:
    """Canonical UTF-8 JSON: the same transcript gives the same bytes. ``words`` is left out where there are none."""
    cues = []
    for cue in transcript.cues:
        row: dict[str, Any] = {"start": cue.start, "end": cue.end, "text": cue.text}
        if cue.words is not None:
            row["words"] = [
                {"start": w.start, "end": w.end, "word": w.word, "probability": w.probability} for w in cue.words
            ]
        cues.append(row)
    whole = {
        "transcript": transcript.transcript,
        "language": transcript.language,
        "source": transcript.source,
        "model": transcript.model,
        "cues": cues,
    }
    return (json.dumps(whole, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode("utf-8", "replace")


def _text(data: bytes, name: str) -> str:
    """UTF-8, UTF-16 or UTF-32 by the byte order mark, else UTF-8, else UTF-16 by its zero bytes, else Windows-1252."""
    try:
        if data.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
            return data.decode("utf-32")
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            return data.decode("utf-16")
        if b"\0" in data:
            return data.decode("utf-16-be" if data[:1] == b"\0" else "utf-16-le")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError:
            return data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise VideoError(f"{name} is no text: byte {error.start} is of no known encoding.") from None


def _from_json(text: str, name: str) -> Transcript:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError as error:
        raise VideoError(f"{name} is no JSON: line {error.lineno}: {error.msg}.") from None
    except (RecursionError, ValueError):
        raise VideoError(f"{name} is no JSON that can be read: it nests too deep or holds an endless number.") from None
    fields = whole if isinstance(whole, dict) else {"cues": whole}
    rows = fields.get("cues", fields.get("segments"))
    said = fields.get("transcript", fields.get("text"))
    if (rows is not None and not isinstance(rows, list)) or not isinstance(said, str | None):
        raise VideoError(f"{name} is no transcript: `cues` must be a list and `transcript` a text.")
    if rows is None and said is None:
        raise VideoError(f"{name} is no transcript: it has neither `transcript` nor `cues` (or `segments`).")
    cues = tuple(_cue(row, name, number) for number, row in enumerate(rows or (), start=1))
    cues = tuple(sorted(cues, key=lambda c: (c.start, c.end)))
    if said is None:
        said = " ".join(" ".join(c.text.split()) for c in cues if c.text.strip())
    return Transcript(said, _string(fields, "language"), _string(fields, "source"), _string(fields, "model"), cues)


def _cue(row: Any, name: str, number: int) -> Cue:
    where = f"{name}, cue {number}"
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise VideoError(f"{where}: a cue is an object with `start`, `end` and `text`.")
    start, end = _number(row, "start"), _number(row, "end")
    if start is None or end is None:
        raise VideoError(f"{where}: `start` and `end` must be numbers of seconds.")
    words = row.get("words")
    if words is None:
        return Cue(start, max(start, end), row["text"].strip())
    if not isinstance(words, list) or not all(isinstance(w, dict) and isinstance(w.get("word"), str) for w in words):
        raise VideoError(f"{where}: `words` must be a list of objects with `word`.")
    timed = tuple(Word(_number(w, "start"), _number(w, "end"), w["word"], _number(w, "probability")) for w in words)
    return Cue(start, max(start, end), row["text"].strip(), timed)


def _number(row: dict[str, Any], key: str) -> float | None:
    """A finite number; recognisers write null, NaN or nothing where they do not know."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e9 else None


def _string(row: dict[str, Any], key: str) -> str | None:
    value = row.get(key)
    return value if isinstance(value, str) else None
