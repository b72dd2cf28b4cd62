"""Tests of the Python client. Each test of behavior runs with and without asyncio."""
