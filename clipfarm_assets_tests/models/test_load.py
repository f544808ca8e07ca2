"""Models in memory: the locked files, the whole of them, from every place, once a process."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import ConfigurationError, ModelMismatch, ModelUnavailable
from clipfarm_assets.models import places
from clipfarm_assets.models.catalog import real_in_use, resolve_models
from clipfarm_assets.models.load import load_audio_model, load_text_model, load_video_model, weights_folder
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.models.weights import AUDIO, VIDEO, fill_model_folder, lock_weights


def fill_store(store: ObjectStore, settings: Settings) -> None:
    """Moves the model folder's files to the store."""
    fill_model_folder(settings)
    for ref in (resolve_models(settings, None).video, resolve_models(settings, None).audio):
        folder = places.model_folder(ref.name, settings)
        for file in places.files_below(folder):
            store.put(places.store_prefix(ref.name, ref.revision) + file, folder / file)
            (folder / file).unlink()


def test_real_classes_load_from_the_model_folder(settings: Settings) -> None:
    fill_model_folder(settings)
    models = resolve_models(settings, None)
    video, audio = load_video_model(models.video, settings, None), load_audio_model(models.audio, settings, None)
    assert type(video.model).__name__ == "VideoMAEModel"
    assert type(video.processor).__name__ == "VideoMAEImageProcessorPil"
    assert type(audio.model).__name__ == "Wav2Vec2Model"
    assert type(audio.processor).__name__ == "Wav2Vec2Processor"
    assert not video.model.training and not audio.model.training
    assert "model.safetensors" in video.unverified


def test_published_videomae_biases_are_read_under_their_old_names(settings: Settings) -> None:
    from safetensors.torch import load_file

    fill_model_folder(settings)
    stored = load_file(places.model_folder(VIDEO, settings) / "model.safetensors")
    loaded = load_video_model(resolve_models(settings, None).video, settings, None).model.state_dict()
    prefix = "encoder.layer.0.attention.attention."
    assert stored[f"videomae.{prefix}q_bias"].abs().sum() > 0
    for name, old_name in (("query", "q_bias"), ("value", "v_bias")):
        assert loaded[f"{prefix}{name}.bias"].to_dense().equal(stored[f"videomae.{prefix}{old_name}"])


def test_weights_that_do_not_fill_the_model_are_a_mismatch_and_no_random_numbers(settings: Settings) -> None:
    from safetensors.torch import load_file, save_file

    fill_model_folder(settings)
    path = places.model_folder(VIDEO, settings) / "model.safetensors"
    whole = load_file(path)
    save_file({name: t for name, t in whole.items() if "q_bias" not in name}, path, metadata={"format": "pt"})
    with pytest.raises(ModelMismatch, match=r"do not fill 1 parameters.*query\.bias"):
        load_video_model(resolve_models(settings, None).video, settings, None)


def test_torn_weights_without_a_locked_hash_are_an_error_that_names_the_folder(settings: Settings) -> None:
    fill_model_folder(settings)
    path = places.model_folder(VIDEO, settings) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelUnavailable, match=r"cannot be loaded from .*MCG-NJU--videomae-base.*clipfarm models pull"):
        load_video_model(resolve_models(settings, None).video, settings, None)


def test_a_locked_hash_that_fits_leaves_the_weights_verified(settings: Settings) -> None:
    fill_model_folder(settings)
    lock_weights(settings, VIDEO)
    assert "model.safetensors" not in load_video_model(resolve_models(settings, None).video, settings, None).unverified


def test_other_weights_than_the_locked_ones_do_not_load(settings: Settings) -> None:
    fill_model_folder(settings)
    lock_weights(settings, AUDIO, "d" * 64)
    with pytest.raises(ModelMismatch, match=rf"{AUDIO}: .*model\.safetensors.*expected {'d' * 64}, found "):
        load_audio_model(resolve_models(settings, None).audio, settings, None)


def test_weights_in_the_store_load(settings: Settings, store: ObjectStore) -> None:
    fill_store(store, settings)
    models = resolve_models(settings, store)
    assert models.video.origin == "store"
    assert load_video_model(models.video, settings, store).model.config.hidden_size == 32
    assert load_audio_model(models.audio, settings, store).model.config.hidden_size == 32


def test_weights_of_a_remote_store_are_fetched_once(settings: Settings, s3_store: ObjectStore, tmp_path: Path) -> None:
    fill_store(s3_store, settings)
    ref = resolve_models(settings, s3_store).video
    folder = weights_folder(ref, settings, s3_store)
    assert tmp_path / "cache" in folder.parents
    for key in places.stored_files(ref.name, ref.revision, s3_store).values():
        s3_store.delete(key)
    assert weights_folder(ref, settings, s3_store) == folder
    assert [path.name for path in folder.parent.iterdir()] == [ref.revision]


def test_loading_real_weights_notes_that_they_are_in_use(settings: Settings, local_store: ObjectStore) -> None:
    fill_model_folder(settings)
    ref = resolve_models(settings, None).video
    assert not real_in_use(local_store)
    load_video_model(ref, settings, local_store)
    assert real_in_use(local_store)


def test_a_model_is_loaded_once_a_process(settings: Settings) -> None:
    ref = resolve_models(settings, None).audio
    assert load_audio_model(ref, settings, None) is load_audio_model(ref, settings, None)


def test_the_text_model_of_the_package_loads_verified(settings: Settings) -> None:
    text = load_text_model(resolve_models(settings, None).text, settings, None)
    assert text.unverified == ()
    assert text.model.max_seq_length == 256


def test_a_device_that_is_not_there_is_named(settings: Settings) -> None:
    ref = resolve_models(settings, None).audio
    for device in ("cuda:99", "quantum"):
        with pytest.raises(ConfigurationError, match=device):
            load_audio_model(ref, settings.model_copy(update={"device": device}), None)


def test_weights_at_a_hub_that_went_away_are_unavailable_at_once(settings: Settings) -> None:
    fill_model_folder(settings)
    ref = resolve_models(settings, None).video
    gone = type(ref)(ref.modality, ref.name, ref.revision, ref.licence, "hub", ref.files, ref.model_class)
    with pytest.raises(ModelUnavailable, match="cannot be fetched"):
        load_video_model(gone, settings, None)


def test_stand_ins_are_the_same_in_another_process() -> None:
    from clipfarm_assets.models import standin

    code = (
        "from clipfarm_assets.models import standin; import hashlib, torch; torch.manual_seed(7)\n"
        "weights = standin.build_audio()[0].parameters()\n"
        "print(hashlib.sha256(b''.join(p.detach().numpy().tobytes() for p in weights)).hexdigest())"
    )
    here = b"".join(parameter.detach().numpy().tobytes() for parameter in standin.build_audio()[0].parameters())
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_stand_ins_leave_torchs_random_state_alone() -> None:
    import torch

    from clipfarm_assets.models import standin

    before = torch.random.get_rng_state()
    standin.build_audio()
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_stand_ins_revision_follows_its_configuration() -> None:
    from dataclasses import replace

    from clipfarm_assets.models import standin

    assert replace(standin.AUDIO, seed=1).revision != standin.AUDIO.revision
    assert (
        replace(standin.AUDIO, config={**standin.AUDIO.config, "hidden_size": 384}).revision != standin.AUDIO.revision
    )


def test_another_transformers_video_model_loads_by_name_alone(settings: Settings) -> None:
    import json

    from transformers import VJEPA2Config, VJEPA2Model

    from clipfarm_assets.embeddings.video import load_video_encoder

    name, commit = "facebook/vjepa2-tiny", "e" * 40
    folder = places.model_folder(name, settings)
    config = VJEPA2Config(
        hidden_size=32, num_attention_heads=2, num_hidden_layers=1, crop_size=32, frames_per_clip=16, mlp_ratio=1,
        pred_hidden_size=24, pred_num_attention_heads=2, pred_num_hidden_layers=1,
    )  # fmt: skip
    VJEPA2Model(config).save_pretrained(folder)
    processor = {
        "video_processor_type": "VJEPA2VideoProcessor", "size": {"shortest_edge": 36}, "do_resize": True,
        "crop_size": {"height": 32, "width": 32}, "do_center_crop": True, "do_rescale": True, "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 2,
    }  # fmt: skip
    (folder / "video_preprocessor_config.json").write_text(json.dumps(processor))
    fill_model_folder(settings)
    settings = settings.model_copy(update={"video_model": f"{name}@{commit}", "pooling": "mean"})
    encoder = load_video_encoder(resolve_models(settings, None).video, settings, None)
    vector = encoder.embed([np.full((48, 64, 3), 10 * number, np.uint8) for number in range(16)])
    assert vector.shape == (32,)
    assert encoder.preprocess_version == "auto-video-v1;frames=16;size=model;pooling=mean"
