"""Files of judgments as people write them, and what is said of those that are wrong."""

from pathlib import Path

import pytest

from clipfarm_assets.errors import JudgmentsError
from clipfarm_assets.search.judgments import read_judgments

CSV = "query,item,relevance,who\nvalorant ace,video/ace,4,ada\nvalorant ace,clip/c1,2,\nbread, bread ,0,bea\n"
JSON = """[{"query": "valorant ace", "item": "video/ace", "relevance": 4},
 {"query": "valorant ace", "item": "clip/c1", "relevance": "2"}, {"query": "bread", "item": "bread", "relevance": 0}]"""
FOUND = {"valorant ace": {"video/ace": 4, "clip/c1": 2}, "bread": {"video/bread": 0}}


def written(folder: Path, text: str, name: str = "judged.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8-sig" if name.endswith("csv") else "utf-8")
    return path


def test_csv_and_json_say_the_same(tmp_path: Path) -> None:
    assert read_judgments(written(tmp_path, CSV)) == FOUND
    assert read_judgments(written(tmp_path, JSON, "judged.json")) == FOUND


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (CSV + "bread,video/loaf,5,\n", "j.csv", "row 4: relevance is not 0 to 4"),
        (CSV + "bread,video/loaf,-1,\n", "j.csv", "row 4: relevance is not 0 to 4"),
        (CSV + "bread,video/loaf,,\n", "j.csv", "row 4: relevance is not 0 to 4"),
        (CSV + "bread,song/loaf,1,\n", "j.csv", "row 4: item is not"),
        (CSV + " ,video/loaf,1,\n", "j.csv", "row 4: query is empty"),
        (CSV + "bread,video/bread,3,\n", "j.csv", "row 4: video/bread is judged twice"),
        ("query,item\nbread,video/bread\n", "j.csv", "has no relevance"),
        ("query,item,relevance\n", "j.csv", "holds no judgment"),
        ("[]", "j.json", "holds no judgment"),
        ('{"bread": 4}', "j.json", "is no list of objects"),
        ("[{", "j.json", "cannot be read"),
    ],
)
def test_one_wrong_row_refuses_the_file_and_is_named(tmp_path: Path, text: str, name: str, said: str) -> None:
    with pytest.raises(JudgmentsError, match=said):
        read_judgments(written(tmp_path, text, name))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JudgmentsError, match=r"nowhere\.csv"):
        read_judgments(tmp_path / "nowhere.csv")
