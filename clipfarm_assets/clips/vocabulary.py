"""The words that the local scorer listens for, by language; whole words, never parts of words.

English and Indonesian. Of any other language digits and question marks are understood, and what needs a list is said
to be unknown. Where a transcript names no language, both lists count.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Vocabulary:
    """Lower-case words.

    Attributes:
        questions: that begin a question.
        numbers: larger than one, spelt out.
        address: that speak to the viewer.
        dangling: that lean on what was said before, where they begin a clip.
        fillers: said while thinking, or about the recording itself.
        common: that carry no content.
    """

    questions: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    address: frozenset[str] = frozenset()
    dangling: frozenset[str] = frozenset()
    fillers: frozenset[str] = frozenset()
    common: frozenset[str] = frozenset()


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_ENGLISH = Vocabulary(
    questions=_set("what why how who when where which whose whom did do does is are can could would have has should"),
    numbers=_set(
        "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands "
        "million millions billion billions trillion half third quarter percent twice double triple dozen"
    ),
    address=_set("you your yours yourself yourselves you're you'll you've you'd imagine listen look stop never"),
    dangling=_set(
        "and but or so because then also which it its it's he she they them his her their this that these those "
        "there anyway therefore however though although moreover besides"
    ),
    fillers=_set("um uh erm hmm okay ok anyway basically actually literally well yeah alright"),
    common=_set(
        "a about above after again against all also am an and any are aren't as at be because been before being below "
        "between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each "
        "even ever every few for from further get gets getting go goes going got had has have having he he'd he'll "
        "he's her here hers herself him himself his how i i'd i'll i'm i've if in into is isn't it it's its itself "
        "just kind know let let's like lot made make many may me might more most much must my myself no nor not now "
        "of off okay on once one only or other our ours out over own quite really said same say says see she she's "
        "should so some something sort still such than that that's the their theirs them then there there's these "
        "they they're thing things think this those through to too um uh under until up us very want was way we "
        "we'll we're we've well were what when where which while who whom why will with won't would yeah yes yet you "
        "you'd you'll you're you've your yours"
    ),
)
_INDONESIAN = Vocabulary(
    questions=_set("apa apakah kenapa mengapa bagaimana gimana siapa kapan mana dimana berapa bolehkah bisakah"),
    numbers=_set(
        "dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas belas puluh seratus ratus ratusan seribu ribu "
        "ribuan sejuta juta jutaan miliar triliun persen setengah separuh sepertiga seperempat"
    ),
    address=_set("kamu anda kalian kau engkau kalau bayangkan coba lihat dengar jangan"),
    dangling=_set("dan tapi tetapi atau jadi karena lalu kemudian juga itu ini dia ia mereka nya tersebut maka namun"),
    fillers=_set("eh em ehm hmm anu oke nah gitu begitu pokoknya sebenarnya"),
    common=_set(
        "ada adalah agar akan aku anda apa atas atau bagi bahwa banyak baru bawah belum bisa bukan cuma dalam dan "
        "dapat dari daripada dengan di dia dulu gak harus hanya ia ini itu jadi jika juga kalau kalian kami kamu "
        "karena ke kemudian kita lagi lah lain lalu lebih maka mana masih mau mereka namun nggak nya oleh pada paling "
        "para pas pun punya saat saja sampai sangat satu saya sebagai sebuah sedang sekali semua seperti serta si "
        "suatu sudah supaya tak tapi telah tentang terus tetapi tidak untuk ya yaitu yang"
    ),
)
_LISTS = {"en": _ENGLISH, "eng": _ENGLISH, "english": _ENGLISH, "id": _INDONESIAN, "ind": _INDONESIAN,
          "indonesian": _INDONESIAN}  # fmt: skip


@cache
def vocabulary(language: str | None) -> Vocabulary | None:
    """The lists of a language code such as ``en`` or ``en-GB``; all of them for None; None where there are none."""
    if language is None or not language.strip():
        lists = (_ENGLISH, _INDONESIAN)
        return Vocabulary(*(frozenset().union(*(getattr(v, f.name) for v in lists)) for f in fields(Vocabulary)))
    return _LISTS.get(re.split(r"[-_]", language.strip().lower())[0])


def words_in(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def content_words(texts: Sequence[str], known: Vocabulary | None) -> list[str]:
    """The words that carry content; without a list those of more than three letters."""
    words = [word for text in texts for word in words_in(text)]
    if known is None:
        return [word for word in words if len(word) > 3]
    return [word for word in words if word not in known.common and word not in known.fillers]
