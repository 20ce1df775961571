#!/usr/bin/env python3
"""Times PyTorch and Triton on the rows of a `tilec bench` report, and joins both into one table.

    tilec bench seeds/fp32_variants --json > ours.json
    suite_peers.py ours.json                     the table; --json for programs
    tilec bench variants --rows "length=512" --json | suite_peers.py - --peers sdpa,flex

The peers are those that are installed: `sdpa` is torch.nn.functional.scaled_dot_product_attention, `flex`
torch's FlexAttention compiled by torch.compile, `triton` the forward kernel of triton_kernel.py, which needs a GPU.
Inputs are normal numbers. Forward is timed without gradients; backward alone, over a graph that is kept; both together
where the row has both. On a GPU times are those of CUDA events.

A peer's output is held against plain attention in f32 before it is timed, for rows with at most --check scores; a wrong one
has no time. A row without a counterpart (a model, projections, decoding over pages, a mask that depends on data) says so.
The ratio is the best peer's median over tilec's: above 1, tilec is the faster one.

The two sides run one after the other, not turn by turn: torch_cpu.py does that for single cases.

    pip install torch==2.11.0

Exit status: 0, 2 for wrong arguments, 3 when a peer is wrong.
"""

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import measure

try:
    import torch
except ImportError:
    torch = None

DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}


class NoCounterpart(Exception):
    """The peer has nothing for this row."""


@dataclass
class Case:
    """Attention of one row: shapes, direction, and which keys a query sees."""

    row: str
    dtype: str
    batch: int
    heads: int
    groups: int
    queries: int
    keys: int
    head_dim: int
    direction: str
    causal: bool
    # (head, m, n) to truth, over whatever broadcasts; none where every key is seen, or `causal` says it all.
    sees: Callable | None


def dilated(heads: int) -> Callable:
    """The mask of dilated.tile: two groups of heads, segments of 512 and 1024, dilations 1 and 2."""

    def sees(h, m, n):
        group = h // -(-heads // 2)
        segment, dilation = 512 * (group + 1), group + 1
        near = torch.div(m, segment, rounding_mode="floor") == torch.div(n, segment, rounding_mode="floor")
        return near & (m % dilation == group) & (n % dilation == group)

    return sees


def block_diagonal(_heads: int) -> Callable:
    """The mask of block_diagonal.tile: a block of 128 and its neighbours."""
    return lambda h, m, n: (m // 128 - n // 128 <= 1) & (n // 128 - m // 128 <= 1)


def mask_of(kernel: str, numbers: dict) -> tuple[bool, Callable | None]:
    """Whether a kernel is plain causal, and its mask if it is neither that nor full."""
    shift = numbers["N"] - numbers["M"]
    if kernel == "full":
        return False, None
    if kernel in ("causal", "gqa") and shift == 0 or kernel == "causal_bottom_right" and shift == 0:
        return True, None
    if kernel == "causal_bottom_right":
        return False, lambda h, m, n: n <= m + shift
    if kernel == "window_left":
        window = numbers["window"]
        return False, lambda h, m, n: (n <= m) & (m - n <= window)
    if kernel == "dilated":
        return False, dilated(numbers["H"])
    if kernel == "block_diagonal":
        return False, block_diagonal(numbers["H"])
    raise NoCounterpart(f"no peer has `{kernel}` here")


def case_of(row: dict) -> Case:
    """The attention that a row's kernels compute."""
    steps = row["steps"]
    names = [step["kernel"] for step in steps]
    if not steps:
        raise NoCounterpart(row["reason"] or "it has no kernels")
    forward = names[0]
    if len(names) == 1:
        direction = "forward"
    elif len(names) == 3 and names[0] == "delta" and names[2].endswith("_dq"):
        direction, forward = "backward", names[2].removesuffix("_dq")
    elif len(names) == 4 and names[1] == "delta" and names[3].endswith("_dq"):
        direction = "both"
    else:
        raise NoCounterpart("more than attention: " + ", ".join(dict.fromkeys(names)))
    step = next(step for step in steps if "N" in step["numbers"] and "D" in step["specialisation"])
    numbers = step["numbers"]
    if not {"B", "H", "G", "M", "N"} <= set(numbers):
        raise NoCounterpart(f"no peer has `{forward}` here")
    settings = dict(part.split("=") for part in step["specialisation"].split())
    causal, sees = mask_of(forward, numbers)
    return Case(
        row["row"], step["dtype"], numbers["B"], numbers["H"], numbers["G"], numbers["M"], numbers["N"],
        int(settings["D"]), direction, causal, sees,
    )  # fmt: skip


def indices(case: Case, device: str) -> tuple:
    """Heads, queries and keys as tensors that broadcast to scores."""
    h = torch.arange(case.heads, device=device)[:, None, None]
    m = torch.arange(case.queries, device=device)[None, :, None]
    n = torch.arange(case.keys, device=device)[None, None, :]
    return h, m, n


def plain(case: Case, q, k, v):
    """Attention as it is written, in f32; a row without keys gives zeros."""
    share = case.heads // case.groups
    k, v = (x.float().repeat_interleave(share, 1) for x in (k, v))
    scores = q.float() @ k.transpose(-1, -2) / math.sqrt(case.head_dim)
    h, m, n = indices(case, str(q.device))
    if case.causal:
        scores = scores.masked_fill(~(n <= m), -math.inf)
    elif case.sees:
        scores = scores.masked_fill(~case.sees(h, m, n), -math.inf)
    return scores.softmax(-1).nan_to_num(0.0) @ v


def sdpa(case: Case, device: str) -> Callable:
    """torch's own attention; a mask that is not causal goes in as booleans, as its users write it."""
    mask = case.sees(*indices(case, device)) if case.sees else None
    gqa = case.heads != case.groups
    attention = torch.nn.functional.scaled_dot_product_attention
    return lambda q, k, v: attention(q, k, v, attn_mask=mask, is_causal=case.causal, enable_gqa=gqa)


def flex(case: Case, device: str) -> Callable:
    """FlexAttention, compiled, with its mask of blocks."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if device == "cpu" and case.direction != "forward":
        raise NoCounterpart("FlexAttention has no backward on the CPU")
    sees = case.sees or ((lambda h, m, n: n <= m) if case.causal else None)
    mask = None
    if sees:
        by_head = case.heads if case.sees else None
        mask = create_block_mask(
            lambda b, h, m, n: sees(h, m, n), None, by_head, case.queries, case.keys, device=device
        )
    compiled = torch.compile(flex_attention, dynamic=False)
    gqa = case.heads != case.groups
    return lambda q, k, v: compiled(q, k, v, block_mask=mask, enable_gqa=gqa)


def triton(case: Case, device: str) -> Callable:
    """The forward kernel of triton_kernel.py."""
    if device == "cpu":
        raise NoCounterpart("Triton needs a GPU")
    if case.direction != "forward" or not case.causal or case.groups != case.heads:
        raise NoCounterpart("the Triton kernel here is causal, forward, of as many key heads as query heads")
    import triton_kernel

    def run(q, k, v):
        o = torch.empty_like(q)
        lse = torch.empty(q.shape[:3], dtype=torch.float32, device=device)
        grid = (-(-case.queries // 128), case.batch * case.heads)
        triton_kernel.forward[grid](
            q, k, v, o, lse, 1 / math.sqrt(case.head_dim), case.heads, case.queries, case.keys,
            *q.stride()[:3], *k.stride()[:3], BLOCK_M=128, BLOCK_N=64, HEAD=case.head_dim,
            num_warps=4 if case.head_dim <= 64 else 8, num_stages=3,
        )  # fmt: skip
        return o

    return run


PEERS = {"sdpa": sdpa, "flex": flex, "triton": triton}


def times_of(run: Callable, device: str, budget: float) -> list[float]:
    """Nanoseconds of 3 to 100 launches after one that warms up."""
    run()
    times = []
    start = time.perf_counter()
    while len(times) < 3 or (len(times) < 100 and time.perf_counter() - start < budget):
        if device == "cuda":
            before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            before.record()
            run()
            after.record()
            after.synchronize()
            times.append(before.elapsed_time(after) * 1e6)
        else:
            launch = time.perf_counter_ns()
            run()
            times.append(float(time.perf_counter_ns() - launch))
    return times


def one(peer: str, case: Case, args: argparse.Namespace) -> dict:
    """A peer's status on a row, and its times."""
    try:
        generator = torch.Generator().manual_seed(0)
        dtype = getattr(torch, DTYPES[case.dtype])
        shape = (case.batch, case.groups, case.keys, case.head_dim)
        shapes = [(case.batch, case.heads, case.queries, case.head_dim), shape, shape]
        q, k, v = (torch.randn(s, generator=generator).to(args.device, dtype) for s in shapes)
        run = PEERS[peer](case, args.device)
        if case.batch * case.heads * case.queries * case.keys <= args.check:
            with torch.no_grad():
                found, expected = run(q, k, v).float(), plain(case, q, k, v)
            # A row that sees nothing: torch's answer has changed over versions, and is not asked for.
            error = (found - expected)[expected.abs().amax(-1) > 0].abs().max().item()
            if not error <= {"f32": 1e-3, "f16": 1e-2, "bf16": 5e-2}[case.dtype]:
                return {"status": "wrong", "reason": f"it is off by {error:.2e}"}
        return {"status": "ok"} | measure.summary(timed(run, case, (q, k, v), args))
    except NoCounterpart as error:
        return {"status": "unsupported", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its status
        text = str(error).strip().splitlines()
        return {"status": "failed", "reason": f"{type(error).__name__}: {text[0] if text else ''}"}


def timed(run: Callable, case: Case, inputs: tuple, args: argparse.Namespace) -> list[float]:
    """Times of what the row asks for."""
    if case.direction == "forward":
        with torch.no_grad():
            return times_of(lambda: run(*inputs), args.device, args.time)
    leaves = [x.requires_grad_() for x in inputs]
    out = run(*leaves)
    upstream = torch.ones_like(out)
    if case.direction == "backward":
        launch = lambda: torch.autograd.grad(out, leaves, upstream, retain_graph=True)
    else:
        launch = lambda: torch.autograd.grad(run(*leaves), leaves, upstream)
    return times_of(launch, args.device, args.time)


def joined(report: dict, args: argparse.Namespace) -> list[dict]:
    """Every row of the report, with what the peers gave."""
    rows = []
    for row in report["rows"]:
        if args.rows not in row["row"]:
            continue
        entry = {"row": row["row"], "tilec": {"status": row["status"], "median_ns": row.get("median_ns")}}
        try:
            case = case_of(row)
            entry["peers"] = {peer: one(peer, case, args) for peer in args.peers}
        except NoCounterpart as error:
            entry["peers"] = {
                peer: {"status": "unsupported", "reason": str(error)} for peer in args.peers
            }
        best = [found["median_ns"] for found in entry["peers"].values() if found["status"] == "ok"]
        ours = entry["tilec"]["median_ns"]
        entry["ratio"] = min(best) / ours if best and ours else None
        rows.append(entry)
        print(f"{len(rows)}: {row['row']}", file=sys.stderr)
    return rows


def table(rows: list[dict], peers: list[str]) -> str:
    """The joined table, and the geometric mean of its ratios."""

    def cell(found: dict) -> str:
        return f"{found['median_ns'] / 1e6:.3f}" if found.get("median_ns") else found["status"]

    cells = [["row", "tilec ms", *(f"{peer} ms" for peer in peers), "ratio", "remark"]]
    for row in rows:
        found = row["peers"].values()
        why = dict.fromkeys(one["reason"] for one in found if one["status"] != "ok")
        ratio = f"{row['ratio']:.2f}" if row["ratio"] else "-"
        cells.append([row["row"], cell(row["tilec"]), *map(cell, found), ratio, "; ".join(why)])
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() for line in cells]
    ratios = [row["ratio"] for row in rows if row["ratio"]]
    if ratios:
        mean = statistics.geometric_mean(ratios)
        lines.append(f"\n{len(ratios)} rows with both: geometric mean of ratios {mean:.3f}, worst {min(ratios):.3f}")
    return "\n".join(lines)


def main() -> int:
    args = arguments()
    if torch is None:
        print("suite_peers: PyTorch is not installed", file=sys.stderr)
        return 2
    if args.device == "cuda" and not torch.cuda.is_available():
        print("suite_peers: PyTorch finds no GPU", file=sys.stderr)
        return 2
    try:
        with sys.stdin if args.report == "-" else open(args.report) as file:
            report = json.load(file)
        if report.get("schema") != "tilec.bench/2":
            raise ValueError(f"schema {report.get('schema')!r}, wanted 'tilec.bench/2'")
        cores = measure.pin(args.threads) if args.device == "cpu" else []
    except (OSError, ValueError, measure.PeerError) as error:
        print(f"suite_peers: {error}", file=sys.stderr)
        return 2
    torch.set_num_threads(args.threads)
    rows = joined(report, args)
    result = {
        "schema": "tilec.peers/1",
        "suite": report["suite"],
        "tilec": {key: report[key] for key in ("device", "model", "units", "version", "date")},
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "threads": args.threads,
        "affinity": cores,
        "machine": measure.machine(),
        "rows": rows,
    }
    print(json.dumps(result, indent=2, allow_nan=False) if args.json else table(rows, args.peers))
    return 3 if any(found["status"] == "wrong" for row in rows for found in row["peers"].values()) else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", help="what tilec bench --json printed; - is the standard input")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--time", type=float, default=0.5, help="seconds for each peer and row")
    parser.add_argument("--check", type=int, default=1 << 26, help="most scores of a row that is checked")
    parser.add_argument("--rows", default="", help="only rows whose name has this in it")
    parser.add_argument("--peers", type=peers, default=list(PEERS), help="of " + ", ".join(PEERS))
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def peers(text: str) -> list[str]:
    found = text.split(",")
    unknown = [name for name in found if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    return found


if __name__ == "__main__":
    sys.exit(main())
