#!/usr/bin/env python3
"""What masks specialised by proof are worth on the CPU: the time of a masked kernel over that of full
attention on the same shape, turn by turn in one run.

    mask_gain.py target/release/tilec [--threads 2] [--rounds 5]

Bounds: causal at 1x8x4096x64 at most 0.56 of full, a window of 512 at length 8192 at most 0.12.

Exit status: 0, 3 where a bound is missed, 4 where a program fails.
"""

import argparse
import statistics
import sys
from pathlib import Path

import measure

KERNELS = Path(__file__).resolve().parents[2] / "kernels" / "attention"

# kernel, length, further arguments, the most of full's time
CASES = [
    ("causal", 4096, "", 0.56),
    ("window_left", 8192, "window=511", 0.12),
]


def side(tilec: str, kernel: str, length: int, more: str, threads: int) -> measure.Side:
    """One kernel on 8 heads of size 64 in f32."""
    shape = f"randn(1,8,{length},64):f32"
    template = (
        f"{tilec} run {KERNELS / kernel}.tile -k {kernel} --device cpu --threads {threads} "
        f"--repeat {{repeat}} --json q={shape}@1 k={shape}@2 v={shape}@3 scale=0.125 {more}"
    )
    return measure.Side(kernel, measure.command(template, {}, {}, "times_ns"))


def main() -> int:
    """Prints a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tilec")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--launches", type=int, default=3)
    args = parser.parse_args()
    missed = False
    for kernel, length, more, bound in CASES:
        sides = [
            side(args.tilec, "full", length, "", args.threads),
            side(args.tilec, kernel, length, more, args.threads),
        ]
        try:
            times = measure.interleave(sides, args.rounds, args.launches, 1)
        except measure.PeerError as error:
            print(error, file=sys.stderr)
            return 4
        full, masked = ([t for turns in times for t in turns[n]] for n in (0, 1))
        shares = [statistics.median(b) / statistics.median(a) for a, b in times]
        share, best = statistics.median(shares), min(masked) / min(full)
        missed |= min(share, best) > bound
        print(
            f"{kernel:<12} {length:>5}  {statistics.median(masked) / 1e6:8.1f} ms of "
            f"{statistics.median(full) / 1e6:8.1f} ms: {share:.3f} of full "
            f"(best launches {best:.3f}), at most {bound}"
        )
    return 3 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
