"""Fifty clients at once, over real connections."""

import asyncio
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from clipfarm_assets.database.clip_tables import ClipBatch, Job
from clipfarm_assets.database.connect import Database
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.http.clip_api import Api
from clipfarm_assets_tests.loopback import served

CLIENTS, EACH = 50, 4


def test_fifty_clients_that_post_at_once_lose_nothing_and_double_nothing(
    database: Database, local_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    api = Api(database, local_store)

    async def one(client: httpx.AsyncClient, number: int) -> list[tuple[str, str, str]]:
        got = []
        for turn in range(EACH):
            wish = f"moment {number} {turn}"
            answer = await client.post("/viral-clip/videos/v1/clip-batches", json={"include_specific_moments": wish})
            assert answer.status_code == 201, answer.text
            found = answer.json()
            got.append((wish, found["batch"]["id"], found["job"]["id"]))
        return got

    async def crowd(url: str) -> list[list[tuple[str, str, str]]]:
        limits = httpx.Limits(max_connections=CLIENTS)
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
            return await asyncio.gather(*(one(client, number) for number in range(CLIENTS)))

    with served(api.app) as url:
        answered = [each for of_client in asyncio.run(crowd(url)) for each in of_client]
    with database.read() as session:
        batches = list(session.scalars(select(ClipBatch)))
        jobs = {job.id: job for job in session.scalars(select(Job))}
    kept = {(batch.config_json["include_specific_moments"], batch.id) for batch in batches}
    assert len(batches) == len(jobs) == len(answered) == CLIENTS * EACH
    assert kept == {(wish, batch_id) for wish, batch_id, _ in answered}
    assert {(jobs[job_id].clip_batch_id, job_id) for _, _, job_id in answered} == {
        (batch_id, job_id) for _, batch_id, job_id in answered
    }
