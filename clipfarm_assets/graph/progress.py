"""Where progress bars are drawn.

Dagster redirects stderr while a step runs, so a bar needs a way to the terminal that was opened before.
"""

import os
import sys
from typing import TextIO

stream: TextIO | None = None  # None: no bars


def use_terminal() -> None:
    """Draws the bars of this process on its terminal, if stderr is one."""
    global stream  # noqa: PLW0603  one terminal a process
    if stream is None and sys.stderr.isatty():
        stream = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding)
