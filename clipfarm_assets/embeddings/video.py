"""Video embeddings: sixteen frames spread over the timeline, through VideoMAE, into one vector.

In: ``raw_video`` (MP4 in the store). Out: ``clipfarm/embeddings/video/<video_id>.npy``. What can go wrong:
``missing_raw_object``, ``unsupported_media`` (nothing decodes), ``fail``.

VideoMAE has no CLS token: position 0, which the default pooling ``first_token`` takes, is the first patch of the first
two frames. ``mean`` averages over all positions.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.attempts import attempt, raw_file
from clipfarm_assets.embeddings.vectors import Vector, l2_normalize, to_npy
from clipfarm_assets.models.load import LoadedModel, load_video_model
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore

_VIDEOMAE = "transformers.VideoMAEModel"


def preprocess_version(ref: ModelRef, settings: Settings) -> str:
    """What shapes the vector besides the model, such as ``videomae-v1;frames=16;size=224;pooling=first_token``."""
    shape = "videomae-v1;frames={};size=224" if ref.model_class == _VIDEOMAE else "auto-video-v1;frames={};size=model"
    return f"{shape.format(settings.num_frames)};pooling={settings.pooling}"


class VideoEncoder:
    """A video model with its preprocessing.

    Attributes:
        dim: length of its vectors (768 for VideoMAE base).
        num_frames: frames that are sampled from a video; resampled where the model is built for another number.
    """

    def __init__(self, loaded: LoadedModel, settings: Settings) -> None:
        self.ref = loaded.ref
        self.preprocess_version = preprocess_version(loaded.ref, settings)
        self.dim = int(loaded.model.config.hidden_size)
        self.num_frames = settings.num_frames
        self._loaded = loaded
        self._pooling = settings.pooling

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Vector:
        """One video's vector: float32, (dim,), L2-normalised.

        Args:
            images: RGB uint8 (height, width, 3), upright, in the order of time.

        Raises:
            ValueError: there is no image.
        """
        import torch

        if not len(images):
            raise ValueError("A video without frames has no embedding.")
        with torch.inference_mode():
            states = self._loaded.model(**self._inputs(images)).last_hidden_state
            pooled = states[:, 0] if self._pooling == "first_token" else states.mean(1)
        return l2_normalize(pooled[0].float().cpu().numpy())

    def _inputs(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
        """What the model takes. A processor made for stills calls a video's pixels by another name than the model."""
        model = self._loaded.model
        chosen = [images[index] for index in frame_choice(len(images), _frames_built_for(model.config))]
        processed = self._loaded.processor(chosen, return_tensors="pt")
        name = model.main_input_name
        pixels = processed[name] if name in processed else next(iter(processed.values()))
        inputs = {name: pixels.to(self._loaded.device)}
        if model.config.model_type == "vjepa2":
            inputs["skip_predictor"] = True  # the predictor adds nothing to the encoder's states
        return inputs


def load_video_encoder(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> VideoEncoder:
    """The encoder of a model; its weights are loaded once a process. Raises as ``load_video_model``."""
    return VideoEncoder(load_video_model(ref, settings, store), settings)


def frame_choice(given: int, wanted: int | None) -> list[int]:
    """Which of ``given`` frames a model built for ``wanted`` sees: evenly spread, some twice where there are fewer."""
    if wanted is None or given == wanted:
        return list(range(given))
    return [int(index) for index in np.linspace(0, given - 1, wanted).round()]


def embed_videos(items: Iterable[Item], *, store: ObjectStore, encoder: VideoEncoder) -> Iterator[Result]:
    """Embeds each item's ``raw_video``, one at a time: an item is taken when the result before it was.

    Raises:
        StoreError, ModelError: the platform fails; what is wrong with one video is yielded as its ``VideoError``.
    """
    for item in items:
        yield item, attempt(_made, item, store, encoder)


def _made(item: Item, store: ObjectStore, encoder: VideoEncoder) -> Made:
    from clipfarm_assets.media.frames import sample_frames

    with raw_file(item, "raw_video", store) as path:
        frames = sample_frames(path, encoder.num_frames)
    details: dict[str, Json] = {
        "embedding_dim": encoder.dim,
        "frames_in_video": frames.n_frames,
        "frames_substituted": frames.substituted,
        "last_frame_sec": round(frames.times_sec[-1], 3),
    }
    return Made(to_npy(encoder.embed(frames.images)), details=details)


def _frames_built_for(config: Any) -> int | None:
    """How many frames a model's position embeddings are made for; None where it takes any number."""
    number = getattr(config, "num_frames", None)
    return None if number is None else int(number)
