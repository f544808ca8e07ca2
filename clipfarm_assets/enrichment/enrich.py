"""Documents with what Twitch knows of them. The row's own words win; Twitch fills what the row leaves empty."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clipfarm_assets.enrichment.twitch import Answer, Missing, Twitch, TwitchFailure
from clipfarm_assets.search.documents import Document


@dataclass(frozen=True)
class Enriched:
    """A document after enrichment. ``source`` is ``twitch`` or ``row``; ``failure`` says why a later run may know more.

    The scores start at 0: nobody has voted yet.
    """

    document: Document
    source: str
    failure: str | None = None
    hot_score: float = 0.0
    vote_score: int = 0


def enrich(documents: Sequence[Document], clip_ids: Mapping[str, str], twitch: Twitch | None) -> list[Enriched]:
    """Fills game, broadcaster, creator and default tags.

    Args:
        clip_ids: Twitch's id of a document's clip, by the document's key; nothing is asked for the others' clips.
        twitch: None where no credentials are set: then the row is all there is.

    Raises:
        ProviderError: Twitch refuses the credentials.
    """
    if twitch is None:
        return [Enriched(_tagged(document), "row") for document in documents]
    clips = twitch.get("clips", [clip_ids[d.key] for d in documents if d.key in clip_ids])
    filled = [_with_clip(document, clips.get(clip_ids.get(document.key, ""))) for document in documents]
    games = twitch.get("games", [d.game_id for d, _ in filled if d.game_id and not d.game])
    users = twitch.get(
        "users",
        [
            i
            for d, _ in filled
            for i, name in ((d.broadcaster_id, d.broadcaster), (d.creator_id, d.creator))
            if i and not name
        ],
    )
    enriched = []
    for document, clip in filled:
        game, broadcaster, creator = (
            games.get(document.game_id),
            users.get(document.broadcaster_id),
            users.get(document.creator_id),
        )
        named = replace(
            document,
            game=document.game or _text(game, "name"),
            broadcaster=document.broadcaster or _text(broadcaster, "display_name"),
            creator=document.creator or _text(creator, "display_name"),
        )
        answers = [each for each in (clip, game, broadcaster, creator) if each is not None]
        failure = next((each.what for each in answers if isinstance(each, TwitchFailure)), None)
        source = "twitch" if any(isinstance(each, dict) for each in answers) else "row"
        enriched.append(Enriched(_tagged(named), source, failure))
    return enriched


def _with_clip(document: Document, clip: Answer | None) -> tuple[Document, Answer | None]:
    if not isinstance(clip, dict):
        return document, clip
    filled = replace(
        document,
        title=document.title or _text(clip, "title"),
        game_id=document.game_id or _text(clip, "game_id"),
        broadcaster_id=document.broadcaster_id or _text(clip, "broadcaster_id"),
        broadcaster=document.broadcaster or _text(clip, "broadcaster_name"),
        creator_id=document.creator_id or _text(clip, "creator_id"),
        creator=document.creator or _text(clip, "creator_name"),
        language=document.language or _text(clip, "language"),
    )
    return filled, clip


def _tagged(document: Document) -> Document:
    """An item without tags gets its game and its channel as tags."""
    return (
        document
        if document.tags
        else replace(document, tags=tuple(t for t in (document.game, document.broadcaster) if t))
    )


def _text(answer: Answer | None, name: str) -> str:
    if answer is None or isinstance(answer, Missing | TwitchFailure):
        return ""
    value = answer.get(name)
    return value.strip() if isinstance(value, str) else ""
