"""From a CSV to what is found: the graph's own way, twice, with an edit and a deletion in between."""

from datetime import UTC, datetime

import numpy as np
import pytest
from fastapi.testclient import TestClient

from clipfarm_assets.database.discovery import Written
from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.graph.search_index import gather_all
from clipfarm_assets.graph.videos import videos
from clipfarm_assets.http.app import Backend, create_app
from clipfarm_assets.http.metrics import measure
from clipfarm_assets.http.people import people
from clipfarm_assets.http.search import discovery
from clipfarm_assets.search.query import Mode, Question, search
from clipfarm_assets_tests.fusion.corpus import fused_rows
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


@pytest.mark.slow
def test_videos_alike_over_http_are_those_nearest_by_the_graphs_fused_vectors(deployment: Deployment) -> None:
    for number in range(4):
        deployment.add(f"v{number}", number, said=f"Number {number}." if number % 2 else None, title=f"About {number}")
    deployment.add("absent")
    (deployment.media / "absent.mp4").unlink()
    deployment.run()
    shop = deployment.workshop
    backend = Backend(
        shop.settings, shop.store, shop.database, lambda v: shop.videos([v]).get(v), discovery=shop.discovery
    )
    app = create_app(backend, discovery, people)
    measure(app)
    client = TestClient(app)
    rows = fused_rows(shop.store, "sum_pool")
    vectors = {video_id: np.array(row["fused"]) for video_id, row in rows.items() if row["fused"] is not None}
    assert set(vectors) == {f"v{number}" for number in range(4)}
    for asked, own in vectors.items():
        cosine = {v: own @ of / np.linalg.norm(own) / np.linalg.norm(of) for v, of in vectors.items() if v != asked}
        found = client.get(f"/videos/{asked}/similar").json()["items"]
        assert [item["id"] for item in found] == sorted(cosine, key=lambda v: -cosine[v])
        assert [item["score"] for item in found] == pytest.approx(sorted(cosine.values(), reverse=True), abs=1e-5)
    assert [i["id"] for i in client.get("/videos/v0/similar?limit=2").json()["items"]] == [
        i["id"] for i in client.get("/videos/v0/similar").json()["items"][:2]
    ]
    assert client.get("/videos/absent/similar").json()["items"] == []
    shop.discovery.delete_video("v1", datetime.now(UTC))
    assert "v1" not in [item["id"] for item in client.get("/videos/v0/similar").json()["items"]]


def test_the_fan_in_leaves_the_first_vector_of_a_video_to_its_stage(deployment: Deployment) -> None:
    deployment.add("a")
    deployment.read_metadata()
    deployment.materialize(["enriched_metadata"], ["a"])
    early = gather_all(deployment.instance, deployment.workshop)
    assert [row.waits for row in early.rows] == [True]
    assert deployment.identity("a", "discovery_embedding") is None
    deployment.materialize(["discovery_embedding"], ["a"])
    assert [row.waits for row in gather_all(deployment.instance, deployment.workshop).rows] == [False]
