"""What people say of answers: a file of query, item and relevance, from 0 (nothing to do with it) to 4 (exactly this).

In: a CSV with the columns ``query``, ``item`` and ``relevance``, or a JSON list of objects with these names. ``item``
is ``video/<id>`` or ``clip/<id>``; without a kind it is a video. Out: the judgments by query. One row that is wrong
refuses the file, by its number: figures over a part of the judgments would be other figures.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clipfarm_assets.errors import JudgmentsError
from clipfarm_assets.search.documents import KINDS, item_key
from clipfarm_assets.search.query import MAX_QUERY

COLUMNS = ("query", "item", "relevance")
_MOST = 4
_SHOWN = 5


def read_judgments(path: Path) -> dict[str, dict[str, int]]:
    """The relevance of each judged item, by query and the item's key.

    Raises:
        JudgmentsError: the file cannot be read, is empty, or a row of it is wrong.
    """
    found: dict[str, dict[str, int]] = {}
    wrong = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            query, key, relevance = _judgment(row)
            if found.setdefault(query, {}).setdefault(key, relevance) != relevance:
                raise ValueError(f"{key} is judged twice for one query, and not alike")
        except ValueError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise JudgmentsError(f"{path.name}: {'; '.join(wrong[:_SHOWN])}{more}.")
    if not found:
        raise JudgmentsError(f"{path.name} holds no judgment.")
    return found


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        text = path.read_text("utf-8-sig")
        rows = json.loads(text) if path.suffix == ".json" else list(csv.DictReader(text.splitlines(keepends=True)))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise JudgmentsError(f"{path} cannot be read: {error}.") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise JudgmentsError(f"{path.name} is no list of objects with {', '.join(COLUMNS)}.")
    if missing := [name for name in COLUMNS if rows and name not in rows[0]]:
        raise JudgmentsError(f"{path.name} has no {', '.join(missing)}.")
    yield from rows


def _judgment(row: Mapping[str, Any]) -> tuple[str, str, int]:
    query, item, given = (str("" if (value := row.get(name)) is None else value).strip() for name in COLUMNS)
    if not query:
        raise ValueError("query is empty")
    if len(query) > MAX_QUERY:
        raise ValueError(f"query is longer than {MAX_QUERY:,} characters")
    kind, _, item_id = item.rpartition("/")
    if not item_id or (kind or "video") not in KINDS:
        raise ValueError("item is not video/<id>, clip/<id> or a video's id")
    if not given.isascii() or not given.isdecimal() or int(given) > _MOST:
        raise ValueError(f"relevance is not 0 to {_MOST}")
    return query, item_key("clip" if kind == "clip" else "video", item_id), int(given)
