"""Video embeddings: sixteen frames spread over the timeline, through VideoMAE, into one vector.

In: ``raw_video`` (MP4 in the store). Out: ``clipfarm/embeddings/video/<video_id>.npy``. What can go wrong:
``missing_raw_object``, ``unsupported_media`` (nothing decodes), ``fail``.

VideoMAE has no CLS token: position 0, which the default pooling ``first_token`` takes, is the first patch of the first
two frames. ``mean`` averages over all positions.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.attempts import raw_file
from clipfarm_assets.embeddings.batches import Embedder, Ready, embed_each
from clipfarm_assets.embeddings.vectors import Vector, l2_normalize
from clipfarm_assets.models.load import LoadedModel, load_video_model
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Json
from clipfarm_assets.store.object_store import ObjectStore

Pixels = NDArray[np.float32]

_VIDEOMAE = "transformers.VideoMAEModel"


def preprocess_version(ref: ModelRef, settings: Settings) -> str:
    """What shapes the vector besides the model, such as ``videomae-v1;frames=16;size=224;pooling=first_token``."""
    shape = "videomae-v1;frames={};size=224" if ref.model_class == _VIDEOMAE else "auto-video-v1;frames={};size=model"
    return f"{shape.format(settings.num_frames)};pooling={settings.pooling}"


@dataclass(frozen=True)
class Preprocessor:
    """What happens to a video before its model: small, and picklable for the workers, unlike the model.

    Attributes:
        processor: of transformers.
        num_frames: frames that are sampled from a video.
        built_for: frames that the model takes; None where it takes any number.
        input_name: what the model calls the pixels.
    """

    processor: Any
    num_frames: int
    built_for: int | None
    input_name: str

    def pixels(self, images: Sequence[NDArray[np.uint8]]) -> Pixels:
        """What the model takes of one video: float32, (1, frames, 3, height, width).

        A processor made for stills calls a video's pixels by another name than the model.

        Args:
            images: RGB uint8 (height, width, 3), upright, in the order of time.

        Raises:
            ValueError: there is no image.
        """
        if not len(images):
            raise ValueError("A video without frames has no embedding.")
        chosen = [images[index] for index in frame_choice(len(images), self.built_for)]
        processed = self.processor(chosen, return_tensors="pt")
        pixels = processed[self.input_name] if self.input_name in processed else next(iter(processed.values()))
        return np.asarray(pixels, np.float32)


class VideoEncoder:
    """A video model with its preprocessing.

    Attributes:
        dim: length of its vectors (768 for VideoMAE base).
        num_frames: frames that are sampled from a video; resampled where the model is built for another number.
        preprocessor: what comes before the model.
    """

    def __init__(self, loaded: LoadedModel, settings: Settings) -> None:
        config = loaded.model.config
        self.ref = loaded.ref
        self.preprocess_version = preprocess_version(loaded.ref, settings)
        self.dim = int(config.hidden_size)
        self.num_frames = settings.num_frames
        self.preprocessor = Preprocessor(
            loaded.processor, settings.num_frames, _frames_built_for(config), loaded.model.main_input_name
        )
        self._loaded = loaded
        self._pooling = settings.pooling

    def embed(self, images: Sequence[NDArray[np.uint8]]) -> Vector:
        """One video's vector: float32, (dim,), L2-normalised; ``images`` as ``Preprocessor.pixels`` takes them.

        Raises:
            ValueError: there is no image.
        """
        return self.embed_pixels([self.preprocessor.pixels(images)])[0]

    def embed_pixels(self, videos: Sequence[Pixels]) -> list[Vector]:
        """The vector of each of several preprocessed videos; in bfloat16 on CUDA and where the model is."""
        import torch

        from clipfarm_assets.models.videomae import first_state

        device, model = self._loaded.device, self._loaded.model
        pixels = torch.from_numpy(np.concatenate(videos)).to(device, model.dtype)
        inputs: dict[str, Any] = {self.preprocessor.input_name: pixels}
        if model.config.model_type == "vjepa2":
            inputs["skip_predictor"] = True  # the predictor adds nothing to the encoder's states
        on_cuda = device.startswith("cuda")
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16) if on_cuda else nullcontext():
            if self._pooling == "first_token" and model.config.model_type == "videomae":
                pooled = first_state(model, pixels)
            else:
                states = model(**inputs).last_hidden_state
                pooled = states[:, 0] if self._pooling == "first_token" else states.mean(1)
        return [l2_normalize(each) for each in pooled.float().cpu().numpy()]


def load_video_encoder(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> VideoEncoder:
    """The encoder of a model; its weights are loaded once a process. Raises as ``load_video_model``."""
    return VideoEncoder(load_video_model(ref, settings, store), settings)


def frame_choice(given: int, wanted: int | None) -> list[int]:
    """Which of ``given`` frames a model built for ``wanted`` sees: evenly spread, some twice where there are fewer."""
    if wanted is None or given == wanted:
        return list(range(given))
    return [int(index) for index in np.linspace(0, given - 1, wanted).round()]


def embed_videos(
    items: Iterable[Item], *, ref: ModelRef, settings: Settings, store: ObjectStore, in_batches: bool | None = None
) -> Iterator[Result]:
    """Embeds each item's ``raw_video``; see ``embed_each``, also for what it raises.

    Workers decode and preprocess, on a CPU they infer too.
    """
    prepare = partial(_embedder, ref, settings, store)
    return embed_each(items, prepare, ref=ref, settings=settings, store=store, in_batches=in_batches)


def _embedder(ref: ModelRef, settings: Settings, store: ObjectStore) -> Embedder[Pixels]:
    encoder = load_video_encoder(ref, settings, store)
    return Embedder(partial(_preprocessed, store, encoder.preprocessor), encoder.embed_pixels)


def _preprocessed(store: ObjectStore, preprocessor: Preprocessor, item: Item) -> Ready[Pixels]:
    from clipfarm_assets.media.frames import sample_frames

    with raw_file(item, "raw_video", store) as path:
        frames = sample_frames(path, preprocessor.num_frames)
    details: dict[str, Json] = {
        "frames_in_video": frames.n_frames,
        "frames_substituted": frames.substituted,
        "last_frame_sec": round(frames.times_sec[-1], 3),
    }
    return Ready(preprocessor.pixels(frames.images), details)


def _frames_built_for(config: Any) -> int | None:
    """How many frames a model's position embeddings are made for; None where it takes any number."""
    number = getattr(config, "num_frames", None)
    return None if number is None else int(number)
