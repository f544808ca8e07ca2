"""Text embeddings: what the metadata says and what is said in the video, half a vector each.

In: ``raw_text`` (JSON with ``transcript``) and the row's title, description and query. Out:
``clipfarm/embeddings/text/<video_id>.npy``. What can go wrong: ``missing_raw_object``, ``fail`` (the JSON is none).

The metadata text is ``title [SEP] description [SEP] query`` without the empty ones; the transcript is the JSON's.
Each is embedded and normalised; the two halves are joined and normalised again. A text that is not there gives a half
of zeros, which is not what an empty string gives. No transcript is the outcome ``empty_transcript``; where the metadata
says nothing either, it leaves no vector.

Texts longer than the model's input are embedded in windows of that length, cut between tokens, and averaged by token
count, so that nothing is cut off.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.attempts import attempt, raw_key
from clipfarm_assets.embeddings.vectors import Vector, l2_normalize, to_npy
from clipfarm_assets.errors import MissingRawObject, VideoError
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.load import LoadedModel, load_text_model
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore

SEPARATOR = " [SEP] "
VIDEOS_AT_ONCE = 32
_WINDOWS_AT_ONCE = 32


class Texts(NamedTuple):
    """What is embedded of one video; ``""`` where there is none."""

    metadata: str
    transcript: str


class _Window(NamedTuple):
    """Model inputs of one window; ``n_tokens`` without the special ones."""

    text: int
    n_tokens: int
    inputs: Mapping[str, list[int]]


def preprocess_version(ref: ModelRef, settings: Settings) -> str:
    """What shapes the vector besides the model; it changes when the rules of this module do."""
    del ref, settings  # the model's own length and tokenizer belong to its revision; one signature for all modalities
    return "sentence-v1;metadata=title,description,query;windows=token-weighted"


class TextEncoder:
    """A sentence model.

    Attributes:
        dim: length of a video's vector, twice the model's (768 for MiniLM).
        window_tokens: tokens in one window, special ones included.
    """

    def __init__(self, loaded: LoadedModel, settings: Settings) -> None:
        self.ref = loaded.ref
        self.preprocess_version = preprocess_version(loaded.ref, settings)
        self._model, self._device = loaded.model, loaded.device
        self._half = int(loaded.model.get_embedding_dimension())
        self.dim = 2 * self._half
        self.window_tokens = int(loaded.model.max_seq_length or loaded.model.tokenizer.model_max_length)

    def embed(self, texts: Texts) -> Vector | None:
        """One video's vector: float32, (dim,), L2-normalised; None where there is no text at all."""
        return self.embed_batch([texts])[0]

    def embed_batch(self, texts: Sequence[Texts]) -> list[Vector | None]:
        """The vectors of several videos, each as ``embed`` gives it to within 1e-5; windows of all run together."""
        halves = iter(self.embed_sentences([part for each in texts for part in each]))
        joined = [np.concatenate([next(halves), next(halves)]) for _ in texts]
        return [l2_normalize(vector) if vector.any() else None for vector in joined]

    def embed_sentences(self, sentences: Sequence[str]) -> NDArray[np.float32]:
        """One row a text, (n, dim / 2), float32: L2-normalised, zeros for a text of nothing but white space."""
        weighted = np.zeros((len(sentences), self._half), np.float64)
        windows = sorted(self._windows(sentences), key=lambda window: len(window.inputs["input_ids"]))
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            batch = windows[start : start + _WINDOWS_AT_ONCE]
            for window, vector in zip(batch, self._forward(batch), strict=True):
                weighted[window.text] += window.n_tokens * vector
        rows = [l2_normalize(row) for row in weighted]
        return np.stack(rows) if rows else np.zeros((0, self._half), np.float32)

    def _windows(self, sentences: Sequence[str]) -> Iterator[_Window]:
        tokenizer = self._model.tokenizer
        n_special = tokenizer.num_special_tokens_to_add()
        for number, sentence in enumerate(sentences):
            if not sentence.strip():
                continue
            cut = tokenizer(
                sentence.strip(), truncation=True, max_length=self.window_tokens, return_overflowing_tokens=True
            )
            for index, ids in enumerate(cut["input_ids"]):
                inputs = {name: cut[name][index] for name in tokenizer.model_input_names if name in cut}
                # A text that the tokenizer finds nothing in still is one; its single window needs a weight.
                yield _Window(number, max(1, len(ids) - n_special), inputs)

    def _forward(self, windows: Sequence[_Window]) -> NDArray[np.float64]:
        """(windows, dim / 2), each row L2-normalised as ``encode(normalize_embeddings=True)`` gives it."""
        import torch

        padded = self._model.tokenizer.pad([dict(window.inputs) for window in windows], return_tensors="pt")
        with torch.inference_mode():
            states = self._model({name: tensor.to(self._device) for name, tensor in padded.items()})
            rows = torch.nn.functional.normalize(states["sentence_embedding"].float(), dim=1)
        return np.asarray(rows.cpu().numpy(), np.float64)


def load_text_encoder(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> TextEncoder:
    """The encoder of a model; its weights are loaded once a process. Raises as ``load_text_model``."""
    return TextEncoder(load_text_model(ref, settings, store), settings)


def metadata_text(video: Video) -> str:
    """Title, description and query joined by `` [SEP] ``; empty ones are left out, and all empty is ``""``."""
    parts = (video.title.strip(), video.description.strip(), video.query.strip())
    return SEPARATOR.join(part for part in parts if part)


def read_transcript(content: bytes) -> str:
    """The ``transcript`` of a raw text; ``""`` where it has none.

    Raises:
        ValueError: the bytes are no JSON object, or its transcript is no text.
    """
    fields: Any = json.loads(content)
    transcript = fields.get("transcript") if isinstance(fields, dict) else fields
    if not isinstance(fields, dict) or not isinstance(transcript, str | None):
        raise ValueError("The raw text is no JSON object with a transcript.")
    return (transcript or "").strip()


def embed_texts(items: Iterable[Item], *, store: ObjectStore, encoder: TextEncoder) -> Iterator[Result]:
    """Embeds each item's ``raw_text`` and metadata, 32 videos at a time, in the order given.

    Raises:
        StoreError, ModelError: the platform fails; what is wrong with one video is yielded as its ``VideoError``.
    """
    waiting = iter(items)
    while batch := list(islice(waiting, VIDEOS_AT_ONCE)):
        read = [_read(item, store) for item in batch]
        texts = [each for each in read if isinstance(each, Texts)]
        ready = _vectors_together(texts, encoder)
        for item, each in zip(batch, read, strict=True):
            if isinstance(each, VideoError):
                yield item, each
            else:
                yield item, attempt(_made, each, ready, encoder)


def _vectors_together(texts: Sequence[Texts], encoder: TextEncoder) -> Mapping[Texts, Vector | None]:
    """The vectors of a batch; none where the batch fails, so that each video is then tried, and fails, alone."""
    different = list(dict.fromkeys(texts))
    try:
        return dict(zip(different, encoder.embed_batch(different), strict=True))
    except (RuntimeError, ValueError, MemoryError):
        return {}


def _read(item: Item, store: ObjectStore) -> Texts | VideoError:
    """The item's texts, or why there are none."""
    try:
        key = raw_key(item, "raw_text")
        content = store.get(key)
        if content is None:
            raise MissingRawObject(f"{key} is not in the store.")
        return Texts(metadata_text(item.video), read_transcript(content))
    except VideoError as outcome:
        return outcome
    except ValueError as error:
        return VideoError(f"The raw text of {item.video.video_id} cannot be read: {error}")


def _made(texts: Texts, ready: Mapping[Texts, Vector | None], encoder: TextEncoder) -> Made:
    vector = ready[texts] if texts in ready else encoder.embed(texts)
    status = Status.SUCCESS if texts.transcript else Status.EMPTY_TRANSCRIPT
    details: dict[str, Json] = {
        "metadata_text": bool(texts.metadata),
        "transcript": bool(texts.transcript),
        "text_mask": int(vector is not None),
    }
    if vector is None:
        return Made(None, status, details)
    return Made(to_npy(vector), status, details | {"embedding_dim": encoder.dim})
