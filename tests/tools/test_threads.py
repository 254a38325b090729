"""Work in threads: what it gives, what it raises, and that it leaves nothing behind."""

import gc
import threading
import traceback
import weakref
from collections.abc import Generator
from functools import partial

import pytest

from tools.threads import run_in_thread


class Held:
    """What is worked on."""


@pytest.fixture
def no_collector() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


async def test_what_it_gives_is_given() -> None:
    assert await run_in_thread(partial(sum, [1, 2])) == 3


@pytest.mark.usefixtures("no_collector")
async def test_what_a_failed_thread_worked_on_goes_with_the_error() -> None:
    held = Held()
    gone = threading.Event()
    weakref.finalize(held, gone.set)

    def work(given: Held) -> int:
        raise ValueError(f"no use for a {type(given).__name__}")

    said = ""
    try:
        await run_in_thread(partial(work, held))
    except ValueError:
        said = traceback.format_exc()
    del held
    assert "in work\n" in said
    assert said.endswith("ValueError: no use for a Held\n")
    # The thread, and the loop, let go a moment later.
    assert await run_in_thread(partial(gone.wait, 10))
