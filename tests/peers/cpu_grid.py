#!/usr/bin/env python3
"""The CPU target against PyTorch in one table: forward, masked forward, backward, matmul.

    python3 tests/peers/cpu_grid.py target/release/tilec --threads 2 > table.md

Each case is measured turn by turn (A B A B ...) on the same cores, threads and random inputs, and each output is judged
against an f64 oracle with PyTorch's own error as the measure. Markdown on stdout, progress on stderr. `--only TEXT`
takes the cases whose name contains TEXT, `--json FILE` keeps every sample.

    line 1  attention, {f32, bf16} x 4 shapes x {full, causal}
    line 2  a window of 256 at length 8192 and ALiBi: PyTorch gets the mask as a tensor, as its users write it
    line 3  backward: PyTorch's autograd of the fused attention, the backward alone; tilec's delta, dkdv and dq added up
    line 6  a product of two square matrices

Knobs are the tuned ones of TUNED below, or with --first-choices those that a launch takes by itself.

Exit status: 0, 2 for wrong arguments, 3 when an output is wrong, 4 when tilec fails.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import measure
import torch
import torch_cpu

KERNELS = Path(__file__).resolve().parents[2] / "kernels"
SHAPES = [(1, 8, 512, 64), (1, 8, 2048, 64), (1, 8, 2048, 128), (4, 8, 1024, 64)]
DTYPES = ["f32", "bf16"]

# Knobs that measured faster than those that a launch takes by itself, on a machine with 2 MiB of second-level cache for
# each core, as `tilec tune` may choose them. `--knob` overrides them.
TUNED = {
    ("matmul", "f32"): {"BM": 512, "BN": 256, "BK": 128},
    ("matmul", "bf16"): {"BM": 512, "BN": 512, "BK": 128},
}

# A turn lasts about so long, and has at least and at most so many launches.
TURN_NS, FEWEST, MOST = 4e8, 3, 40


@dataclass
class Step:
    """One launch of tilec: a file and kernel, its arguments, and what it writes."""

    file: str
    kernel: str
    arguments: dict[str, object]
    outputs: dict[str, Path]


@dataclass
class Case:
    """`peer` runs PyTorch once; `steps` are tilec's launches; `wanted` gives each output's f64 values and PyTorch's."""

    line: int
    name: str
    dtype: str
    flops: float
    peer: Callable[[], object]
    steps: list[Step]
    wanted: Callable[[], dict[str, tuple[torch.Tensor, torch.Tensor]]]


class Maker:
    """Makes cases of one element type, with their inputs as files in a folder of their own."""

    def __init__(self, dtype: str, folder: Path):
        self.dtype, self.folder = dtype, folder
        self.suffix = "safetensors" if dtype == "bf16" else "npy"
        self.generator = torch.Generator().manual_seed(0)

    def random(self, shape: tuple[int, ...]) -> torch.Tensor:
        return torch.randn(shape, generator=self.generator).to(torch_cpu.DTYPES[self.dtype])

    def write(self, name: str, tensor: torch.Tensor) -> str:
        suffix = "npy" if tensor.dtype == torch.float32 else self.suffix
        return torch_cpu.write_tensor(self.folder / f"{name}.{suffix}", name, tensor.contiguous())

    def out(self, name: str) -> Path:
        return self.folder / f"out_{name}.{self.suffix}"

    def attention(self, line: int, kernel: str, shape: tuple[int, ...], mask: str) -> Case:
        """Forward; `kernel` is also its file."""
        settings = argparse.Namespace(shape=shape, kv_heads=None, mask=torch_cpu.parse_mask(mask))
        case = torch_cpu.Attention(settings)
        tensors = [self.random(shape) for shape in case.shapes]
        arguments = {n: self.write(n, t) for n, t in zip("qkv", tensors, strict=True)}
        arguments["scale"] = repr(case.scale)
        if settings.mask.window is not None:
            arguments["window"] = settings.mask.window - 1
        step = Step(f"attention/{kernel}.tile", kernel, arguments, {"o": self.out("o")})
        name = f"{kernel} {'x'.join(map(str, shape))}"
        wanted = lambda: {"o": (case.oracle(*tensors), case.run(*tensors))}
        return Case(line, name, self.dtype, case.flops, lambda: case.run(*tensors), [step], wanted)

    def alibi(self, shape: tuple[int, ...]) -> Case:
        _, heads, tokens, head_dim = shape
        q, k, v = (self.random(shape) for _ in range(3))
        slope = torch.tensor([2.0 ** (-8 * (h + 1) / heads) for h in range(heads)])
        place = torch.arange(tokens)
        distance = (place[None, :] - place[:, None]).double()
        seen = distance <= 0
        bias = (slope.double()[:, None, None] * distance).masked_fill(~seen, -math.inf)
        given = bias.to(q.dtype)
        scale = 1 / math.sqrt(head_dim)
        attend = lambda mask, *qkv: torch.nn.functional.scaled_dot_product_attention(
            *qkv, attn_mask=mask, scale=scale
        )
        arguments = {n: self.write(n, t) for n, t in zip("qkv", (q, k, v), strict=True)}
        arguments |= {"scale": repr(scale), "slope": self.write("slope", slope)}
        step = Step("attention/alibi.tile", "alibi", arguments, {"o": self.out("o")})

        def wanted() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
            oracle = torch.empty(shape, dtype=torch.float64)
            for b in range(shape[0]):
                for h in range(heads):
                    weights = (q[b, h].double() @ k[b, h].double().T * scale + bias[h]).softmax(-1)
                    oracle[b, h] = weights @ v[b, h].double()
            return {"o": (oracle, attend(given, q, k, v))}

        flops = 4 * shape[0] * heads * head_dim * int(seen.sum())
        name = f"alibi {'x'.join(map(str, shape))}"
        return Case(2, name, self.dtype, flops, lambda: attend(given, q, k, v), [step], wanted)

    def backward(self, mask: str, shape: tuple[int, ...]) -> Case:
        batch, heads, tokens, head_dim = shape
        causal = mask == "causal"
        scale = 1 / math.sqrt(head_dim)
        with torch.enable_grad():
            leaves = [self.random(shape).requires_grad_() for _ in range(3)]
            o = torch.nn.functional.scaled_dot_product_attention(*leaves, is_causal=causal, scale=scale)
        q, k, v = (leaf.detach() for leaf in leaves)
        dout = self.random(shape)
        seen = torch.ones(tokens, tokens, dtype=torch.bool)
        if causal:
            seen = seen.tril()
        pairs = [(b, h) for b in range(batch) for h in range(heads)]
        scores = lambda b, h: (q[b, h].double() @ k[b, h].double().T * scale).masked_fill(~seen, -math.inf)
        lse = torch.empty(shape[:3])
        for b, h in pairs:
            lse[b, h] = scores(b, h).logsumexp(-1)
        files = {n: self.write(n, t) for n, t in
                 {"q": q, "k": k, "v": v, "dout": dout, "lse": lse, "o": o.detach()}.items()}
        delta = self.folder / "delta.npy"
        both = {n: files[n] for n in ("q", "k", "v", "dout", "lse")}
        both |= {"delta": delta, "scale": repr(scale)}
        file = f"backward/{mask}.tile"
        steps = [
            Step("backward/delta.tile", "delta", {n: files[n] for n in ("o", "dout")}, {"delta": delta}),
            Step(file, f"{mask}_dkdv", both, {n: self.out(n) for n in ("dk", "dv")}),
            Step(file, f"{mask}_dq", both, {"dq": self.out("dq")}),
        ]
        peer = lambda: torch.autograd.grad(o, leaves, dout, retain_graph=True)

        def wanted() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
            found = {n: torch.empty(shape, dtype=torch.float64) for n in ("dq", "dk", "dv")}
            for b, h in pairs:
                p = scores(b, h).softmax(-1)
                up, values = dout[b, h].double(), v[b, h].double()
                ds = p * (up @ values.T - (p @ values * up).sum(-1, keepdim=True)) * scale
                found["dq"][b, h], found["dk"][b, h] = ds @ k[b, h].double(), ds.T @ q[b, h].double()
                found["dv"][b, h] = p.T @ up
            own = dict(zip(found, peer(), strict=True))
            return {n: (found[n], own[n]) for n in found}

        # PyTorch's five products of size [tokens, tokens, head_dim] are the work; ours are seven.
        flops = 10 * batch * heads * head_dim * int(seen.sum())
        name = f"backward {mask} {'x'.join(map(str, shape))}"
        return Case(3, name, self.dtype, flops, peer, steps, wanted)

    def matmul(self, size: int) -> Case:
        case = torch_cpu.Matmul(argparse.Namespace(size=size))
        a, b = (self.random(shape) for shape in case.shapes)
        step = Step("smoke/matmul.tile", "matmul", {"a": self.write("a", a), "b": self.write("b", b)},
                    {"c": self.out("c")})
        wanted = lambda: {"c": (case.oracle(a, b), case.run(a, b))}
        name = f"matmul {size}x{size}"
        return Case(6, name, self.dtype, case.flops, lambda: case.run(a, b), [step], wanted)


def cases() -> list[tuple[int, str, str, Callable[[Maker], Case]]]:
    """Line, type, a name to choose by, and what makes the case."""
    found = []
    for dtype in DTYPES:
        for shape in SHAPES:
            for kernel in ("full", "causal"):
                name = f"{kernel} {'x'.join(map(str, shape))}"
                found.append((1, dtype, name, lambda m, k=kernel, s=shape: m.attention(1, k, s, k)))
    for dtype in DTYPES:
        found.append((2, dtype, "window_left", lambda m: m.attention(2, "window_left", (1, 8, 8192, 64), "window:256")))
        found.append((2, dtype, "alibi", lambda m: m.alibi((1, 8, 2048, 64))))
    for dtype in DTYPES:
        for mask in ("full", "causal"):
            found.append((3, dtype, f"backward {mask}", lambda m, k=mask: m.backward(k, (1, 8, 2048, 64))))
    for dtype in DTYPES:
        found.append((6, dtype, "matmul", lambda m: m.matmul(2048)))
    return found


def peer_turn(case: Case) -> Callable[[int], list[float]]:
    def turn(count: int) -> list[float]:
        times = []
        for _ in range(count):
            start = time.perf_counter_ns()
            case.peer()
            times.append(float(time.perf_counter_ns() - start))
        return times

    return turn


def tilec_turn(case: Case, args: argparse.Namespace) -> Callable[[int], list[float]]:
    """Launch by launch the sum over the steps."""
    environment = {"RAYON_NUM_THREADS": str(args.threads), "OMP_NUM_THREADS": str(args.threads)}
    commands = []
    for step in case.steps:
        # A brace in a path would be taken for a placeholder.
        words = [args.tilec, "run", KERNELS / step.file, "-k", step.kernel, "--device", "cpu",
                 "--threads", args.threads, "--json"]
        words += [f"{n}={value}" for n, value in step.arguments.items()]
        for n, path in step.outputs.items():
            words += ["-o", f"{n}={path}"]
        knobs = TUNED.get((step.kernel, case.dtype), {}) if args.tuned else {}
        for name, value in (knobs | dict(knob.split("=", 1) for knob in args.knob)).items():
            words += ["--knob", f"{name}={value}"]
        quoted = " ".join("'" + str(word).replace("{", "{{").replace("}", "}}") + "'" for word in words)
        commands.append(measure.command(quoted + " --repeat {repeat}", {}, environment, "times_ns"))
    return lambda count: [sum(parts) for parts in zip(*(run(count) for run in commands), strict=True)]


def measured(case: Case, args: argparse.Namespace) -> dict:
    """Times, ratio and whether the outputs are right."""
    peer, tilec = peer_turn(case), tilec_turn(case, args)
    once = min(peer(2))
    launches = max(FEWEST, min(MOST, round(TURN_NS / once)))
    sides = [measure.Side("pytorch", peer), measure.Side("tilec", tilec)]
    times = measure.interleave(sides, args.rounds, launches, 1)
    errors, wrong = {}, False
    outputs = {n: path for step in case.steps for n, path in step.outputs.items()}
    for name, (oracle, own) in case.wanted().items():
        own_error = (own.double() - oracle).abs().max().item()
        error = torch_cpu.error_of(outputs[name], oracle)
        wrong |= not error <= 2 * own_error + 1e-5  # a NaN is wrong
        errors[name] = {"pytorch": own_error, "tilec": error if math.isfinite(error) else None}
    pytorch, own = ([t for turns in times for t in turns[n]] for n in (0, 1))
    return {
        "line": case.line,
        "case": case.name,
        "dtype": case.dtype,
        "flops": case.flops,
        "pytorch": measure.summary(pytorch),
        "tilec": measure.summary(own),
        "ratio": measure.ratio(times),
        "errors": errors,
        "wrong": wrong,
    }


def row(found: dict) -> str:
    ratio, own = found["ratio"], found["tilec"]
    cells = [
        str(found["line"]), found["case"], found["dtype"],
        f"{found['pytorch']['median_ns'] / 1e6:.2f}", f"{own['median_ns'] / 1e6:.2f}",
        f"{found['flops'] / own['median_ns']:.0f}",
        f"{ratio['median']:.2f} ({ratio['low']:.2f}, {ratio['high']:.2f})",
        f"{ratio['of_best_launches']:.2f}" + (" WRONG" if found["wrong"] else ""),
    ]
    return f"| {' | '.join(cells)} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tilec", help="the program")
    parser.add_argument("--threads", type=torch_cpu.positive, default=2)
    parser.add_argument("--rounds", type=torch_cpu.positive, default=5, help="turns of each side")
    parser.add_argument("--line", type=int, action="append", help="1, 2, 3 or 6; all unless said")
    parser.add_argument("--dtype", choices=DTYPES, action="append")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases whose name contains it")
    parser.add_argument("--knob", action="append", default=[], metavar="NAME=INT", help="passed on to tilec")
    parser.add_argument("--first-choices", dest="tuned", action="store_false",
                        help="every knob as a launch takes it by itself, not as tuned")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    args = parser.parse_args()
    try:
        measure.pin(args.threads)  # first: PyTorch's threads keep the cores they start with
    except measure.PeerError as error:
        print(f"cpu_grid: {error}", file=sys.stderr)
        return 2
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    chosen = [
        (dtype, make)
        for line, dtype, name, make in cases()
        if (not args.line or line in args.line) and (not args.dtype or dtype in args.dtype) and args.only in name
    ]
    if not chosen:
        print(f"cpu_grid: no case is called {args.only!r}", file=sys.stderr)
        return 2
    load = measure.machine()["load_1min"]
    results = []
    print("| line | case | type | PyTorch ms | tilec ms | tilec GFLOP/s | PyTorch's time over tilec's, "
          "median of rounds (least, most) | of the best launches |")
    print("| --- | --- | --- | --: | --: | --: | --- | --: |")
    for dtype, make in chosen:
        with tempfile.TemporaryDirectory(prefix="cpu_grid_") as folder:
            case = make(Maker(dtype, Path(folder)))
            print(f"{case.name} {dtype}", file=sys.stderr)
            try:
                results.append(measured(case, args))
            except measure.PeerError as error:
                print(f"cpu_grid: {error}", file=sys.stderr)
                return 4
        print(row(results[-1]), flush=True)
    forward = [found["ratio"] for found in results if found["line"] == 1]
    if forward:
        mean = statistics.geometric_mean(ratio["median"] for ratio in forward)
        best = statistics.geometric_mean(ratio["of_best_launches"] for ratio in forward)
        least = min(ratio["median"] for ratio in forward)
        print(f"\nGeometric mean of line 1: {mean:.2f} (of the best launches {best:.2f}); least {least:.2f}.")
    print(f"\n{args.threads} threads, torch {torch.__version__}, load {load:.1f} before, "
          f"{measure.machine()['load_1min']:.1f} after.")
    if args.json:
        args.json.write_text(json.dumps(results, allow_nan=False))
    return 3 if any(found["wrong"] for found in results) else 0


if __name__ == "__main__":
    sys.exit(main())
