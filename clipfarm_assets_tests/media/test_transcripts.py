import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import VideoError
from clipfarm_assets.media.transcripts import (
    EMPTY,
    Cue,
    Transcript,
    Word,
    from_subtitle_stream,
    of_cues,
    parse_transcript,
    to_json,
)

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i> {\\an8}there,

2
00:00:03,000 --> 00:00:04,000
old &amp; new
friends.
"""
CUES = (Cue(1.0, 2.5, "Hello there,"), Cue(3.0, 4.0, "old & new\nfriends."))


def srt_time(seconds: float) -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02},{ms % 1000:03}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_srt_is_read_in_every_encoding_and_line_end(encoding: str, line_end: str) -> None:
    transcript = parse_transcript(SRT.replace("\n", line_end).encode(encoding), "a.SRT")
    assert transcript.cues == CUES
    assert transcript.transcript == "Hello there, old & new friends."


def test_windows_1252_is_read() -> None:
    assert parse_transcript("1\n0:0:1,0 --> 0:0:2,0\ncafé…".encode("cp1252"), "a.srt").transcript == "café…"


@pytest.mark.parametrize(
    "text",
    [
        "00:01.000 --> 00:02.500\nHello there,\n00:03.000 --> 00:04.000\nold & new\nfriends.",
        "1\n0:0:1.0 --> 0:0:2.5 X1:1\nHello there,\n2\n0:0:3,0 --> 0:0:4,0\nold & new\n\nfriends.\n\n3\n",
        "2\n00:00:03,000 --> 00:00:04,000\nold & new\nfriends.\n \n1\n00:00:01,000 --> 00:00:02,500\nHello there,\n",
    ],
)
def test_srt_in_the_wild_is_read(text: str) -> None:
    assert parse_transcript(text.encode(), "a.srt").cues == CUES


def test_vtt_is_read_with_settings_notes_styles_and_voices() -> None:
    text = """WEBVTT - a title
Kind: captions
Language: en

NOTE
nothing is said here

STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:0%
<v Ann><c.loud>Hello</c> <00:00:01.500>there,

00:00:03.000 --> 00:00:04.000
old &amp; new
friends.
"""
    transcript = parse_transcript(text.encode(), "a.vtt")
    assert transcript.cues == CUES
    assert transcript.language == "en"


def test_rolling_captions_say_each_line_once() -> None:
    blocks = [
        ("00:00:00.000 --> 00:00:02.000", " ", "hello<00:00:00.500><c> world</c>"),
        ("00:00:02.000 --> 00:00:02.010", "hello world", " "),
        ("00:00:02.010 --> 00:00:04.000", "hello world", "next<00:00:03.000><c> line</c>"),
        ("00:00:04.000 --> 00:00:04.010", "next line", " "),
    ]
    text = "WEBVTT\n\n" + "\n\n".join("\n".join(block) for block in blocks)
    transcript = parse_transcript(text.encode(), "a.vtt")
    assert transcript.transcript == "hello world next line"
    assert [(c.start, c.end) for c in transcript.cues] == [(0.0, 2.01), (2.01, 4.01)]


def test_two_equal_utterances_stay_two() -> None:
    assert of_cues([Cue(0, 1, "Go!"), Cue(1, 2, "Go!")]).transcript == "Go! Go!"


def test_cues_out_of_order_are_sorted_and_overlaps_stay() -> None:
    transcript = of_cues([Cue(5, 9, "b"), Cue(1, 6, "a"), Cue(2, 3, " ")])
    assert [(c.start, c.end) for c in transcript.cues] == [(1, 6), (5, 9)]


@pytest.mark.parametrize(
    ("value", "text", "n_cues"),
    [
        ({"transcript": "all of it"}, "all of it", 0),
        ({"transcript": ""}, "", 0),
        ({"text": " a b", "segments": [{"id": 0, "start": 0.0, "end": 1, "text": " a"}]}, " a b", 1),
        ([{"start": 2, "end": 3, "text": "b"}, {"start": 0, "end": 1, "text": "a"}], "a b", 2),
        ({"cues": [{"start": 0, "end": 1, "text": "a", "words": [{"word": "a", "start": None}]}]}, "a", 1),
    ],
)
def test_json_of_every_shape_is_read(value: object, text: str, n_cues: int) -> None:
    transcript = parse_transcript(json.dumps(value).encode(), "a.json")
    assert (transcript.transcript, len(transcript.cues)) == (text, n_cues)


def test_word_times_may_be_missing_or_wrong() -> None:
    data = (
        b'[{"start": 0, "end": 1, "text": "a", "words": [{"word": "a", "start": NaN, "end": "x", "probability": 0.5}]}]'
    )
    assert parse_transcript(data, "a.json").cues[0].words == (Word(None, None, "a", 0.5),)


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"1\n00:00:01,000 -> 2\nhello", "a.srt", "line 2"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nhello\n\n2\n00:xx --> 1\n", "a.srt", "line 6"),
        (b"hello", "a.vtt", "line 1"),
        (b"WEBVTT\n\nfoo --> bar\n", "a.vtt", "line 3"),
        (b'{"cues":\n [', "a.json", "line 2"),
        (b'{"cues": [{"start": "x", "end": 1, "text": "a"}]}', "a.json", "cue 1"),
        (b'{"other": 1}', "a.json", "neither"),
        (b"3", "a.json", "must be a list"),
        (b"[" * 100_000, "a.json", "a.json"),
        (b"hello", "a.txt", ".srt"),
        (b"\xff\xfe\x00", "a.srt", "encoding"),
    ],
)
def test_garbage_is_an_error_that_says_where(data: bytes, name: str, words: str) -> None:
    with pytest.raises(VideoError, match=words):
        parse_transcript(data, name)


def test_an_empty_file_is_an_empty_transcript() -> None:
    assert parse_transcript(b"", "a.srt") == EMPTY
    assert EMPTY.is_empty


def test_the_json_is_the_documents_shape() -> None:
    cue = Cue(0.5, 1.0, "Grüße", (Word(0.5, None, "Grüße", 0.9),))
    whole = json.loads(to_json(Transcript("Grüße", "de", "sidecar", None, (cue, Cue(2.0, 3.0, "x")))))
    assert whole == {
        "transcript": "Grüße",
        "language": "de",
        "source": "sidecar",
        "model": None,
        "cues": [
            {
                "start": 0.5,
                "end": 1.0,
                "text": "Grüße",
                "words": [{"start": 0.5, "end": None, "word": "Grüße", "probability": 0.9}],
            },
            {"start": 2.0, "end": 3.0, "text": "x"},
        ],
    }


TIMES = st.integers(0, 10_000_000).map(lambda ms: ms / 1000)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])).map(str.strip)
WORDS = st.builds(Word, st.none() | TIMES, st.none() | TIMES, TEXTS, st.none() | st.floats(0, 1))
ALL_CUES = st.builds(
    lambda start, length, text, words: Cue(start, start + length, text, words),
    TIMES, TIMES, TEXTS, st.none() | st.lists(WORDS, max_size=3).map(tuple),
)  # fmt: skip
TRANSCRIPTS = st.builds(
    Transcript, TEXTS, st.none() | TEXTS, st.none() | TEXTS, st.none() | TEXTS,
    st.lists(ALL_CUES, max_size=4).map(lambda cues: tuple(sorted(cues, key=lambda c: (c.start, c.end)))),
)  # fmt: skip


@given(TRANSCRIPTS)
@settings(deadline=None, max_examples=100)
def test_json_comes_back_as_it_was_written(transcript: Transcript) -> None:
    assert parse_transcript(to_json(transcript), "a.json") == transcript


LINES = st.text("abcäöü ,.!?'é漢字", min_size=1).map(lambda t: " ".join(t.split())).filter(bool)


@given(st.lists(st.tuples(TIMES, TIMES, st.lists(LINES, min_size=1, max_size=3)), max_size=5))
@settings(deadline=None, max_examples=100)
def test_srt_and_vtt_come_back_as_they_were_written(rows: list[tuple[float, float, list[str]]]) -> None:
    rows = [(start, round(start + length, 3), lines) for start, length, lines in rows]
    body = "".join(
        f"{i}\n{srt_time(start)} --> {srt_time(end)}\n" + "\n".join(lines) + "\n\n"
        for i, (start, end, lines) in enumerate(rows, 1)
    )
    expected = of_cues(Cue(start, end, "\n".join(lines)) for start, end, lines in rows)
    assert parse_transcript(body.encode(), "a.srt") == expected
    as_vtt = re.sub(r"(\d\d),(\d{3})", r"\1.\2", body)
    assert parse_transcript(f"WEBVTT\n\n{as_vtt}".encode(), "a.vtt") == expected


@given(st.binary(max_size=300), st.sampled_from([".srt", ".vtt", ".json", ""]))
@settings(deadline=None, max_examples=200)
def test_random_bytes_give_a_transcript_or_a_video_error(data: bytes, ending: str) -> None:
    for content in (data, b"WEBVTT\n\n" + data, b"1\n00:00:01,000 --> 00:00:02,000\n" + data):
        try:
            transcript = parse_transcript(content, f"a{ending}")
        except VideoError:
            continue
        assert to_json(transcript)


def test_a_subtitle_stream_becomes_a_transcript(real: Callable[[str], Path]) -> None:
    transcript = from_subtitle_stream(real("nasa_13013.mp4"))
    assert transcript is not None
    assert transcript.transcript.startswith("NAR: This is the optical and science segment of the Webb space telescope")
    assert (transcript.source, transcript.language, transcript.cues[0].start) == ("subtitle_stream", "eng", 0.21)


def test_a_video_without_subtitles_has_none(made: Callable[[str], Path]) -> None:
    assert from_subtitle_stream(made("cfr.mp4")) is None


@pytest.mark.parametrize(("ending", "codec"), [("mkv", "srt"), ("mkv", "ass"), ("mp4", "mov_text"), ("webm", "webvtt")])
def test_every_text_subtitle_codec_is_read(
    made: Callable[[str], Path], tmp_path: Path, ffmpeg: Callable[..., bytes], ending: str, codec: str
) -> None:
    (tmp_path / "a.srt").write_text(SRT)
    video = made("vp9.webm") if ending == "webm" else made("cfr.mp4")
    path = tmp_path / f"out.{ending}"
    ffmpeg("-i", video, "-i", tmp_path / "a.srt", "-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", codec, path)
    transcript = from_subtitle_stream(path)
    assert transcript is not None
    assert transcript.transcript.replace("&amp;", "&") == "Hello there, old & new friends."
    starts = [c.start for c in transcript.cues]
    assert starts[1] - starts[0] == pytest.approx(2.0, abs=0.05)


def test_transcripts_are_values() -> None:
    assert replace(EMPTY, language="en") != EMPTY
