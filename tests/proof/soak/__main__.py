# ruff: noqa: T201 - a command prints
"""python -m tests.proof.soak: run a soak and print its numbers; exit with 1 unless they are as promised."""

from __future__ import annotations

import argparse
import random
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.proof.soak import deployed, in_process
from tests.proof.soak.disorder import Plan
from tests.proof.soak.tally import Numbers

_SHOWN = 20


def main() -> int:
    # SIGTERM also stops the started processes.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = _options()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    drawn = ["--seed", str(seed)] if options.seed is None else []
    command = shlex.join(["python", "-m", "tests.proof.soak", *sys.argv[1:], *drawn])
    print(f"$ {command}", flush=True)
    began = time.monotonic()
    numbers = _in_process(options, seed) if options.in_process else _deployed(options, seed)
    for line in numbers.broken[:_SHOWN]:
        print(line)
    print(numbers)
    verdict = "as promised" if numbers.are_as_promised else "NOT AS PROMISED"
    print(f"{verdict}; {time.monotonic() - began:.0f} s; seed {seed}; again: {command}")
    return 0 if numbers.are_as_promised else 1


def _options() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tests.proof.soak", description=__doc__)
    arguments.add_argument("--in-process", action="store_true", help="on the fakes, under a virtual clock")
    arguments.add_argument("--jobs", type=int, help="how many (100,000 in process; as many as there is time for, deployed)")
    arguments.add_argument("--seed", type=int, help="what draws everything; a new one when there is none")
    arguments.add_argument("--faults", type=float, default=0.05, help="the share of AWS calls that fail")
    deployed_only = arguments.add_argument_group("deployed")
    deployed_only.add_argument("--seconds", type=float, default=300, help="how long to submit at most")
    deployed_only.add_argument("--clients", type=int, default=4)
    deployed_only.add_argument("--batch", type=int, default=1, help="how many messages a worker takes at most")
    deployed_only.add_argument("--kill-every", type=float, default=Plan.kill_every, metavar="SECONDS")
    deployed_only.add_argument("--outage-every", type=float, default=Plan.outage_every, metavar="SECONDS")
    deployed_only.add_argument("--restart-every", type=float, default=Plan.restart_every, metavar="SECONDS")
    deployed_only.add_argument("--watchers", type=int, default=0, help="how many follow a job each over the WebSocket API")
    deployed_only.add_argument(
        "--cut-every", type=float, default=deployed.NOBODY.cut_every, metavar="SECONDS", help="how long a connection lasts"
    )
    deployed_only.add_argument(
        "--receiver", action="store_true", help="deliver each end to a webhook that fails half of the time"
    )
    deployed_only.add_argument("--keep", type=Path, help="work in this folder and leave it there")
    return arguments.parse_args()


def _in_process(options: argparse.Namespace, seed: int) -> Numbers:
    return in_process.run(seed=seed, count=options.jobs or 100_000, fault_rate=options.faults, say=_say)


def _deployed(options: argparse.Namespace, seed: int) -> Numbers:
    plan = Plan(
        fault_rate=options.faults,
        kill_every=options.kill_every,
        outage_every=options.outage_every,
        restart_every=options.restart_every,
    )
    with tempfile.TemporaryDirectory() as temporary:
        return deployed.run(
            options.keep or Path(temporary),
            seed=seed,
            seconds=options.seconds,
            count=options.jobs or 10**9,
            clients=options.clients,
            plan=plan,
            audience=deployed.Audience(watchers=options.watchers, cut_every=options.cut_every, has_receiver=options.receiver),
            batch=options.batch,
            say=_say,
        )


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
