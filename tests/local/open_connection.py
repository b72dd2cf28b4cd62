"""Print whether a server with an open connection stops, as JSON.

Runs in .venv-aws, inside the emulator. `patched` applies the patch first.
"""

import asyncio
import json
import sys

from local.emulator_patches import ending


def main() -> None:
    if "patched" in sys.argv:
        ending.leave_open_connections()
    sys.stdout.write(json.dumps(asyncio.run(_stop())))


async def _stop() -> str:
    arrived = asyncio.Event()

    async def keep_open(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    server = await asyncio.start_server(keep_open, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await arrived.wait()
    server.close()
    try:
        await asyncio.wait_for(server.wait_closed(), 4)
    except TimeoutError:
        return "waits"
    finally:
        writer.close()
    return "stopped"


if __name__ == "__main__":
    main()
