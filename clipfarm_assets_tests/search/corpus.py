"""Small made-up documents for the tests of the index, and slow simple references to compare its answers with."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import log

import numpy as np

from clipfarm_assets.search.documents import Document, search_words
from clipfarm_assets.search.rows import Entry, Vector

DIM = 16
NOW = datetime(2026, 3, 1, tzinfo=UTC)
_VOCABULARY = "ace clutch boss castle running valley ocean guitar piano rocket garden winter summer bread storm light"
_WORDS = _VOCABULARY.split()


def entries(count: int, seed: int = 0, *, without_vector: int = 7) -> list[Entry]:
    """Entries with drawn words; every ``without_vector``-th has no vector. ``views`` is the number of the item."""
    draw = np.random.default_rng(seed)
    centres = draw.standard_normal((8, DIM))
    made = []
    for number in range(count):
        title, description = (" ".join(draw.choice(_WORDS, n)) for n in (3, 6))
        document = Document(
            kind="clip" if number % 4 == 0 else "video", id=f"i{number}", title=title, description=description,
            tags=(f"tag {number % 10}", "All"), game_id=str(number % 5), game=("Valorant", "Minecraft")[number % 2],
            broadcaster_id=f"b{number % 100}", broadcaster=f"Streamer {number % 100}", creator_id=f"c{number % 3}",
            language=("en", "ja")[number % 2], created_at=NOW - timedelta(hours=number), views=number,
        )  # fmt: skip
        vector = (centres[number % 8] + draw.standard_normal(DIM)).astype(np.float32)
        made.append(Entry(document, None if number % without_vector == 0 else vector))
    return made


def nearest(made: Sequence[Entry], vector: Vector, k: int) -> list[str]:
    """Keys of the ``k`` nearest by cosine, every vector compared."""
    keyed = [(entry.document.key, entry.vector) for entry in made if entry.vector is not None]
    likeness = {key: float(v @ vector / np.linalg.norm(v)) for key, v in keyed}
    return sorted(likeness, key=lambda key: -likeness[key])[:k]


def bm25(made: Sequence[Entry], words: Sequence[str]) -> dict[str, float]:
    """BM25 (k1 1.2, b 0.75) of the documents that have all the words, by key."""
    texts = {entry.document.key: search_words(entry.document).split() for entry in made}
    mean = sum(map(len, texts.values())) / len(texts)
    counts = {key: Counter(text) for key, text in texts.items()}
    holding = {word: sum(word in count for count in counts.values()) for word in words}

    def score(key: str, word: str) -> float:
        rarity = log(1 + (len(texts) - holding[word] + 0.5) / (holding[word] + 0.5))
        often = counts[key][word]
        return rarity * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * len(texts[key]) / mean))

    return {key: sum(score(key, w) for w in words) for key in texts if all(w in counts[key] for w in words)}
