"""Bugs planted in correct kernels, each as the text that is replaced and what it is replaced by."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

KERNELS = Path(__file__).parent / "kernels"

Kind = Literal["boundary", "indexing", "precision", "synchronisation", "dropped term", "wrong axis", "stale cache",
               "uninitialised", "operator"]  # fmt: skip

REFERENCES = {
    "linear_tail": "linear_tail",
    "softmax": "softmax",
    "layer_norm": "layer_norm",
    "mean_square": "mean_square",
    "matmul": "matmul",
    "column_sums": "column_sums",
    "rectify": "rectify",
    "packed": "linear_tail",
    "batch_norm": "batch_norm",
    "top": "top",
}  # by kernel


@dataclass(frozen=True, slots=True)
class Mutant:
    """One correct kernel with one bug.

    unconfirmed: why today's judge does not see it; "" where it does.
    """

    kernel: str
    kind: Kind
    old: str
    new: str
    unconfirmed: str = ""

    @property
    def source(self) -> str:
        text = kernel_text(self.kernel)
        assert text.count(self.old) == 1, f"{self.old!r} stands {text.count(self.old)} times in {self.kernel}"
        return text.replace(self.old, self.new)


def kernel_text(name: str) -> str:
    return (KERNELS / f"{name}.py").read_text()


MUTANTS = (
    Mutant("linear_tail", "boundary", "first < rows; first += 6", "first + 6 <= rows; first += 6"),
    Mutant("linear_tail", "boundary", "from = 0; from < width", "from = 0; from < width - 1"),
    Mutant("linear_tail", "boundary", "to = 0; to < width", "to = 1; to < width"),
    Mutant("linear_tail", "indexing", "weight[to * width + from]", "weight[from * width + to]"),
    Mutant("linear_tail", "indexing", "bias[to]", "bias[row % width]"),
    Mutant("linear_tail", "indexing", ": 0) + x[row * width + to]", ": 0) + x[to]"),
    Mutant("linear_tail", "precision", "x[row * width + from] * weight", "(_Float16)x[row * width + from] * weight"),
    Mutant("linear_tail", "precision", "float sums[6]", "_Float16 sums[6]"),
    Mutant("linear_tail", "dropped term", "sums[row - first] + bias[to]", "sums[row - first]"),
    Mutant("linear_tail", "dropped term", ": 0) + x[row * width + to]", ": 0)"),
    Mutant("linear_tail", "operator", "value > 0 ? value : 0", "value > -0.001f ? value : 0"),
    Mutant("linear_tail", "uninitialised", "sums[6] = {0}", "sums[6]"),
    Mutant("softmax", "boundary", "width; i++) largest", "width / 4 * 4; i++) largest"),
    Mutant("softmax", "boundary", "width; i++) to[i] /=", "width / 4 * 4; i++) to[i] /="),
    Mutant("softmax", "boundary", "i < width; i++) {", "i < width - 1; i++) {"),
    Mutant("softmax", "indexing", "to[i] = expf(in[i]", "to[i] = expf(in[i ^ 1]"),
    Mutant("softmax", "indexing", "out + row * width", "out + (rows - 1 - row) * width"),
    Mutant("softmax", "precision", "float sum = 0", "_Float16 sum = 0"),
    Mutant("softmax", "precision", "to[i] /= sum", "to[i] = (float)(_Float16)(to[i] / sum)"),
    Mutant("softmax", "dropped term", "expf(in[i] - largest)", "expf(in[i])"),
    Mutant("softmax", "dropped term", "largest = -INFINITY", "largest = 0"),
    Mutant("softmax", "uninitialised", "float sum = 0", "float sum = to[0]"),
    Mutant("layer_norm", "boundary", "width; i++) sum +=", "width - 1; i++) sum +="),
    Mutant("layer_norm", "boundary", "row = 0; row < rows", "row = 0; row < rows - 1"),
    Mutant("layer_norm", "indexing", "* weight[i]", "* weight[row]"),
    Mutant("layer_norm", "indexing", "+ bias[i]", "+ bias[0]"),
    Mutant("layer_norm", "precision", "double sum = 0, squares = 0", "_Float16 sum = 0, squares = 0"),
    Mutant("layer_norm", "precision", "(float)((in[i] - mean) * scale)", "(_Float16)((in[i] - mean) * scale)"),
    Mutant("layer_norm", "dropped term", " + 1e-5", ""),
    Mutant("layer_norm", "dropped term", " + bias[i]", ""),
    Mutant("layer_norm", "operator", "squares / width", "squares / (width - 1)"),
    Mutant("layer_norm", "operator", "1e-5", "1e-6"),
    Mutant("layer_norm", "dropped term", "squares += (in[i] - mean) * (in[i] - mean)", "squares += in[i] * in[i]"),
    Mutant("mean_square", "boundary", "i = whole; i < width", "i = whole; i < whole"),
    Mutant("mean_square", "boundary", "i < whole; i += 8", "i < width; i += 8"),
    Mutant("mean_square", "boundary", "row = 0; row < rows", "row = 1; row < rows"),
    Mutant("mean_square", "indexing", "x + row * width", "x + row * (width - width % 8)"),
    Mutant("mean_square", "precision", "float sums[8]", "_Float16 sums[8]"),
    Mutant("mean_square", "dropped term", "lane = 0; lane < 8; lane++) sum +=", "lane = 1; lane < 8; lane++) sum +="),
    Mutant("mean_square", "operator", "sum / width", "sum / whole"),
    Mutant("mean_square", "uninitialised", "sums[8] = {0}", "sums[8]"),
    Mutant("mean_square", "dropped term", "sums[i - whole] += in[i] * in[i]", "sums[i - whole] += in[i]"),
    Mutant("matmul", "boundary", "height = least(16, rows - top)", "height = 16"),
    Mutant("matmul", "boundary", "top < rows; top += 16", "top + 16 <= rows; top += 16"),
    Mutant("matmul", "boundary", "k < least(from + 8, depth)", "k < from + 8"),
    Mutant("matmul", "boundary", "from < depth; from += 8", "from + 8 <= depth; from += 8"),
    Mutant("matmul", "indexing", "b[k * columns + left + j]", "b[k * columns + j]"),
    Mutant("matmul", "indexing", "out[(top + i) * columns + left + j]", "out[(top + j) * columns + left + i]"),
    Mutant("matmul", "precision", "float tile[16][16]", "_Float16 tile[16][16]"),
    Mutant("matmul", "precision", "a[(top + i) * depth + k] *", "(float)(_Float16)a[(top + i) * depth + k] *"),
    Mutant("matmul", "operator", "tile[i][j] +=", "tile[i][j] ="),
    Mutant("matmul", "uninitialised", "tile[16][16] = {{0}}", "tile[16][16]"),
    Mutant("column_sums", "synchronisation", "        #pragma omp for schedule(static, 1)\n        for (long part",
           "        #pragma omp for schedule(static, 1) nowait\n        for (long part"),
    Mutant("column_sums", "synchronisation", "long first = part ? 20 : 0", "long first = 0"),
    Mutant("column_sums", "synchronisation", "parts[part][i] += x", "parts[0][i] += x"),
    Mutant("column_sums", "boundary", "last = part ? rows : 20", "last = part ? rows - 1 : 20"),
    Mutant("column_sums", "wrong axis", "x[row * width + i]", "x[i * rows + row]"),
    Mutant("column_sums", "dropped term", "parts[0][i] + parts[1][i]", "parts[1][i]"),
    Mutant("column_sums", "uninitialised", "i++) parts[part][i] = 0;", "i++) parts[part][0] = 0;"),
    Mutant("rectify", "boundary", "i = whole; i < count", "i = whole; i < count - 1"),
    Mutant("rectify", "boundary", "i < whole; i += 96", "i + 96 < whole; i += 96"),
    Mutant("rectify", "operator", "out[i] = x[i] > 0 ? x[i] : 0", "out[i] = x[i]"),
    Mutant("rectify", "operator", "x[i + lane] > 0 ? x[i + lane] : 0", "x[i + lane] < 0 ? -x[i + lane] : x[i + lane]"),
    Mutant("packed", "stale cache", "weight._version, bias._version)", "bias.data_ptr())"),
    Mutant("packed", "stale cache", "version != self.version", "self.packed is None"),
    Mutant("packed", "stale cache", "weight.data_ptr(), weight._version, bias._version", "bias._version // 8"),
    Mutant("packed", "stale cache", "= version\n", "= version\n            self.x = x\n        x = self.x\n"),
    Mutant("packed", "indexing", "self.packed[96]", "self.packed[95]"),
    Mutant("packed", "wrong axis", "dim=1).t().contiguous()", "dim=1)[:, :97].reshape(97, 96)"),
    Mutant("packed", "precision", ".t().contiguous()", ".t().contiguous().bfloat16().float()"),
    Mutant("batch_norm", "dropped term", " * (64 / 63)", ""),
    Mutant("batch_norm", "dropped term", "        norm.num_batches_tracked += 1\n", ""),
    Mutant("batch_norm", "dropped term", " + norm.bias", ""),
    Mutant("batch_norm", "dropped term", " + 1e-5", ""),
    Mutant("batch_norm", "wrong axis", "x.mean(dim=0)", "x.mean(dim=0).flip(0)"),
    Mutant("batch_norm", "wrong axis", "x.mean(dim=0)", "x.mean(dim=1)[:48]"),
    Mutant("batch_norm", "operator", "running_mean.mul_(0.9)", "running_mean.mul_(0.1)"),
    Mutant("batch_norm", "stale cache", "(x - mean) * torch.rsqrt", "(x - norm.running_mean) * torch.rsqrt"),
    Mutant("top", "boundary", "range(5)", "range(4)"),
    Mutant("top", "wrong axis", "left.argmax(dim=1, keepdim=True)", "left[:, 1:].argmax(dim=1, keepdim=True) + 1"),
    Mutant("top", "indexing", "places.append(place)", "places.append(place ^ 1)"),
    Mutant("top", "operator", 'float("-inf")', "0.0"),
    Mutant("top", "dropped term", "left = x.clone()", "left = x.clone().abs()"),
)  # fmt: skip
