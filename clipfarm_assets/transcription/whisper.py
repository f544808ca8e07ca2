"""Whisper through transformers: words with times, chunk by chunk.

In: 30 seconds of sound. Out: what was said, in which language. What can go wrong: ``ModelUnavailable``,
``ModelMismatch`` and ``ConfigurationError`` (a language that it does not know) when it is loaded.

One step of the decoder tells the language and how likely there is no speech at all; the words come from transformers'
own pipeline, which aligns them by cross attention. Decoding falls back to sampling, with the same seed every time,
where the text compresses too well or is too unlikely (Radford et al. 2022, section 4.5).
"""

import math
from typing import Any

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.models.load import load_speech_model
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.chunks import HeardWord
from clipfarm_assets.transcription.recogniser import SAMPLE_RATE, Heard, Samples, TranscriptionSettings

_CHUNK_SEC = 30.0  # what Whisper hears at once
_FALLBACKS = {
    "temperature": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "compression_ratio_threshold": 1.35,
    "logprob_threshold": -1.0,
}
_SEED = 20220921


class WhisperRecogniser:
    """A Whisper model in memory. Attributes as ``Recogniser`` has them."""

    def __init__(
        self,
        ref: ModelRef,
        identity: str,
        options: TranscriptionSettings,
        settings: Settings,
        store: ObjectStore | None,
    ) -> None:
        import torch
        from transformers import AutomaticSpeechRecognitionPipeline

        loaded = load_speech_model(ref, settings, store)
        self.identity = identity
        self.chunk_sec, self.overlap_sec, self.patience_sec = _CHUNK_SEC, options.overlap_sec, 0.0
        self._options = options
        self._model, self._processor, self._device = loaded.model, loaded.processor, loaded.device
        known = (
            {token.strip("<|>") for token in loaded.model.generation_config.lang_to_id}
            if self._is_multilingual
            else {"en"}
        )
        if options.language is not None and options.language not in known:
            raise ConfigurationError(
                f"{ref.name} does not know the language {options.language!r}.",
                hint="Correct CLIPFARM_SPEECH_LANGUAGE, or leave it empty: the model finds out.",
            )
        self._pipeline = AutomaticSpeechRecognitionPipeline(
            model=loaded.model,
            tokenizer=loaded.processor.tokenizer,
            feature_extractor=loaded.processor.feature_extractor,
            device=torch.device(loaded.device),
        )

    def hear(self, samples: Samples) -> Heard:
        """See ``Recogniser``."""
        import torch

        with torch.inference_mode(), torch.random.fork_rng(devices=[]):  # the caller's random numbers stay its own
            torch.manual_seed(_SEED)
            states = self._states(samples)
            language, no_speech = self._first_step(states)
            asked = {"language": language, "task": "transcribe"} if self._is_multilingual else {}
            result: Any = self._pipeline(samples, return_timestamps="word", generate_kwargs={**_FALLBACKS, **asked})
            words = _words(result.get("chunks", []), len(samples) / SAMPLE_RATE)
            if no_speech > self._options.no_speech_threshold and words:
                likely = self._mean_log_probability(states, "".join(word.text for word in words), language)
                words = words if likely >= self._options.log_probability_threshold else ()
        return Heard(words, language if words else None)

    @property
    def _is_multilingual(self) -> bool:
        return bool(getattr(self._model.generation_config, "is_multilingual", False))

    def _states(self, samples: Samples) -> Any:
        features = self._processor(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        return self._model.get_encoder()(features.to(self._device))

    def _first_step(self, states: Any) -> tuple[str, float]:
        """Language code, and the probability that there is no speech: what follows the start of a transcript."""
        import torch

        told = self._model.generation_config
        start = torch.tensor([[told.decoder_start_token_id]], device=self._device)
        logits = self._model(encoder_outputs=states, decoder_input_ids=start).logits[0, -1].float()
        # The token before "no timestamps" stands for no speech, whatever a tokenizer calls it.
        no_speech = float(logits.softmax(-1)[told.no_timestamps_token_id - 1])
        if self._options.language is not None or not self._is_multilingual:
            return self._options.language or "en", no_speech
        by_token = {number: token for token, number in told.lang_to_id.items()}
        ids = sorted(by_token)
        return by_token[ids[int(logits[ids].argmax())]].strip("<|>"), no_speech

    def _mean_log_probability(self, states: Any, text: str, language: str) -> float:
        """How likely the model finds a text for this sound, a token."""
        import torch

        tokenizer = self._processor.tokenizer
        prompt = [self._model.generation_config.decoder_start_token_id]
        if self._is_multilingual:
            told = self._model.generation_config
            prompt += [told.lang_to_id[f"<|{language}|>"], told.task_to_id["transcribe"]]
        prompt.append(self._model.generation_config.no_timestamps_token_id)
        own = tokenizer(text, add_special_tokens=False).input_ids[
            : self._model.config.max_target_positions - len(prompt)
        ]
        if not own:
            return -math.inf
        ids = torch.tensor([prompt + own], device=self._device)
        logits = self._model(encoder_outputs=states, decoder_input_ids=ids).logits[0].float().log_softmax(-1)
        places = torch.arange(len(prompt) - 1, len(prompt) + len(own) - 1, device=self._device)
        return float(logits[places, ids[0, len(prompt) :]].mean())


def _words(rows: list[dict[str, Any]], duration_sec: float) -> tuple[HeardWord, ...]:
    """The pipeline's words; a time that it does not know is that of the neighbour."""
    words: list[HeardWord] = []
    for number, row in enumerate(rows):
        start, end = row["timestamp"]
        start = start if start is not None else (words[-1].end if words else 0.0)
        following = next((r["timestamp"][0] for r in rows[number + 1 :] if r["timestamp"][0] is not None), duration_sec)
        end = end if end is not None else max(following, start)
        words.append(HeardWord(float(start), float(max(end, start)), row["text"]))
    return tuple(words)
