"""Whether everything is found that should be: checks of the search index, and the hourly run of them.

They run with every build of the index, and every hour beside it: a build that does not come, or fails, checks nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.discovery.standing import standing
from clipfarm_assets.discovery.whole import read_documents
from clipfarm_assets.errors import IndexMissing, IndexOutdated
from clipfarm_assets.graph.agenda import is_made
from clipfarm_assets.graph.discovery import DISCOVERY_EMBEDDING, ENRICHED_METADATA, embedded_by
from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.index_lag import index_lag
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import cell, markdown_table
from clipfarm_assets.graph.search_index import search_index
from clipfarm_assets.metadata.tables import videos_from_table
from clipfarm_assets.statuses import Status

MOST_FAILED = 0.01
MOST_LAG_SEC = 3_600.0  # the fan-in waits half an hour for quiet at the longest, and then has to do its work
_SHOWN = 20
_WARN = dg.AssetCheckSeverity.WARN


@dg.asset_check(asset=search_index, description="Every item that is not removed is in the index, with its vector.")
def discovery_coverage(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """Below 100 % warns, with what is missing. What says nothing lacks no vector; nor does any, with vectors off."""
    workshop = platform.open()
    off = embedded_by(workshop.settings) == Status.TURNED_OFF.value
    try:
        found = standing(workshop.discovery, _made(workshop), with_vectors=not off)
    except (IndexMissing, IndexOutdated) as error:
        return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.ERROR, description=str(error))
    rows = [
        [kind, *(str(n) for n in (of.items, of.indexed, of.with_vector, of.silent)), f"{of.share:.2%}"]
        for kind, of in found.items()
    ]
    missing = [key for of in found.values() for key in of.missing]
    head = ["kind", "items", "in the index", "with a vector", "say nothing", "coverage"]
    return dg.AssetCheckResult(
        passed=not missing, severity=_WARN,
        metadata={
            "coverage": dg.MetadataValue.md(markdown_table(head, rows)), "missing": len(missing),
            "such_as": dg.MetadataValue.json(missing[:_SHOWN]),
        },
    )  # fmt: skip


@dg.asset_check(asset=search_index, description="At most 1 % of the items failed on their way into the index.")
def discovery_failed_share(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """Of videos the newest outcome of enrichment and of the vector, of clips the vector; one part above 1 % warns."""
    rows, worst = [], 0.0
    for name, items, errors in _failures(context.instance, platform.open()):
        share = len(errors) / items if items else 0.0
        worst = max(worst, share)
        such_as = next((f"{key}: {error}" for key, error in sorted(errors.items())), "")
        rows.append([name, str(items), str(len(errors)), f"{share:.2%}", cell(such_as)])
    head = ["part", "items", "failed", "share", "such as"]
    return dg.AssetCheckResult(
        passed=worst <= MOST_FAILED, severity=_WARN,
        metadata={"failed": dg.MetadataValue.md(markdown_table(head, rows)), "worst_share": worst},
    )  # fmt: skip


@dg.asset_check(asset=search_index, name="index_lag", description="The index is at most an hour behind the stages.")
def lag_of_index(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    """How long the oldest outcome has waited that the index has not taken in."""
    lag = index_lag(context.instance)
    seconds = lag.seconds(datetime.now(UTC))
    return dg.AssetCheckResult(
        passed=seconds <= MOST_LAG_SEC, severity=_WARN,
        metadata={
            "lag_seconds": seconds, "outcomes_waiting": lag.outcomes,
            "since": dg.MetadataValue.timestamp(lag.since) if lag.since else dg.MetadataValue.null(),
        },
    )  # fmt: skip


def _made(workshop: Workshop) -> set[str]:
    return {video.video_id for video in videos_from_table(workshop.videos_table()) if is_made(video)}


def _failures(instance: dg.DagsterInstance, workshop: Workshop) -> Iterator[tuple[str, int, dict[str, str]]]:
    """By part: its name, how many items it has, and the error of each that failed."""
    made = _made(workshop)
    for stage in (ENRICHED_METADATA, DISCOVERY_EMBEDDING):
        outcomes = {v: seen.outcome for v, seen in read_events(instance, stage.name).items() if v in made}
        failed = {v: o.error or o.status.value for v, o in outcomes.items() if o is not None and o.status.failed}
        yield f"{stage.name}, videos", len(made), failed
    clips = [row for row in read_documents(workshop.store) if row.document.kind == "clip"]
    yield f"{DISCOVERY_EMBEDDING.name}, clips", len(clips), {row.document.id: row.error for row in clips if row.error}


DISCOVERY_CHECKS = (discovery_coverage, discovery_failed_share, lag_of_index)

check_search = dg.define_asset_job(
    "check_search", dg.AssetSelection.checks(*DISCOVERY_CHECKS) | dg.AssetSelection.assets("monitoring"),
    tags={"dagster/max_retries": "0"}, description="Checks of the search index, without building it, and monitoring.",
)  # fmt: skip
hourly_checks = dg.ScheduleDefinition(
    name="hourly_checks", cron_schedule="15 * * * *", job=check_search,
    default_status=dg.DefaultScheduleStatus.RUNNING, description="Checks the search index every hour.",
)  # fmt: skip
