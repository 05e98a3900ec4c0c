"""DRAM bytes of FlashAttention-2 (PyTorch's) on a causal prompt whose heads lie side by side (bsnd) or apart (bnsd).

    ncu --cache-control none --clock-control none -k regex:flash_fwd --csv --metrics dram__bytes_read.sum,... \
        python3 prefill_layouts.py

Prints a line for each launch, in order; the counters come from ncu.
"""

import torch

DEVICE, HEAD_DIM = "cuda", 128


def operand(heads: int, tokens: int, layout: str) -> torch.Tensor:
    """Values as [1, heads, tokens, HEAD_DIM], laid out in memory as `layout` says."""
    shape = (1, tokens, heads, HEAD_DIM) if layout == "bsnd" else (1, heads, tokens, HEAD_DIM)
    found = torch.randn(shape, dtype=torch.bfloat16, device=DEVICE)
    return found.transpose(1, 2) if layout == "bsnd" else found


def main() -> None:
    print("device,query_heads,kv_heads,tokens,layout,launch,milliseconds")
    filler = torch.empty(256 << 20, dtype=torch.uint8, device=DEVICE)
    for query_heads, kv_heads in ((64, 4), (64, 8), (32, 32)):
        for tokens in (16384, 24576):
            for layout in ("bnsd", "bsnd"):
                q = operand(query_heads, tokens, layout)
                k, v = operand(kv_heads, tokens, layout), operand(kv_heads, tokens, layout)
                for launch in range(3):
                    filler.zero_()
                    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                    begin.record()
                    torch.ops.aten._scaled_dot_product_flash_attention(q, k, v, 0.0, True)
                    end.record()
                    torch.cuda.synchronize()
                    name, time = torch.cuda.get_device_name(), begin.elapsed_time(end)
                    print(f"{name},{query_heads},{kv_heads},{tokens},{layout},{launch},{time:.3f}", flush=True)


if __name__ == "__main__":
    main()
