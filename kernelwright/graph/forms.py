"""How a person writes each ATen call: a table. What is not in it, or not expressible so, prints as torch.ops.

A form is a Python call over the names of the operator's schema:
    name       the argument, by position; trailing ones are left out where they hold the default
    *name      a list of numbers, spread
    key=name   by keyword, left out where it holds the default; `name=` is short for `name=name`
    key='text' as it stands
`self.` in front makes a method of the argument called self. A form that cannot say all that a call says is not used.
"""

from __future__ import annotations

INFIX = {
    "add.Tensor": "self + other", "sub.Tensor": "self - other", "mul.Tensor": "self * other",
    "div.Tensor": "self / other", "add.Scalar": "self + other", "sub.Scalar": "self - other",
    "mul.Scalar": "self * other", "div.Scalar": "self / other",
    "rsub.Scalar": "other - self", "rsub.Tensor": "other - self",
    "pow.Tensor_Scalar": "self ** exponent", "pow.Tensor_Tensor": "self ** exponent", "pow.Scalar": "self ** exponent",
    "remainder.Scalar": "self % other", "remainder.Tensor": "self % other", "floor_divide.default": "self // other",
    "matmul.default": "self @ other",
    "gt.Scalar": "self > other", "gt.Tensor": "self > other",
    "ge.Scalar": "self >= other", "ge.Tensor": "self >= other",
    "lt.Scalar": "self < other", "lt.Tensor": "self < other",
    "le.Scalar": "self <= other", "le.Tensor": "self <= other",
    "eq.Scalar": "self == other", "eq.Tensor": "self == other",
    "ne.Scalar": "self != other", "ne.Tensor": "self != other",
    "__and__.Tensor": "self & other", "__or__.Tensor": "self | other", "__xor__.Tensor": "self ^ other",
    "bitwise_and.Tensor": "self & other", "bitwise_or.Tensor": "self | other", "bitwise_xor.Tensor": "self ^ other",
}  # fmt: skip

PREFIX = {"neg.default": "-", "bitwise_not.default": "~"}

FORMS: dict[str, str] = {
    # linear maps
    "linear.default": "F.linear(input, weight, bias)",
    "bilinear.default": "F.bilinear(input1, input2, weight, bias)",
    "mm.default": "torch.mm(self, mat2)",
    "bmm.default": "torch.bmm(self, mat2)",
    "addmm.default": "torch.addmm(self, mat1, mat2, beta=, alpha=)",
    "baddbmm.default": "torch.baddbmm(self, batch1, batch2, beta=, alpha=)",
    "einsum.default": "torch.einsum(equation, *tensors)",
    "embedding.default": "F.embedding(indices, weight)",
    "scaled_dot_product_attention.default":
        "F.scaled_dot_product_attention(query, key, value, attn_mask=, dropout_p=, is_causal=, scale=, enable_gqa=)",
    # windows
    "conv1d.default": "F.conv1d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv2d.default": "F.conv2d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv3d.default": "F.conv3d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv1d.padding": "F.conv1d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv2d.padding": "F.conv2d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv3d.padding": "F.conv3d(input, weight, bias, stride=, padding=, dilation=, groups=)",
    "conv_transpose1d.default":
        "F.conv_transpose1d(input, weight, bias, stride=, padding=, output_padding=, groups=, dilation=)",
    "conv_transpose2d.input":
        "F.conv_transpose2d(input, weight, bias, stride=, padding=, output_padding=, groups=, dilation=)",
    "conv_transpose3d.input":
        "F.conv_transpose3d(input, weight, bias, stride=, padding=, output_padding=, groups=, dilation=)",
    "max_pool1d.default": "F.max_pool1d(self, kernel_size, stride=, padding=, dilation=, ceil_mode=)",
    "max_pool2d.default": "F.max_pool2d(self, kernel_size, stride=, padding=, dilation=, ceil_mode=)",
    "max_pool3d.default": "F.max_pool3d(self, kernel_size, stride=, padding=, dilation=, ceil_mode=)",
    "avg_pool1d.default": "F.avg_pool1d(self, kernel_size, stride=, padding=, ceil_mode=, count_include_pad=)",
    "avg_pool2d.default":
        "F.avg_pool2d(self, kernel_size, stride=, padding=, ceil_mode=, count_include_pad=, divisor_override=)",
    "avg_pool3d.default":
        "F.avg_pool3d(self, kernel_size, stride=, padding=, ceil_mode=, count_include_pad=, divisor_override=)",
    "adaptive_avg_pool1d.default": "F.adaptive_avg_pool1d(self, output_size)",
    "adaptive_avg_pool2d.default": "F.adaptive_avg_pool2d(self, output_size)",
    "adaptive_avg_pool3d.default": "F.adaptive_avg_pool3d(self, output_size)",
    "pad.default": "F.pad(self, pad, mode=, value=)",
    "constant_pad_nd.default": "F.pad(self, pad, value=)",
    "upsample_nearest2d.vec": "F.interpolate(input, size=output_size, scale_factor=scale_factors, mode='nearest')",
    "upsample_bilinear2d.vec":
        "F.interpolate(input, size=output_size, scale_factor=scale_factors, mode='bilinear', align_corners=)",
    "pixel_shuffle.default": "F.pixel_shuffle(self, upscale_factor)",
    "pixel_unshuffle.default": "F.pixel_unshuffle(self, downscale_factor)",
    # norms
    "layer_norm.default": "F.layer_norm(input, normalized_shape, weight, bias, eps=)",
    "rms_norm.default": "F.rms_norm(input, normalized_shape, weight, eps=)",
    "group_norm.default": "F.group_norm(input, num_groups, weight, bias, eps=)",
    "instance_norm.default":
        "F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats=, momentum=, eps=)",
    "batch_norm.default":
        "F.batch_norm(input, running_mean, running_var, weight, bias, training=training, momentum=, eps=)",
    "linalg_vector_norm.default": "torch.linalg.vector_norm(self, ord, dim=, keepdim=, dtype=)",
    # activations
    "relu.default": "F.relu(self)",
    "relu6.default": "F.relu6(self)",
    "gelu.default": "F.gelu(self, approximate=)",
    "silu.default": "F.silu(self)",
    "mish.default": "F.mish(self)",
    "selu.default": "F.selu(self)",
    "celu.default": "F.celu(self, alpha=)",
    "elu.default": "F.elu(self, alpha)",
    "leaky_relu.default": "F.leaky_relu(self, negative_slope=)",
    "hardtanh.default": "F.hardtanh(self, min_val, max_val)",
    "hardsigmoid.default": "F.hardsigmoid(self)",
    "hardswish.default": "F.hardswish(self)",
    "hardshrink.default": "F.hardshrink(self, lambd)",
    "softshrink.default": "F.softshrink(self, lambd)",
    "softplus.default": "F.softplus(self, beta=, threshold=)",
    "log_sigmoid.default": "F.logsigmoid(self)",
    "threshold.default": "F.threshold(self, threshold, value)",
    "prelu.default": "F.prelu(self, weight)",
    "glu.default": "F.glu(self, dim=)",
    "sigmoid.default": "self.sigmoid()",
    "tanh.default": "self.tanh()",
    "softmax.int": "self.softmax(dim=, dtype=)",
    "log_softmax.int": "self.log_softmax(dim=, dtype=)",
    # pointwise
    "add.Tensor": "torch.add(self, other, alpha=)",
    "sub.Tensor": "torch.sub(self, other, alpha=)",
    "div.Tensor_mode": "torch.div(self, other, rounding_mode=)",
    "abs.default": "self.abs()", "exp.default": "self.exp()", "exp2.default": "self.exp2()",
    "expm1.default": "self.expm1()", "log.default": "self.log()", "log2.default": "self.log2()",
    "log1p.default": "self.log1p()", "sqrt.default": "self.sqrt()", "rsqrt.default": "self.rsqrt()",
    "square.default": "self.square()", "reciprocal.default": "self.reciprocal()", "sin.default": "self.sin()",
    "cos.default": "self.cos()", "tan.default": "self.tan()", "sinh.default": "self.sinh()",
    "cosh.default": "self.cosh()", "erf.default": "self.erf()", "sign.default": "self.sign()",
    "round.default": "self.round()", "floor.default": "self.floor()", "ceil.default": "self.ceil()",
    "trunc.default": "self.trunc()", "isnan.default": "self.isnan()", "isinf.default": "self.isinf()",
    "logical_not.default": "self.logical_not()", "logical_and.default": "self.logical_and(other)",
    "logical_or.default": "self.logical_or(other)", "atan2.default": "torch.atan2(self, other)",
    "clamp.default": "self.clamp(min=, max=)", "clamp.Tensor": "self.clamp(min=, max=)",
    "clamp_min.default": "self.clamp(min=min)", "clamp_max.default": "self.clamp(max=max)",
    "maximum.default": "torch.maximum(self, other)", "minimum.default": "torch.minimum(self, other)",
    "where.self": "torch.where(condition, self, other)",
    "where.ScalarSelf": "torch.where(condition, self, other)",
    "where.ScalarOther": "torch.where(condition, self, other)",
    "masked_fill.Scalar": "self.masked_fill(mask, value)", "masked_fill.Tensor": "self.masked_fill(mask, value)",
    "lerp.Scalar": "torch.lerp(self, end, weight)", "lerp.Tensor": "torch.lerp(self, end, weight)",
    "_to_copy.default": "self.to(dtype)",
    "to.dtype": "self.to(dtype)",
    # reductions
    "sum.default": "self.sum(dtype=)", "sum.dim_IntList": "self.sum(dim=, keepdim=, dtype=)",
    "mean.default": "self.mean(dtype=)", "mean.dim": "self.mean(dim=, keepdim=, dtype=)",
    "prod.default": "self.prod(dtype=)", "prod.dim_int": "self.prod(dim=, keepdim=, dtype=)",
    "amax.default": "self.amax(dim=, keepdim=)", "amin.default": "self.amin(dim=, keepdim=)",
    "max.default": "self.max()", "min.default": "self.min()",
    "max.dim": "self.max(dim=, keepdim=)", "min.dim": "self.min(dim=, keepdim=)",
    "argmax.default": "self.argmax(dim=, keepdim=)", "argmin.default": "self.argmin(dim=, keepdim=)",
    "var.dim": "self.var(dim=, unbiased=, keepdim=)", "std.dim": "self.std(dim=, unbiased=, keepdim=)",
    "var.correction": "self.var(dim=, correction=, keepdim=)",
    "std.correction": "self.std(dim=, correction=, keepdim=)",
    "logsumexp.default": "self.logsumexp(dim=, keepdim=)",
    "all.default": "self.all()", "all.dim": "self.all(dim=, keepdim=)",
    "any.default": "self.any()", "any.dim": "self.any(dim=, keepdim=)",
    "cumsum.default": "self.cumsum(dim=, dtype=)", "cumprod.default": "self.cumprod(dim=, dtype=)",
    "topk.default": "self.topk(k, dim=, largest=, sorted=)",
    "sort.default": "self.sort(dim=, descending=)", "argsort.default": "self.argsort(dim=, descending=)",
    # shapes
    "view.default": "self.view(*size)", "_unsafe_view.default": "self.view(*size)",
    "reshape.default": "self.reshape(*shape)", "flatten.using_ints": "self.flatten(start_dim, end_dim)",
    "unflatten.int": "self.unflatten(dim, sizes)",
    "transpose.int": "self.transpose(dim0, dim1)", "t.default": "self.t()", "permute.default": "self.permute(*dims)",
    "unsqueeze.default": "self.unsqueeze(dim)", "squeeze.default": "self.squeeze()",
    "squeeze.dim": "self.squeeze(dim)", "squeeze.dims": "self.squeeze(dim)",
    "expand.default": "self.expand(*size)", "expand_as.default": "self.expand_as(other)",
    "repeat.default": "self.repeat(*repeats)", "repeat_interleave.self_int": "self.repeat_interleave(repeats, dim=)",
    "contiguous.default": "self.contiguous(memory_format=)", "clone.default": "self.clone(memory_format=)",
    "detach.default": "self.detach()",
    "cat.default": "torch.cat(tensors, dim=)", "stack.default": "torch.stack(tensors, dim=)",
    "split.Tensor": "self.split(split_size, dim=)", "split_with_sizes.default": "self.split(split_sizes, dim=)",
    "chunk.default": "self.chunk(chunks, dim=)", "unbind.int": "self.unbind(dim)",
    "flip.default": "self.flip(*dims)", "roll.default": "self.roll(shifts, dims)",
    "tril.default": "self.tril(diagonal)", "triu.default": "self.triu(diagonal)",
    "diagonal.default": "self.diagonal(offset=, dim1=, dim2=)",
    "gather.default": "self.gather(dim, index)", "index_select.default": "self.index_select(dim, index)",
    "unfold.default": "self.unfold(dimension, size, step)",
    "one_hot.default": "F.one_hot(self, num_classes)",
    "broadcast_tensors.default": "torch.broadcast_tensors(*tensors)",
    # buffers
    "copy_.default": "self.copy_(src)",
    # made from nothing
    "zeros.default": "torch.zeros(size, dtype=, device=)", "ones.default": "torch.ones(size, dtype=, device=)",
    "empty.memory_format": "torch.empty(size, dtype=, device=, memory_format=)",
    "full.default": "torch.full(size, fill_value, dtype=, device=)",
    "zeros_like.default": "torch.zeros_like(self, dtype=, device=, memory_format=)",
    "ones_like.default": "torch.ones_like(self, dtype=, device=, memory_format=)",
    "empty_like.default": "torch.empty_like(self, dtype=, device=, memory_format=)",
    "full_like.default": "torch.full_like(self, fill_value, dtype=, device=, memory_format=)",
    "new_zeros.default": "self.new_zeros(size, dtype=, device=)",
    "new_ones.default": "self.new_ones(size, dtype=, device=)",
    "new_full.default": "self.new_full(size, fill_value, dtype=, device=)",
    "arange.default": "torch.arange(end, dtype=, device=)",
    "arange.start": "torch.arange(start, end, dtype=, device=)",
    "arange.start_step": "torch.arange(start, end, step, dtype=, device=)",
    "eye.default": "torch.eye(n, dtype=, device=)", "eye.m": "torch.eye(n, m, dtype=, device=)",
    # losses
    "cross_entropy_loss.default":
        "F.cross_entropy(self, target, weight=, ignore_index=, reduction=, label_smoothing=)",
    "nll_loss_nd.default": "F.nll_loss(self, target, weight=, ignore_index=, reduction=)",
    "mse_loss.default": "F.mse_loss(self, target, reduction=)",
    "l1_loss.default": "F.l1_loss(self, target, reduction=)",
    "smooth_l1_loss.default": "F.smooth_l1_loss(self, target, reduction=, beta=)",
    "huber_loss.default": "F.huber_loss(self, target, reduction=, delta=)",
    "kl_div.default": "F.kl_div(self, target, reduction=, log_target=)",
    "binary_cross_entropy.default": "F.binary_cross_entropy(self, target, weight=, reduction=)",
    "binary_cross_entropy_with_logits.default":
        "F.binary_cross_entropy_with_logits(self, target, weight=, pos_weight=, reduction=)",
    "cosine_similarity.default": "F.cosine_similarity(x1, x2, dim=, eps=)",
}  # fmt: skip

# Of these calls only the first of several results is ever read; the form gives just that one.
FIRST: dict[str, str] = {
    "_native_batch_norm_legit_no_training.default":
        "F.batch_norm(input, running_mean, running_var, weight, bias, eps=)",
    "native_layer_norm.default": "F.layer_norm(input, normalized_shape, weight, bias, eps=)",
    "adaptive_max_pool2d.default": "F.adaptive_max_pool2d(self, output_size)",
}  # fmt: skip

# What changes speed, memory, gradients or statistics, but no value that the call returns.
SILENT = frozenset({
    "cudnn_enable", "cudnn_enabled", "momentum", "pin_memory", "non_blocking", "path", "padding_idx",
    "scale_grad_by_freq", "sparse",
})  # fmt: skip

# Equal numbers for every dimension are written once.
ONCE = frozenset({"kernel_size", "stride", "padding", "output_padding", "dilation", "output_size", "scale_factors"})

REDUCTION = ("none", "mean", "sum")
