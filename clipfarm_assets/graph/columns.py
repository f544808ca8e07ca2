"""What the columns of the graph's tables mean, for the UI."""

import dagster as dg
import pyarrow as pa

_NOTES = {
    "video_id": "The video; the key of every artifact and the only join key.",
    "url": "Where the video comes from: a file, http(s), s3 or a site.",
    "captured_at": "When the metadata row was observed.",
    "presence": "`missing` where the video's rows vanished from the CSV.",
    "first_captured_at": "When the first of the video's rows was observed.",
    "removed": "The row asks for the video to be deleted everywhere.",
    "tags": "As the row writes them, `;` between.",
    "extra": "Columns that the platform does not know.",
    "url_fingerprint": "Size and time of the local file behind `url`.",
    "transcript_fingerprint": "Size and time of the local sidecar.",
    "stage": "The asset.",
    "source_hash": "SHA-256 over everything that shaped the row's artifact.",
    "status": "What became of the video; the README lists them.",
    "error": "Why it failed, and what to do.",
    "reason": "Why there is no vector, or what is missing in it.",
    "artifact_key": "The object's key in the store.",
    "vector_id": "The video_id, where the artifact is a vector.",
    "processed_at": "When it was made, or failed.",
    "retry_count": "Tries that failed with this input.",
    "run_id": "The Dagster run.",
    "duration": "Wall seconds spent on the video in the stage.",
    "modality": "`video`, `audio` or `text`.",
    "embedding_key": "The `.npy` object's key in the store.",
    "embedding_dim": "The vector's length.",
    "model_name": "The model; `stand-in/…` where it is one.",
    "model_version": "The model's pinned revision.",
    "preprocess_version": "How the input was prepared.",
    "etag": "The store's own, of the `.npy` object.",
    "sha256": "Of the `.npy` file's bytes.",
    "upstream_status": "What holds the stage before up.",
    "fusion_strategy": "`concat`, `sum_pool` or `max_pool`.",
    "fused_dim": "Length of the fused vector, text mask included.",
    "fused_part": "Key of the Parquet part that holds the vector; null where there is none.",
    "fused_row": "The vector's row in that part.",
    "score_energy": "Root mean square of the scene's sound, 0 to 1; null without sound.",
    "score_change": "Mean change of the picture from frame to frame, 0 to 255.",
    "thumbnail": "The scene's middle frame, JPEG.",
    "segment_id": "The same for the same span of the same video, whatever its description.",
    "description": "What happens.",
    "failure": "`none`, `non_blocking` or `blocking`.",
    "success": "Whether what was tried succeeded; null where no model said so.",
    "described_by": "The model and its prompt, `transcript`, or the import's source.",
    "flagged_by": "What failure, confusion and abandonment were told by.",
    "describe_error": "Why the language model's description is not there, where one was asked for.",
    "recorded_at": "When it happened: the video's publication, else its first capture, plus the start.",
    "impact": "Failure 0.4, confusion 0.3, abandonment 0.2, added.",
    "distance_to_centroid": "Cosine distance to the Task's centre when it was linked.",
    "how": "Why the segment is in the Task: `assigned`, `clustered`, `high_impact` or `recurred`.",
    "merged_into": "The Task that this one stands for.",
    "recurrence_of": "The resolved Task that has come back.",
    "distinct_user_count": "Users, each counted once.",
    "priority": "At `priority_at`; the parts stand beside it.",
    "labelled_by": "The model and its prompt, or `keywords`.",
    "centroid": "Mean of the members' unit vectors.",
    "video_present": "The fused vector has a picture part.",
    "audio_present": "The fused vector has a sound part.",
    "text_present": "The text mask, the vector's last component.",
}


def column_schema(schema: pa.Schema) -> dict[str, dg.TableSchema]:
    """The columns of an asset's table, as the UI shows them."""
    columns = [dg.TableColumn(f.name, str(f.type), description=_note(f.name)) for f in schema]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def _note(name: str) -> str | None:
    """A modality's columns carry its name in front."""
    return _NOTES.get(name) or _NOTES.get(name.partition("_")[2])
