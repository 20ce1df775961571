"""Causal flash attention, forward, in Triton, compiled for a GPU that need not be there: one cold process.

    triton_kernel.py STAGE TARGET HEAD BM BN WARPS STAGES OUT

STAGE is ptx or cubin. Prints the seconds that compiling alone took, imports left out. The shape of Triton's tutorial on fused attention: the running maximum in base 2, blocks before the
diagonal without a mask and those on it with one.
"""

import sys
import time

import triton
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource


@triton.jit
def sweep(acc, den, top, q, k_base, v_base, stride_n, scale2, lo, hi, offs_m, N,
          BLOCK_N: tl.constexpr, HEAD: tl.constexpr, MASKED: tl.constexpr):
    """The blocks of keys from lo to hi."""
    offs_d = tl.arange(0, HEAD)
    for start in range(lo, hi, BLOCK_N):
        start = tl.multiple_of(start, BLOCK_N)
        offs_n = start + tl.arange(0, BLOCK_N)
        at = offs_n[:, None] * stride_n + offs_d[None, :]
        if MASKED:
            k = tl.load(k_base + at, mask=offs_n[:, None] < N, other=0.0)
        else:
            k = tl.load(k_base + at)
        s = tl.dot(q, k.T)
        if MASKED:
            s = tl.where(offs_n[None, :] <= offs_m[:, None], s * scale2, -1.0e6)
            hi_now = tl.maximum(top, tl.max(s, 1))
            s = s - hi_now[:, None]
        else:
            hi_now = tl.maximum(top, tl.max(s, 1) * scale2)
            s = s * scale2 - hi_now[:, None]
        p = tl.math.exp2(s)
        factor = tl.math.exp2(top - hi_now)
        den = den * factor + tl.sum(p, 1)
        acc = acc * factor[:, None]
        if MASKED:
            v = tl.load(v_base + at, mask=offs_n[:, None] < N, other=0.0)
        else:
            v = tl.load(v_base + at)
        acc = tl.dot(p.to(v.dtype), v, acc)
        top = hi_now
    return acc, den, top


@triton.jit
def forward(Q, K, V, O, LSE, scale, H, M, N,
            stride_qb, stride_qh, stride_qm, stride_kb, stride_kh, stride_kn,
            BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, HEAD: tl.constexpr):
    """One block of queries of one head."""
    block = tl.program_id(0)
    batch_head = tl.program_id(1)
    b = batch_head // H
    h = batch_head % H
    q_base = Q + b.to(tl.int64) * stride_qb + h.to(tl.int64) * stride_qh
    o_base = O + b.to(tl.int64) * stride_qb + h.to(tl.int64) * stride_qh
    k_base = K + b.to(tl.int64) * stride_kb + h.to(tl.int64) * stride_kh
    v_base = V + b.to(tl.int64) * stride_kb + h.to(tl.int64) * stride_kh
    offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, HEAD)
    at = offs_m[:, None] * stride_qm + offs_d[None, :]
    present = offs_m[:, None] < M
    q = tl.load(q_base + at, mask=present, other=0.0)
    top = tl.zeros([BLOCK_M], dtype=tl.float32) - float("inf")
    den = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, HEAD], dtype=tl.float32)
    scale2 = scale * 1.44269504
    diagonal = tl.multiple_of(block * BLOCK_M, BLOCK_M)
    acc, den, top = sweep(acc, den, top, q, k_base, v_base, stride_kn, scale2, 0, diagonal, offs_m, N,
                          BLOCK_N, HEAD, False)
    end = tl.minimum(diagonal + BLOCK_M, N)
    acc, den, top = sweep(acc, den, top, q, k_base, v_base, stride_kn, scale2, diagonal, end, offs_m, N,
                          BLOCK_N, HEAD, True)
    tl.store(o_base + at, (acc / den[:, None]).to(O.dtype.element_ty), mask=present)
    tl.store(LSE + batch_head * M + offs_m, top + tl.math.log2(den), mask=offs_m < M)


def main() -> None:
    """Compiles once and writes the stage."""
    stage, target, head, bm, bn, warps, stages, out = sys.argv[1:]
    numbers = {"scale": "fp32", "H": "i32", "M": "i32", "N": "i32"}
    strides = {f"stride_{name}": "i32" for name in ("qb", "qh", "qm", "kb", "kh", "kn")}
    tensors = {name: "*fp16" for name in ("Q", "K", "V", "O")}
    constants = {"BLOCK_M": int(bm), "BLOCK_N": int(bn), "HEAD": int(head)}
    types = {name: "constexpr" for name in constants}
    signature = {**tensors, "LSE": "*fp32", **numbers, **strides, **types}
    # As the just-in-time compiler would find of usual arguments: addresses and strides are multiples of 16.
    names = list(signature)
    even = {(names.index(name),): [["tt.divisibility", 16]] for name in [*tensors, "LSE", *strides]}
    source = ASTSource(fn=forward, signature=signature, constexprs=constants, attrs=even)
    options = {"num_warps": int(warps), "num_stages": int(stages)}
    gpu = GPUTarget("cuda", int(target.removeprefix("sm_")), 32)
    if stage == "ptx":
        # Nothing after PTX is wanted: end there, as `tilec emit --to ptx` does.
        from triton.backends.nvidia.compiler import CUDABackend

        CUDABackend.make_cubin = lambda self, src, metadata, opt, capability: b""
    start = time.perf_counter()
    made = triton.compile(source, target=gpu, options=options)
    print(time.perf_counter() - start)
    text = made.asm[stage]
    with open(out, "wb") as file:
        file.write(text.encode() if isinstance(text, str) else text)


if __name__ == "__main__":
    main()
