"""What loading the graph costs beside Dagster itself, and what the command line costs beside Typer.

Fresh interpreters in turn, CPU seconds: ``import dagster``; that and the repository of this project; ``import typer``
with what draws tables; ``clipfarm --help``.
"""

import os
import subprocess
import sys
from functools import partial

from benchmarks.measure import Row, in_turn

_ROUNDS = 5
_WAYS = {
    "dagster": "import dagster",
    "definitions": "import dagster; from clipfarm_assets.definitions import defs; defs().get_repository_def()",
    "typer": "import typer, rich.console, rich.table",
    "help": "import sys; sys.argv = ['clipfarm', '--help']; from clipfarm_assets.cli.main import app; app()",
}


def run() -> list[Row]:
    found = in_turn({name: partial(_fresh, code) for name, code in _WAYS.items()}, _ROUNDS)
    cpu = {name: timing.cpu_sec for name, timing in found.items()}
    own = cpu["definitions"] - cpu["dagster"]
    return [
        Row("loading the definitions beside `import dagster`, s", own, 3.0, note=f"{cpu['dagster']:.1f} s are Dagster"),
        Row("clipfarm --help, s", cpu["help"], 1.0, note=f"{cpu['typer']:.2f} s are Typer and Rich"),
    ]


def _fresh(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
