import csv
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.samples import make_samples
from clipfarm_assets.samples.observations import COLUMNS
from clipfarm_assets.samples.scripts import SAMPLES

DATA = Path(__file__).parents[2] / "data"
MEDIA = DATA / "samples"
TRUTH: dict[str, dict[str, Any]] = json.loads((MEDIA / "truth.json").read_text())["videos"]
GOOD = [video_id for video_id, truth in TRUTH.items() if truth["decodable"]]
CUT = [video_id for video_id in GOOD if TRUTH[video_id]["cuts"]]
SPEECH_ONLY = [video_id for video_id in GOOD if TRUTH[video_id]["sound"] == "speech"]
AUDIBLE = 0.01


@lru_cache
def thumbnails(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """All frames of a file as (frames, height / 8, width / 8) brightness."""

    def frames() -> Iterator[np.ndarray[Any, Any]]:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for frame in container.decode(video=0):
                yield frame.to_ndarray()[: frame.height : 8, : frame.width : 8].copy()

    return np.stack(list(frames()))


def sound(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float32]], int]:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        chunks = [frame.to_ndarray().reshape(-1) for frame in container.decode(stream)]
        return np.concatenate(chunks), stream.rate


def rms(samples: np.ndarray[Any, Any]) -> float:
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


def subtitle_cues(path: Path) -> list[dict[str, Any]]:
    """Cues of a SubRip or WebVTT file."""
    cues = []
    for block in path.read_text().removeprefix("WEBVTT\n\n").strip().split("\n\n"):
        _, times, text = block.split("\n")
        start, end = (
            sum(float(part) * 60**power for power, part in enumerate(reversed(clock.replace(",", ".").split(":"))))
            for clock in times.split(" --> ")
        )
        cues.append({"start": start, "end": end, "text": text})
    return cues


def test_every_sample_is_shipped_and_all_are_at_most_ten_megabytes() -> None:
    assert list(TRUTH) == [sample.video_id for sample in SAMPLES]
    assert sum(path.stat().st_size for path in DATA.glob("samples/*")) <= 10_000_000


@pytest.mark.parametrize("video_id", GOOD)
def test_a_good_video_decodes_wholly_into_what_the_truth_says(video_id: str) -> None:
    truth = TRUTH[video_id]
    assert len(thumbnails(MEDIA / truth["file"])) == truth["frame_count"]
    with av.open(str(MEDIA / truth["file"])) as container:
        video = container.streams.video[0]
        assert video.codec_context.name == "h264"
        stored = (truth["width"], truth["height"]) if truth["rotation"] == 0 else (truth["height"], truth["width"])
        assert (video.width, video.height) == stored
        assert next(container.decode(video)).rotation == truth["rotation"]
        if not truth["variable_rate"]:
            assert str(video.average_rate) == truth["fps"]
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(truth["duration_sec"], abs=0.12)
        assert [stream.codec_context.name for stream in container.streams.audio] == (
            [] if truth["sound"] == "none" else ["aac"]
        )


@pytest.mark.parametrize("video_id", CUT)
def test_shots_change_where_the_truth_says_and_nowhere_else(video_id: str) -> None:
    truth = TRUTH[video_id]
    frames = thumbnails(MEDIA / truth["file"]).astype(np.int16)
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2))
    cuts = np.array([cut["frame"] - 1 for cut in truth["cuts"]])
    inside = np.delete(change, cuts)
    assert change[cuts].min() > 15
    assert change[cuts].min() > 1.5 * inside.max()


def test_one_video_is_silent_and_one_has_sound_but_no_transcript() -> None:
    assert [video_id for video_id in GOOD if TRUTH[video_id]["sound"] == "none"] == ["silent-sunset"]
    without = [v for v in GOOD if TRUTH[v]["transcript"] is None and TRUTH[v]["sound"] != "none"]
    assert without == ["no-transcript-beat"]
    assert TRUTH["no-transcript-beat"]["lines"]


@pytest.mark.parametrize("video_id", [video_id for video_id in GOOD if TRUTH[video_id]["transcript"]])
def test_a_transcript_says_what_is_spoken_when_it_is_spoken(video_id: str) -> None:
    truth = TRUTH[video_id]
    path = MEDIA / truth["transcript"]
    if path.suffix == ".json":
        document = json.loads(path.read_text())
        cues = document["cues"]
        assert document["transcript"] == " ".join(cue["text"] for cue in cues)
    else:
        cues = subtitle_cues(path)
    assert [cue["text"] for cue in cues] == [line["text"] for line in truth["lines"]]
    edges = [edge for cue in cues for edge in (cue["start"], cue["end"])]
    assert edges == sorted(edges)
    assert edges[-1] <= truth["duration_sec"]
    for cue, line in zip(cues, truth["lines"], strict=True):
        assert (cue["start"], cue["end"]) == pytest.approx((line["start"], line["end"]), abs=0.001)
        words = line["words"]
        assert " ".join(word["word"] for word in words) == line["text"]
        times = [edge for word in words for edge in (word["start"], word["end"])]
        assert times == sorted(times)
        assert times[0] == line["start"]
        assert times[-1] == pytest.approx(line["end"], abs=0.002)


@pytest.mark.parametrize("video_id", SPEECH_ONLY)
def test_speech_is_inside_the_cues_and_silence_between_them(video_id: str) -> None:
    samples, rate = sound(MEDIA / TRUTH[video_id]["file"])
    lines = TRUTH[video_id]["lines"]
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        assert rms(samples[round(line["start"] * rate) : round(line["end"] * rate)]) > AUDIBLE * 4
        # The codec smears an edge over a block of 1024 samples.
        until = following["start"] if following else TRUTH[video_id]["duration_sec"]
        assert rms(samples[round((line["end"] + 0.06) * rate) : round((until - 0.06) * rate)]) < AUDIBLE


def test_the_broken_file_cannot_be_opened() -> None:
    with pytest.raises(av.FFmpegError):
        av.open(str(MEDIA / "broken-upload.mp4"))


def test_the_metadata_observes_every_video_three_times_or_more_in_order() -> None:
    with (DATA / "shorts_metadata_horizon.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames == list(COLUMNS)
    captured = [row["captured_at"] for row in rows]
    assert captured == sorted(captured)
    for sample in SAMPLES:
        own = [row for row in rows if row["video_id"] == sample.video_id]
        views = [int(row["view_count"]) for row in own]
        assert len(own) >= 3
        assert views == sorted(views)
        assert (DATA / own[-1]["url"]).is_file()
        assert not own[-1]["transcript_path"] or (DATA / own[-1]["transcript_path"]).is_file()
        assert float(own[-1]["duration_seconds"]) == pytest.approx(TRUTH[sample.video_id]["duration_sec"], abs=0.001)


def test_making_a_sample_again_gives_the_shipped_frames(tmp_path: Path) -> None:
    # It has no narration, so that no synthesiser is needed. Another machine may round a pixel otherwise.
    written = make_samples(tmp_path, ["silent-sunset"])
    assert sorted(path.name for path in written) == ["shorts_metadata_horizon.csv", "silent-sunset.mp4", "truth.json"]
    made, shipped = (thumbnails(folder / "silent-sunset.mp4") for folder in (tmp_path / "samples", MEDIA))
    assert made.shape == shipped.shape
    assert np.abs(made.astype(np.int16) - shipped).mean(axis=(1, 2)).max() < 0.5


def test_an_unknown_sample_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="podcast-habit"):
        make_samples(tmp_path, ["no-such-video"])
    assert not list(tmp_path.iterdir())
