from __future__ import annotations

import gc
import threading

from connectors.video.budget import FrameBudget


class Thing:
    """Something that can be lent to, in a reference cycle if wanted."""

    def __init__(self, *, cyclic: bool = False) -> None:
        self.itself = self if cyclic else None


def test_a_credit_comes_back_with_the_last_reference() -> None:
    budget = FrameBudget(2)
    assert budget.take(0.0)
    assert budget.take(0.0)
    assert not budget.take(0.0)
    thing = Thing()
    budget.lend(thing)
    kept = [thing]
    del thing
    assert budget.taken == 2
    kept.clear()
    assert budget.taken == 1
    assert budget.take(0.0)


def test_the_garbage_collector_may_return_credits_while_another_is_taken() -> None:
    budget = FrameBudget(50)
    threshold = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(500):
            if budget.take(0.0):
                budget.lend(Thing(cyclic=True))
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert budget.taken == 0


def test_threads_never_have_more_than_there_is() -> None:
    budget, alive, most = FrameBudget(5), [0], [0]
    lock = threading.Lock()

    def work() -> None:
        for _ in range(300):
            while not budget.take(0.05):
                pass
            thing = Thing()
            budget.lend(thing)
            with lock:
                alive[0] += 1
                most[0] = max(most[0], alive[0])
            with lock:
                alive[0] -= 1
            del thing

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 5
    assert budget.taken == 0
