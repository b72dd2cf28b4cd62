"""Tests of the clients' packages as users install them: part of `make check`."""
