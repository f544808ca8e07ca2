"""How outcomes look in the Dagster UI."""

import base64
from collections.abc import Mapping, Sequence

import dagster as dg

from clipfarm_assets.graph.events import OUTCOME
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.store.artifacts import Json
from clipfarm_assets.store.object_store import ObjectStore

_SHOWN_FAILURES = 20


def outcome_metadata(
    outcome: Outcome, details: Mapping[str, Json], store: ObjectStore, picture: bytes | None = None
) -> dict[str, dg.MetadataValue]:
    """The metadata of one video's event: the status first, then what a person looks for."""
    metadata: dict[str, dg.MetadataValue] = {"status": dg.MetadataValue.text(outcome.status.value)}
    if outcome.error:
        metadata["error"] = dg.MetadataValue.text(outcome.error)
        metadata["tries"] = dg.MetadataValue.int(outcome.retry_count)
    if picture is not None:
        metadata["picture"] = dg.MetadataValue.md(picture_markdown(picture))
    if outcome.artifact_key:
        location = store.location(outcome.artifact_key)
        local = store.root is not None
        metadata["artifact"] = dg.MetadataValue.path(location) if local else dg.MetadataValue.url(location)
    if outcome.versions.model_name:
        metadata["model"] = dg.MetadataValue.text(f"{outcome.versions.model_name}@{outcome.versions.model_version}")
    for name, value in details.items():
        metadata[name] = _value(value)
    metadata[OUTCOME] = dg.MetadataValue.json(outcome.to_fields())
    return metadata


def _value(value: Json) -> dg.MetadataValue:
    match value:
        case bool():
            return dg.MetadataValue.bool(value)
        case int():
            return dg.MetadataValue.int(value)
        case float():
            return dg.MetadataValue.float(value)
        case str():
            return dg.MetadataValue.text(value)
        case None:
            return dg.MetadataValue.null()
        case _:
            return dg.MetadataValue.json(value)


def picture_markdown(picture: bytes, alt: str = "picture") -> str:
    """A PNG or JPEG that shows itself in Markdown."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"![{alt}](data:image/{kind};base64,{base64.b64encode(picture).decode()})"


def failure_table(failures: Mapping[str, Outcome]) -> str:
    """The first failures as a Markdown table."""
    rows = [
        [video_id, outcome.status.value, str(outcome.retry_count), cell(outcome.error or "")]
        for video_id, outcome in list(failures.items())[:_SHOWN_FAILURES]
    ]
    if (more := len(failures) - len(rows)) > 0:
        rows.append([f"… and {more} more", "", "", ""])
    return markdown_table(["video", "status", "tries", "error"], rows)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; cells must not hold a bare ``|``."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text as it can stand in a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")[:300]
