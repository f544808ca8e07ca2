"""What an edit, a vote, a deletion, another model and a broken provider do to documents, vectors and index."""

from dataclasses import replace
from datetime import timedelta

from clipfarm_assets.database.discovery import Written, vote
from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.backfill import backfill, due, estimate
from clipfarm_assets.discovery.vectors import vector_key
from clipfarm_assets.discovery.whole import Known, read_documents, sync_clips
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.query import Mode, Question, search, similar
from clipfarm_assets_tests.discovery.making import CLIP, NOW, Counting, World


def found(world: World, text: str, mode: Mode = "text") -> list[str]:
    vector = meaning(world.room, text).vector if mode != "text" else None
    page = search(world.room.index, Question(text, mode), now=NOW, vector=vector)
    return [hit.document.key for hit in page.hits]


def test_videos_and_clips_are_found_by_their_words_and_by_what_they_mean(world: World) -> None:
    assert found(world, "valorant ace") == ["video/ace"]
    assert found(world, "花見") == ["video/hanami"]
    assert found(world, "crisp crust") == [f"clip/{CLIP}"]
    assert found(world, "making a loaf in your own oven", "semantic")[0] == "video/bread"


def test_what_has_not_changed_is_neither_read_nor_embedded_nor_indexed_again(world: World) -> None:
    before, asked = world.rows_of_index(), len(world.provider.asked)
    world.open()
    done = world.run()
    assert (done.written, done.deleted, done.rebuilt) == (0, 0, False)
    assert world.rows_of_index() == before and len(world.provider.asked) == asked


def test_an_edited_title_makes_exactly_one_entry_and_one_vector_anew(world: World) -> None:
    before, asked = world.rows_of_index(), len(world.provider.asked)
    world.room.edit("ace", Written(title="Clutch on Bind"), NOW)
    after = world.rows_of_index()
    assert {key for key in after if after[key] != before.get(key)} == {"video/ace"}
    assert [text for text in world.provider.asked[asked:] if "Clutch" in text] == world.provider.asked[asked:]
    assert len(world.provider.asked) == asked + 1
    assert found(world, "clutch bind") == ["video/ace"] and found(world, "haven") == []
    assert world.run().written == 0  # the run after it finds what it would have made


def test_a_vote_makes_neither_an_entry_nor_a_vector_anew(world: World) -> None:
    before, asked = world.rows_of_index(), len(world.provider.asked)
    with world.database.write() as session:
        vote(session, "video", "ace", "ada", 1, NOW)
    assert world.run().written == 0
    assert world.rows_of_index() == before and len(world.provider.asked) == asked


def test_a_deleted_video_is_gone_with_its_clips_and_stays_away(world: World) -> None:
    text = next(text for text in world.provider.asked if "sourdough" in text)
    key = world.provider.identity.key(text)
    assert world.cache.get([key])
    world.room.delete_video("bread", NOW)
    assert not world.cache.get([key])
    assert world.store.get(vector_key("video", "bread")) is None and world.store.get(vector_key("clip", CLIP)) is None
    for _ in range(2):
        assert set(world.rows_of_index()) == {"video/ace", "video/hanami"}
        world.run()
    assert {row.document.key for row in read_documents(world.store)} == {"video/ace", "video/hanami"}


def test_new_views_are_another_entry_and_no_other_vector(world: World) -> None:
    asked = len(world.provider.asked)
    world.rows["ace"] = replace(world.rows["ace"], view_count=999)
    assert world.run().written == 1
    hits = search(world.room.index, Question("ace"), now=NOW).hits
    assert hits[0].document.views == 999 and len(world.provider.asked) == asked
    assert similar(world.room.index, "video/ace")  # its vector is still there


def test_a_text_that_fails_costs_its_vector_and_not_the_item(world: World) -> None:
    world.rows["ace"] = replace(world.rows["ace"], title="The poison ace")
    world.run()
    assert found(world, "poison") == ["video/ace"] and found(world, "poison", "hybrid")[0] == "video/ace"
    row = next(row for row in read_documents(world.store) if row.document.id == "ace")
    assert row.waits and row.error == "No."


def test_what_is_new_is_found_by_its_words_while_the_provider_refuses_the_key(world: World) -> None:
    asked, world.provider.key_is_wrong = len(world.provider.asked), True
    world.rows |= {name: Video(name, "n.mp4", title=f"{name} from the tower") for name in ("banjo", "oboe")}
    world.run()
    assert found(world, "banjo tower") == ["video/banjo"]
    rows = {row.document.key: row for row in read_documents(world.store)}
    assert rows["video/oboe"].waits and rows["video/oboe"].error == "The key is wrong."
    assert not rows["video/ace"].waits
    assert len(world.provider.asked) == asked + 2
    world.provider.key_is_wrong = False
    world.run()
    assert not any(row.waits for row in read_documents(world.store))


def test_a_schedule_takes_the_newest_of_the_week_and_leaves_room_for_older_ones() -> None:
    def waiting(name: str, days: float) -> Known:
        return Known(Document("video", name, title=name, created_at=NOW - timedelta(days=days)), "")

    recent, old = [waiting(f"r{n}", n / 100) for n in range(100)], [waiting(f"o{n}", 8 + n) for n in range(30)]
    names = [row.document.id for row in due([*old, *recent, replace(recent[0], embedded_at=NOW)], NOW, 7, 20)]
    assert names == [*(f"r{n}" for n in range(18)), "o0", "o1"]
    assert [row.document.id for row in due([*old[:3], *recent[:2]], NOW, 7, 20)] == ["r0", "r1", "o0", "o1", "o2"]
    assert len(due(recent, NOW, 7, 20)) == len(due(old, NOW, 7, 20)) == 20


def test_another_model_serves_when_all_its_vectors_are_there_and_the_old_one_until_then(world: World) -> None:
    before = world.room.index.facts()
    world.provider = Counting(world.encoder, "another")
    world.rows["bread"] = replace(world.rows["bread"], title="A poison loaf")
    world.open()
    assert world.run().waiting == 1
    assert world.room.index.facts().model == before.model
    assert meaning(world.room, "loaf").vector is None  # never compared with vectors of the other model
    assert found(world, "loaf") == ["video/bread"]
    world.rows["bread"] = replace(world.rows["bread"], title="A good loaf")
    done = world.run()
    assert done.rebuilt and "another" in done.facts.model and done.facts.with_vector == done.facts.documents
    assert found(world, "making bread", "semantic")[0] == "video/bread"


def test_clips_that_came_and_went_are_seen_without_a_look_at_the_videos(world: World) -> None:
    other = CLIP.replace("5f1c", "6f1c")
    world.add_clip("ace", "Four down and one to go", other)
    sync_clips(world.room, [])
    assert found(world, "four down") == [f"clip/{other}"]


def test_a_backfill_makes_what_is_missing_and_a_second_one_nothing(world: World) -> None:
    rows = read_documents(world.store)
    for row in rows:
        world.room.vectors.forget(row.document.kind, row.document.id, world.cache)
    assert estimate(world.room, rows).texts == len(rows) == 4
    asked = len(world.provider.asked)
    done = backfill(world.room, rows, batch=2)
    assert (done.processed, done.succeeded, done.skipped, done.failed) == (4, 4, 0, 0)
    assert len(world.provider.asked) == asked + 4
    again = backfill(world.room, rows, batch=2)
    assert (again.processed, again.skipped) == (0, 4) and len(world.provider.asked) == asked + 4


def test_a_backfill_that_is_stopped_keeps_what_it_has_made(world: World) -> None:
    rows = read_documents(world.store)
    for row in rows:
        world.room.vectors.forget(row.document.kind, row.document.id, world.cache)
    asked = len(world.provider.asked)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    first = backfill(world.room, rows, batch=3, say=stop)
    assert first.stopped and first.processed == 3
    second = backfill(world.room, rows, batch=3)
    assert (second.processed, second.skipped) == (1, 3) and len(world.provider.asked) == asked + 4
