"""Clips against replay heatmaps: the numbers are right, and ours beat the simple ways on what they never saw."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase

import numpy as np
import pytest

from benchmarks.clip_selection import BASELINES, cached, case_of, compare, main, real_cases
from clipfarm_assets.clips.selection import (
    HOT,
    SPANS,
    first_spans,
    heat_of,
    judge,
    keyword_frequency,
    moments,
    of_clips,
    random_scores,
    text_tiling,
)
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.media.cues import Cue
from clipfarm_assets_tests.clips.made import made_videos, passages
from clipfarm_assets_tests.clips.videos import SAMPLES, talk
from clipfarm_assets_tests.tasks.labelled_set import packaged_encoder

DURATION = 250.0


def rows(hot: range, spans: int = SPANS) -> list[dict[str, float]]:
    """As yt-dlp brings them."""
    length = DURATION / spans
    return [
        {"start_time": n * length, "end_time": (n + 1) * length, "value": 0.9 if n in hot else 0.1}
        for n in range(spans)
    ]


def hot_from(first: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return moments(heat_of(rows(range(first, first + HOT)), DURATION))


def test_the_hottest_fifth_is_the_truth() -> None:
    assert np.flatnonzero(hot_from(40)).tolist() == list(range(40, 60))
    assert moments(heat_of(rows(range(0)), DURATION)).sum() == HOT


def test_a_heatmap_of_other_spans_is_spread_over_ours() -> None:
    heat = heat_of(rows(range(10, 15), spans=50), DURATION)
    assert np.flatnonzero(heat > 0.5).tolist() == list(range(20, 30))
    assert heat_of(rows(range(10), spans=7), DURATION).shape == (SPANS,)


def test_a_heatmap_with_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="does not cover"):
        heat_of(rows(range(5))[:90], DURATION)
    with pytest.raises(ValueError, match="does not cover"):
        heat_of([{**row, "value": float("nan")} for row in rows(range(5))], DURATION)


def test_a_perfect_answer_and_a_wrong_one() -> None:
    hot = hot_from(40)
    right = judge(of_clips([(100.0, 150.0, 9.0), (0.0, 60.0, 2.0)], DURATION), hot)
    assert (right.hit, right.precision, right.recall, right.f1, right.average_precision) == (1, 1, 1, 1, 1)
    wrong = judge(of_clips([(0.0, 50.0, 9.0)], DURATION), hot)
    assert (wrong.hit, wrong.precision, wrong.recall, wrong.f1) == (0, 0, 0, 0)
    nothing = judge(of_clips([(0.0, 50.0, None)], DURATION), hot)
    assert (nothing.hit, nothing.precision, nothing.recall) == (0, 0, 0)
    assert nothing.average_precision == pytest.approx(0.2)


def test_few_clips_have_precision_without_recall() -> None:
    part = judge(of_clips([(100.0, 125.0, 9.0)], DURATION), hot_from(40))
    assert (part.precision, part.recall, part.f1) == (1.0, 0.5, pytest.approx(2 / 3))


def test_random_finds_a_fifth() -> None:
    found = [judge(random_scores(seed), hot_from(40)).precision for seed in range(200)]
    assert np.mean(found) == pytest.approx(0.2, abs=0.03)


def test_the_first_spans_come_first() -> None:
    assert judge(first_spans(), hot_from(0)).average_precision == pytest.approx(1.0)


def test_keywords_and_topics_are_what_they_say() -> None:
    cues, duration = talk(
        ["Nothing was in there at all, or so it was said."] * 10 + ["Salt salt salt salt salt salt."] * 5
    )
    timeline = Timeline.of(cues, duration)
    assert keyword_frequency(timeline, "en").argmax() > 70
    vectors = np.repeat(np.eye(2, dtype=np.float32), [10, 5], axis=0)
    scores = text_tiling(timeline, lambda texts: vectors)
    assert timeline.sentences[10].start_ms / 1000 / duration * SPANS == pytest.approx(int(scores.argmax()), abs=1)


def test_the_halves_of_the_made_videos_have_nothing_in_common() -> None:
    choose, report = ({text for kind in passages()[half].values() for text in kind} for half in ("choose", "report"))
    assert not choose & report
    first, again = made_videos("report", 2), made_videos("report", 2)
    assert [each.cues for each in first] == [each.cues for each in again] and first[0].cues != first[1].cues


def test_a_folder_that_yt_dlp_has_filled_is_judged_and_what_cannot_be_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.clip_selection.packaged_encoder", lambda: letters)
    monkeypatch.setenv("COLUMNS", "300")
    whole, by_ids, plain = made_videos("report", 3)
    name = "A talk [a-B_c1]"  # its brackets are none of a pattern
    info = {"id": "a-B_c1", "title": "A talk", "language": "en", "duration": round(whole.duration_sec)}
    (tmp_path / f"{name}.info.json").write_text(json.dumps(info | {"heatmap": whole.heatmap}))
    (tmp_path / f"{name}.en.vtt").write_text(to_vtt(whole.cues))
    shutil.copy(SAMPLES / "game-fail.mp4", tmp_path / f"{name}.mp4")
    (tmp_path / "list.heatmap.json").write_text(json.dumps(by_ids.heatmap))
    (tmp_path / "list.vtt").write_text(to_vtt(by_ids.cues))
    (tmp_path / "silent.info.json").write_text(json.dumps({"heatmap": plain.heatmap}))
    (tmp_path / "rare.info.json").write_text(json.dumps(info | {"heatmap": None}))
    (tmp_path / "rare.en.vtt").write_text(to_vtt(plain.cues))
    (tmp_path / "half.info.json").write_text(json.dumps({"heatmap": plain.heatmap[50:]}))
    (tmp_path / "half.en.vtt").write_text(to_vtt(plain.cues))

    (first, heat), (second, _) = real_cases(tmp_path, letters)
    assert (first.video_id, first.title, first.language, heat) == (name, "A talk", "en", list(whole.heatmap))
    assert first.loudness is not None and first.cuts_sec and second.loudness is None
    assert [cue.text for cue in first.cues] == [cue.text for cue in whole.cues]
    told = capsys.readouterr().err
    assert "silent.info.json: There is no transcript" in told and "rare.info.json: It has no heatmap" in told
    assert "half.info.json: The heatmap does not cover" in told

    (tmp_path / f"{name}.info.json").unlink()
    main([str(tmp_path)])
    said = capsys.readouterr().out
    assert "clip_selection of 1 videos" in said and all(way in said for way in ("ours", *BASELINES))
    with pytest.raises(SystemExit, match="no video that could be judged"):
        main([str(Path(__file__).parent)])


def letters(texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """How often each letter stands in each text, as unit vectors."""
    counts = np.array([[text.lower().count(letter) for letter in ascii_lowercase] for text in texts], np.float32)
    return counts / np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-9)


def to_vtt(cues: Sequence[Cue]) -> str:
    """As a caption file has them: no words, and a language in the head."""
    times = [f"{_clock(cue.start)} --> {_clock(cue.end)}\n{cue.text}\n" for cue in cues]
    return "\n".join(["WEBVTT\nKind: captions\nLanguage: en\n", *times])


def _clock(sec: float) -> str:
    return f"{int(sec // 3600):02}:{int(sec // 60) % 60:02}:{sec % 60:06.3f}"


def test_ours_lead_every_simple_way_on_the_half_that_nothing_was_chosen_on() -> None:
    videos = made_videos("report", 12)
    encode = cached(packaged_encoder(), videos)
    found = compare(case_of(made, encode) for made in videos)
    ours = found.pop("ours")
    for name in BASELINES:
        other = found[name]
        for measure in ("hit", "precision", "recall", "f1", "average_precision"):
            assert getattr(ours, measure) > getattr(other, measure), (name, measure)
