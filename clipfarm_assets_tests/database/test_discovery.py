"""Votes, comments, favourites, corrections and deletions, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from clipfarm_assets.database import discovery
from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.discovery import StoredPopularity, Written
from clipfarm_assets.database.discovery_tables import ItemCount

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob", "cy"]), st.sampled_from([-1, 0, 1]), st.booleans(), st.booleans()),
        max_size=12,
    )
)
def test_counts_are_what_the_users_last_said(database: Database, acts: list[tuple[str, int, bool, bool]]) -> None:
    votes: dict[str, int] = {}
    kept: set[str] = set()
    said = 0
    with database.write() as session:
        discovery.forget(session, "clip", "c1", "http", NOW)
        for user, value, keeps, says in acts:
            discovery.vote(session, "clip", "c1", user, value, NOW)  # type: ignore[arg-type]
            discovery.favourite(session, "clip", "c1", user, keeps, NOW)
            votes[user] = value
            kept = kept | {user} if keeps else kept - {user}
            if says:
                discovery.comment(session, "clip", "c1", user, "nice", NOW)
                said += 1
    with database.write() as session:
        found = discovery.counts_of(session, "clip", "c1")
        assert (found.votes, found.comments, found.favourites) == (sum(votes.values()), said, len(kept))
        assert discovery.recount(session) == 0


def test_votes_of_many_users_at_once_are_all_counted(database: Database) -> None:
    def votes(user: int) -> None:
        for value in (1, -1, 1):
            with database.write() as session:
                discovery.vote(session, "video", "v1", f"user {user}", value, NOW)  # type: ignore[arg-type]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(votes, range(8))) == [None] * 8
    with database.read() as session:
        assert discovery.counts_of(session, "video", "v1").votes == 8


def test_a_vote_beyond_one_is_refused(database: Database) -> None:
    with pytest.raises(ValueError, match="A vote is"), database.write() as session:
        discovery.vote(session, "video", "v1", "ann", 7, NOW)  # type: ignore[arg-type]


def test_a_wrong_count_is_mended(database: Database) -> None:
    with database.write() as session:
        discovery.vote(session, "video", "v1", "ann", 1, NOW)
        session.scalars(select(ItemCount)).one().votes = 99
        session.flush()
        assert discovery.recount(session) == 1
        assert discovery.counts_of(session, "video", "v1").votes == 1


def test_a_comment_is_taken_back_once(database: Database) -> None:
    with database.write() as session:
        comment = discovery.comment(session, "video", "v1", "ann", "first", NOW)
        assert discovery.remove_comment(session, comment)
        assert not discovery.remove_comment(session, comment)
        assert discovery.counts_of(session, "video", "v1").comments == 0


@pytest.mark.parametrize("many", [3, 2_500])
def test_popularity_is_given_in_the_order_of_the_keys(database: Database, many: int) -> None:
    with database.write() as session:
        for number in (0, 2):
            for user in range(number + 1):
                discovery.vote(session, "clip", str(number), str(user), 1, NOW)
    popularity = StoredPopularity(database)
    keys = [f"clip/{number}" for number in range(many)]
    assert list(popularity.counts(keys[::-1]).votes)[-3:] == [3, 0, 1]  # type: ignore[arg-type]
    assert popularity.with_votes(2) == {"clip/2"}


def test_corrections_keep_the_fields_that_they_do_not_name(database: Database) -> None:
    with database.write() as session:
        discovery.override(session, "video", "v1", Written(title="Better", tags=("a", "b")), NOW)
        discovery.override(session, "video", "v1", Written(description="", tags=()), NOW)
    with database.read() as session:
        assert list(discovery.overrides(session)) == [("video", "v1", Written("Better", "", ()))]


def test_a_deletion_takes_everything_and_leaves_one_tombstone(database: Database) -> None:
    with database.write() as session:
        for item in ("v1", "v2"):
            discovery.vote(session, "video", item, "ann", 1, NOW)
            discovery.comment(session, "video", item, "ann", "hm", NOW)
            discovery.favourite(session, "video", item, "ann", True, NOW)
            discovery.override(session, "video", item, Written(title="t"), NOW)
        assert discovery.forget(session, "video", "v1", "http", NOW)
        assert not discovery.forget(session, "video", "v1", "metadata", NOW)
    with database.read() as session:
        for table in discovery._OF_AN_ITEM:
            assert [row.item_id for row in session.scalars(select(table))] == ["v2"]
        assert discovery.tombstones(session) == {("video", "v1"): NOW}
