"""The real client against a server that speaks the real protocol and misbehaves in every known way."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from pydantic import SecretStr

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.llm.client import Cause
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.settings import Settings
from clipfarm_assets.transcription.api import LARGEST_BYTES
from clipfarm_assets.transcription.found import ApiFound, find_recogniser, open_recogniser
from clipfarm_assets.transcription.recogniser import Heard, RecognitionFailure, TranscriptionSettings
from clipfarm_assets.transcription.transcribe import Recognition, transcribe
from clipfarm_assets_tests.transcription.speech_server import SpeechServer, Turn, serving

KEY = "sk-very-secret-key"
SOUND = (np.random.default_rng(0).standard_normal(16_000 * 3) * 0.1).astype(np.float32)


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with serving() as running:
        yield running


def answer(text: str, *words: tuple[float, float, str], **more: Any) -> dict[str, Any]:
    rows = [{"start": start, "end": end, "word": word} for start, end, word in words]
    return {"task": "transcribe", "language": "english", "duration": 3.0, "text": text, "words": rows, **more}


GOOD = answer("“Ships,” she said, are late.", (0.1, 0.5, "Ships"), (0.5, 0.8, "she"), (0.8, 1.1, "said"),
              (1.2, 1.4, "are"), (1.4, 1.9, "late"))  # fmt: skip


def connected(server: SpeechServer, **more: Any) -> Any:
    options = TranscriptionSettings(api_timeout_sec=1.5, **more)
    settings = Settings(_env_file=None, llm_timeout_sec=60, llm_retries=1).model_copy(
        update={"openai_api_key": SecretStr(KEY), "openai_base_url": server.url}
    )
    return open_recogniser(ApiFound("whisper-1"), options, settings, None)


def hear(server: SpeechServer, *turns: Turn, **more: Any) -> Heard | RecognitionFailure:
    server.turns[:] = turns
    heard: Heard | RecognitionFailure = connected(server, **more).hear(SOUND)
    return heard


def test_words_come_with_times_and_with_the_text_s_punctuation(server: SpeechServer) -> None:
    heard = hear(server, Turn(GOOD))
    assert isinstance(heard, Heard) and heard.language == "en"
    assert [(word.start, word.text) for word in heard.words] == [
        (0.1, " “Ships,”"), (0.5, " she"), (0.8, " said,"), (1.2, " are"), (1.4, " late."),
    ]  # fmt: skip
    (request,) = server.requests
    assert request["path"] == "/v1/audio/transcriptions"
    assert (request["model"], request["response_format"]) == ("whisper-1", "verbose_json")
    assert sorted(request["timestamp_granularities"]) == ["segment", "word"] and "language" not in request
    sound, rate = soundfile.read(io.BytesIO(request["file"]), dtype="float32")
    assert rate == 16_000 and np.abs(sound - SOUND).max() < 1e-4
    hear(server, Turn(GOOD), language="de")
    assert server.requests[-1]["language"] == "de"


FAULTS = [
    Turn(status=429, headers={"Retry-After": "0.05"}), Turn(status=500), Turn(status=503), Turn(GOOD, wait_sec=2.0),
    Turn(GOOD, half=True), Turn(b"<html>gateway</html>"), Turn({}), Turn({"text": 7}), Turn(["late"]), Turn(None),
    Turn({"text": "no words"}), Turn(answer("late", (0.0, 900.0, "late"))), Turn(answer("x", ("a", None, "x"))),  # type: ignore[arg-type]
]  # fmt: skip
CAUSES = [
    Cause.RATE_LIMITED, Cause.UNAVAILABLE, Cause.UNAVAILABLE, Cause.TIMED_OUT, Cause.UNAVAILABLE,
    *[Cause.INVALID_ANSWER] * 8,
]  # fmt: skip


@pytest.mark.parametrize(("fault", "cause"), zip(FAULTS, CAUSES, strict=True))
def test_a_fault_costs_a_try_where_it_passes_and_has_a_name_where_it_stays(
    server: SpeechServer, fault: Turn, cause: Cause
) -> None:
    heard = hear(server, fault, Turn(GOOD))
    assert isinstance(heard, Heard) and len(heard.words) == 5 and len(server.requests) == 2
    failure = hear(server, fault)
    assert isinstance(failure, RecognitionFailure) and failure.cause == cause and failure.can_pass
    assert len(server.requests) == 4
    assert KEY not in str(failure) and "secret" not in str(failure)


@pytest.mark.parametrize(
    ("status", "cause", "can_pass"),
    [(401, Cause.DENIED, True), (404, Cause.DENIED, True), (400, Cause.REJECTED, False)],
)
def test_a_refusal_is_not_asked_again(server: SpeechServer, status: int, cause: Cause, can_pass: bool) -> None:
    failure = hear(server, Turn(status=status))
    assert isinstance(failure, RecognitionFailure) and (failure.cause, failure.can_pass) == (cause, can_pass)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "said",
    [
        answer(""),
        answer(" Thank you.", (0.0, 1.0, "Thank"), segments=[{"no_speech_prob": 0.95, "avg_logprob": -1.4}]),
    ],
)
def test_no_speech_is_an_outcome(server: SpeechServer, said: dict[str, Any]) -> None:
    assert hear(server, Turn(said)) == Heard(())
    assert len(server.requests) == 1


def test_long_sound_goes_in_chunks_below_the_limit_and_comes_back_as_one(server: SpeechServer, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).uniform(-1, 1, 16_000 * 55).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 16_000, subtype="PCM_16")
    first = answer("Here is the end of it", (20.0, 20.4, "Here"), (26.0, 26.4, "is"), (27.0, 27.3, "the"),
                   (28.0, 28.4, "end"), (29.0, 29.3, "of"), (29.8, 30.0, "it"))  # fmt: skip
    second = answer("is the end of it all.", (1.1, 1.4, "is"), (2.0, 2.3, "the"), (3.1, 3.4, "end"), (4.0, 4.3, "of"),
                    (4.9, 5.4, "it"), (6.0, 6.4, "all"))  # fmt: skip
    server.turns[:] = [Turn(first), Turn(second)]
    found = transcribe(tmp_path / "a.wav", connected(server, api_chunk_sec=30.0))
    assert isinstance(found, Recognition)
    assert found.transcript.transcript == "Here is the end of it all."
    assert (found.transcript.language, found.transcript.model) == ("en", "whisper-1")
    assert len(server.requests) == 2

    longest = connected(server, api_chunk_sec=3600.0)
    server.turns[:] = [Turn(answer(""))]
    longest.hear(np.random.default_rng(2).uniform(-1, 1, round(16_000 * longest.chunk_sec)).astype(np.float32))
    assert len(server.requests[-1]["file"]) < LARGEST_BYTES


@pytest.mark.parametrize(
    ("asked", "key", "url", "found"),
    [
        ("openai", SecretStr(KEY), None, ApiFound("whisper-1")),
        ("openai", None, "http://127.0.0.1:9/v1", ApiFound("whisper-1")),
        ("auto", SecretStr(KEY), None, None),
        ("off", SecretStr(KEY), None, None),
    ],
)
def test_a_key_alone_sends_nothing(asked: str, key: SecretStr | None, url: str | None, found: ApiFound | None) -> None:
    settings = Settings(_env_file=None, profile="stand-in").model_copy(
        update={"speech_recogniser": asked, "openai_api_key": key, "openai_base_url": url}
    )
    assert find_recogniser(settings, resolve_models(settings, None)) == found


def test_the_api_without_a_key_is_an_error_that_names_it() -> None:
    settings = Settings(_env_file=None, profile="stand-in", speech_recogniser="openai").model_copy(
        update={"openai_api_key": SecretStr(""), "openai_base_url": ""}
    )
    with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        find_recogniser(settings, resolve_models(settings, None))
