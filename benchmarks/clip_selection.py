"""Clip selection against replay heatmaps: ours next to random, first spans, keyword frequency and TextTiling.

Made videos with planted moments (``clipfarm_assets_tests.clips.made``): weights and word lists were chosen on the half
``choose``; what counts is the half ``report``, whose passages are others.

``python -m benchmarks.clip_selection FOLDER`` judges real videos, as ``yt-dlp --write-info-json --write-subs`` leaves
them: ``NAME.info.json`` with its ``heatmap`` (or ``NAME.heatmap.json`` with that list alone) beside the transcript as
``NAME.json``, ``.srt``, ``.vtt`` or with the language between, ``NAME.en.vtt``. With the video itself, ``NAME.mp4``,
``.webm``, ``.mkv`` or ``.mov``, cuts and loudness count too. What cannot be judged is named and left out.
"""

import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.measure import Row
from clipfarm_assets.clips.loudness import Loudness, read_loudness
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
from clipfarm_assets.errors import NoAudioTrack, VideoError
from clipfarm_assets.media.audio import write_wav
from clipfarm_assets.media.scenes import detect_scenes
from clipfarm_assets.media.transcripts import parse_transcript
from clipfarm_assets.segments.flags import Encode, Floats
from clipfarm_assets_tests.clips.made import Made, made_videos
from clipfarm_assets_tests.tasks.labelled_set import packaged_encoder

MADE = 40  # videos of each half
HEATMAPS = (".info.json", ".heatmap.json")
VIDEOS = (".mp4", ".webm", ".mkv", ".mov")
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
        videos = made_videos(half, MADE)
        encode = cached(packaged_encoder(), videos)
        cases = [case_of(made, encode) for made in videos]
        rows += rows_of(compare(cases), f"half {half}", half == "report")
    return rows


def real_cases(folder: Path, encode: Encode) -> Iterator[Case]:
    """The videos of a folder; what is left out is told on stderr."""
    heatmaps = {
        path.name.removesuffix(ending): path
        for ending in HEATMAPS
        for path in sorted(folder.iterdir())
        if path.name.endswith(ending)
    }
    for name, path in sorted(heatmaps.items()):
        try:
            yield real_case(name, path, encode)
        except (VideoError, ValueError) as error:
            print(f"left out: {path.name}: {error}", file=sys.stderr)


def real_case(name: str, path: Path, encode: Encode) -> Case:
    """Raises ValueError or VideoError where there is no heatmap of the whole video, or no transcript."""
    info = json.loads(path.read_text())
    info = info if isinstance(info, dict) else {"heatmap": info}
    heatmap: list[Mapping[str, float]] = info.get("heatmap") or []
    if not heatmap:
        raise ValueError("It has no heatmap.")
    duration_sec = max(row["end_time"] for row in heatmap)
    heat_of(heatmap, duration_sec)  # refuses what does not cover the video
    transcript = parse_transcript(*_transcript(path.parent, name))
    video = next((each for ending in VIDEOS if (each := path.with_name(f"{name}{ending}")).exists()), None)
    cuts_sec, loudness = _seen_and_heard(video) if video else ((), None)
    inputs = VideoInputs(
        name, duration_sec, title=info.get("title") or "", language=transcript.language or info.get("language"),
        cues=transcript.cues, cuts_sec=cuts_sec, loudness=loudness, encode=encode,
    )  # fmt: skip
    return inputs, heatmap


def _transcript(folder: Path, name: str) -> tuple[bytes, str]:
    """The file ``NAME.ENDING``, else the first ``NAME.LANGUAGE.ENDING``."""
    beside = sorted(each for each in folder.iterdir() if each.name.startswith(f"{name}."))
    found = [each for each in beside if each.suffix in (".json", ".srt", ".vtt") and not each.name.endswith(HEATMAPS)]
    if not found:
        raise ValueError("There is no transcript beside it.")
    best = min(found, key=lambda each: (each.stem != name, each.name))
    return best.read_bytes(), best.name


def _seen_and_heard(video: Path) -> tuple[tuple[float, ...], Loudness | None]:
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as scratch:
        wav: Path | None = Path(scratch) / "sound.wav"
        try:
            write_wav(video, Path(scratch) / "sound.wav")
        except NoAudioTrack:
            wav = None
        return tuple(scene.start_sec for scene in detect_scenes(video, wav)), read_loudness(wav) if wav else None


def main(given: Sequence[str]) -> None:
    from benchmarks.__main__ import show

    if not given:
        show("clip_selection", run())
        return
    real = list(real_cases(Path(given[0]), packaged_encoder()))
    if not real:
        sys.exit(f"{given[0]} has no video that could be judged.")
    show(f"clip_selection of {len(real)} videos", rows_of(compare(real), Path(given[0]).name, True))


if __name__ == "__main__":
    main(sys.argv[1:])
