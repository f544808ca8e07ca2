"""A small Whisper, saved as the hub has one: weights, generation configuration, tokenizer, feature extractor.

Its weights are random but for one thing: the embedding of each place in the text points to the token that follows, so
that it says the same sentence about any sound. Its times are what random cross attention gives.
"""

import json
from pathlib import Path
from typing import Any

LANGUAGES = ("en", "zh", "de", "es", "ru", "id")


PLACES = 64


def save(folder: Path, says: str = " Hello world, here we are.", language: str = "en", is_sure: bool = True) -> None:
    """Two layers of 64; the vocabulary is the 256 bytes and all of Whisper's special tokens.

    Without ``is_sure`` it finds that there is no speech, and its words unlikely.
    """
    import torch
    from tokenizers import AddedToken
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    folder.mkdir(parents=True, exist_ok=True)
    letter_of = bytes_to_unicode()
    letters = list(letter_of.values())
    special = [
        "<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES), "<|translate|>",
        "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>",
    ]  # fmt: skip
    times = [f"<|{n * 0.02:.2f}|>" for n in range(1501)]
    ids = {token: number for number, token in enumerate([*letters, *special, *times])}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = WhisperTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token=special[0], bos_token=special[0],
        eos_token=special[0], language="english", task="transcribe",
    )  # fmt: skip
    tokenizer.add_special_tokens({"extra_special_tokens": special[1:]})
    tokenizer.add_tokens([AddedToken(time, normalized=False) for time in times])
    assert tokenizer.convert_tokens_to_ids([*special, times[-1]]) == [ids[t] for t in [*special, times[-1]]]
    config = WhisperConfig(
        vocab_size=len(ids), d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_target_positions=PLACES,
        bos_token_id=ids[special[0]], eos_token_id=ids[special[0]], pad_token_id=ids[special[0]],
        decoder_start_token_id=ids["<|startoftranscript|>"], suppress_tokens=[], begin_suppress_tokens=[],
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = WhisperForConditionalGeneration(config)
        first = f"<|{language}|>" if is_sure else "<|nospeech|>"
        spoken = [ids[letter_of[byte]] for byte in says.encode()]
        follows = [ids[first], ids["<|transcribe|>"], ids["<|0.00|>"], *spoken, ids["<|2.00|>"]]
        _plant(model, [*follows, *[ids[special[0]]] * (PLACES - len(follows))], is_sure)
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id, pad_token_id=config.pad_token_id,
        decoder_start_token_id=config.decoder_start_token_id, max_length=PLACES, return_timestamps=False,
        is_multilingual=True, no_timestamps_token_id=ids["<|notimestamps|>"], max_initial_timestamp_index=50,
        prev_sot_token_id=ids["<|startofprev|>"], begin_suppress_tokens=[ids[special[0]]],
        alignment_heads=[[0, 0], [1, 1]],
        lang_to_id={f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES},
        task_to_id={"translate": ids["<|translate|>"], "transcribe": ids["<|transcribe|>"]},
    )  # fmt: skip
    model.save_pretrained(folder)
    WhisperProcessor(feature_extractor=WhisperFeatureExtractor(), tokenizer=tokenizer).save_pretrained(folder)


def _plant(model: Any, follows: list[int], is_sure: bool) -> None:
    """Each place's embedding is that of the token which follows, and nothing else in the decoder speaks.

    Without ``is_sure`` all places but the first point away from all tokens alike.
    """
    import torch

    decoder = model.model.decoder
    with torch.no_grad():
        decoder.embed_tokens.weight.normal_(0, 0.5)
        decoder.embed_tokens.weight[:, -1] = 0
        decoder.embed_positions.weight.copy_(20 * decoder.embed_tokens.weight[follows])
        if not is_sure:
            decoder.embed_positions.weight[1:] = 0
            decoder.embed_positions.weight[1:, -1] = 100
        for layer in decoder.layers:
            for part in (layer.self_attn.out_proj, layer.encoder_attn.out_proj, layer.fc2):
                part.weight.zero_()
                part.bias.zero_()
