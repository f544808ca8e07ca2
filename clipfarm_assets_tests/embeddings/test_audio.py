"""Audio embeddings: batches equal singles, silence and slivers are embedded, no sound is an outcome."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from clipfarm_assets.embeddings.audio import AudioEncoder, embed_audios, load_audio_encoder, read_waveform
from clipfarm_assets.embeddings.batches import Ready, _vectors
from clipfarm_assets.embeddings.vectors import from_npy
from clipfarm_assets.errors import MissingRawObject, ModelUnavailable, NoAudioTrack, VideoError
from clipfarm_assets.models import load
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets.workers.foreman import WorkerDied
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


@pytest.fixture(params=[False, True], ids=["each in a worker", "in batches"])
def in_batches(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


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


def embed(
    items: Iterable[Item], settings: Settings, store: ObjectStore, in_batches: bool
) -> dict[str, Made | VideoError]:
    """What the stage makes of each video, by its id."""
    ref = resolve_models(settings, None).audio
    results = embed_audios(items, ref=ref, settings=settings, store=store, in_batches=in_batches)
    return {item.video.video_id: result for item, result in results}


def mix(store: ObjectStore, make_item: MakeItem, folder: Path) -> list[Item]:
    """Sounds, silence, no sound, and what cannot be read."""
    store.put("clipfarm/raw/audio/html", b"<html>404</html>")
    return [
        make_item("raw_audio", wav(store, "good", tone(1.5), folder)),
        make_item("raw_audio", None, Status.NO_AUDIO_TRACK),
        make_item("raw_audio", wav(store, "empty", np.zeros(0, np.float32), folder)),
        make_item("raw_audio", "clipfarm/raw/audio/lost"),
        make_item("raw_audio", "clipfarm/raw/audio/html"),
        make_item("raw_text", "clipfarm/raw/text/other"),
        make_item("raw_audio", wav(store, "silence", np.zeros(RATE, np.float32), folder)),
        make_item("raw_audio", wav(store, "good-too", tone(0.5), folder)),
    ]


def test_the_stage_embeds_each_video_and_keeps_the_troubles_apart(
    audio_encoder: AudioEncoder, settings: Settings, store: ObjectStore, make_item: MakeItem, tmp_path: Path,
    in_batches: bool,
) -> None:  # fmt: skip
    items = mix(store, make_item, tmp_path)
    results = embed(items, settings, store, in_batches)
    assert sorted(results) == sorted(item.video.video_id for item in items)
    good = results["good"]
    assert isinstance(good, Made) and isinstance(good.content, bytes)
    np.testing.assert_allclose(from_npy(good.content), audio_encoder.embed(tone(1.5)), atol=1e-3)
    assert good.details == {"embedding_dim": 768, "heard_sec": 1.5}
    for name in ("none", "empty"):
        without = results[name]
        assert isinstance(without, Made) and without.seconds is not None
        assert replace(without, seconds=None) == Made(None, Status.NO_AUDIO_TRACK)
    assert isinstance(results["lost"], MissingRawObject) and isinstance(results["other"], MissingRawObject)
    html = results["html"]
    assert isinstance(html, VideoError) and html.status is Status.FAIL
    assert isinstance(results["silence"], Made) and isinstance(results["good-too"], Made)


def test_batches_in_this_process_give_the_vectors_that_the_workers_give(
    settings: Settings, local_store: ObjectStore, make_item: MakeItem, tmp_path: Path
) -> None:
    items = mix(local_store, make_item, tmp_path)
    apart, together = (embed(items, settings, local_store, in_batches) for in_batches in (False, True))
    assert apart.keys() == together.keys() and len(apart) == len(items)
    for name, made in apart.items():
        other = together[name]
        if isinstance(made, VideoError):
            assert (type(other), str(other)) == (type(made), str(made))
            continue
        assert isinstance(other, Made) and (made.details, made.status) == (other.details, other.status)
        if made.content is None:
            assert other.content is None
            continue
        assert isinstance(made.content, bytes) and isinstance(other.content, bytes)
        assert from_npy(made.content) @ from_npy(other.content) > 1 - 1e-6


def test_a_sound_that_breaks_its_batch_fails_alone(audio_encoder: AudioEncoder) -> None:
    broken = np.full(RATE, np.nan, np.float32)
    first, second, third = _vectors(audio_encoder.embed_batch, [Ready(each, {}) for each in (tone(1), broken, tone(2))])
    assert isinstance(second, VideoError) and "not finite" in str(second)
    for vector, sound in ((first, tone(1)), (third, tone(2))):
        np.testing.assert_array_equal(vector, audio_encoder.embed(sound))


class DeadlyStore(ObjectStore):
    """A store with one object that kills whoever reads it, as a crash in a decoder does."""

    def __reduce__(self) -> tuple[Callable[[str], ObjectStore], tuple[str]]:
        return deadly_store, (self.url,)

    @contextmanager
    def local_file(self, key: str) -> Iterator[Path | None]:
        if key.endswith("/deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        with super().local_file(key) as path:
            yield path


def deadly_store(url: str) -> DeadlyStore:
    store = open_store(url)
    return DeadlyStore(store._backend, store.url, store.root, store._reopen)


def test_a_sound_that_kills_its_worker_costs_only_itself(
    settings: Settings, local_store: ObjectStore, make_item: MakeItem, tmp_path: Path, in_batches: bool
) -> None:
    names = ["a", "b", "deadly", "c", "d"]
    items = [make_item("raw_audio", wav(local_store, name, tone(0.5), tmp_path)) for name in names]
    results = embed(items, settings, deadly_store(local_store.url), in_batches)
    died = results.pop("deadly")
    assert isinstance(died, WorkerDied) and "SIGKILL" in str(died)
    assert sorted(results) == ["a", "b", "c", "d"]
    assert all(isinstance(made, Made) for made in results.values())


def test_at_most_twice_as_many_sounds_are_under_way_as_there_are_workers(
    settings: Settings, local_store: ObjectStore, make_item: MakeItem
) -> None:
    few = settings.model_copy(update={"workers": 2})
    taken: list[int] = []

    def items() -> Iterator[Item]:
        for number in range(12):
            taken.append(number)
            yield make_item("raw_audio", f"clipfarm/raw/audio/{number}")

    ref = resolve_models(few, None).audio
    results = embed_audios(items(), ref=ref, settings=few, store=local_store, in_batches=False)
    assert taken == []
    lead = [len(taken) - number for number, _ in enumerate(results)]
    assert (len(lead), max(lead)) == (12, 2 * few.workers)


def test_a_model_that_cannot_be_loaded_is_an_error_before_an_item_is_taken(
    settings: Settings, local_store: ObjectStore, make_item: MakeItem, in_batches: bool
) -> None:
    ref = ModelRef("audio", "nobody/nothing", "0", "none", "folder", {}, "transformers.Wav2Vec2Model")
    taken: list[int] = []

    def items() -> Iterator[Item]:
        taken.append(1)
        yield make_item("raw_audio", "clipfarm/raw/audio/a")

    with pytest.raises(ModelUnavailable, match="nobody/nothing"):
        list(embed_audios(items(), ref=ref, settings=settings, store=local_store, in_batches=in_batches))
    assert taken == []
