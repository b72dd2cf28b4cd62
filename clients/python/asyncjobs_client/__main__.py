"""The command line: `python -m asyncjobs_client`."""

from __future__ import annotations

import sys

from asyncjobs_client.cli import main

sys.exit(main())
