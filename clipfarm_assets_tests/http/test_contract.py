"""Whatever the OpenAPI document allows, and what it does not, ends in an answer that the document knows."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from clipfarm_assets.database.connect import open_database
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.store.object_store import open_store
from clipfarm_assets_tests.http.clip_api import Api

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
KNOWN: dict[str, str] = {}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The API over a batch with clips, and one that waits."""
    folder = tmp_path_factory.mktemp("contract")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        database = open_database(f"sqlite:///{folder}/clipfarm.db")
        migrate(database)
        api = Api(database, open_store(Path(folder / "store").as_uri()))
        batch_id = api.new_batch()
        clip = api.scored(batch_id)[0]
        job_id = api.post(f"/viral-clip/clips/{clip['id']}/exports")["job"]["id"]
        KNOWN.update(video_id="v1", batch_id=batch_id, clip_id=clip["id"], job_id=job_id)
        yield schemathesis.openapi.from_asgi("/openapi.json", api.app)
        database.close()


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_api(document: Any, mode: GenerationMode) -> None:
    """Requests that the document allows and such that it does not, as they are made up and with ids that are there."""
    called = 0
    for found in document.get_all_operations():
        operation = found.ok()
        try_out = settings(
            max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )(given(case=operation.as_strategy(generation_mode=mode))(_call))
        with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
            try_out()
            called += 1
    assert called >= 9


def _call(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
    if known := {name: KNOWN[name] for name in case.path_parameters or {} if name in KNOWN}:
        case.path_parameters = {**case.path_parameters, **known}
        case.call_and_validate(checks=CHECKS)
