"""Raw texts of several videos at once, through the workers and the real client, from a server that has its days."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from clipfarm_assets.errors import VideoError
from clipfarm_assets.measures import UPSTREAM_REQUESTS, UPSTREAM_SECONDS, Measures, series
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets.media.raw import Sources
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Artifacts, Made, Versions
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.found import ApiFound
from clipfarm_assets.transcription.videos import Recognising, transcribe_videos
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets_tests.media.making import Recipe, make_video, tone, x264
from clipfarm_assets_tests.transcription.speech_server import SpeechServer, Turn, serving

SAID = {"text": "Ahoy.", "language": "english", "words": [{"start": 0.1, "end": 0.3, "word": "Ahoy"}]}
OUT_OF_REACH = {
    "unavailable: The API is in trouble (503).": Turn(status=503),
    "rate_limited: The API asks to wait (429).": Turn(status=429),
    "denied: The API refuses the key (401): check OPENAI_API_KEY.": Turn(status=401),
    "timed_out: The API gave no answer in time.": Turn(SAID, wait_sec=1.5),
}


@pytest.fixture
def server() -> Iterator[SpeechServer]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe("film.mp4", n_frames=12, size=(64, 48), options=x264("keyint=12"))
    return make_video(tmp_path_factory.mktemp("film"), recipe, audio=tone(0.5))


def transcribed(
    server: SpeechServer,
    store: ObjectStore,
    folder: Path,
    film: Path,
    count: int,
    told: int,
    patience_sec: float = 30.0,
    measures: Measures | None = None,
) -> dict[str, Made | VideoError]:
    """What becomes of ``count`` videos, of which the one with the number ``told`` has a sidecar."""
    (folder / "told.srt").write_text("1\n00:00:00,000 --> 00:00:00,400\nHello.\n")
    items = []
    for number in range(count):
        video = Video(
            video_id=f"v{number}", url="file:///film.mp4", transcript_path="told.srt" if number == told else ""
        )
        identity = Artifacts(store).put(
            f"clipfarm/raw/video/{video.video_id}.mp4", Made(film.read_bytes(), details={"duration_sec": 0.5}),
            stage="raw_video", video_id=video.video_id, source_hash="", versions=Versions("1"),
        )  # fmt: skip
        items.append(Item(video, {"raw_video": identity}, ""))
    settings = Settings(_env_file=None, llm_retries=0, speech_timeout_sec=patience_sec).model_copy(
        update={"openai_api_key": SecretStr("sk-secret"), "openai_base_url": server.url}
    )
    recognising = Recognising(ApiFound("whisper-1"), settings, store)
    sources, limits = Sources(store, FetchOptions(folder)), Limits(1, 60.0, 2 * 1024**3)
    results = list(transcribe_videos(items, sources, recognising, limits, measures or Measures()))
    assert Counter(item.video.video_id for item, _ in results) == Counter(item.video.video_id for item in items)
    return {item.video.video_id: result for item, result in results}


@pytest.mark.parametrize("why", OUT_OF_REACH)
def test_an_api_out_of_reach_is_named_and_no_further_video_of_the_run_is_sent_to_it(
    server: SpeechServer, local_store: ObjectStore, tmp_path: Path, film: Path, why: str
) -> None:
    server.turns = [OUT_OF_REACH[why]]
    patience_sec = 0.3 if why.startswith("timed_out") else 30.0
    found = transcribed(server, local_store, tmp_path, film, 6, told=4, patience_sec=patience_sec)
    told = found.pop("v4")
    assert isinstance(told, Made) and (told.status, told.by_model) == ("success", False)
    for made in found.values():
        assert isinstance(made, Made) and made.status == "not_transcribed" and made.by_model
        assert str(made.details["why"]).startswith(why)
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("said", "asked", "why"),
    [
        (Turn(status=400), 5, "rejected: The API rejects the question (400)."),
        (Turn({"text": "no times"}), 6, "invalid_answer: The API's answer has no words with times."),
    ],
)
def test_sound_that_the_api_rejects_or_answers_with_nonsense_costs_a_try_of_its_own_video_alone(
    server: SpeechServer, local_store: ObjectStore, tmp_path: Path, film: Path, said: Turn, asked: int, why: str
) -> None:
    server.turns = [Turn(SAID), *[said] * (asked - 4), Turn(SAID)]
    found = transcribed(server, local_store, tmp_path, film, 5, told=-1)
    (error,) = (each for each in found.values() if isinstance(each, VideoError))
    assert (error.status, str(error).startswith(why)) == ("fail", True)
    heard = [each for each in found.values() if isinstance(each, Made)]
    assert all(made.status == "success" and made.by_model and b'"Ahoy."' in made.content for made in heard)  # type: ignore[operator]
    assert len(heard) == 4 and len(server.requests) == asked


def test_what_the_workers_ask_of_the_api_is_counted(
    server: SpeechServer, local_store: ObjectStore, tmp_path: Path, film: Path
) -> None:
    server.turns = [Turn(SAID), Turn({"text": "no times"}), Turn(SAID), Turn(SAID), Turn(status=503)]
    measures = Measures()
    transcribed(server, local_store, tmp_path, film, 4, told=-1, measures=measures)
    counts = {
        dict(each.labels).get("outcome"): n for each, n in measures.totals().items() if each.name == UPSTREAM_REQUESTS
    }
    assert counts == {"ok": 3, "invalid_answer": 1, "unavailable": 1}
    (seconds,) = (n for each, n in measures.totals().items() if each == series(UPSTREAM_SECONDS, api="speech"))
    assert 0 < seconds < 60


def test_nobody_heard_saying_anything_leaves_the_same_bytes_as_nobody_listening(
    server: SpeechServer, local_store: ObjectStore, tmp_path: Path, film: Path
) -> None:
    server.turns = [Turn({"text": "", "words": []})]
    made = transcribed(server, local_store, tmp_path, film, 1, told=-1)["v0"]
    assert isinstance(made, Made) and made.status == "empty_transcript" and len(server.requests) == 1
    server.turns = [Turn(status=503)]
    unheard = transcribed(server, local_store, tmp_path, film, 1, told=-1)["v0"]
    assert isinstance(unheard, Made) and unheard.content == made.content
