"""``python -m clipfarm_assets.samples FOLDER [VIDEO_ID ...]`` makes the samples in FOLDER."""

import sys
from pathlib import Path

from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.samples.make import make_samples


def main(arguments: list[str]) -> int:
    """Make all samples, or the named ones; 2 for wrong arguments, 1 for what cannot be made."""
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(f"{__doc__}\n")
        return 2
    try:
        written = make_samples(Path(arguments[0]), arguments[1:] or None, lambda text: print(text, flush=True))  # noqa: T201
    except ClipfarmError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{len(written)} files, {sum(path.stat().st_size for path in written):,} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
