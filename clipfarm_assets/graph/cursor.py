"""What a sensor keeps between its ticks: the fields of a dataclass, as JSON in Dagster's cursor."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass
class Memory:
    """The base of each sensor's own fields, all of which have defaults."""

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """What was written; a cursor that cannot be read is an empty memory."""
        try:
            fields: Any = json.loads(cursor or "{}")
            return cls(**fields)
        except (ValueError, TypeError):
            return cls()

    def write(self) -> str:
        return json.dumps(asdict(self))
