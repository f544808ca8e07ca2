"""Transcripts beside the videos: JSON with words, SubRip, WebVTT."""

import json
from collections.abc import Sequence
from typing import Any, Final

from clipfarm_assets.samples.timeline import PlacedLine, Timeline

MODEL: Final = "espeak-ng"


def sidecar_text(timeline: Timeline) -> str:
    """The transcript in the sample's format; one cue for each line."""
    if timeline.sample.sidecar == "json":
        return json.dumps(_transcript(timeline.lines), indent=1) + "\n"
    blocks = []
    for index, line in enumerate(timeline.lines, start=1):
        mark = "," if timeline.sample.sidecar == "srt" else "."
        times = f"{_clock(line.start, mark)} --> {_clock(line.end, mark)}"
        blocks.append(f"{index}\n{times}\n{line.line.text}\n")
    head = "WEBVTT\n\n" if timeline.sample.sidecar == "vtt" else ""
    return head + "\n".join(blocks)


def cue(line: PlacedLine) -> dict[str, Any]:
    """One cue; seconds to the millisecond."""
    words = [
        {"start": round(word.start, 3), "end": round(word.end, 3), "word": word.text, "probability": word.probability}
        for word in line.words
    ]
    return {"start": round(line.start, 3), "end": round(line.end, 3), "text": line.line.text, "words": words}


def _transcript(lines: Sequence[PlacedLine]) -> dict[str, Any]:
    return {
        "transcript": " ".join(line.line.text for line in lines),
        "language": "en",
        "source": "script",
        "model": MODEL,
        "cues": [cue(line) for line in lines],
    }


def _clock(seconds: float, mark: str) -> str:
    millis = round(seconds * 1000)
    return f"{millis // 3_600_000:02d}:{millis // 60_000 % 60:02d}:{millis // 1000 % 60:02d}{mark}{millis % 1000:03d}"
