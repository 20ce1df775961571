#!/usr/bin/env python3
"""How long a cold compilation of causal attention takes, ours and Triton's, up to PTX and up to a cubin.

    triton_compile.py target/release/tilec --python venv/bin/python [--head 128] [--target sm_80] [--rounds 11]

Every compilation is a process of its own with empty caches; the two sides take turns. Both cubins are made by ptxas: ours by
`tilec emit -v --to ptx`'s text and the ptxas on PATH (or --ptxas), Triton's by the one inside Triton. The kernel of the other
side is triton_kernel.py. Times are of the whole process; Triton's compilation without its imports stands beside.

Bounds: PTX in at most 200 ms, and at least 3 times as fast as Triton to PTX and to a cubin.

Exit status: 0, 3 where a bound is missed, 4 where a program fails.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
KERNEL = HERE.parents[1] / "kernels" / "attention" / "causal.tile"
# Tile and knobs of both sides, as Triton's tutorial has them for sm_80.
BM, BN, WARPS, STAGES = 128, 64, 4, 2
MOST_MS, LEAST_RATIO = 200.0, 3.0


def timed(argv: list[str], environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Seconds of a process, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(argv, env=os.environ | (environment or {}), capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        print(f"{' '.join(argv)}: exit status {done.returncode}\n{done.stderr}", file=sys.stderr)
        sys.exit(4)
    return seconds, done.stdout


def ours(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """PTX, then a cubin of it."""
    knobs = [f"BM={BM}", f"BN={BN}", f"warps={WARPS}", f"stages={STAGES}"]
    knobs = [word for knob in knobs for word in ("--knob", knob)]
    argv = [args.tilec, "emit", str(KERNEL), "--to", "ptx", "--target", args.target, "T=f16", f"D={args.head}"]
    ptx, text = timed(argv + knobs)
    source = folder / "ours.ptx"
    source.write_text(text)
    ptxas, _ = timed([args.ptxas, f"-arch={args.target}", str(source), "-o", str(folder / "ours.cubin")])
    return {"ptx": ptx, "cubin": ptx + ptxas}


def triton(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """PTX and, in another process, a cubin."""
    found = {}
    for stage in ("ptx", "cubin"):
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            words = [stage, args.target, args.head, BM, BN, WARPS, STAGES, folder / f"triton.{stage}"]
            argv = [args.python, str(HERE / "triton_kernel.py"), *map(str, words)]
            seconds, inside = timed(argv, {"TRITON_CACHE_DIR": cache, "TRITON_DEFAULT_FP_FUSION": "1"})
            found[stage] = seconds
            found[f"{stage} without imports"] = float(inside)
    return found


def main() -> int:
    """Prints a table of medians in ms, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tilec")
    parser.add_argument("--python", default=sys.executable, help="the Python that has Triton")
    parser.add_argument("--ptxas", default=shutil.which("ptxas"), help="for our cubin")
    parser.add_argument("--target", default="sm_80")
    parser.add_argument("--head", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=11)
    args = parser.parse_args()
    if args.ptxas is None:
        print("no ptxas on PATH: give one by --ptxas", file=sys.stderr)
        return 4
    sides = {"tilec": ours, "Triton": triton}
    times: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as folder:
        # One round more than is counted: files come into the system's cache.
        for number in range(args.rounds + 1):
            for name, side in sides.items():
                made = side(args, Path(folder))
                if number > 0:
                    times[name].append(made)
                    shown = "  ".join(f"{stage} {seconds * 1e3:.0f}" for stage, seconds in made.items())
                    print(f"round {number}/{args.rounds}  {name:<7} {shown}", file=sys.stderr)
    median = {
        name: {stage: statistics.median(made[stage] for made in rounds) * 1e3 for stage in rounds[0]}
        for name, rounds in times.items()
    }
    for name, stages in median.items():
        for stage, ms in stages.items():
            print(f"{name:<7} {stage:<22} {ms:9.1f} ms")
    good = median["tilec"]["ptx"] <= MOST_MS
    for stage in ("ptx", "cubin"):
        each = [b[stage] / a[stage] for a, b in zip(times["tilec"], times["Triton"])]
        alone = [b[f"{stage} without imports"] / a[stage] for a, b in zip(times["tilec"], times["Triton"])]
        ratio = statistics.median(each)
        print(f"ratio   {stage:<22} {ratio:9.2f}   ({statistics.median(alone):.2f} without Triton's imports)")
        good = good and ratio >= LEAST_RATIO
    return 0 if good else 3


if __name__ == "__main__":
    sys.exit(main())
