"""The real transformers path with a small Whisper that says one sentence, from a model folder."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from clipfarm_assets.errors import ConfigurationError, ModelMismatch, ModelUnavailable
from clipfarm_assets.models import load, places
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.settings import Settings
from clipfarm_assets.transcription import whisper
from clipfarm_assets.transcription.recogniser import (
    Heard,
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


def find(settings: Settings, **changes: object) -> WhisperFound | None:
    changed = settings.model_copy(update=changes)
    found = find_recogniser(changed, resolve_models(changed, None))
    assert found is None or isinstance(found, WhisperFound)
    return found


def test_whisper_recognises_where_its_weights_lie_and_where_it_is_asked_for_without_them_it_is_an_error(
    settings: Settings,
) -> None:
    assert find(settings) is None
    assert resolve_models(settings, None).reasons[-1].startswith(f"Speech is not recognised: {NAME} (973afd24965f)")
    with pytest.raises(ModelUnavailable, match=rf"Speech cannot be recognised: {NAME} .* is neither in"):
        find(settings, speech_recogniser="whisper")
    model_folder(NAME, settings).mkdir(parents=True)
    for file in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (model_folder(NAME, settings) / file).touch()
    appeared = find(settings)
    assert appeared is not None and appeared.identity == "openai/whisper-small@973afd24965f"
    assert find(settings, speech_recogniser="whisper", profile="stand-in") == appeared
    assert find(settings, speech_recogniser="off") is None
    assert find(settings, profile="stand-in") is None
    with pytest.raises(ModelUnavailable, match=r"some/other is not in models\.lock"):
        find(settings, speech_model="some/other")


def test_whisper_hears_words_with_times_in_a_language_and_the_same_again(settings: Settings, tmp_path: Path) -> None:
    tiny_whisper.save(model_folder(NAME, settings), " Guten Tag, da sind wir.", "de")
    lock_weights(settings, NAME)
    found = find(settings)
    assert found is not None
    recogniser = open_recogniser(found, OPTIONS, settings, None)
    heard = recogniser.hear(NOISE)
    assert isinstance(heard, Heard) and heard.language == "de"
    assert [word.text for word in heard.words] == [" Guten", " Tag,", " da", " sind", " wir."]
    assert all(0 <= word.start <= word.end <= 7.1 for word in heard.words)
    assert recogniser.hear(NOISE) == heard
    with pytest.raises(ConfigurationError, match=r"does not know the language 'xx'.*CLIPFARM_SPEECH_LANGUAGE"):
        open_recogniser(found, TranscriptionSettings(language="xx"), settings, None)

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
    found = find(settings)
    assert found is not None
    assert open_recogniser(found, OPTIONS, settings, None).hear(NOISE) == Heard(())


def test_weights_that_are_not_the_locked_ones_are_refused(settings: Settings) -> None:
    tiny_whisper.save(model_folder(NAME, settings))
    lock_weights(settings, NAME, sha256="0" * 64)
    found = find(settings)
    assert found is not None
    with pytest.raises(ModelMismatch, match="is not the locked file"):
        open_recogniser(found, OPTIONS, settings, None)
