"""The client for asyncio. `tools/sync_client.py` makes `_sync` from it: both are the same code."""
