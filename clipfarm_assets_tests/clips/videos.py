"""Videos as the clips' tests see them: the samples in ``data``, and made transcripts."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.scoring import VideoInputs
from clipfarm_assets.media.cues import Cue, Word
from clipfarm_assets.media.transcripts import EMPTY, parse_transcript

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def sample_names() -> list[str]:
    """Of those that decode."""
    truth = json.loads((SAMPLES / "truth.json").read_text())["videos"]
    return sorted(name for name, video in truth.items() if video["decodable"])


def sample(name: str) -> VideoInputs:
    """A sample with its true cuts and its transcript, without sound and models."""
    truth = json.loads((SAMPLES / "truth.json").read_text())["videos"][name]
    found = next((path for ending in ("json", "srt", "vtt") if (path := SAMPLES / f"{name}.{ending}").exists()), None)
    transcript = parse_transcript(found.read_bytes(), found.name) if found else EMPTY
    return VideoInputs(
        video_id=name,
        duration_sec=truth["duration_sec"],
        title=name.replace("-", " "),
        language=transcript.language or "en",
        cues=transcript.cues,
        cuts_sec=tuple(cut["sec"] for cut in truth.get("cuts", ())),
    )


def cue_of(text: str, start: float, word_sec: float = 0.4) -> Cue:
    """A cue with timed words, one after another."""
    words = text.split()
    times = [start + number * word_sec for number in range(len(words) + 1)]
    timed = tuple(Word(times[n], times[n + 1] - 0.05, word, 0.9) for n, word in enumerate(words))
    return Cue(start, times[-1], text, timed)


def talk(sentences: Sequence[str], gap_sec: float = 0.5, word_sec: float = 0.4) -> tuple[tuple[Cue, ...], float]:
    """Cues one after another, and how long the whole is."""
    cues, at = [], 0.0
    for sentence in sentences:
        cues.append(cue_of(sentence, at, word_sec))
        at = cues[-1].end + gap_sec
    return tuple(cues), at


_THINGS = "crane bridge ferry lamp engine anchor winch rudder compass sail mast rope hull deck cabin stove"
TWO_MINUTES = tuple(
    f"In winter {number} the {thing} broke and nobody in the harbour knew how it could be mended."
    for number, thing in enumerate(_THINGS.split(), start=1980)
)


def inputs(**changes: object) -> VideoInputs:
    """Two minutes of talk."""
    cues, duration = talk(TWO_MINUTES)
    given: dict[str, object] = dict(
        video_id="v1", duration_sec=duration, title="The harbour", language="en", cues=cues,
        loudness=Loudness(np.full(int(duration * 10), 0.1, np.float32)), version="1",
    )  # fmt: skip
    return VideoInputs(**{**given, **changes})  # type: ignore[arg-type]
