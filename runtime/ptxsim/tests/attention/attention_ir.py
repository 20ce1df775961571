"""Prints LLVM IR of a flash-attention forward kernel, the simulator's largest test program.

    python3 attention_ir.py f16 causal 64 | llc-22 -O3 -mcpu=sm_80 -mattr=+ptx80 -o attn_f16_causal_d64.ptx

One CTA of four warps handles 64 query rows of one head; keys and values come in blocks of 64, copied by cp.async into two
stages with the 16-byte chunks of a row permuted by xor, multiplied by m16n8k16 mma, softmax kept online in base 2.

    attn(q, k, v, o: [heads, seq, d], lse: [heads, seq] f32, seq: i32, head_stride: i64, scale_log2: f32)

Shared memory: q tile, two k tiles, two v tiles, each 64 x d elements.
"""

import sys

ROWS = COLS = 64
THREADS = 128
NEG_INF = "0xFFF0000000000000"
I4 = "{i32, i32, i32, i32}"
F4 = "{float, float, float, float}"


class Builder:
    """Lines of a function body, with fresh names."""

    def __init__(self):
        self.lines = []
        self.count = 0

    def do(self, text):
        self.lines.append("  " + text)

    def let(self, text):
        self.count += 1
        name = f"%t{self.count}"
        self.do(f"{name} = {text}")
        return name

    def label(self, name):
        self.lines.append(f"{name}:")

    def op(self, op, a, b, ty="i32"):
        return self.let(f"{op} {ty} {a}, {b}")

    def call(self, ty, name, *args):
        return self.let(f"call {ty} @llvm.{name}({', '.join(args)})")

    def run(self, name, *args):
        self.do(f"call void @llvm.{name}({', '.join(args)})")

    def unpack(self, ty, value):
        return [self.let(f"extractvalue {ty} {value}, {i}") for i in range(4)]


def kernel(element, causal, d):
    b = Builder()
    brain = element == "bf16"
    chunks = d // 8  # 16-byte chunks in a row
    row_bytes = 2 * d
    swizzle = min(chunks, 8) - 1
    tile = ROWS * row_bytes
    at_q, at_k, at_v = 0, tile, 3 * tile

    def shared(row, chunk, base):
        """Address of a chunk of a tile: the chunk number is permuted by the row."""
        permuted = b.op("xor", chunk, b.op("and", row, swizzle))
        offset = b.op("add", b.op("mul", row, row_bytes), b.op("shl", permuted, 4))
        return b.let(f"getelementptr i8, ptr addrspace(3) @smem, i32 {b.op('add', offset, base)}")

    def copy(source, first_row, base):
        for i in range(ROWS * chunks // THREADS):
            index = b.op("add", tid, i * THREADS)
            row = b.op("lshr", index, chunks.bit_length() - 1)
            chunk = b.op("and", index, chunks - 1)
            global_row = b.op("add", first_row, row)
            inside = b.let(f"icmp slt i32 {global_row}, %seq")
            safe = b.let(f"select i1 {inside}, i32 {global_row}, i32 0")
            size = b.let(f"select i1 {inside}, i32 16, i32 0")
            offset = b.op("mul", b.let(f"sext i32 {safe} to i64"), d, "i64")
            column = b.op("shl", b.let(f"zext i32 {chunk} to i64"), 3, "i64")
            pointer = b.let(f"getelementptr i16, ptr addrspace(1) {source}, i64 {b.op('add', offset, column, 'i64')}")
            b.run("nvvm.cp.async.cg.shared.global.16.s", f"ptr addrspace(3) {shared(row, chunk, base)}",
                  f"ptr addrspace(1) {pointer}", f"i32 {size}")

    def ldmatrix(row, chunk, base, trans=""):
        address = shared(row, chunk, base)
        value = b.call(I4, f"nvvm.ldmatrix.sync.aligned.m8n8.x4{trans}.b16.p3", f"ptr addrspace(3) {address}")
        return b.unpack(I4, value)

    def mma(a, bb, c):
        accumulator = [f"float {x}" for x in c]
        if brain:
            operands = [f"i32 {x}" for x in a + bb]
            name = "nvvm.mma.m16n8k16.row.col.bf16"
        else:
            operands = ["<2 x half> " + b.let(f"bitcast i32 {x} to <2 x half>") for x in a + bb]
            name = "nvvm.mma.m16n8k16.row.col.f32.f32"
        args = ", ".join(operands + accumulator)
        return b.unpack(F4, b.let(f"call {F4} @llvm.{name}({args}) convergent"))

    def pack(low, high):
        ty, name = ("<2 x bfloat>", "nvvm.ff2bf16x2.rn") if brain else ("<2 x half>", "nvvm.ff2f16x2.rn")
        return b.let(f"bitcast {ty} {b.call(ty, name, f'float {high}', f'float {low}')} to i32")

    def maximum(x, y):
        return b.call("float", "maxnum.f32", f"float {x}", f"float {y}")

    def fma(x, y, z):
        return b.call("float", "fma.f32", f"float {x}", f"float {y}", f"float {z}")

    def exp2(x):
        return b.call("float", "nvvm.ex2.approx.ftz.f32", f"float {x}")

    def exchange(x, distance):
        return b.call("float", "nvvm.shfl.sync.bfly.f32", "i32 -1", f"float {x}", f"i32 {distance}", "i32 31")

    tid = b.call("i32", "nvvm.read.ptx.sreg.tid.x")
    block = b.call("i32", "nvvm.read.ptx.sreg.ctaid.x")
    head = b.let(f"zext i32 {b.call('i32', 'nvvm.read.ptx.sreg.ctaid.y')} to i64")
    head_offset = b.op("mul", head, "%head_stride", "i64")
    base = {n: b.let(f"getelementptr i16, ptr addrspace(1) %{n}, i64 {head_offset}") for n in "qkvo"}
    lane, warp = b.op("and", tid, 31), b.op("lshr", tid, 5)
    first_row = b.op("mul", block, ROWS)
    copy(base["q"], first_row, at_q)
    copy(base["k"], 0, at_k)
    copy(base["v"], 0, at_v)
    b.run("nvvm.cp.async.commit.group")
    if causal:
        last = b.op("add", first_row, ROWS)
        end = b.let(f"call i32 @llvm.smin.i32(i32 {last}, i32 %seq)")
    else:
        end = "%seq"
    blocks = b.op("lshr", b.op("add", end, COLS - 1), 6)
    group, quad = b.op("lshr", lane, 2), b.op("and", lane, 3)
    low4, high1 = b.op("and", lane, 15), b.op("lshr", lane, 4)
    q_row = b.op("add", b.op("shl", warp, 4), low4)
    k_row = b.op("add", b.op("shl", high1, 3), b.op("and", lane, 7))
    k_chunk = b.op("and", b.op("lshr", lane, 3), 1)
    rows = [b.op("add", b.op("add", first_row, b.op("shl", warp, 4)), group)]
    rows.append(b.op("add", rows[0], 8))
    pair = b.op("shl", quad, 1)
    b.do("br label %loop")

    b.label("loop")
    phi_line = len(b.lines)
    b.lines.append("")
    following = b.op("add", "%it", 1)
    more = b.let(f"icmp slt i32 {following}, {blocks}")
    stage = b.op("mul", b.op("and", "%it", 1), tile)
    other = b.op("mul", b.op("and", following, 1), tile)
    b.do(f"br i1 {more}, label %prefetch, label %body")
    b.label("prefetch")
    ahead = b.op("shl", following, 6)
    copy(base["k"], ahead, b.op("add", other, at_k))
    copy(base["v"], ahead, b.op("add", other, at_v))
    b.do("br label %body")

    b.label("body")
    b.run("nvvm.cp.async.commit.group")
    b.run("nvvm.cp.async.wait.group", "i32 1")
    b.run("nvvm.barrier.cta.sync.aligned.all", "i32 0")
    k_at, v_at = b.op("add", stage, at_k), b.op("add", stage, at_v)
    s = [["0.0"] * 4 for _ in range(COLS // 8)]
    for step in range(d // 16):
        a = ldmatrix(q_row, b.op("add", high1, 2 * step), at_q)
        for n in range(COLS // 16):
            kk = ldmatrix(b.op("add", k_row, 16 * n), b.op("add", k_chunk, 2 * step), k_at)
            s[2 * n] = mma(a, kk[:2], s[2 * n])
            s[2 * n + 1] = mma(a, kk[2:], s[2 * n + 1])
    column = b.op("add", b.op("shl", "%it", 6), pair)
    for j, fragment in enumerate(s):
        for i in range(4):
            key = b.op("add", column, 8 * j + i % 2)
            visible = b.let(f"icmp slt i32 {key}, %seq")
            if causal:
                visible = b.op("and", visible, b.let(f"icmp sle i32 {key}, {rows[i // 2]}"), "i1")
            fragment[i] = b.let(f"select i1 {visible}, float {fragment[i]}, float {NEG_INF}")
    p = [[None] * 4 for _ in s]
    maxima, sums, factors = [], [], []
    for h in range(2):
        mine = [(j, i) for j in range(len(s)) for i in (2 * h, 2 * h + 1)]
        top = s[0][2 * h]
        for j, i in mine[1:]:
            top = maximum(top, s[j][i])
        for distance in (1, 2):
            top = maximum(top, exchange(top, distance))
        top = maximum(f"%m{h}", top)
        # A row that has seen nothing yet keeps -inf; zero in its place keeps the exponents finite.
        empty = b.let(f"fcmp oeq float {top}, {NEG_INF}")
        safe = b.let(f"select i1 {empty}, float 0.0, float {top}")
        shift = b.let(f"fneg float {b.op('fmul', safe, '%scale', 'float')}")
        factor = exp2(fma(f"%m{h}", "%scale", shift))
        total = None
        for j, i in mine:
            p[j][i] = exp2(fma(s[j][i], "%scale", shift))
            total = p[j][i] if total is None else b.op("fadd", total, p[j][i], "float")
        maxima.append(top)
        sums.append(fma(f"%l{h}", factor, total))
        factors.append(factor)
    acc = [[b.op("fmul", f"%a{j}_{i}", factors[i // 2], "float") for i in range(4)] for j in range(d // 8)]
    for step in range(COLS // 16):
        x, y = p[2 * step], p[2 * step + 1]
        a = [pack(x[0], x[1]), pack(x[2], x[3]), pack(y[0], y[1]), pack(y[2], y[3])]
        for n in range(d // 16):
            vv = ldmatrix(b.op("add", low4, 16 * step), b.op("add", high1, 2 * n), v_at, ".trans")
            acc[2 * n] = mma(a, vv[:2], acc[2 * n])
            acc[2 * n + 1] = mma(a, vv[2:], acc[2 * n + 1])
    b.run("nvvm.barrier.cta.sync.aligned.all", "i32 0")
    b.do(f"br i1 {more}, label %loop, label %done")
    phis = [f"  %it = phi i32 [0, %entry], [{following}, %body]"]
    for h in range(2):
        phis.append(f"  %m{h} = phi float [{NEG_INF}, %entry], [{maxima[h]}, %body]")
        phis.append(f"  %l{h} = phi float [0.0, %entry], [{sums[h]}, %body]")
    for j in range(d // 8):
        phis += [f"  %a{j}_{i} = phi float [0.0, %entry], [{acc[j][i]}, %body]" for i in range(4)]
    b.lines[phi_line] = "\n".join(phis)

    b.label("done")
    inverse = []
    for h in range(2):
        total = sums[h]
        for distance in (1, 2):
            total = b.op("fadd", total, exchange(total, distance), "float")
        zero = b.let(f"fcmp oeq float {total}, 0.0")
        reciprocal = b.call("float", "nvvm.rcp.approx.ftz.f", f"float {total}")
        inverse.append(b.let(f"select i1 {zero}, float 0.0, float {reciprocal}"))
        lse = fma(maxima[h], "%scale", b.call("float", "nvvm.lg2.approx.ftz.f", f"float {total}"))
        inside = b.let(f"icmp slt i32 {rows[h]}, %seq")
        first = b.let(f"icmp eq i32 {quad}, 0")
        b.do(f"br i1 {b.op('and', inside, first, 'i1')}, label %lse{h}, label %past_lse{h}")
        b.label(f"lse{h}")
        index = b.op("mul", head, b.let("sext i32 %seq to i64"), "i64")
        index = b.op("add", index, b.let(f"sext i32 {rows[h]} to i64"), "i64")
        pointer = b.let(f"getelementptr float, ptr addrspace(1) %lse, i64 {index}")
        b.do(f"store float {lse}, ptr addrspace(1) {pointer}")
        b.do(f"br label %past_lse{h}")
        b.label(f"past_lse{h}")
    for h in range(2):
        inside = b.let(f"icmp slt i32 {rows[h]}, %seq")
        b.do(f"br i1 {inside}, label %store{h}, label %past_store{h}")
        b.label(f"store{h}")
        offset = b.op("mul", b.let(f"sext i32 {rows[h]} to i64"), d, "i64")
        offset = b.op("add", offset, b.let(f"zext i32 {pair} to i64"), "i64")
        for j in range(d // 8):
            low = b.op("fmul", acc[j][2 * h], inverse[h], "float")
            high = b.op("fmul", acc[j][2 * h + 1], inverse[h], "float")
            index = b.op("add", offset, 8 * j, "i64")
            pointer = b.let(f"getelementptr i16, ptr addrspace(1) {base['o']}, i64 {index}")
            b.do(f"store i32 {pack(low, high)}, ptr addrspace(1) {pointer}, align 4")
        b.do(f"br label %past_store{h}")
        b.label(f"past_store{h}")
    b.do("ret void")
    return b.lines


def main():
    element, mask, d = sys.argv[1], sys.argv[2], int(sys.argv[3])
    pointers = ", ".join(f"ptr addrspace(1) {'readonly ' if n != 'o' else ''}noalias align 16 %{n}" for n in "qkvo")
    print('target triple = "nvptx64-nvidia-cuda"')
    print("@smem = external addrspace(3) global [0 x i8], align 16")
    print(f"define ptx_kernel void @attn({pointers}, ptr addrspace(1) noalias %lse, i32 %seq, i64 %head_stride, float %scale) #0 {{")
    print("entry:")
    body = kernel(element, mask == "causal", d)
    print("\n".join(body))
    print("}")
    declarations = set()
    for line in "\n".join(body).split("\n"):
        if " @llvm." in line:
            head, _, rest = line.partition("@llvm.")
            name, _, args = rest.partition("(")
            result = head.split("call ")[1].strip()
            args = args.rpartition(")")[0]
            types = [a.strip().rsplit(" ", 1)[0] for a in args.split(", ")] if args else []
            declarations.add(f"declare {result} @llvm.{name}({', '.join(types)})")
    print("\n".join(sorted(declarations)))
    print('attributes #0 = { "nvvm.reqntid"="128" }')


main()
