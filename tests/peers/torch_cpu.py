#!/usr/bin/env python3
"""PyTorch on the CPU as a peer: attention or matmul, timed alone or against another program.

Alone, one JSON object on stdout (median, p10, p90, every sample) and a table on stderr:

    torch_cpu.py attention --dtype f32 --shape 1,8,2048,64 --mask causal --threads 2
    torch_cpu.py matmul --dtype bf16 --size 2048 --threads 2

Against tilec, turn by turn (A B A B ...) on the same cores, threads and input files; the table
then has the ratios, and the other program's output is judged against an f64 oracle, because the
speed of a wrong result says nothing:

    torch_cpu.py attention --dtype f32 --shape 1,8,2048,64 --mask causal --threads 2 \\
        --versus 'target/release/tilec run kernels/attention/causal.tile -k causal --device cpu --threads {threads}
                  --repeat {repeat} --json q={q} k={k} v={v} scale={scale} -o o={out}'

In --versus, {q} {k} {v} (matmul: {a} {b}) are input files, .npy for f32 and f16 and
FILE.safetensors:NAME for bf16, which .npy does not have; {out} is a file to write, of the same
kind; {scale}, {threads} and {repeat} are numbers. The program prints a JSON object with the times
of its launches in ns at --times-field. RAYON_NUM_THREADS and OMP_NUM_THREADS are set for it.

With --null, PyTorch meets itself: the ratio, which should be 1, shows what the machine's noise
does at that moment. A difference smaller than that is not one. Where neighbours share the machine,
the best launches of each side are the steadier figures.

Masks: full; causal, key n seen by query m where n <= m; window:W, where also m - n < W. PyTorch has
a fused path for the first two; a window goes in as a boolean mask, as its users write it.

    pip install torch==2.11.0 numpy==2.4.6 safetensors==0.8.0

Exit status: 0, 2 for wrong arguments, 3 when the output is wrong, 4 when the other program fails.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import measure
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


class Mask(NamedTuple):
    """Which keys a query sees; `window` counts them, the query's own included."""

    text: str
    causal: bool
    window: int | None


class Attention:
    """softmax(q k^T * scale) v over [B, H, N, D]; --kv-heads fewer than heads is GQA."""

    inputs, output = ("q", "k", "v"), "o"

    def __init__(self, args: argparse.Namespace):
        batch, heads, tokens, head_dim = args.shape
        groups = args.kv_heads or heads
        if groups < 1 or heads % groups:
            raise ValueError(f"{heads} query heads are not a multiple of {groups} key heads")
        self.shapes = [(batch, heads, tokens, head_dim)] + 2 * [(batch, groups, tokens, head_dim)]
        self.scale = 1 / math.sqrt(head_dim)
        self.mask = args.mask
        m, n = torch.arange(tokens)[:, None], torch.arange(tokens)[None, :]
        self.seen = torch.ones(tokens, tokens, dtype=torch.bool)
        if self.mask.causal:
            self.seen &= n <= m
        if self.mask.window is not None:
            self.seen &= m - n < self.mask.window
        # 2 multiply-adds of head_dim for each pair of query and key that the mask lets through.
        self.flops = 4 * batch * heads * head_dim * int(self.seen.sum())
        self.placeholders = {"scale": repr(self.scale)}

    def run(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        plain = self.mask.window is None
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v,
            attn_mask=None if plain else self.seen,
            is_causal=self.mask.causal and plain,
            scale=self.scale,
            enable_gqa=k.shape[1] != q.shape[1],
        )

    def oracle(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        out = torch.empty(q.shape, dtype=torch.float64)
        share = q.shape[1] // k.shape[1]
        for b in range(q.shape[0]):
            for h in range(q.shape[1]):  # one head at a time, to hold one score matrix at a time
                scores = q[b, h].double() @ k[b, h // share].double().T * self.scale
                weights = scores.masked_fill(~self.seen, -math.inf).softmax(-1)
                out[b, h] = weights @ v[b, h // share].double()
        return out


class Matmul:
    """c = a b over [N, N]."""

    inputs, output = ("a", "b"), "c"

    def __init__(self, args: argparse.Namespace):
        self.shapes = 2 * [(args.size, args.size)]
        self.flops = 2 * args.size**3
        self.placeholders = {}

    def run(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.matmul(a, b)

    def oracle(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a.double() @ b.double()


def main() -> int:
    args = arguments()
    try:
        cores = measure.pin(args.threads)  # first: PyTorch's threads keep the cores they start with
        torch.set_num_threads(args.threads)
        case = args.case(args)
    except (ValueError, measure.PeerError) as error:
        print(f"torch_cpu: {error}", file=sys.stderr)
        return 2
    torch.set_grad_enabled(False)

    generator = torch.Generator().manual_seed(args.seed)
    tensors = [
        torch.randn(shape, generator=generator).to(DTYPES[args.dtype]) for shape in case.shapes
    ]
    report = {
        "case": args.mode,
        "dtype": args.dtype,
        "shapes": dict(zip(case.inputs, map(list, case.shapes), strict=True)),
        "mask": args.mask.text if args.mode == "attention" else None,
        "flops": case.flops,
        "threads": args.threads,
        "affinity": cores,
        "seed": args.seed,
        "rounds": args.rounds,
        "launches_per_round": args.repeat,
        "warmup_per_round": args.warmup,
        "torch": torch.__version__,
        "machine": measure.machine(),
    }
    try:
        with tempfile.TemporaryDirectory(prefix="torch_cpu_") as folder:
            wrong = compare(args, case, tensors, Path(folder), report)
    except measure.PeerError as error:
        print(f"torch_cpu: {error}", file=sys.stderr)
        return 4
    report["load_1min_after"] = measure.machine()["load_1min"]
    print_table(report)
    print(json.dumps(report, allow_nan=False))
    return 3 if wrong else 0


def compare(args, case, tensors, folder: Path, report: dict) -> bool:
    """Fills in the report; says whether the other program's output is wrong."""
    sides = [measure.Side("pytorch", lambda count: torch_turn(case, tensors, count))]
    if args.versus:
        suffix = "safetensors" if args.dtype == "bf16" else "npy"
        out = folder / f"out.{suffix}"
        values = case.placeholders | {"threads": args.threads, "out": out}
        for name, tensor in zip(case.inputs, tensors, strict=True):
            values[name] = write_tensor(folder / f"{name}.{suffix}", name, tensor)
        count = str(args.threads)
        environment = {"RAYON_NUM_THREADS": count, "OMP_NUM_THREADS": count}
        turn = measure.command(args.versus, values, environment, args.times_field)
        sides.append(measure.Side(args.name, turn))
    elif args.null:
        sides.append(measure.Side("again", sides[0].turn))

    times = measure.interleave(sides, args.rounds, args.repeat, args.warmup)
    report["sides"] = {
        side.name: measure.summary([t for turns in times for t in turns[i]])
        for i, side in enumerate(sides)
    }
    if len(sides) == 2:
        report["ratio"] = measure.ratio(times)
    if not args.versus:
        return False

    oracle = case.oracle(*tensors)
    own = (case.run(*tensors).double() - oracle).abs().max().item()
    theirs = error_of(out, oracle)
    bound = 2 * own + 1e-5  # the project's rule, with PyTorch as the plain evaluation
    report["wrong"] = not theirs <= bound  # a NaN is wrong
    # JSON has no NaN and no infinity; null stands for both.
    written = theirs if math.isfinite(theirs) else None
    report["max_error"] = {"pytorch": own, args.name: written, "bound": bound}
    return report["wrong"]


def torch_turn(case, tensors: list[torch.Tensor], count: int) -> list[float]:
    times = []
    for _ in range(count):
        start = time.perf_counter_ns()
        case.run(*tensors)
        times.append(float(time.perf_counter_ns() - start))
    return times


def write_tensor(path: Path, name: str, tensor: torch.Tensor) -> str:
    """The argument under which the other program finds it."""
    if path.suffix == ".npy":
        np.save(path, tensor.numpy())
        return str(path)
    save_file({name: tensor}, path)
    return f"{path}:{name}"


def error_of(path: Path, oracle: torch.Tensor) -> float:
    """Largest distance from the oracle; NaN if an element is NaN."""
    try:
        if path.suffix == ".npy":
            found = torch.from_numpy(np.load(path))
        else:
            (found,) = load_file(path).values()
    except (OSError, ValueError, SafetensorError) as error:
        raise measure.PeerError(f"output: {error}") from None
    if found.shape != oracle.shape:
        raise measure.PeerError(f"output: shape {list(found.shape)}, wanted {list(oracle.shape)}")
    return (found.double() - oracle).abs().max().item()


def print_table(report: dict) -> None:
    shape = "x".join(map(str, next(iter(report["shapes"].values()))))
    mask = f" {report['mask']}" if report["mask"] else ""
    load = f"load {report['machine']['load_1min']:.2f} to {report['load_1min_after']:.2f}"
    lines = [
        f"{report['case']} {report['dtype']} {shape}{mask}, {report['threads']} threads, "
        f"torch {report['torch']}, {load}",
        f"{'':<10}{'median ms':>11}{'p10 ms':>10}{'p90 ms':>10}{'best ms':>10}"
        f"{'GFLOP/s':>10}{'max error':>12}",
    ]
    for name, side in report["sides"].items():
        errors = report.get("max_error", {})
        error = ""
        if name in errors:
            error = "not finite" if errors[name] is None else f"{errors[name]:.2e}"
        cells = [side[key] / 1e6 for key in ("median_ns", "p10_ns", "p90_ns", "min_ns")]
        lines.append(
            f"{name:<10}{cells[0]:>11.3f}{cells[1]:>10.3f}{cells[2]:>10.3f}{cells[3]:>10.3f}"
            f"{report['flops'] / side['median_ns']:>10.1f}"
            f"{error:>12}"
        )
    if "ratio" in report:
        ratio = report["ratio"]
        other = list(report["sides"])[1]
        lines.append(
            f"{other} is {ratio['median']:.3f} times as fast as pytorch (rounds {ratio['low']:.3f} to "
            f"{ratio['high']:.3f}; best launches {ratio['of_best_launches']:.3f})"
        )
    if report.get("wrong"):
        lines.append(f"WRONG: its error is above the bound {report['max_error']['bound']:.2e}")
    print("\n".join(lines), file=sys.stderr)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    modes = parser.add_subparsers(dest="mode", required=True)
    attention = modes.add_parser("attention", help="scaled_dot_product_attention")
    attention.set_defaults(case=Attention)
    attention.add_argument("--shape", type=extents, default=(1, 8, 2048, 64), metavar="B,H,N,D")
    attention.add_argument("--kv-heads", type=positive, help="key heads; as many as H unless said")
    attention.add_argument("--mask", type=parse_mask, default="full", metavar="full|causal|window:W")
    matmul = modes.add_parser("matmul", help="torch.matmul of square matrices")
    matmul.set_defaults(case=Matmul)
    matmul.add_argument("--size", type=positive, default=2048)
    for mode in (attention, matmul):
        mode.add_argument("--dtype", choices=DTYPES, default="f32")
        mode.add_argument("--threads", type=positive, default=2)
        mode.add_argument("--rounds", type=positive, default=5, help="turns of each side")
        mode.add_argument("--repeat", type=positive, default=20, help="launches in a turn")
        mode.add_argument("--warmup", type=positive, default=3, help="launches dropped from each turn")
        mode.add_argument("--seed", type=int, default=0)
        other = mode.add_mutually_exclusive_group()
        other.add_argument("--versus", metavar="CMD", help="command line of the other program")
        other.add_argument("--null", action="store_true", help="PyTorch against itself")
        mode.add_argument("--name", default="tilec", help="what to call it")
        mode.add_argument("--times-field", default="times_ns", help="dotted path in its JSON")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number


def extents(text: str) -> tuple[int, ...]:
    found = tuple(positive(part) for part in text.split(","))
    if len(found) != 4:
        raise argparse.ArgumentTypeError(f"{len(found)} extents, wanted 4: B,H,N,D")
    return found


def parse_mask(text: str) -> Mask:
    if text in ("full", "causal"):
        return Mask(text, text == "causal", None)
    kind, _, width = text.partition(":")
    if kind != "window":
        raise argparse.ArgumentTypeError(f"{text!r} is none of full, causal, window:W")
    return Mask(text, True, positive(width))


if __name__ == "__main__":
    sys.exit(main())
