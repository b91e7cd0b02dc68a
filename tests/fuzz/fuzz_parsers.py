"""Looks for inputs that break one of the parsers; run by ``make fuzz``.

    AUDIOMEM_FUZZ_SECONDS=60 python tests/fuzz/fuzz_parsers.py [name]

With atheris (extra ``fuzz``), which changes inputs by what they reach in the code; without it, they are
changed at random. The seconds are those of all parsers together. What breaks one is printed, in base64.
"""

from __future__ import annotations

import base64
import importlib.util
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

#: Address space that a parser may take, beyond what the process has when it starts.
MEMORY = 2 << 30
#: One input may not keep a parser busy for longer.
SECONDS = 10.0


def changed(rng: random.Random, seeds: list[bytes]) -> Iterator[bytes]:
    """Inputs made of the seeds: bytes changed, put in, taken out; pieces of one put into another."""
    numbers = (0, 1, 2, 127, 128, 255)
    while True:
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 2, 4, 16))):
            at = rng.randrange(len(data) + 1)
            span = min(int(rng.expovariate(0.2)), 300)
            match rng.randrange(5):
                case 0:
                    data[at : at + 1] = bytes([rng.choice(numbers)])
                case 1:
                    data[at : at + span] = rng.randbytes(min(span, len(data) - at))
                case 2:
                    del data[at : at + span]
                case 3:
                    other = rng.choice(seeds)
                    start = rng.randrange(len(other) + 1)
                    data[at : at + rng.choice((0, span))] = other[start : start + span]
                case _:
                    if at < len(data):
                        data[at] ^= 1 << rng.randrange(8)
        yield bytes(data)


def limited() -> None:
    """Make the system refuse what a parser must not ask for."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, most))


def at_random(name: str, seconds: float, seed: int) -> int:
    """Try inputs for so long; how many broke the law."""
    from fuzz.parsers import PARSERS, run

    parser = PARSERS[name]
    seeds = parser.seeds()
    limited()
    broken = tried = accepted = 0
    stop = time.monotonic() + seconds
    for data in changed(random.Random(seed), seeds):
        start = time.monotonic()
        if start > stop:
            break
        tried += 1
        try:
            accepted += run(parser, data)
        except Exception:
            broken += 1
            print(
                f"{name}, {base64.b64encode(data).decode()}:",
                traceback.format_exc(),
                sep="\n",
                file=sys.stderr,
            )
        if time.monotonic() - start > SECONDS:
            broken += 1
            print(f"{name}, {base64.b64encode(data).decode()}: took over {SECONDS} s", file=sys.stderr)
    print(f"{name:18} {tried:9,} inputs, {accepted:,} accepted, {broken} broke the law")
    return broken


def guided(name: str, seconds: float, seed: int) -> None:
    """The same with atheris; it ends the process."""
    import atheris

    with atheris.instrument_imports(include=["audiomem_sql"]):
        from fuzz.parsers import PARSERS, run
    parser = PARSERS[name]
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(parser.seeds()):
            (Path(folder) / str(number)).write_bytes(data)

        def one(data: bytes) -> None:
            try:
                run(parser, data)
            except Exception:
                print(f"{name}, {base64.b64encode(data).decode()}:", file=sys.stderr)
                raise

        options = [f"-max_total_time={max(1, round(seconds))}", f"-timeout={SECONDS:g}", "-rss_limit_mb=4096"]
        options += [
            f"-seed={seed % (1 << 31) or 1}",
            "-verbosity=0",
            "-print_final_stats=1",
            f"-artifact_prefix={folder}/",
        ]
        atheris.Setup([sys.argv[0], *options, folder], one)
        atheris.Fuzz()


def main() -> int:
    from fuzz.parsers import PARSERS

    names = sys.argv[1:2] or list(PARSERS)
    seconds = float(os.environ.get("AUDIOMEM_FUZZ_SECONDS", "60")) / len(names)
    seed = random.SystemRandom().randrange(1, 1 << 31)
    if importlib.util.find_spec("atheris") is None:
        return 1 if sum(at_random(name, seconds, seed) for name in names) else 0
    broken = []
    for name in names:
        print(f"{name}, seed {seed}", flush=True)
        process = multiprocessing.get_context("spawn").Process(target=guided, args=(name, seconds, seed))
        process.start()
        process.join()
        if process.exitcode:
            broken.append(name)
    print(f"{len(names)} parsers, broken: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
