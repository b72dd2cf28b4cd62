"""The client without asyncio. `tools/sync_client.py` makes it from `_async`."""
