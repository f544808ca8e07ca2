"""Clip selection against replay heatmaps: ours next to random, first spans, keyword frequency and TextTiling.

Made videos with planted moments (``clipfarm_assets_tests.clips.made``): weights and word lists were chosen on the half
``choose``; what counts is the half ``report``, whose passages are others.

``python -m benchmarks.clip_selection FOLDER`` judges real videos: ``NAME.heatmap.json`` (yt-dlp's ``heatmap``, or its
whole info JSON) beside ``NAME.json``, ``.srt`` or ``.vtt`` and, where there is one, ``NAME.scenes.json`` (seconds at
which scenes begin) and ``NAME.wav``.
"""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from clipfarm_assets.clips.loudness import read_loudness
from clipfarm_assets.clips.model import BatchConfig, rounded
from clipfarm_assets.clips.scoring import VideoInputs, local_candidates
from clipfarm_assets.clips.selection import (
    Quality,
    Scores,
    first_spans,
    heat_of,
    judge,
    keyword_frequency,
    mean_quality,
    moments,
    of_clips,
    random_scores,
    text_tiling,
)
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.media.transcripts import parse_transcript
from clipfarm_assets.segments.flags import Encode, Floats
from clipfarm_assets_tests.clips.made import Made, made_videos
from clipfarm_assets_tests.tasks.labelled_set import packaged_encoder

VIDEOS = 40
SEEDS = range(20)
Case = tuple[VideoInputs, list[Mapping[str, float]]]
BASELINES = ("random", "first spans", "keyword frequency", "TextTiling")


def cached(encode: Encode, videos: Sequence[Made]) -> Encode:
    """The made videos say the same sentences again and again; all are encoded at once."""
    texts = sorted({s.text for each in videos for s in Timeline.of(each.cues, each.duration_sec).sentences})
    known = dict(zip(texts, encode(texts), strict=True))

    def look_up(asked: Sequence[str]) -> Floats:
        return np.stack([known[text] for text in asked]) if set(asked) <= known.keys() else encode(asked)

    return look_up


def case_of(made: Made, encode: Encode) -> Case:
    inputs = VideoInputs(
        made.video_id, made.duration_sec, language="en", cues=made.cues, cuts_sec=made.cuts_sec, loudness=made.loudness,
        encode=encode,
    )  # fmt: skip
    return inputs, list(made.heatmap)


def ours(inputs: VideoInputs, config: BatchConfig | None = None) -> Scores:
    """As a user gets them: clips with one decimal."""
    _, found = local_candidates(inputs, config or BatchConfig())
    clips = [
        (window.start_ms / 1000, window.end_ms / 1000, None if score.total is None else rounded(score.total))
        for window, score in found
    ]
    return of_clips(clips, inputs.duration_sec)


def compare(cases: Iterable[Case]) -> dict[str, Quality]:
    """The mean over all videos, by way."""
    found: dict[str, list[Quality]] = {}
    for inputs, heatmap in cases:
        hot = moments(heat_of(heatmap, inputs.duration_sec))
        timeline = Timeline.of(inputs.cues, inputs.duration_sec)
        ways: dict[str, Callable[[], Scores]] = {
            "ours": lambda inputs=inputs: ours(inputs),  # type: ignore[misc]
            "ours, without an encoder": lambda inputs=inputs: ours(replace(inputs, encode=None)),  # type: ignore[misc]
            "first spans": first_spans,
            "keyword frequency": lambda t=timeline, i=inputs: keyword_frequency(t, i.language),  # type: ignore[misc]
        }
        if (encode := inputs.encode) is not None:
            ways["TextTiling"] = lambda t=timeline, e=encode: text_tiling(t, e)  # type: ignore[misc]
        for name, way in ways.items():
            found.setdefault(name, []).append(judge(way(), hot))
        found.setdefault("random", []).append(mean_quality([judge(random_scores(seed), hot) for seed in SEEDS]))
    return {name: mean_quality(each) for name, each in found.items()}


def rows_of(found: Mapping[str, Quality], where: str, to_lead: bool) -> list[Row]:
    best = max(quality.average_precision for name, quality in found.items() if name in BASELINES)
    rows = []
    for name, each in found.items():
        note = f"hit {each.hit:.2f}, precision {each.precision:.2f}, recall {each.recall:.2f}, F1 {each.f1:.2f}"
        target = best if name == "ours" and to_lead else None
        rows.append(Row(f"average precision, {where}: {name}", each.average_precision, target, "at least", note))
    return rows


def run() -> list[Row]:
    rows = []
    for half in ("report", "choose"):
        videos = made_videos(half, VIDEOS)
        encode = cached(packaged_encoder(), videos)
        cases = [case_of(made, encode) for made in videos]
        rows += rows_of(compare(cases), f"half {half}", half == "report")
    return rows


def real_cases(folder: Path, encode: Encode) -> Iterable[Case]:
    """The videos of a folder."""
    for path in sorted(folder.glob("*.heatmap.json")):
        name = path.name.removesuffix(".heatmap.json")
        told = json.loads(path.read_text())
        heatmap = told["heatmap"] if isinstance(told, dict) else told
        script = next(each for ending in ("json", "srt", "vtt") if (each := folder / f"{name}.{ending}").exists())
        transcript = parse_transcript(script.read_bytes(), script.name)
        scenes, wav = folder / f"{name}.scenes.json", folder / f"{name}.wav"
        inputs = VideoInputs(
            name, max(row["end_time"] for row in heatmap), language=transcript.language, cues=transcript.cues,
            cuts_sec=tuple(json.loads(scenes.read_text())) if scenes.exists() else (),
            loudness=read_loudness(wav) if wav.exists() else None, encode=encode,
        )  # fmt: skip
        yield inputs, heatmap


if __name__ == "__main__":
    from benchmarks.__main__ import show

    given = sys.argv[1:]
    if given:
        real = compare(real_cases(Path(given[0]), packaged_encoder()))
        show("clip_selection", rows_of(real, given[0], True))
    else:
        show("clip_selection", run())
