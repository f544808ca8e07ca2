"""``clipfarm search`` as a terminal shows it."""

import pytest

from clipfarm_assets.cli import search
from clipfarm_assets.search.documents import Document

TITLE = "How to export [all] reports from the app when the button stays grey"


def test_a_narrow_terminal_shows_the_whole_title_and_a_key_to_copy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    clip = Document(
        "clip", "0d6e3c6e-55a2-5f0f-9a63-9d6f5b7d2c11", TITLE, game="Office software", creator="Ledgerly research"
    )
    search._show([(clip, 0.92), (Document("video", "[b]", "Short"), 0.5)], "table")
    lines = capsys.readouterr().out.splitlines()
    shown = " ".join(" ".join(lines).split())
    assert clip.key in shown and "video/[b]" in shown
    assert [word for word in f"{TITLE} {clip.game} {clip.creator}".split() if word not in shown] == []
    assert max(map(len, lines)) <= 80
    assert "0.920" in lines[1]
