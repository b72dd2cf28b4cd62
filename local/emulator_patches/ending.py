"""The end of the emulator's process."""

import asyncio
import os
from contextlib import suppress
from typing import Any

from local.emulator_patches.emulator import module

_LEAVE_SECONDS = 2


def leave_open_connections() -> None:
    """Stop without waiting for clients of the WebSocket API, or for slow requests. The emulator waits until each has left.

    That is its web server's wait for `Server.wait_closed`, which Python made longer with 3.12.
    """
    server: Any = asyncio.Server
    wait = server.wait_closed

    async def wait_a_moment(closing: Any) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(wait(closing), _LEAVE_SECONDS)

    server.wait_closed = wait_a_moment


def end_with_the_saved_state() -> None:
    """End the process as soon as its state is saved, if it is kept across a restart (`PERSIST_STATE`).

    The emulator first waits for its functions, among them those that it calls for the end of each open WebSocket connection. They
    call an emulator that answers no more, and try again: a minute or more.
    """
    app = module("app")
    save = app.save_all

    def save_and_end(*states: Any) -> None:
        save(*states)
        os._exit(0)

    app.save_all = save_and_end
