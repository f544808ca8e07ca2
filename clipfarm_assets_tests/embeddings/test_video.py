"""Video embeddings: the right frames in the right order, pooled as the settings say, one vector a video."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.embeddings.batches import Ready, _vectors
from clipfarm_assets.embeddings.vectors import from_npy
from clipfarm_assets.embeddings.video import VideoEncoder, embed_videos, frame_choice, load_video_encoder
from clipfarm_assets.errors import ConfigurationError, MissingRawObject, UnsupportedMedia, VideoError
from clipfarm_assets.media.frames import sample_frames
from clipfarm_assets.models import kernels, load
from clipfarm_assets.models.catalog import ModelSet, resolve_models
from clipfarm_assets.models.kernels import has_bfloat16
from clipfarm_assets.models.places import model_folder
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.embeddings.conftest import MakeItem
from clipfarm_assets_tests.media.making import Recipe, make_video
from clipfarm_assets_tests.models.weights import AUDIO, VIDEO, save_audio, save_video


def pictures(count: int = 16, seed: int = 0) -> list[np.ndarray]:
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    image = blocks.repeat(20, 0).repeat(20, 1)
    return [np.roll(image, number * 9, axis=1) for number in range(count)]


def test_a_videos_vector_is_flat_float32_and_of_length_one(video_encoder: VideoEncoder) -> None:
    vector = video_encoder.embed(pictures())
    assert (vector.shape, vector.dtype, video_encoder.dim) == ((768,), np.float32, 768)
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


def test_the_same_frames_give_the_same_bits_and_other_frames_others(video_encoder: VideoEncoder) -> None:
    one = video_encoder.embed(pictures())
    np.testing.assert_array_equal(one, video_encoder.embed(pictures()))
    assert one @ video_encoder.embed(pictures(seed=1)) < 0.99
    assert not np.array_equal(one, video_encoder.embed(pictures()[::-1]))


def test_the_default_pooling_is_position_0_and_mean_is_the_mean(models: ModelSet, settings: Settings) -> None:
    import torch

    first = load_video_encoder(models.video, settings, None)
    mean = load_video_encoder(models.video, settings.model_copy(update={"pooling": "mean"}), None)
    pixels = first._loaded.processor(pictures(), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 16, 3, 224, 224)
    with torch.inference_mode():
        states = first._loaded.model(pixels).last_hidden_state[0].numpy()
    for encoder, expected in ((first, states[0]), (mean, states.mean(0))):
        np.testing.assert_allclose(encoder.embed(pictures()), expected / np.linalg.norm(expected), atol=1e-5)


def test_the_version_names_what_shapes_the_vector(models: ModelSet, settings: Settings) -> None:
    changed = settings.model_copy(update={"pooling": "mean", "num_frames": 32})
    versions = [load_video_encoder(models.video, each, None).preprocess_version for each in (settings, changed)]
    assert versions[0] == "videomae-v1;frames=16;size=224;pooling=first_token"
    assert versions[1] == "videomae-v1;frames=32;size=224;pooling=mean"


@pytest.mark.skipif(not has_bfloat16(), reason="this processor has no bfloat16")
def test_bfloat16_is_near_float32_and_another_model_by_name(models: ModelSet, settings: Settings) -> None:
    changed = settings.model_copy(update={"video_precision": "bfloat16"})
    ref = resolve_models(changed, None).video
    assert ref.title == f"{models.video.title}:bfloat16"
    single, half = (load_video_encoder(each, settings, None).embed(pictures()) for each in (models.video, ref))
    assert half.dtype == np.float32
    assert 0.999 < single @ half < 1
    assert not np.array_equal(single, half)


def test_a_processor_without_bfloat16_is_told(
    models: ModelSet, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "has_bfloat16", lambda: False)
    monkeypatch.setattr(load, "_loaded", {})
    with pytest.raises(ConfigurationError, match="bfloat16") as refused:
        load_video_encoder(replace(models.video, precision="bfloat16"), settings, None)
    assert "CLIPFARM_VIDEO_PRECISION" in str(refused.value.hint)


def test_the_model_sees_the_number_of_frames_that_it_is_built_for(video_encoder: VideoEncoder) -> None:
    assert frame_choice(16, 16) == list(range(16))
    assert frame_choice(31, 16) == list(range(0, 31, 2))
    assert frame_choice(2, 4) == [0, 0, 1, 1]
    assert frame_choice(7, None) == list(range(7))
    assert video_encoder.embed(pictures(5)).shape == (768,)


def test_a_video_without_frames_is_refused(video_encoder: VideoEncoder) -> None:
    with pytest.raises(ValueError, match="without frames"):
        video_encoder.embed([])


def test_weights_of_the_model_folder_embed_as_real_ones(settings: Settings, tmp_path: Path) -> None:
    real = settings.model_copy(update={"profile": "real", "model_dir": tmp_path / "models"})
    save_video(model_folder(VIDEO, real))
    save_audio(model_folder(AUDIO, real))
    encoder = load_video_encoder(resolve_models(real, None).video, real, None)
    assert (encoder.ref.name, encoder.embed(pictures()).shape) == (VIDEO, (32,))
    load._loaded.clear()


def embed(items: list[Item], settings: Settings, store: ObjectStore, in_batches: bool = False) -> list[Result]:
    ref = resolve_models(settings, None).video
    return list(embed_videos(items, ref=ref, settings=settings, store=store, in_batches=in_batches))


def test_the_stage_embeds_each_video_and_keeps_the_troubles_apart(
    video_encoder: VideoEncoder, settings: Settings, store: ObjectStore, make_item: MakeItem, tmp_path: Path
) -> None:
    clip = make_video(tmp_path, Recipe("clip.mp4", n_frames=40))
    short = make_video(tmp_path, Recipe("short.mp4", n_frames=1))
    store.put("clipfarm/raw/video/clip.mp4", clip)
    store.put("clipfarm/raw/video/short.mp4", short)
    store.put("clipfarm/raw/video/html.mp4", b"<html>404</html>")
    names = ["clip", "lost", "html", "short"]
    items = [make_item("raw_video", f"clipfarm/raw/video/{name}.mp4") for name in names]
    results = {item.video.video_id: made for item, made in embed(items, settings, store)}
    good, lost, html, one = (results[f"{name}.mp4"] for name in names)
    assert isinstance(good, Made) and isinstance(good.content, bytes)
    np.testing.assert_array_equal(from_npy(good.content), video_encoder.embed(sample_frames(clip, 16).images))
    assert good.details == {
        "embedding_dim": 768, "frames_in_video": 40, "frames_substituted": 0, "last_frame_sec": 1.56
    }  # fmt: skip
    assert isinstance(lost, MissingRawObject)
    assert isinstance(html, UnsupportedMedia)
    assert isinstance(one, Made) and one.details["frames_in_video"] == 1


def test_batches_in_this_process_give_the_vectors_that_the_workers_give(
    settings: Settings, local_store: ObjectStore, make_item: MakeItem, tmp_path: Path
) -> None:
    names = [f"clip-{number}" for number in range(5)]
    for number, name in enumerate(names):
        clip = make_video(tmp_path, Recipe(f"{name}.mp4", n_frames=20 + number))
        local_store.put(f"clipfarm/raw/video/{name}.mp4", clip)
    local_store.put("clipfarm/raw/video/html.mp4", b"<html>404</html>")
    items = [make_item("raw_video", f"clipfarm/raw/video/{name}.mp4") for name in [*names, "html", "lost"]]
    both: list[dict[str, Made | VideoError]] = []
    for in_batches in (False, True):
        results = embed(items, settings, local_store, in_batches)
        both.append({item.video.video_id: made for item, made in results})
    apart, together = both
    assert apart.keys() == together.keys() and len(apart) == len(items)
    for name, made in apart.items():
        other = together[name]
        if isinstance(made, VideoError):
            assert (type(other), str(other)) == (type(made), str(made))
            continue
        assert isinstance(other, Made) and isinstance(made.content, bytes) and isinstance(other.content, bytes)
        assert (made.details, made.status) == (other.details, other.status)
        assert from_npy(made.content) @ from_npy(other.content) > 0.99999


def test_a_video_that_breaks_its_batch_fails_alone(video_encoder: VideoEncoder) -> None:
    whole = video_encoder.preprocessor.pixels(pictures())
    broken = np.full_like(whole, np.nan)
    first, second, third = _vectors(video_encoder.embed_pixels, [Ready(each, {}) for each in (whole, broken, whole)])
    assert isinstance(second, VideoError) and "not finite" in str(second)
    for vector in (first, third):
        np.testing.assert_array_equal(vector, video_encoder.embed(pictures()))
