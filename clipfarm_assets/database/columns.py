"""Column types that read the same from every database."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import DateTime, Dialect, LargeBinary, TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware going in, UTC coming out. SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("A moment without a time zone is not stored.")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Vector(TypeDecorator[NDArray[np.float32]]):
    """A vector: (dim,), as little-endian bytes, float32 unless it is ``double``."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, *, double: bool = False) -> None:
        super().__init__()
        self.double = double

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> bytes | None:
        return None if value is None else np.ascontiguousarray(value, dtype="<f8" if self.double else "<f4").tobytes()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any | None:
        if value is None:
            return None
        stored = np.frombuffer(value, dtype="<f8" if self.double else "<f4")
        return stored.astype(np.float64 if self.double else np.float32)

    def compare_values(self, x: Any, y: Any) -> bool:
        """SQLAlchemy asks whether there is anything to write."""
        return bool(np.array_equal(x, y))
