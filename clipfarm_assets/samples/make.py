"""Make the samples: pictures, narration, transcripts, metadata, and the truth about them."""

import json
import platform
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.samples.encode import write_broken, write_video
from clipfarm_assets.samples.model import Sample
from clipfarm_assets.samples.observations import metadata_csv
from clipfarm_assets.samples.scripts import SAMPLES
from clipfarm_assets.samples.sidecars import cue, sidecar_text
from clipfarm_assets.samples.speech import speak
from clipfarm_assets.samples.timeline import Timeline, plan

CSV_NAME: Final = "shorts_metadata_horizon.csv"


def make_samples(
    folder: Path, only: Collection[str] | None = None, progress: Callable[[str], None] | None = None
) -> list[Path]:
    """Write ``folder/samples/`` (media, transcripts, ``truth.json``) and ``folder/shorts_metadata_horizon.csv``.

    With ``only``, truth and metadata speak of these video_ids alone. Returns every file written.

    Raises:
        ConfigurationError: ``only`` names an unknown video, or espeak-ng is missing and a chosen video speaks.
    """
    known = [sample.video_id for sample in SAMPLES]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise ConfigurationError(f"No such sample: {', '.join(unknown)}.", hint=f"Known are {', '.join(known)}.")
    chosen = [sample for sample in SAMPLES if only is None or sample.video_id in only]
    media = folder / "samples"
    media.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    truths: dict[str, dict[str, Any]] = {}
    for sample in chosen:
        if progress is not None:
            progress(f"{sample.video_id}: drawing, speaking, encoding")
        paths, truths[sample.video_id] = _make(sample, media)
        written += paths
    truth, table = media / "truth.json", folder / CSV_NAME
    truth.write_text(json.dumps({"made_with": _made_with(), "videos": truths}, indent=1) + "\n", encoding="utf-8")
    lengths = {video_id: float(known_truth["duration_sec"]) for video_id, known_truth in truths.items()}
    table.write_text(metadata_csv(chosen, lengths), encoding="utf-8")
    return [*written, truth, table]


def _make(sample: Sample, media: Path) -> tuple[list[Path], dict[str, Any]]:
    path = media / f"{sample.video_id}.mp4"
    if sample.broken_seconds:
        write_broken(path)
        return [path], {"file": path.name, "decodable": False, "duration_sec": sample.broken_seconds}
    spoken, version = speak(sample.lines, dict(sample.voices))
    timeline = plan(sample, spoken)
    write_video(timeline, path)
    written = [path]
    if sample.sidecar is not None:
        written.append(path.with_suffix(f".{sample.sidecar}"))
        written[-1].write_text(sidecar_text(timeline), encoding="utf-8")
    return written, _truth(timeline) | {"espeak_ng": version}


def _truth(timeline: Timeline) -> dict[str, Any]:
    """What is true of a video. Cuts name the first frame after them, counted over the frames that the file has."""
    sample = timeline.sample
    index = {frame: place for place, frame in enumerate(timeline.frames)}
    starts = [shot.start for shot in timeline.shots]
    return {
        "file": f"{sample.video_id}.mp4",
        "transcript": f"{sample.video_id}.{sample.sidecar}" if sample.sidecar else None,
        "decodable": True,
        "width": sample.size[0],
        "height": sample.size[1],
        "rotation": sample.rotation,
        "fps": str(sample.fps),
        "variable_rate": sample.variable_rate,
        "duration_sec": round(timeline.seconds, 6),
        "frame_count": len(timeline.frames),
        "sound": sample.sound,
        "cuts": [{"sec": round(float(start / sample.fps), 6), "frame": index[start]} for start in starts[1:]],
        "shots": [shot.shot.kind for shot in timeline.shots],
        "lines": [{"speaker": line.line.speaker, "shot": line.shot} | cue(line) for line in timeline.lines],
    }


def _made_with() -> dict[str, str]:
    import av
    import PIL

    return {"python": platform.python_version(), "av": av.__version__, "pillow": PIL.__version__}
