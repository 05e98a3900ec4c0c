"""Names and aliases of the kernels that come with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from memgrain.inputs.spelling import did_you_mean
from memgrain.workloads.errors import WorkloadError

FOLDER = Path(__file__).parent
Use = Literal["decode", "prefill", "gather"]

_NAMES: dict[str, dict[str, str]] = {
    "flash, flash_attention, flash_attn, fa, sdpa, fa2, flash2, flash_attention_2, flash_attn_2, pytorch_flash, "
    "torch_flash, torch_sdpa, pytorch_sdpa, sdpa_flash, flash_sdpa, pytorch_fa2, torch_fa2": {
        "prefill": "fa2_prefill",
        "decode": "fa2_decode",
    },
    "flash_fwd_kernel": {"prefill": "fa2_prefill"},
    "flash_fwd_splitkv_kernel, flash_decoding, flash_decode, split_kv": {"decode": "fa2_decode"},
    "fa3, flash3, flash_attention_3, flash_attn_3, hopper_flash": {"prefill": "fa3_prefill", "decode": "fa3_decode"},
    "cudnn, cudnn_sdpa, cudnn_attention, sdpa_cudnn, torch_cudnn, pytorch_cudnn, cudnn_flash": {
        "prefill": "cudnn_sdpa",
        "decode": "cudnn_sdpa_decode",
    },
    "flashmla, mla": {"decode": "flashmla_dense"},
    "flashmla_sparse, dsa": {"decode": "flashmla_sparse"},
    "vllm, paged, paged_attention, paged_attention_v2": {"decode": "vllm_paged"},
    "fia, fused_infer_attention, fused_infer_attention_score, ascend_fia": {
        "prefill": "ascend_fia_prefill",
        "decode": "ascend_fia_decode",
    },
    "pfa, prompt_flash_attention": {"prefill": "ascend_fia_prefill"},
    "ifa, incre_flash_attention": {"decode": "ascend_fia_decode"},
    "triton, triton_gt": {
        "prefill": "triton_gt_prefill",
        "decode": "triton_gt_decode",
        "gather": "triton_gt_gather",
    },
}


def plain(name: str) -> str:
    """A name in the form in which names are compared: letters and digits only, in lower case."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


ALIASES: dict[str, dict[str, str]] = {
    plain(name): kernels for names, kernels in _NAMES.items() for name in names.split(", ")
}
"""The kernel of each alias, in the form of `plain`, by the kind of call."""


def kernel_names() -> list[str]:
    """Names of the kernels that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def find_kernel(name: str, use: Use) -> str:
    """The shipped kernel of that name or alias for calls of kind `use`; a YAML file is returned as it is.

    Raises WorkloadError if the name is unknown, or belongs to kernels for another kind of call.
    """
    if name.endswith((".yaml", ".yml")):
        return name
    word, shipped = plain(name), {plain(kernel): kernel for kernel in kernel_names()}
    if word in ALIASES:
        found = ALIASES[word].get(use)
        if found is None:
            known = ", ".join(f"{kernel} ({kind})" for kind, kernel in ALIASES[word].items())
            raise WorkloadError(f"kernel {name} is not for {use}, it stands for {known}; name another")
        return found
    if word not in shipped:
        raise unknown(name)
    return shipped[word]


def unknown(name: str) -> WorkloadError:
    """The error for an unknown name."""
    known = {plain(kernel): kernel for kernel in kernel_names()}
    mend = did_you_mean(
        plain(name), {word: word for word in ALIASES} | known, 1, otherwise=f"known: {', '.join(known.values())}"
    )
    return WorkloadError(f"no kernel '{name}'; {mend}")
