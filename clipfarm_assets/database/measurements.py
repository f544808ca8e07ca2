"""Figures that processes leave for the HTTP server: counters that are added to, gauges that are replaced."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from clipfarm_assets.database.tables import Base
from clipfarm_assets.measures import Series

_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
MOST = 5_000  # rows that are read: labels come from small sets, so that there are hundreds


class Measurement(Base):
    """One figure. ``labels``: a JSON object with sorted names."""

    __tablename__ = "measurements"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    labels: Mapped[str] = mapped_column(String(400), primary_key=True)
    value: Mapped[float]
    measured_at: Mapped[datetime]


class Measured(NamedTuple):
    """A figure and when it last changed."""

    value: float
    at: datetime


def add(session: Session, deltas: Mapping[Series, float], now: datetime) -> None:
    """Adds to counters; one that is not there begins at 0."""
    _upsert(session, deltas, now, adding=True)


def put(session: Session, values: Mapping[Series, float], now: datetime) -> None:
    """Replaces gauges."""
    _upsert(session, values, now, adding=False)


def replace_all(session: Session, name: str, values: Mapping[Series, float], now: datetime) -> None:
    """Replaces every gauge of a name: what is not among the values is gone."""
    session.execute(delete(Measurement).where(Measurement.name == name))
    put(session, values, now)


def measurements(session: Session) -> dict[Series, Measured]:
    """Every figure."""
    rows = session.scalars(select(Measurement).order_by(Measurement.name, Measurement.labels).limit(MOST))
    return {
        Series(row.name, tuple(sorted(json.loads(row.labels).items()))): Measured(row.value, row.measured_at)
        for row in rows
    }


def _upsert(session: Session, values: Mapping[Series, float], now: datetime, *, adding: bool) -> None:
    if not values:
        return
    rows = [
        {"name": each.name, "labels": json.dumps(dict(each.labels), sort_keys=True), "value": value, "measured_at": now}
        for each, value in sorted(values.items())  # in one order, so that two processes never wait for each other
    ]
    insert: Any = _INSERTS[session.get_bind().dialect.name](Measurement).values(rows)
    value = Measurement.value + insert.excluded.value if adding else insert.excluded.value
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["name", "labels"], set_={"value": value, "measured_at": insert.excluded.measured_at}
        )
    )
