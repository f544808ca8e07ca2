"""The metadata CSV, parsed: one latest row a video, every snapshot, and what could not be read."""

import tempfile
from collections import Counter
from pathlib import Path

import dagster as dg

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import markdown_table
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.videos import add_videos
from clipfarm_assets.media.fetch import fingerprint
from clipfarm_assets.metadata.read import MISSING, file_fingerprint, read_metadata
from clipfarm_assets.metadata.tables import VIDEOS_SCHEMA, MetadataTables, data_version
from clipfarm_assets.store.object_store import ObjectStore, copy_out

# What the stages are made from. Another view count is no reason to call every video stale.
SHAPING = frozenset({"video_id", "removed", "presence", *(name for stage in STAGES for name in stage.fields)})
READ_KEY = "clipfarm/state/metadata_read.txt"  # the fingerprint of the CSV that the tables come from
_SHOWN_ROWS = 20


@dg.asset(
    group_name="metadata",
    kinds={"csv", "parquet"},
    owners=["team:data-platform"],
    code_version="1",
    metadata=column_schema(VIDEOS_SCHEMA),
)
def video_metadata(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """The latest row of every video, every snapshot, and the quarantined rows: `clipfarm/metadata/*.parquet`.

    Read from the append-only CSV that `CLIPFARM_METADATA` names. The latest row of a video is the one captured last.
    A bad row is quarantined with its line number and reason and stops nothing else; a file that cannot be read at all
    is an error, and the previous state stays. A video whose rows vanished is kept and marked as missing.
    """
    emit_own_events(context)
    workshop = platform.open()
    read = _csv_fingerprint(workshop)  # taken before the reading: what is appended meanwhile is seen by the next tick
    tables = parse(workshop)
    workshop.save_tables(tables)
    _add_partitions(context.instance, tables)
    workshop.store.put(READ_KEY, read.encode())
    return dg.MaterializeResult(
        data_version=dg.DataVersion(data_version(tables, SHAPING)),
        metadata={
            "dagster/row_count": tables.videos.num_rows,
            "snapshots": tables.snapshots.num_rows,
            "quarantined": tables.quarantine.num_rows,
            "removed": sum(tables.videos["removed"].to_pylist()),
            "missing": Counter(tables.videos["presence"].to_pylist())["missing"],
            "quarantine": dg.MetadataValue.md(_quarantine_table(tables)),
            "source": workshop.settings.metadata,
        },
    )


def _add_partitions(instance: dg.DagsterInstance, tables: MetadataTables) -> None:
    """A partition for every video that is to be made, so that Dagster's own commands can name it right away."""
    columns = (tables.videos[name].to_pylist() for name in ("video_id", "removed", "presence"))
    wanted = [
        video_id for video_id, removed, presence in zip(*columns, strict=True) if not removed and presence == "present"
    ]
    add_videos(instance, wanted)


def parse(workshop: Workshop) -> MetadataTables:
    """Reads the CSV from where it lies."""
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder:
        path = _local_csv(workshop, Path(folder))
        return read_metadata(
            path, previous=workshop.tables(), fingerprint=lambda name: fingerprint(name, workshop.base_folder)
        )


def _local_csv(workshop: Workshop, folder: Path) -> Path:
    """The CSV as a local file; one in S3 is copied into ``folder``."""
    source = workshop.settings.metadata
    if "://" not in source:
        return Path(source)
    store, key = _remote(workshop, source)
    path = folder / "metadata.csv"
    if not copy_out(store, key, path):
        raise _no_csv(source)
    return path


def csv_change(workshop: Workshop) -> str | None:
    """The CSV's fingerprint where it is another than that of the CSV read last; None where it is the same.

    Raises:
        MetadataFileError: there is no CSV.
    """
    now, before = _csv_fingerprint(workshop), workshop.store.get(READ_KEY)
    return now if before is None or before.decode() != now else None


def changed_files(workshop: Workshop) -> list[str]:
    """The local media and sidecars whose size or time is another than when the metadata was read.

    One that is not there now is no change: a disk that is not mounted must not take finished videos away.
    """
    if workshop.videos_etag() is None:
        return []
    videos, changed = workshop.videos_table(), []
    for name, stamp in (("url", "url_fingerprint"), ("transcript_path", "transcript_fingerprint")):
        pairs = zip(videos[name].to_pylist(), videos[stamp].to_pylist(), strict=True)
        looks = ((name, before, fingerprint(name, workshop.base_folder)) for name, before in pairs if before)
        changed += [name for name, before, now in looks if now not in (before, MISSING)]
    return changed


def _csv_fingerprint(workshop: Workshop) -> str:
    source = workshop.settings.metadata
    if "://" not in source:
        if not Path(source).is_file():
            raise _no_csv(source)
        return file_fingerprint(Path(source))
    store, key = _remote(workshop, source)
    info = store.head(key)
    if info is None:
        raise _no_csv(source)
    return f"{info.size}-{info.etag}"


def _no_csv(source: str) -> MetadataFileError:
    return MetadataFileError(f"There is no {source}.", hint="Correct CLIPFARM_METADATA, or put the file there.")


def _remote(workshop: Workshop, source: str) -> tuple[ObjectStore, str]:
    folder, _, key = source.rpartition("/")
    return workshop.open_store(folder), key


def _quarantine_table(tables: MetadataTables) -> str:
    rows = tables.quarantine.slice(0, _SHOWN_ROWS).to_pylist()
    cells = [[str(row["line"]), row["video_id"] or "", row["reason"].replace("|", "\\|")] for row in rows]
    more = tables.quarantine.num_rows - len(rows)
    return markdown_table(
        ["line", "video", "reason"], [*cells, *([[f"… and {more} more", "", ""]] if more > 0 else [])]
    )
