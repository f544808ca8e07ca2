"""The database as its users meet it: tables that are there, transactions that are whole, errors that say what to do."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from clipfarm_assets.database.clip_tables import ClipBatch, Job
from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.migrate import alembic_config, migrate
from clipfarm_assets.database.tables import Base, PooledSegment, SegmentSource, VideoSegmentClusteringState
from clipfarm_assets.errors import ConfigurationError, DatabaseOutdated, DatabaseUnavailable

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def state(team: str = "default", revision: int = 0) -> VideoSegmentClusteringState:
    return VideoSegmentClusteringState(team=team, revision=revision, counts={})


def test_the_migrations_make_the_tables_that_are_declared(database: Database) -> None:
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_two_processes_may_migrate_a_fresh_database_at_once(database_url: str) -> None:
    code = (
        "import sys\n"
        "from clipfarm_assets.database.connect import open_database\n"
        "from clipfarm_assets.database.migrate import migrate\n"
        "sys.stdin.readline()\n"
        "migrate(open_database(sys.argv[1]))\n"
    )
    starts = [subprocess.Popen([sys.executable, "-c", code, database_url], stdin=subprocess.PIPE) for _ in range(3)]
    for process in starts:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert [process.wait(60) for process in starts] == [0, 0, 0]
    with open_database(database_url).read() as session:
        assert session.scalars(select(SegmentSource)).all() == []


def test_a_migration_that_fails_leaves_nothing_behind(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import alembic.op

    make, made = alembic.op.create_table, []

    def fail_at_the_third(name: str, *args: object, **options: object) -> object:
        made.append(name)
        if len(made) == 3:
            raise RuntimeError("power cut")
        return make(name, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(alembic.op, "create_table", fail_at_the_third)
    database = open_database(database_url)
    with pytest.raises(RuntimeError, match="power cut"):
        migrate(database)
    assert inspect(database.engine).get_table_names() == []
    monkeypatch.undo()
    migrate(database)
    assert "tasks" in inspect(database.engine).get_table_names()


def test_clips_of_an_older_version_keep_their_exports_and_are_looked_at_for_a_trend(database_url: str) -> None:
    database, config = open_database(database_url), alembic_config()
    with database.write() as session:
        config.attributes["connection"] = session.connection()
        command.upgrade(config, "0003")
        for batch_id, trend in (("judged", "'B'"), ("unjudged", "NULL")):
            session.execute(
                text(
                    "INSERT INTO clip_batches (id, video_source_id, name, config_json, status, tries, created_at, "
                    f"updated_at) VALUES ('{batch_id}', 'v', 'n', '{{}}', 'ready', 0, :now, :now)"
                ),
                {"now": NOW},
            )
            session.execute(
                text(
                    "INSERT INTO clips (id, clip_batch_id, start_time_sec, end_time_sec, duration_sec, title, "
                    "description, grade_trend, score_parts, status, transcript_preview, hashtags, created_at, "
                    f"updated_at) VALUES ('c-{batch_id}', '{batch_id}', 0, 20, 20, '', '', {trend}, '{{}}', "
                    "'candidate', '', '[]', :now, :now)"
                ),
                {"now": NOW},
            )
            session.execute(
                text(
                    "INSERT INTO jobs (id, kind, status, clip_batch_id, clip_id, progress, created_at, updated_at) "
                    f"VALUES ('j-{batch_id}', 'export_clip', 'queued', '{batch_id}', 'c-{batch_id}', 0, :now, :now)"
                ),
                {"now": NOW},
            )
    migrate(database)
    with database.read() as session:
        awaits = {each.id: each.awaits_vector for each in session.scalars(select(ClipBatch))}
        assert awaits == {"judged": False, "unjudged": True}
        assert [(each.status, each.tries) for each in session.scalars(select(Job))] == [("queued", 0)] * 2


def test_tables_of_a_newer_version_are_refused(database: Database) -> None:
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseOutdated, match="9999"):
        migrate(database)


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.write() as session:
        session.add(state())
        session.flush()
        raise ZeroDivisionError
    with database.read() as session:
        assert session.scalars(select(VideoSegmentClusteringState)).all() == []


def test_writers_that_read_first_lose_no_update(database: Database) -> None:
    """Twenty threads add one each; a lock taken late would fail or lose some of them."""
    with database.write() as session:
        session.add(state())

    def add_one() -> None:
        with database.write() as session:
            query = select(VideoSegmentClusteringState).with_for_update()
            session.scalars(query).one().revision += 1

    threads = [threading.Thread(target=add_one) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalars(select(VideoSegmentClusteringState)).one().revision == 20


def test_a_reader_does_not_wait_for_a_writer(database: Database) -> None:
    with database.write() as session:
        session.add(state())
        session.flush()
        with database.read() as other:
            assert other.scalars(select(VideoSegmentClusteringState)).all() == []


def test_moments_and_vectors_come_back_as_they_went_in(database: Database) -> None:
    vector = np.random.default_rng(7).normal(size=3072).astype(np.float32)
    tokyo = timezone(timedelta(hours=9))
    facts = dict(
        team="default", segment_id="s", source="v", version="1", video_id="v", user_id="u", start_sec=0.1,
        end_sec=0.30000000000000004, recorded_at=datetime(2026, 3, 1, 21, 0, 0, 123456, tzinfo=tokyo),
        description="日本語 \U0001f44d", failure="none", confusion=True, abandonment=False, impact=0.3,
    )  # fmt: skip
    with database.write() as session:
        session.add(PooledSegment(**facts, vector=vector, pooled_at=NOW))
    with database.read() as session:
        found = session.scalars(select(PooledSegment)).one()
    assert found.recorded_at == facts["recorded_at"] and found.recorded_at.utcoffset() == timedelta(0)
    assert found.vector.tobytes() == vector.tobytes()
    assert (found.end_sec, found.description, found.confusion) == (0.30000000000000004, facts["description"], True)


@pytest.mark.parametrize("url", ["", "no-url", "mysql://u:hidden@h/d", "oracle+nothing://u:hidden@h/d"])
def test_a_wrong_url_is_an_error_that_names_the_setting_and_hides_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CLIPFARM_DB") as caught:
        open_database(url)
    assert "hidden" not in f"{caught.value!r} {caught.value} {caught.value.__cause__}"


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    database = open_database("postgresql://clipfarm:hidden@127.0.0.1:1/clipfarm")
    with pytest.raises(DatabaseUnavailable, match=r"clipfarm:\*\*\*@127.0.0.1:1") as caught:
        migrate(database)
    assert "hidden" not in str(caught.value) and caught.value.__cause__ is None


def test_a_file_that_is_no_database_is_named(tmp_path: object) -> None:
    path = f"{tmp_path}/clipfarm.db"
    with open(path, "w") as file:  # noqa: PTH123
        file.write("not a database, " * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database"):
        migrate(open_database(f"sqlite:///{path}"))
