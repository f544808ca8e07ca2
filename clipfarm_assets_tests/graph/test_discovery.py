"""From a CSV to what is found: the graph's own way, twice, with an edit and a deletion in between."""

from datetime import UTC, datetime

from clipfarm_assets.database.discovery import Written
from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.graph.videos import videos
from clipfarm_assets.search.query import Mode, Question, search
from clipfarm_assets_tests.graph.deployment import Deployment


def found(deployment: Deployment, text: str, mode: Mode = "text") -> list[str]:
    room = deployment.workshop.discovery
    vector = meaning(room, text).vector if mode != "text" else None
    page = search(room.index, Question(text, mode), now=datetime.now(UTC), vector=vector)
    return [hit.document.key for hit in page.hits]


def test_what_a_csv_names_is_found_and_what_a_person_edits_or_deletes_stays_so(deployment: Deployment) -> None:
    deployment.add("ace", title="Valorant ace on Haven", game_name="Valorant")
    deployment.add("bread", 1, title="How to bake sourdough at home")
    deployment.run()
    assert deployment.reports[-1].errors == []
    assert found(deployment, "valorant ace") == ["video/ace"]
    assert found(deployment, "making a loaf in your own oven", "semantic")[0] == "video/bread"

    deployment.run()
    assert deployment.reports[-1].runs == 0

    room = deployment.workshop.discovery
    room.edit("ace", Written(title="Clutch on Bind"), datetime.now(UTC))
    room.delete_video("bread", datetime.now(UTC))
    assert found(deployment, "clutch") == ["video/ace"] and found(deployment, "sourdough") == []

    deployment.run()  # the deletion's files, and nothing else
    assert found(deployment, "clutch") == ["video/ace"] and found(deployment, "haven") == []
    assert deployment.state().agenda.work == [] and deployment.state().agenda.removable == []
    assert list(deployment.instance.get_dynamic_partitions(videos.name)) == ["ace"]
    left = [info.key for info in deployment.workshop.store.list("clipfarm/") if "/bread" in info.key]
    assert left == []
    outcome = deployment.outcome("bread", "discovery_embedding")
    assert outcome is not None and outcome.status == "removed"
    deployment.run()
    assert deployment.reports[-1].runs == 0
