"""Work that waits for somebody else, such as an API, in a few threads."""

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(
    work: Callable[[T], R], items: Iterable[T], at_once: int, stopped: Event | None = None
) -> Generator[tuple[T, R]]:
    """Each item with what the work made of it, in the order of completion; an item is taken when its work can begin.

    Closing the generator, an error, or Ctrl-C begins no more and waits for what is under way.

    ``concurrent.futures.wait`` takes the locks of all its futures one after the other in Python: a Ctrl-C in between
    leaves some locked for good, and the threads behind them never end. The queues here wait in C and hold no lock.

    Args:
        stopped: set before waiting for what is under way, so that work can give up early.

    Raises:
        Exception: whatever the work raises.
    """
    to_do: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
    ended: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()

    def one_by_one() -> None:
        while (task := to_do.get()) is not None:
            number, item = task
            try:
                ended.put((number, work(item), None))
            except BaseException as error:  # noqa: BLE001  raised again where the results are taken
                ended.put((number, None, error))

    threads: list[Thread] = []
    under_way: dict[int, T] = {}
    numbered = enumerate(items)
    try:
        while True:
            while len(under_way) < at_once and (task := next(numbered, None)) is not None:
                under_way[task[0]] = task[1]
                to_do.put(task)
                if len(threads) < len(under_way):
                    threads.append(Thread(target=one_by_one, daemon=True))  # a second Ctrl-C waits for nothing
                    threads[-1].start()
            if not under_way:
                return
            number, result, error = ended.get()
            item = under_way.pop(number)
            if error is not None:
                raise error
            yield item, result  # type: ignore[misc]  # there is a result where there is no error
    finally:
        if stopped is not None:
            stopped.set()
        with suppress(Empty):
            while True:
                to_do.get_nowait()
        for _ in threads:
            to_do.put(None)
        for thread in threads:
            if thread.is_alive():  # the last one may not have begun when Ctrl-C came
                thread.join()
