"""Everything that can go wrong, and what the user can do about it.

::

    ClipfarmError                  what happened, and a hint: what to do
    ├── ConfigurationError         a setting is missing or wrong: correct the named variable
    ├── MetadataFileError          the CSV as a whole cannot be read: mend the file, the previous state stays
    ├── SegmentFileError           a file of described segments cannot be read: mend it, nothing of it was taken in
    ├── StoreError                 the object store does not do what it should
    │   ├── StoreUnavailable       no answer, or 5xx: try again later
    │   ├── StoreAccessDenied      credentials missing or refused: set the AWS variables, or the rights of the folder
    │   ├── StoreMissing           the bucket or the root folder does not exist: create it
    │   └── StoreFull              no space left: free some
    ├── DatabaseError              the database of Tasks does not do what it should
    │   ├── DatabaseUnavailable    no answer, or locked for too long: try again later
    │   ├── DatabaseOutdated       its tables are of a newer version: upgrade this project
    │   └── DatabaseChanged        somebody else changed the same rows meanwhile: do it again
    ├── TaskError                  what is asked of a Task cannot be done: the message says why
    ├── ClipError                  what is asked of a clip or its batch cannot be done: the message says why
    │   └── ClipMissing            there is no such batch, clip or job
    ├── SearchError
    │   ├── QueryRefused           the query is not one that is answered: the message says why
    │   ├── IndexMissing           there is no search index yet: build it
    │   ├── IndexOutdated          it was built by other rules: build it again
    │   ├── JudgmentsError         the file of judgments cannot be read: mend it, nothing was measured
    │   ├── IndexBusy              somebody else writes to it: do it again later
    │   └── IndexUnavailable       it does not answer, or its files are damaged: try again, or build it again
    ├── ProviderError              an API of texts or metadata does not do what it should: the message says why
    ├── ModelError
    │   ├── ModelUnavailable       the weights cannot be had here: `clipfarm models pull`, or the stand-in profile
    │   └── ModelMismatch          the weights are not those of the lock file: `clipfarm models verify`
    ├── DimensionMismatch          vectors of one manifest differ in length: nothing was written
    └── VideoError                 one video's outcome; the others of its run chunk go on
        ├── UnsupportedMedia       nothing in the file can be decoded
        ├── NoAudioTrack           a video without sound (an outcome, not a failure)
        ├── MissingRawObject       what the stage before made is not in the store
        └── SourceError            the place that the video comes from says no
            ├── SourceRemoved, SourcePrivate, SourceUnavailable, SourceForbidden,
            ├── SourceUpcoming, RateLimited, SourceNetwork, SourceTooLarge, SourceFormat

A ``VideoError`` is a value first: it names the status of its video in the ledger. Every other error is about the
platform, stops the run and costs no video one of its tries.
"""

from clipfarm_assets.statuses import Status


class ClipfarmError(Exception):
    """What happened, in one sentence, and a ``hint``: what the user can do."""

    hint = ""

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        if hint is not None:
            self.hint = hint

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.hint), self.__dict__


def _rebuild(kind: type[ClipfarmError], what: str, hint: str) -> ClipfarmError:
    """Errors cross process borders whole."""
    return kind(what, hint=hint)


class ConfigurationError(ClipfarmError):
    """A setting is missing or wrong."""


class MetadataFileError(ClipfarmError):
    """The metadata CSV as a whole cannot be read."""

    hint = "The previous metadata stays in force until the file is mended."


class SegmentFileError(ClipfarmError):
    """A file of described segments as a whole cannot be read."""

    hint = "Mend the file; nothing of it was taken in."


class StoreError(ClipfarmError):
    """The object store does not do what it should."""


class StoreUnavailable(StoreError):
    """The store gives no answer, or an error of its own."""

    hint = "Work resumes at the next run; check the endpoint if it lasts."


class StoreAccessDenied(StoreError):
    """The store refuses the credentials, or a local folder this user."""

    hint = "Set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION, or a role that may read and write there."


class StoreMissing(StoreError):
    """The bucket or the root folder does not exist."""

    hint = "Create it, or correct CLIPFARM_STORE."


class StoreFull(StoreError):
    """No space is left where the store lies."""

    hint = "Free some space; finished videos are kept and the rest resumes."


class DatabaseError(ClipfarmError):
    """The database does not do what it should."""


class DatabaseUnavailable(DatabaseError):
    """The database gives no answer, or is locked for too long."""

    hint = "Check CLIPFARM_DB and the server behind it; nothing of this step was kept, the next run does it again."


class DatabaseOutdated(DatabaseError):
    """The database was written by a newer version of this project."""

    hint = "Upgrade the project, or name another database in CLIPFARM_DB."


class DatabaseChanged(DatabaseError):
    """Somebody else changed the same rows between reading and writing; nothing was written."""

    hint = "Do it again: it starts from what is there now."


class TaskError(ClipfarmError):
    """What is asked of a Task cannot be done."""


class ClipError(ClipfarmError):
    """What is asked of a clip, its batch or a job cannot be done."""


class ClipMissing(ClipError):
    """There is no such batch, clip or job."""


class SearchError(ClipfarmError):
    """What is asked of the search cannot be done."""


class QueryRefused(SearchError):
    """The query is not one that is answered."""


class JudgmentsError(SearchError):
    """The file that judges the answers cannot be read, or says what is no judgment."""

    hint = "Mend the file that CLIPFARM_SEARCH_JUDGMENTS names; nothing was measured."


class IndexMissing(SearchError):
    """There is no search index yet."""

    hint = "Build it: `clipfarm search rebuild`."


class IndexOutdated(SearchError):
    """The index was built by rules that this version does not read."""

    hint = "Build it again: `clipfarm search rebuild`; nothing else is lost by that."


class IndexBusy(SearchError):
    """Another process writes to the index for longer than was waited."""

    hint = "Do it again later: nothing was written."


class IndexUnavailable(SearchError):
    """The index does not answer, or its files are damaged."""

    hint = "Try again; where it stays so, `clipfarm search rebuild` makes it anew from the documents."


class ProviderError(ClipfarmError):
    """An API that texts are sent to, or that metadata is asked of, cannot be used at all."""


class ModelError(ClipfarmError):
    """A model cannot be used."""


class ModelUnavailable(ModelError):
    """The weights are neither in the model folder, nor in the store, nor at the hub."""

    hint = "Run `clipfarm models pull` where the hub can be reached, or set CLIPFARM_PROFILE=stand-in."


class ModelMismatch(ModelError):
    """The weights found are not those that models.lock names."""

    hint = "Run `clipfarm models verify`; remove the wrong files, or lock the new ones with `clipfarm models lock`."


class DimensionMismatch(ClipfarmError):
    """Vectors that belong together differ in length; nothing was written."""


class VideoError(ClipfarmError):
    """One video's outcome in one stage. ``status`` is what the ledger says.

    ``seconds`` are the wall seconds of the work, where a worker has measured them.
    """

    status = Status.FAIL
    seconds: float | None = None


class UnsupportedMedia(VideoError):
    """Nothing in the file can be decoded."""

    status = Status.UNSUPPORTED_MEDIA
    hint = "Replace the file; the video is tried again when it changes."


class NoAudioTrack(VideoError):
    """The video has no sound: an outcome, not a failure."""

    status = Status.NO_AUDIO_TRACK


class MissingRawObject(VideoError):
    """What the stage before made is not in the store."""

    status = Status.MISSING_RAW_OBJECT
    hint = "The stage before makes it again at the next run."


class SourceError(VideoError):
    """The place that the video comes from does not give it."""


class SourceRemoved(SourceError):
    """The source says the video is gone."""

    status = Status.SOURCE_REMOVED


class SourcePrivate(SourceError):
    """The source wants a login."""

    status = Status.SOURCE_PRIVATE


class SourceUnavailable(SourceError):
    """The source does not have the video now or here (a missing file, 404, a region)."""

    status = Status.SOURCE_UNAVAILABLE
    hint = "Check the row's url; it is tried again three times."


class SourceForbidden(SourceError):
    """The source refuses the request, or the address is not allowed."""

    status = Status.SOURCE_FORBIDDEN


class SourceUpcoming(SourceError):
    """The video has not been published yet."""

    status = Status.SOURCE_UPCOMING


class RateLimited(SourceError):
    """The source asks to wait: ``retry_after_sec`` where it says for how long, else 0."""

    status = Status.RATE_LIMITED

    def __init__(self, what: str, *, hint: str | None = None, retry_after_sec: float = 0.0) -> None:
        super().__init__(what, hint=hint)
        self.retry_after_sec = retry_after_sec


class SourceNetwork(SourceError):
    """The connection failed or timed out."""

    status = Status.SOURCE_NETWORK


class SourceTooLarge(SourceError):
    """The file is larger than CLIPFARM_MAX_DOWNLOAD_BYTES."""

    status = Status.SOURCE_TOO_LARGE


class SourceFormat(SourceError):
    """What the address answers is not a video."""

    status = Status.SOURCE_FORMAT
