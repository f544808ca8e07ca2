"""From what a recogniser hears in chunks to one transcript: recorded outputs, and any speech that there can be."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import VideoError
from clipfarm_assets.llm.client import Cause
from clipfarm_assets.media.transcripts import parse_transcript, to_json
from clipfarm_assets.transcription.chunks import HeardWord, Span, merged, plain, spans_of
from clipfarm_assets.transcription.loops import without_loops
from clipfarm_assets.transcription.recogniser import Heard, RecognitionFailure, Samples
from clipfarm_assets.transcription.transcribe import Recognition, recognition_of, transcribe

RECORDED = Path(__file__).parent / "recorded"
Chunks = list[tuple[Span, Heard]]


def recorded(name: str) -> Chunks:
    rows = json.loads((RECORDED / name).read_text())["chunks"]
    return [
        (Span(row["start"], row["end"]), Heard(tuple(HeardWord(*word) for word in row["words"]), row["language"]))
        for row in rows
    ]


def test_a_recorded_talk_becomes_one_text_without_its_edges_and_its_loop() -> None:
    found = recognition_of(recorded("harbour.json"), "whisper-x@1")
    assert found.transcript.transcript == (
        "So when we moved the harbour office, nobody told the captains. What we learned is simple. Ask the people who "
        "use the door, the door itself, before you move the house. Nobody does. No, no, no, no, I mean it. And that is "
        "all I have. Thank you. Thanks for watching!"
    )
    assert (found.transcript.language, found.transcript.source, found.transcript.model) == (
        "en", "recognition", "whisper-x@1",
    )  # fmt: skip
    (loop,) = found.loops
    assert (loop.phrase, loop.rounds, loop.start_sec, loop.end_sec) == ("Thanks for watching!", 5, 56.0, 59.2)
    assert parse_transcript(to_json(found.transcript), "a.json") == found.transcript
    cues = found.transcript.cues
    assert all(a.end <= b.start + 0.3 and a.start <= b.start for a, b in pairwise(cues))
    assert [word.word for word in cues[0].words or ()][:3] == ["So", "when", "we"]


@given(st.floats(0, 5000), st.sampled_from([(30.0, 5.0), (600.0, 5.0), (30.0, 1.0)]))
def test_chunks_cover_the_sound_and_share_the_overlap(duration: float, lengths: tuple[float, float]) -> None:
    spans = spans_of(duration, *lengths)
    assert bool(spans) == (duration > 0)
    if spans:
        assert spans[0].start == 0 and spans[-1].end == duration
    assert all(0 < span.end - span.start <= lengths[0] + 1e-6 for span in spans)
    assert all(before.end - span.start == pytest.approx(lengths[1]) for before, span in pairwise(spans))


VOCABULARY = ["the", "the", "the", "no", "boat", "Boat.", "sea", "harbour", "wind", "今", "天", "I", "I'm", "a"]


@st.composite
def speech(draw: st.DrawFn) -> list[HeardWord]:
    """Words that follow one another, some of them the same, with pauses."""
    words: list[HeardWord] = []
    at = draw(st.floats(0, 3))
    for _ in range(draw(st.integers(1, 250))):
        length = draw(st.floats(0.2, 0.8))
        words.append(HeardWord(at, at + length, f" {draw(st.sampled_from(VOCABULARY))}"))
        at += length + draw(st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.6, 4.0, 12.0]))
    return words


@settings(phases=[Phase.explicit, Phase.reuse, Phase.generate])  # shrinking speech of minutes takes minutes
@given(speech(), st.integers(0, 2**32))
def test_any_speech_heard_in_overlapping_chunks_is_itself_again(words: list[HeardWord], seed: int) -> None:
    random = np.random.default_rng(seed)

    def jittered(word: HeardWord, span: Span) -> HeardWord:
        shift = random.uniform(-0.05, 0.05)
        return HeardWord(word.start + shift, word.end + shift, word.text)

    chunks = []
    for span in spans_of(words[-1].end + 1, 30.0, 5.0):
        heard = [jittered(word, span) for word in words if span.start <= word.start and word.end <= span.end]
        cut_first = [w for w in words if w.start < span.start < w.end]
        cut_last = [w for w in words if w.start < span.end < w.end]
        if cut_first and random.random() < 0.5:
            heard.insert(0, HeardWord(span.start, cut_first[0].end, " xx"))
        if cut_last and random.random() < 0.5:
            heard.append(HeardWord(cut_last[0].start, span.end, " yy"))
        chunks.append((span, heard))
    assert [plain(word.text) for word in merged(chunks)] == [plain(word.text) for word in words]


def test_what_only_one_of_two_chunks_heard_is_not_lost() -> None:
    one = [HeardWord(26.0, 26.4, " early"), HeardWord(29.0, 29.4, " late")]
    first, second = Span(0.0, 30.0), Span(25.0, 55.0)
    assert [w.text for w in merged([(first, one), (second, [])])] == [" early", " late"]
    assert [w.text for w in merged([(first, []), (second, one)])] == [" early", " late"]
    later = [HeardWord(40.0, 40.5, " after")]
    assert [w.text for w in merged([(first, one), (second, later)])] == [" early", " late", " after"]


def said(*texts: str) -> list[HeardWord]:
    return [HeardWord(n * 0.3, n * 0.3 + 0.25, f" {text}") for n, text in enumerate(texts)]


@given(
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=0, max_size=6),
    st.lists(st.integers(0, 20).map(str), min_size=3, max_size=8, unique=True),
    st.integers(4, 20),
    st.lists(st.sampled_from(["d", "e", "f"]), min_size=0, max_size=6),
)
def test_a_loop_is_dropped_but_for_its_first_round_and_told(
    before: list[str], phrase: list[str], rounds: int, after: list[str]
) -> None:
    kept, loops = without_loops(said(*before, *phrase * rounds, *after))
    assert [word.text.strip() for word in kept] == [*before, *phrase, *after]
    assert [(loop.phrase, loop.rounds) for loop in loops] == [(" ".join(phrase), rounds)]


@pytest.mark.parametrize("times", [2, 3, 7])
def test_people_repeat_themselves_too(times: int) -> None:
    words = said(*["No,"] * times, "I", "said.", *(["row", "your", "boat"] * min(times, 3)))
    assert without_loops(words) == (words, [])


class Scripted:
    """Says what it is told to, chunk by chunk, and notes what it was given."""

    identity, chunk_sec, overlap_sec = "scripted", 30.0, 5.0

    def __init__(self, *answers: Heard | RecognitionFailure) -> None:
        self.answers = list(answers)
        self.heard_sec: list[float] = []

    def hear(self, samples: Samples) -> Heard | RecognitionFailure:
        self.heard_sec.append(len(samples) / 16_000)
        return self.answers.pop(0)


def wav(path: Path, levels: Sequence[float], seconds: float = 10.0) -> Path:
    """Ten seconds of noise at each level."""
    noise = np.random.default_rng(0).standard_normal(round(seconds * 16_000)).astype(np.float32).clip(-1, 1)
    soundfile.write(path, np.concatenate([noise * level for level in levels]), 16_000, subtype="PCM_16")
    return path


def test_no_speech_is_an_empty_transcript_and_silence_is_not_even_asked_about(tmp_path: Path) -> None:
    sound = wav(tmp_path / "a.wav", [0.1, 0.1, 0.1, 0.0, 0.0, 0.0])
    recogniser = Scripted(Heard(()), Heard(()))
    found = transcribe(sound, recogniser)
    assert isinstance(found, Recognition) and found.transcript.is_empty
    assert (found.chunks, found.silent_chunks, found.transcript.language) == (3, 3, None)
    assert recogniser.heard_sec == [30.0, 30.0]
    assert transcribe(wav(tmp_path / "b.wav", [0.1], 0.0), Scripted()) == Recognition(found.transcript, (), 0, 0)


def test_a_chunk_that_cannot_be_heard_fails_the_transcript_and_says_where(tmp_path: Path) -> None:
    sound = wav(tmp_path / "a.wav", [0.1] * 6)
    failure = RecognitionFailure(Cause.TIMED_OUT, "The API gave no answer in time.")
    found = transcribe(sound, Scripted(Heard((HeardWord(0, 1, " hi"),), "en"), failure))
    assert isinstance(found, RecognitionFailure) and found.can_pass
    assert str(found) == "timed_out: The API gave no answer in time. (at 25 s of the sound)"


def test_the_language_is_that_of_most_words() -> None:
    chunks = [
        (Span(0, 30), Heard(tuple(said("one", "two", "three")), "en")),
        (Span(25, 55), Heard(tuple(HeardWord(20, 21, " vier") for _ in range(1)), "de")),
        (Span(50, 80), Heard((), "cy")),
    ]
    assert recognition_of(chunks, "x").transcript.language == "en"


def test_what_is_no_raw_sound_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF nothing")
    with pytest.raises(VideoError):
        transcribe(tmp_path / "a.wav", Scripted())
    soundfile.write(tmp_path / "b.wav", np.zeros((100, 2)), 44_100)
    with pytest.raises(VideoError, match="2 channels at 44100 Hz"):
        transcribe(tmp_path / "b.wav", Scripted())
