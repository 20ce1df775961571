#!/usr/bin/env python3
"""How long `tilec run` takes to start: cold, with code from the disk, with code in memory, over a process that does nothing.

    python3 tests/peers/start_times.py target/release/tilec [ROUNDS]

Rounds are interleaved. `cold` has an empty cache each time; `disk` finds its code there; `memory` is the second launch inside
one process. Prints milliseconds, and what `disk` takes `over` `bare`. On a busy machine processor time says more than the clock.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CALL = ["-k", "causal", "q=randn(1,2,128,64):f32@1", "k=randn(1,2,128,64):f32@2", "v=randn(1,2,128,64):f32@3", "scale=0.125"]


def timed(command, cache):
    """Milliseconds by the clock, milliseconds of processor time, standard output."""
    environment = dict(os.environ, TILEC_CACHE_DIR=cache, TILEC_DEVICE="cpu")
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        clock = 1e3 * (time.perf_counter() - start)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"{command} ended with {process.returncode}")
        out.seek(0)
        return clock, 1e3 * (usage.ru_utime + usage.ru_stime), out.read()


def main():
    program = os.path.abspath(sys.argv[1])
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 21
    kernel = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../kernels/attention/causal.tile")
    folder = tempfile.mkdtemp()
    warm = os.path.join(folder, "warm")
    run = [program, "run", kernel, "--json", *CALL]
    timed(run, warm)
    times = {"bare": [], "cold": [], "disk": [], "memory": []}
    for n in range(rounds):
        times["bare"].append(timed([program, "--version"], warm)[:2])
        times["cold"].append(timed(run, os.path.join(folder, f"cold{n}"))[:2])
        times["disk"].append(timed(run, warm)[:2])
        second = json.loads(timed([*run, "--warmup", "1"], warm)[2])["times_ns"][0] / 1e6
        times["memory"].append((second, float("nan")))
    shutil.rmtree(folder)
    print("         clock: median    least   processor: median    least")
    middle = {}
    for name, samples in times.items():
        clock, processor = zip(*samples)
        middle[name] = [of(column) for column in (clock, processor) for of in (statistics.median, min)]
        print("{:8} {:14.2f} {:8.2f} {:19.2f} {:8.2f}".format(name, *middle[name]))
    over = [disk - bare for disk, bare in zip(middle["disk"], middle["bare"])]
    print("{:8} {:14.2f} {:8.2f} {:19.2f} {:8.2f}".format("over", *over))


if __name__ == "__main__":
    main()
