"""What the local Functions host does about faults of its own."""

import asyncio

from local.functions.app import App


async def test_a_dead_task_of_the_host_ends_it() -> None:
    async def dies() -> None:
        raise RuntimeError("a fault of the host")

    app = App([], client_binding="{}")
    app.spawn(asyncio.sleep(0))
    app.spawn(dies())
    await asyncio.wait_for(app.stopped, 10)
    assert app.failed


async def test_what_runs_is_awaited_but_no_longer_than_the_grace() -> None:
    app = App([], client_binding="{}")
    short, endless = app.spawn(asyncio.sleep(0.05)), app.spawn(asyncio.Event().wait())
    await asyncio.wait_for(app.settle(0.5), 10)
    assert (short.done(), endless.done(), app.failed) == (True, False, False)
    endless.cancel()
