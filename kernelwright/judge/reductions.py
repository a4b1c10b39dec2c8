"""How many terms the longest sum of a forward has: rounding errors grow with its square root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MATMULS = frozenset({"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot", "vdot", "linear", "mkldnn_linear"})
FIRST_TWO = frozenset({"linear", "mkldnn_linear", "convolution", "_convolution", "mkldnn_convolution"})
ALONG_A_DIMENSION = frozenset({"_softmax", "_log_softmax", "cumsum", "cumprod", "logcumsumexp"})
PICKS = frozenset({
    "index", "index_select", "gather", "embedding", "slice", "select", "narrow", "masked_select", "take", "topk",
    "sort", "unfold", "clone", "copy_", "_to_copy", "max", "min", "amax", "amin", "argmax", "argmin",
})  # fmt: skip


class LongestReduction(TorchDispatchMode):
    """Watches a forward; `length` is the largest number of terms that one output element of one operator sums.

    products: whether there was a matrix product or a convolution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.length, self.products = 1, False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # True has torch import all of Dynamo, 1.3 s, to wrap the method below

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:  # fmt: skip
        result = func(*args, **(kwargs or {}))
        self.length = max(self.length, terms(func, args, result))
        self.products = self.products or bool(factors(func, args))
        return result


class RoundedProducts(TorchDispatchMode):
    """Rounds the factors of every matrix product and convolution to TF32, as tensor cores do."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:  # fmt: skip
        places = factors(func, args)
        return func(*(tf32(arg) if i in places else arg for i, arg in enumerate(args)), **(kwargs or {}))


def factors(func: Any, args: tuple[Any, ...]) -> tuple[int, ...]:
    """Which arguments are multiplied with each other and summed; none where this is no product."""
    name = func.overloadpacket.__name__
    tensors = tuple(i for i, arg in enumerate(args) if isinstance(arg, Tensor))
    if name in FIRST_TWO or "scaled_dot_product" in name:
        return tensors[:3] if "scaled_dot_product" in name else tensors[:2]
    return tensors[-2:] if name in MATMULS else ()


def tf32(value: Tensor) -> Tensor:
    """Rounded to ten bits after the point, to nearest."""
    bits = value.float().view(torch.int32)
    rounded = ((bits + 0x1000) & ~0x1FFF).view(torch.float32)
    return rounded.where(value.isfinite(), value.float()).to(value.dtype)


def terms(func: Any, args: tuple[Any, ...], result: Any) -> int:
    """Terms summed for one output element of this call; 1 where nothing is summed."""
    name = func.overloadpacket.__name__
    tensors = [arg for arg in args if isinstance(arg, Tensor)]
    if name in PICKS or func.is_view or not tensors:
        return 1
    if name in MATMULS:
        return tensors[-2].shape[-1] if name not in FIRST_TWO else tensors[0].shape[-1]
    if name == "convolution":
        return _window(args[1], transposed=args[6], groups=args[8])
    if "scaled_dot_product" in name:
        return max(tensors[0].shape[-1], tensors[1].shape[-2])
    if name in ALONG_A_DIMENSION:
        return tensors[0].shape[args[1]] if tensors[0].dim() else 1
    return _ratio(tensors, result)


def _window(weight: Tensor, *, transposed: bool, groups: int) -> int:
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    return max(weight.numel() // outputs, 1)


def _ratio(tensors: list[Tensor], result: Any) -> int:
    """Inputs an output element: of a mean, its length; of a layer norm, through its statistics, the row's length."""
    outputs = [leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor) and leaf.numel()]
    return max(max(tensor.numel() for tensor in tensors) // min(outputs), 1) if outputs else 1
