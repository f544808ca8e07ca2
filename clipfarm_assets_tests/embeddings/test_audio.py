"""Audio embeddings: batches equal singles, silence and slivers are embedded, no sound is an outcome."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clipfarm_assets.embeddings.audio import AudioEncoder, embed_audios, load_audio_encoder, read_waveform
from clipfarm_assets.embeddings.vectors import from_npy
from clipfarm_assets.errors import MissingRawObject, NoAudioTrack, VideoError
from clipfarm_assets.models import load
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.embeddings.conftest import MakeItem
from clipfarm_assets_tests.models.weights import AUDIO, VIDEO, save_audio, save_video

RATE = 16_000


def tone(seconds: float, pitch: float = 220.0) -> np.ndarray:
    noise = np.random.default_rng(int(pitch)).normal(0, 0.02, int(seconds * RATE))
    return (0.3 * np.sin(2 * np.pi * pitch * np.arange(len(noise)) / RATE) + noise).astype(np.float32)


def wav(store: ObjectStore, name: str, waveform: np.ndarray, folder: Path) -> str:
    soundfile.write(folder / "a.wav", waveform, RATE, subtype="PCM_16")
    key = f"clipfarm/raw/audio/{name}"
    store.put(key, folder / "a.wav")
    return key


@pytest.fixture(params=["stand-in", "group norm", "layer norm"])
def encoder(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[AudioEncoder]:
    """The stand-in, and small models of both kinds loaded as real ones from a model folder."""
    if request.param == "stand-in":
        yield request.getfixturevalue("audio_encoder")
        return
    real = settings.model_copy(update={"profile": "real", "model_dir": tmp_path / "models"})
    save_video(model_folder(VIDEO, real))
    save_audio(model_folder(AUDIO, real), norm=request.param.split()[0])
    yield load_audio_encoder(resolve_models(real, None).audio, real, None)
    load._loaded.clear()


def test_a_batch_gives_what_each_sound_gives_alone(encoder: AudioEncoder) -> None:
    sounds = [tone(3.0), tone(0.7, 900), tone(0.03, 90), tone(1.9, 440), np.zeros(RATE, np.float32)]
    for alone, together in zip(map(encoder.embed, sounds), encoder.embed_batch(sounds), strict=True):
        np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_padded_batch_would_be_wrong_for_group_norm(audio_encoder: AudioEncoder) -> None:
    import torch

    sounds = [tone(3.0), tone(0.7, 900)]
    batch = audio_encoder._loaded.processor(sounds, sampling_rate=RATE, return_tensors="pt", padding=True)
    with torch.inference_mode():
        states = audio_encoder._loaded.model(batch.input_values).last_hidden_state
    naive = states[1].mean(0).numpy()
    assert naive @ audio_encoder.embed(sounds[1]) / np.linalg.norm(naive) < 0.999


def test_no_sounds_give_no_vectors(audio_encoder: AudioEncoder) -> None:
    assert audio_encoder.embed_batch([]) == []


@pytest.mark.parametrize("n_samples", [1, 160, 399, 400, 401])
def test_a_sliver_of_sound_has_an_embedding(audio_encoder: AudioEncoder, n_samples: int) -> None:
    vector = audio_encoder.embed(tone(1.0)[:n_samples])
    assert vector.shape == (768,)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_a_sliver_is_embedded_as_if_zeros_followed(audio_encoder: AudioEncoder) -> None:
    sliver = tone(0.01)
    np.testing.assert_array_equal(audio_encoder.embed(sliver), audio_encoder.embed(np.pad(sliver, (0, 400 - 160))))


def test_digital_silence_has_a_finite_embedding_of_length_one(encoder: AudioEncoder) -> None:
    vector = encoder.embed(np.zeros(RATE, np.float32))
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("bad", [np.zeros(0, np.float32), np.array([np.nan] * 500, np.float32)])
def test_a_sound_that_is_none_is_refused(audio_encoder: AudioEncoder, bad: np.ndarray) -> None:
    with pytest.raises(ValueError):
        audio_encoder.embed(bad)


def test_only_the_first_seconds_are_heard(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tone(3.0), RATE)
    assert read_waveform(tmp_path / "long.wav", 2.0).shape == (2 * RATE,)


def test_a_wav_without_samples_has_no_audio_track(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(NoAudioTrack):
        read_waveform(tmp_path / "empty.wav", 90)


def test_the_version_names_what_shapes_the_vector(audio_encoder: AudioEncoder) -> None:
    assert audio_encoder.preprocess_version == "wav2vec2-v1;rate=16000;seconds=90;pooling=mean"


def test_the_stage_embeds_each_video_and_keeps_the_troubles_apart(
    audio_encoder: AudioEncoder, local_store: ObjectStore, make_item: MakeItem, tmp_path: Path
) -> None:
    local_store.put("clipfarm/raw/audio/html", b"<html>404</html>")
    items = [
        make_item("raw_audio", wav(local_store, "good", tone(1.5), tmp_path)),
        make_item("raw_audio", None, Status.NO_AUDIO_TRACK),
        make_item("raw_audio", wav(local_store, "empty", np.zeros(0, np.float32), tmp_path)),
        make_item("raw_audio", "clipfarm/raw/audio/lost"),
        make_item("raw_audio", "clipfarm/raw/audio/html"),
        make_item("raw_text", "clipfarm/raw/text/other"),
        make_item("raw_audio", wav(local_store, "good-too", tone(0.5), tmp_path)),
    ]
    results = list(embed_audios(items, store=local_store, encoder=audio_encoder))
    assert [item for item, _ in results] == items
    good, silent, empty, lost, html, other, good_too = (result for _, result in results)
    assert isinstance(good, Made) and isinstance(good.content, bytes)
    np.testing.assert_allclose(from_npy(good.content), audio_encoder.embed(tone(1.5)), atol=1e-3)
    assert good.details == {"embedding_dim": 768, "heard_sec": 1.5}
    assert silent == empty == Made(None, Status.NO_AUDIO_TRACK)
    assert isinstance(lost, MissingRawObject) and isinstance(other, MissingRawObject)
    assert isinstance(html, VideoError) and html.status is Status.FAIL
    assert isinstance(good_too, Made)


def test_the_stage_takes_an_item_when_the_result_before_it_was_taken(
    audio_encoder: AudioEncoder, local_store: ObjectStore, make_item: MakeItem
) -> None:
    taken: list[int] = []

    def items() -> Iterator[Item]:
        for number in range(3):
            taken.append(number)
            yield make_item("raw_audio", f"clipfarm/raw/audio/{number}")

    results = embed_audios(items(), store=local_store, encoder=audio_encoder)
    assert taken == []
    next(results)
    assert taken == [0]
