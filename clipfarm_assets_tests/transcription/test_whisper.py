"""The real transformers path with a small Whisper that says one sentence, from a model folder."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from clipfarm_assets.errors import ModelMismatch
from clipfarm_assets.models import load, places
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.settings import Settings
from clipfarm_assets.transcription import whisper
from clipfarm_assets.transcription.recogniser import (
    Heard,
    NoRecogniser,
    TranscriptionSettings,
    WhisperFound,
    find_recogniser,
    open_recogniser,
)
from clipfarm_assets.transcription.transcribe import Recognition, transcribe
from clipfarm_assets_tests.models.weights import lock_weights
from clipfarm_assets_tests.transcription import tiny_whisper

NAME = "openai/whisper-small"
OPTIONS = TranscriptionSettings()
NOISE = (np.random.default_rng(0).standard_normal(16_000 * 7) * 0.1).astype(np.float32)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    load._loaded.clear()
    places.forget_hub_answers()
    return Settings(_env_file=None, model_dir=tmp_path / "models", device="cpu", hub_timeout_sec=1.0)


def test_without_weights_there_is_no_recogniser_and_with_them_there_is_another_identity(settings: Settings) -> None:
    found = find_recogniser(OPTIONS, settings, None)
    assert isinstance(found, NoRecogniser) and found.identity is None
    assert NAME in found.why and str(settings.model_dir) in found.why
    tiny_whisper.save(model_folder(NAME, settings))
    appeared = find_recogniser(OPTIONS, settings, None)
    assert isinstance(appeared, WhisperFound)
    assert appeared.identity == "openai/whisper-small@973afd24965f"
    assert isinstance(find_recogniser(TranscriptionSettings(model="some/other"), settings, None), NoRecogniser)


def test_whisper_hears_words_with_times_in_a_language_and_the_same_again(settings: Settings, tmp_path: Path) -> None:
    tiny_whisper.save(model_folder(NAME, settings), " Guten Tag, da sind wir.", "de")
    lock_weights(settings, NAME)
    found = find_recogniser(OPTIONS, settings, None)
    assert isinstance(found, WhisperFound)
    recogniser = open_recogniser(found, OPTIONS, settings, None)
    heard = recogniser.hear(NOISE)
    assert isinstance(heard, Heard) and heard.language == "de"
    assert [word.text for word in heard.words] == [" Guten", " Tag,", " da", " sind", " wir."]
    assert all(0 <= word.start <= word.end <= 7.1 for word in heard.words)
    assert recogniser.hear(NOISE) == heard

    soundfile.write(tmp_path / "a.wav", NOISE, 16_000, subtype="PCM_16")
    whole = transcribe(tmp_path / "a.wav", recogniser)
    assert isinstance(whole, Recognition)
    assert whole.transcript.transcript == "Guten Tag, da sind wir."
    assert (whole.transcript.language, whole.transcript.model) == ("de", "openai/whisper-small@973afd24965f")


def test_where_there_is_likely_no_speech_unlikely_words_are_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        whisper, "_FALLBACKS", {"temperature": 0.0}
    )  # words that stay unlikely would be sampled for long
    tiny_whisper.save(model_folder(NAME, settings), is_sure=False)
    found = find_recogniser(OPTIONS, settings, None)
    assert isinstance(found, WhisperFound)
    assert open_recogniser(found, OPTIONS, settings, None).hear(NOISE) == Heard(())


def test_weights_that_are_not_the_locked_ones_are_refused(settings: Settings) -> None:
    tiny_whisper.save(model_folder(NAME, settings))
    lock_weights(settings, NAME, sha256="0" * 64)
    found = find_recogniser(OPTIONS, settings, None)
    assert isinstance(found, WhisperFound)
    with pytest.raises(ModelMismatch, match="is not the locked file"):
        open_recogniser(found, OPTIONS, settings, None)
