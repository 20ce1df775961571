"""Measures two programs on the same work, turn by turn, and says how they compare.

The invariant: the two sides differ in the program alone. Each round runs side A, then side B, on
the same cores, with the same thread count and the same inputs, so that a change of clock or a
neighbour on the machine meets both. A ratio is formed within each round and the median over the
rounds is reported: no round is compared with another one's other side.

Nothing here knows PyTorch or attention; torch_cpu.py does.
"""

import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class PeerError(Exception):
    """The other program failed, or said something that cannot be read."""


@dataclass
class Side:
    """One contestant: `turn(count)` gives the times of `count` launches in ns, oldest first."""

    name: str
    turn: Callable[[int], list[float]]


def interleave(sides: list[Side], rounds: int, launches: int, warmup: int) -> list[list[list[float]]]:
    """Times in ns as [round][side][launch].

    Each turn makes `warmup` launches more and drops them, for the other side has just had the
    caches. A side that is slow to start (a process, a compiler) pays for that outside its times.
    """
    times = []
    for number in range(rounds):
        times.append([])
        for side in sides:
            turn = side.turn(warmup + launches)
            if len(turn) < warmup + launches:
                raise PeerError(f"{side.name} gave {len(turn)} times, asked for {warmup + launches}")
            kept = turn[warmup : warmup + launches]
            times[-1].append(kept)
            print(
                f"round {number + 1}/{rounds}  {side.name:<8} {statistics.median(kept) / 1e6:9.3f} ms",
                file=sys.stderr,
            )
    return times


def summary(times_ns: list[float]) -> dict:
    """Median, p10, p90, extremes and every sample, in ns."""
    return {
        "median_ns": percentile(times_ns, 50),
        "p10_ns": percentile(times_ns, 10),
        "p90_ns": percentile(times_ns, 90),
        "min_ns": min(times_ns),
        "max_ns": max(times_ns),
        "samples_ns": times_ns,
    }


def percentile(values: list[float], percent: float) -> float:
    """Linear between the closest ranks (numpy's default), so that p50 is the median."""
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low = int(rank)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


def ratio(times: list[list[list[float]]]) -> dict:
    """How many times as fast side 1 is as side 0: above 1, side 1 is the faster one."""
    by_round = [percentile(a, 50) / percentile(b, 50) for a, b in times]
    best = min(t for a, _ in times for t in a) / min(t for _, b in times for t in b)
    return {
        "median": percentile(by_round, 50),
        "low": min(by_round),
        "high": max(by_round),
        "of_best_launches": best,
        "by_round": by_round,
    }


def command(
    template: str, values: dict[str, object], environment: dict[str, str], field: str
) -> Callable[[int], list[float]]:
    """A `turn` that runs a program. `template` is a command line with {names} from `values`, and
    {repeat} for the number of launches; the program prints one JSON object on stdout, whose
    `field` (dotted path) is the list of times in ns of its launches alone."""

    def turn(count: int) -> list[float]:
        try:
            # Split first, fill second: a value with a blank in it stays one argument.
            argv = [word.format(**values, repeat=count) for word in shlex.split(template)]
        except (KeyError, IndexError, ValueError) as error:
            raise PeerError(f"command template: {error!r}; known names: {sorted(values)}") from None
        try:
            done = subprocess.run(
                argv, env=os.environ | environment, capture_output=True, text=True, timeout=600
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PeerError(f"{shlex.join(argv)}: {error}") from None
        if done.returncode != 0:
            raise PeerError(f"{shlex.join(argv)}: exit status {done.returncode}\n{done.stderr}")
        return parse_times(done.stdout, field)

    return turn


def parse_times(text: str, field: str) -> list[float]:
    """The list of times at `field` of the JSON object that `text` is."""
    try:
        found = json.loads(text)
        for key in field.split("."):
            found = found[key]
        times = [float(time) for time in found]
    except (ValueError, KeyError, TypeError) as error:
        raise PeerError(f"no times at {field!r} ({error!r}) in: {text[:400]}") from None
    if not times or not all(0 < time < float("inf") for time in times):
        raise PeerError(f"times at {field!r} are not all positive: {times}")
    return times


def pin(threads: int) -> list[int]:
    """Keeps this process, and what it starts, on the first `threads` cores it may use."""
    if threads < 1:
        raise PeerError(f"threads is {threads}, it has to be at least 1")
    if not hasattr(os, "sched_setaffinity"):
        return []  # not Linux: the thread counts alone keep the sides equal
    cores = sorted(os.sched_getaffinity(0))
    if threads > len(cores):
        raise PeerError(f"{threads} threads asked for, {len(cores)} cores here")
    os.sched_setaffinity(0, cores[:threads])
    return cores[:threads]


def machine() -> dict:
    """Processor and load: a load near or above the core count means the times are not to be trusted."""
    processor = "unknown"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
    return {"processor": processor, "cores": os.cpu_count(), "load_1min": os.getloadavg()[0]}
