"""Text embeddings with the real model: two halves, nothing cut off, nothing made up for a text that is not there."""

import json

import numpy as np
import pytest

from clipfarm_assets.embeddings.text import TextEncoder, Texts, embed_texts, metadata_text, read_transcript
from clipfarm_assets.embeddings.vectors import from_npy
from clipfarm_assets.errors import MissingRawObject, VideoError
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.embeddings.conftest import MakeItem

LONG = " ".join(f"Sentence number {number} speaks of bread, rivers and the weather." for number in range(120))


def slow_reference(encoder: TextEncoder, text: str) -> np.ndarray:
    """Windows cut by hand from the tokens of the whole text, each run alone."""
    import torch

    model, tokenizer = encoder._model, encoder._model.tokenizer
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    size, total = encoder.window_tokens - 2, np.zeros(384)
    for start in range(0, len(ids), size):
        window = [tokenizer.cls_token_id, *ids[start : start + size], tokenizer.sep_token_id]
        with torch.inference_mode():
            inputs = {
                "input_ids": torch.tensor([window]),
                "attention_mask": torch.ones(1, len(window), dtype=torch.long),
            }
            vector = model(inputs)["sentence_embedding"][0].numpy()
        total += (len(window) - 2) * vector / np.linalg.norm(vector)
    return total / np.linalg.norm(total)


def test_a_text_that_fits_is_embedded_as_the_model_encodes_it(text_encoder: TextEncoder) -> None:
    text = "How to bake bread [SEP] flour and water"
    expected = text_encoder._model.encode([text], normalize_embeddings=True)
    np.testing.assert_allclose(text_encoder.embed_sentences([text]), expected, atol=1e-5)


def test_a_long_text_is_the_token_weighted_mean_of_its_windows(text_encoder: TextEncoder) -> None:
    n_tokens = len(text_encoder._model.tokenizer(LONG)["input_ids"])
    assert n_tokens > 4 * text_encoder.window_tokens
    np.testing.assert_allclose(text_encoder.embed_sentences([LONG])[0], slow_reference(text_encoder, LONG), atol=1e-5)


def test_the_end_of_a_long_text_counts(text_encoder: TextEncoder) -> None:
    one, other = text_encoder.embed_sentences([LONG, LONG + " Suddenly the spaceship explodes." * 20])
    assert one @ other < 0.999


def test_videos_together_give_what_each_gives_alone(text_encoder: TextEncoder) -> None:
    videos = [Texts("bread", LONG), Texts("", "short"), Texts("a [SEP] b", ""), Texts("x " * 300, "two words")]
    for each, together in zip(videos, text_encoder.embed_batch(videos), strict=True):
        np.testing.assert_allclose(together, text_encoder.embed(each), atol=1e-5)


def test_the_halves_are_metadata_then_transcript_each_of_equal_weight(text_encoder: TextEncoder) -> None:
    vector = text_encoder.embed(Texts("about bread", "about rivers"))
    halves = text_encoder.embed_sentences(["about bread", "about rivers"])
    assert vector is not None
    np.testing.assert_allclose(vector, np.concatenate(halves) / np.sqrt(2), atol=1e-6)
    assert vector.dtype == np.float32 and vector.shape == (768,)


def test_a_missing_half_is_zeros_and_not_the_embedding_of_nothing(text_encoder: TextEncoder) -> None:
    no_transcript, no_metadata = text_encoder.embed_batch([Texts("bread", ""), Texts("", "bread")])
    assert no_transcript is not None and no_metadata is not None
    assert not no_transcript[384:].any() and not no_metadata[:384].any()
    np.testing.assert_allclose(no_transcript[:384], no_metadata[384:], atol=1e-6)
    assert np.linalg.norm(no_transcript) == pytest.approx(1, abs=1e-5)


def test_no_text_at_all_gives_no_vector(text_encoder: TextEncoder) -> None:
    assert text_encoder.embed(Texts("", "")) is None
    assert text_encoder.embed(Texts(" \n", "\t")) is None


@pytest.mark.parametrize("text", ["🎉🎉", "日本語のテキスト", "\x00\x01", "\u200b", "a" * 5000, "[SEP]"])
def test_odd_texts_have_finite_vectors(text_encoder: TextEncoder, text: str) -> None:
    assert np.isfinite(text_encoder.embed_sentences([text])).all()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"title": "A", "description": "B", "query": "C"}, "A [SEP] B [SEP] C"),
        ({"title": " A ", "query": "C"}, "A [SEP] C"),
        ({"description": " \n"}, ""),
        ({}, ""),
    ],
)
def test_metadata_text_joins_what_is_there(fields: dict[str, str], expected: str) -> None:
    assert metadata_text(Video(video_id="v", url="u", **fields)) == expected


@pytest.mark.parametrize(
    ("content", "expected"), [({"transcript": " hi "}, "hi"), ({"transcript": None}, ""), ({}, "")]
)
def test_a_transcript_is_read_or_empty(content: dict[str, object], expected: str) -> None:
    assert read_transcript(json.dumps(content).encode()) == expected


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"null", b'{"transcript": ["a"]}', b"\xff\xfe"])
def test_what_is_no_raw_text_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        read_transcript(content)


def test_the_stage_says_what_became_of_each_video(
    text_encoder: TextEncoder, local_store: ObjectStore, make_item: MakeItem
) -> None:
    def raw(name: str, content: bytes) -> str:
        local_store.put(key := f"clipfarm/raw/text/{name}", content)
        return key

    said, silent = b'{"transcript": "hello there"}', b'{"transcript": ""}'
    items = [
        make_item("raw_text", raw("both", said), title="bread"),
        make_item("raw_text", raw("silent", silent), Status.EMPTY_TRANSCRIPT, title="bread"),
        make_item("raw_text", raw("untitled", said)),
        make_item("raw_text", raw("nothing", silent), Status.EMPTY_TRANSCRIPT),
        make_item("raw_text", "clipfarm/raw/text/lost", title="bread"),
        make_item("raw_text", raw("broken", b"{"), title="bread"),
    ]
    results = list(embed_texts(items, store=local_store, encoder=text_encoder))
    assert [item for item, _ in results] == items
    both, mute, untitled, nothing, lost, broken = (result for _, result in results)
    assert isinstance(both, Made) and both.status is Status.SUCCESS and isinstance(both.content, bytes)
    np.testing.assert_allclose(from_npy(both.content), text_encoder.embed(Texts("bread", "hello there")), atol=1e-5)
    assert isinstance(mute, Made) and mute.status is Status.EMPTY_TRANSCRIPT and isinstance(mute.content, bytes)
    assert not from_npy(mute.content)[384:].any()
    assert mute.details["text_mask"] == 1
    assert isinstance(untitled, Made) and untitled.status is Status.SUCCESS
    assert isinstance(nothing, Made) and nothing.status is Status.EMPTY_TRANSCRIPT and nothing.content is None
    assert nothing.details["text_mask"] == 0
    assert isinstance(lost, MissingRawObject)
    assert isinstance(broken, VideoError) and broken.status is Status.FAIL


def test_a_text_that_breaks_the_batch_fails_alone(
    text_encoder: TextEncoder, local_store: ObjectStore, make_item: MakeItem, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TextEncoder._windows

    def breaking(self: TextEncoder, sentences: list[str]) -> object:
        if "poison" in sentences:
            raise RuntimeError("out of memory")
        return whole(self, sentences)

    monkeypatch.setattr(TextEncoder, "_windows", breaking)
    for number, text in enumerate(["fine", "poison", "fine too"]):
        local_store.put(f"clipfarm/raw/text/{number}", json.dumps({"transcript": text}).encode())
    items = [make_item("raw_text", f"clipfarm/raw/text/{number}") for number in range(3)]
    kinds = [type(result) for _, result in embed_texts(items, store=local_store, encoder=text_encoder)]
    assert kinds == [Made, VideoError, Made]
