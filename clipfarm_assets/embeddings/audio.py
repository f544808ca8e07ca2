"""Audio embeddings: the first 90 seconds of sound, through wav2vec2, averaged over time into one vector.

In: ``raw_audio`` (mono 16 kHz WAV in the store). Out: ``clipfarm/embeddings/audio/<video_id>.npy``. What can go
wrong: ``no_audio_track`` (an outcome: the video has no sound, or none of any length), ``missing_raw_object``, ``fail``.

Sound shorter than the model's receptive field (400 samples, 25 ms) gets zeros at its end up to that length. Digital
silence is embedded like any sound: its vector is the model's answer to zeros.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.attempts import raw_file, raw_identity
from clipfarm_assets.embeddings.batches import Embedder, Ready, embed_each
from clipfarm_assets.embeddings.vectors import Vector, l2_normalize
from clipfarm_assets.errors import NoAudioTrack
from clipfarm_assets.models.load import LoadedModel, load_audio_model
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore

SAMPLE_RATE = 16_000
Waveform = NDArray[np.float32]


def preprocess_version(ref: ModelRef, settings: Settings) -> str:
    """What shapes the vector besides the model: ``wav2vec2-v1;rate=16000;seconds=90;pooling=mean``."""
    del ref  # every wav2vec2 model is fed alike; the argument keeps the three modalities' signature one
    return f"wav2vec2-v1;rate={SAMPLE_RATE};seconds={settings.max_audio_seconds:g};pooling=mean"


class AudioEncoder:
    """A wav2vec2 model with its preprocessing.

    Attributes:
        dim: length of its vectors (768 for the base model).
        max_audio_seconds: how much of a sound it hears, from the start.
        receptive_field: samples that one output position sees; shorter sounds are padded to it.
    """

    def __init__(self, loaded: LoadedModel, settings: Settings) -> None:
        self.ref = loaded.ref
        self.preprocess_version = preprocess_version(loaded.ref, settings)
        self.dim = int(loaded.model.config.hidden_size)
        self.max_audio_seconds = settings.max_audio_seconds
        self.receptive_field = _receptive_field(loaded.model.config)
        self._loaded = loaded

    def embed(self, waveform: Waveform) -> Vector:
        """One sound's vector: float32, (dim,), L2-normalised.

        Args:
            waveform: mono float32 (samples,) at 16 kHz, between -1 and 1.

        Raises:
            ValueError: there is no sample, or one that is not finite.
        """
        import torch

        with torch.inference_mode():
            states = self._loaded.model(self._input(waveform)).last_hidden_state
            return _pooled(states[0])

    def embed_batch(self, waveforms: Sequence[Waveform]) -> list[Vector]:
        """The vectors of several sounds, each as ``embed`` gives it to within 1e-5.

        The convolutional front end runs sound by sound: its group norm takes mean and variance over time, so padding
        would enter every position. The transformer then runs once, over padded and masked features. Models with layer
        norm go the same way, which is right for them too. One sound goes as ``embed`` has it, to the bit.

        Raises:
            ValueError: as ``embed`` does, for the first such sound.
        """
        import torch
        from torch.nn.utils.rnn import pad_sequence

        model = self._loaded.model
        if len(waveforms) < 2 or model.config.add_adapter:
            return [self.embed(waveform) for waveform in waveforms]
        with torch.inference_mode():
            features = [model.feature_extractor(self._input(each)).transpose(1, 2)[0] for each in waveforms]
            lengths = torch.tensor([len(each) for each in features], device=self._loaded.device)
            padded = pad_sequence(features, batch_first=True)
            mask = torch.arange(padded.shape[1], device=self._loaded.device)[None] < lengths[:, None]
            hidden, _ = model.feature_projection(padded)
            states = model.encoder(hidden, attention_mask=mask).last_hidden_state
            return [_pooled(each[:length]) for each, length in zip(states, lengths.tolist(), strict=True)]

    def _input(self, waveform: Waveform) -> Any:
        """The processor's ``input_values``, (1, samples), on the model's device."""
        if not waveform.size:
            raise ValueError("A sound without samples has no embedding.")
        if not np.isfinite(waveform).all():
            raise ValueError("The sound has samples that are not finite.")
        enough = np.pad(waveform, (0, max(0, self.receptive_field - waveform.size)))
        processed = self._loaded.processor(enough, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return processed.input_values.to(self._loaded.device)


def load_audio_encoder(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> AudioEncoder:
    """The encoder of a model; its weights are loaded once a process. Raises as ``load_audio_model``."""
    return AudioEncoder(load_audio_model(ref, settings, store), settings)


def read_waveform(path: Path, max_audio_seconds: float) -> Waveform:
    """The start of a WAV: mono float32 (samples,) at 16 kHz.

    Raises:
        NoAudioTrack: the file has no sample.
        ValueError, RuntimeError: it is no sound file, or holds samples that are not finite.
    """
    import librosa
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:  # by path, librosa would try other decoders on what is no WAV
            waveform, _ = librosa.load(file, sr=SAMPLE_RATE, mono=True, duration=max_audio_seconds)
    except librosa.ParameterError as error:
        raise ValueError(str(error)) from error
    if not waveform.size:
        raise NoAudioTrack(f"{path.name} holds no sound.")
    return np.asarray(waveform, np.float32)


def embed_audios(
    items: Iterable[Item], *, ref: ModelRef, settings: Settings, store: ObjectStore, in_batches: bool | None = None
) -> Iterator[Result]:
    """Embeds each item's ``raw_audio``; see ``embed_each``, also for what it raises.

    Workers read the sound, on a CPU they infer too. A video without sound ends as ``no_audio_track`` in either way.
    """
    prepare = partial(_embedder, ref, settings, store)
    return embed_each(items, prepare, ref=ref, settings=settings, store=store, in_batches=in_batches)


def _embedder(ref: ModelRef, settings: Settings, store: ObjectStore) -> Embedder[Waveform]:
    encoder = load_audio_encoder(ref, settings, store)
    return Embedder(
        partial(_heard, store, encoder.max_audio_seconds), encoder.embed_batch, imports=("librosa.core.audio",)
    )


def _heard(store: ObjectStore, max_audio_seconds: float, item: Item) -> Ready[Waveform] | Made:
    if raw_identity(item, "raw_audio").status is Status.NO_AUDIO_TRACK:
        return Made(None, Status.NO_AUDIO_TRACK)
    try:
        with raw_file(item, "raw_audio", store) as path:
            waveform = read_waveform(path, max_audio_seconds)
    except NoAudioTrack:
        return Made(None, Status.NO_AUDIO_TRACK)
    return Ready(waveform, {"heard_sec": round(waveform.size / SAMPLE_RATE, 3)})


def _pooled(states: Any) -> Vector:
    """The mean of states (time, dim) over time, of length one."""
    return l2_normalize(states.mean(0).float().cpu().numpy())


def _receptive_field(config: Any) -> int:
    """Samples behind one output position of a stack of convolutions without padding."""
    samples = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        samples = (samples - 1) * stride + kernel
    return int(samples)
