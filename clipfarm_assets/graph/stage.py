"""What all per-video stages have in common: what shapes an artifact, and where it lies."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from json.encoder import encode_basestring_ascii

from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Artifacts, Versions

ModelVersions = Callable[[Settings, ModelSet], Versions]


@dataclass(frozen=True)
class Stage:
    """One asset of the graph that makes one artifact a video.

    Attributes:
        name: of the asset.
        artifact: the key's template, with ``{video_id}``.
        fields: the metadata fields that shape it. A change in any other field leaves its artifacts alone.
        upstream: the stages whose artifacts it reads, in the graph's order.
        beside: templates of further keys that belong to the artifact.
        code_version: raised by hand when the code makes something else of the same input.
        model: which model makes it, where one does.
        model_as_needed: the model makes only what nothing else brings, so that another model leaves alone what was made
            without one; see ``Versions.give``.
    """

    name: str
    artifact: str
    fields: tuple[str, ...]
    upstream: tuple["Stage", ...]
    code_version: str
    model: ModelVersions | None = None
    beside: tuple[str, ...] = ()
    model_as_needed: bool = False

    def key(self, video_id: str) -> str:
        return self.artifact.format(video_id=video_id)

    def forget(self, artifacts: Artifacts, video_id: str) -> None:
        """Deletes what the stage has made of the video."""
        for key in self.beside:
            artifacts.store.delete(key.format(video_id=video_id))
        artifacts.forget(self.key(video_id))

    def versions(self, settings: Settings, models: Callable[[], ModelSet]) -> Versions:
        """Code and model of this process; the models are resolved only where the stage has one."""
        if self.model is None:
            return Versions(self.code_version)
        return replace(self.model(settings, models()), code_version=self.code_version)

    def source_hash(self, video: Video, data_versions: Mapping[str, str]) -> str:
        """SHA-256 over the fields that shape the input and the data versions of the stages before."""
        values = [getattr(video, name) for name in self.fields]
        values += [data_versions[each.name] for each in self.upstream]
        # as json.dumps writes the list, without what it costs to set that up for each of very many
        shape = [encode_basestring_ascii(each) if type(each) is str else json.dumps(each) for each in values]
        return hashlib.sha256(f"[{', '.join(shape)}]".encode()).hexdigest()
