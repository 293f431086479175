"""Writes onnx_operators_reference.json beside this file: what PyTorch in float64 makes of single ONNX operators.

Needs torch. For each case of tests/onnx_layers.rs, by name: `x` (its shape and, in C order, its values), `y` (the
operator's output) and `gradient`, that of sum(w * y) by x, where w[i] = sin(1.7 i + 0.6) + 0.2.
"""

import json
import math
import pathlib

import torch
from torch.nn import functional as F

HERE = pathlib.Path(__file__).parent
torch.set_default_dtype(torch.float64)


def generic(*shape, low=-1.0, high=1.0):
    """Values in [low, high], no two equal, that float32 holds exactly."""
    count = math.prod(shape)
    values = [low + (high - low) * (((i + 1) * 0.618033988749895) % 1.0) for i in range(count)]
    return torch.tensor(values, dtype=torch.float32).double().reshape(shape)


def index(*shape, bound):
    count = math.prod(shape)
    return torch.tensor([(7 * i + 3) % bound for i in range(count)]).reshape(shape)


def apart(*shape, bound):
    """Indices along the last axis, none twice in a row."""
    count = math.prod(shape)
    return torch.tensor([(2 * i + i // shape[-1]) % bound for i in range(count)]).reshape(shape)


def norm(x, axes, epsilon):
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / torch.sqrt(((x - mean) ** 2).mean(axes, keepdim=True) + epsilon)


def rms(x, epsilon):
    return x / torch.sqrt((x**2).mean(-1, keepdim=True) + epsilon)


def rotate(x, cos, sin):
    """x is [batch, heads, length, depth]; the halves of the depth are the pairs."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


def rotate_pairs(x, cos, sin):
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)


def heads(x, count):
    return x.unflatten(2, (count, -1)).transpose(1, 2)


def joined(x):
    return x.transpose(1, 2).flatten(2)


def complex_pairs(z):
    return torch.view_as_real(z)


def reduced(x, reduction, swap):
    data, updates = (generic(2, 3, 4, low=-1.3, high=1.2), x) if swap else (x, generic(2, 3, 6, low=-1.3, high=1.2))
    at = index(2, 3, updates.shape[2], bound=data.shape[2])
    return data.scatter_reduce(2, at, updates, reduction)


def grid(*shape, spread):
    return generic(*shape, low=-spread, high=spread)


def sample(mode, padding, align, spread):
    return lambda x: F.grid_sample(x, grid(1, 3, 2, 2, spread=spread), mode, padding, align)


def sampled(mode, padding, align):
    return lambda x: F.grid_sample(generic(1, 2, 4, 5), x, mode, padding, align)


def attention(q, k, v, mask=None, causal=False, scale=None):
    shared = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale)


def group_query(x):
    cos, sin = generic(8, 2)[:3], generic(8, 2, low=-0.7, high=0.9)[:3]
    q, k, v = heads(x, 4), heads(generic(1, 3, 8), 2), heads(generic(1, 3, 8, low=-0.5), 2)
    return joined(attention(rotate(q, cos, sin), rotate(k, cos, sin), v, causal=True))


def short_time(x, window):
    frames = x[..., 0].unfold(1, 4, 2)
    return complex_pairs(torch.fft.fft(frames * window)[..., :3])


CASES = {
    "layer_norm": ((1, 2, 4, 6), lambda x: norm(x, (-1,), 1e-5) * generic(6) + generic(6, low=0.0)),
    "layer_norm_of_two_axes": ((1, 2, 4, 6), lambda x: norm(x, (-2, -1), 1e-5) * generic(4, 6)),
    "group_norm": (
        (1, 4, 3, 2),
        lambda x: F.group_norm(x, 2, generic(4), generic(4, low=0.0), 1e-5),
    ),
    "instance_norm": ((1, 3, 8), lambda x: F.instance_norm(x, weight=generic(3), bias=generic(3, low=0.0), eps=1e-5)),
    "lp_norm_1": ((1, 3, 4), lambda x: x / x.abs().sum(-1, keepdim=True)),
    "lp_norm_2": ((1, 3, 4), lambda x: x / (x**2).sum(1, keepdim=True).sqrt()),
    "mean_variance_norm": ((1, 2, 3, 4), lambda x: norm(x, (0, 2, 3), 0.0)),
    "rms_norm": ((1, 3, 6), lambda x: rms(x, 1e-5) * generic(6)),
    "simplified_layer_norm": ((1, 3, 6), lambda x: rms(x, 1e-5) * generic(6)),
    "skip_layer_norm": (
        (1, 3, 6),
        lambda x: norm(x + generic(1, 3, 6, low=-0.4), (-1,), 1e-5) * generic(6) + generic(6, low=0.0),
    ),
    "skip_simplified_layer_norm": ((1, 3, 6), lambda x: rms(x + generic(1, 3, 6, low=-0.4), 1e-5) * generic(6)),
    "prelu": ((1, 2, 3, 4), lambda x: torch.where(x > 0, x, x * generic(2, 1, 1))),
    "gelu": ((1, 3, 6), F.gelu),
    "gelu_tanh": ((1, 3, 6), lambda x: F.gelu(x, approximate="tanh")),
    "bias_gelu": ((1, 3, 6), lambda x: F.gelu(x + generic(6))),
    "fast_gelu": ((1, 3, 6), lambda x: F.gelu(x + generic(6), approximate="tanh")),
    "quick_gelu": ((1, 3, 6), lambda x: x * torch.sigmoid(1.702 * x)),
    "depth_to_space_dcr": (
        (1, 8, 2, 3),
        lambda x: x.reshape(1, 2, 2, 2, 2, 3).permute(0, 3, 4, 1, 5, 2).reshape(1, 2, 4, 6),
    ),
    "depth_to_space_crd": ((1, 8, 2, 3), lambda x: F.pixel_shuffle(x, 2)),
    "space_to_depth": (
        (1, 2, 4, 6),
        lambda x: x.reshape(1, 2, 2, 2, 3, 2).permute(0, 3, 5, 1, 2, 4).reshape(1, 8, 2, 3),
    ),
    "einsum_matrix": ((1, 3, 4), lambda x: torch.einsum("bij,jk->bik", x, generic(4, 2))),
    "einsum_twice": ((1, 3, 4), lambda x: torch.einsum("bij,bkj->bik", x, x)),
    "einsum_sum": ((1, 3, 4), lambda x: torch.einsum("bij->bj", x)),
    "slice_backwards": ((1, 5, 6), lambda x: x.flip(2)[:, 1:4, ::2]),
    "gather_elements": ((1, 4, 5), lambda x: x.gather(2, index(1, 4, 7, bound=5))),
    "gather_nd": ((2, 3, 4), lambda x: x[torch.tensor([1, 0, 1]), torch.tensor([2, 0, 2])]),
    "gather_nd_of_a_batch": ((1, 3, 4), lambda x: x[0, torch.tensor([2, 0, 2])][None]),
    "scatter_elements": ((2, 3, 4), lambda x: x.scatter(2, apart(2, 3, 2, bound=4), generic(2, 3, 2, low=-2.0))),
    "scatter_elements_of_updates": (
        (2, 3, 2),
        lambda x: generic(2, 3, 4, low=-2.0).scatter(2, apart(2, 3, 2, bound=4), x),
    ),
    "scatter_nd": (
        (4, 3),
        lambda x: x.index_put((torch.tensor([2, 0]),), generic(2, 3, low=-2.0)),
    ),
    "scatter_nd_add": (
        (3, 3),
        lambda x: generic(4, 3, low=-2.0).index_put((torch.tensor([2, 0, 2]),), x, accumulate=True),
    ),
    "top_k_largest": ((1, 3, 6), lambda x: x.topk(3, -1).values),
    "top_k_smallest": ((1, 4, 3), lambda x: x.topk(2, 1, largest=False).values),
    "trilu_upper": ((1, 3, 4), lambda x: x.triu(1)),
    "trilu_lower": ((1, 3, 4), lambda x: x.tril(-1)),
    "cum_sum": ((1, 3, 4), lambda x: x.cumsum(2)),
    "cum_sum_before_from_the_end": ((1, 3, 4), lambda x: x.flip(1).cumsum(1).flip(1) - x),
    "one_hot": ((1, 3), lambda x: x[..., None] + 0.5 * F.one_hot((3 * x.detach() + 3).long(), 6)),
    "hardmax": ((1, 2, 4), lambda x: x + F.one_hot(x.detach().argmax(-1), 4)),
    "non_zero": ((1, 4), lambda x: 1.0 * x),
    "multinomial": ((1, 4), lambda x: 1.0 * x),
    "tree_ensemble": ((1, 2), lambda x: x + torch.tensor([0.0, 0.5])),
    "eye_like": ((3, 4), lambda x: x + torch.eye(3, 4)),
    "resize_nearest": ((1, 2, 3, 4), lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest")),
    "resize_nearest_sizes": ((1, 2, 3, 4), lambda x: F.interpolate(x, size=(5, 6), mode="nearest")),
    "resize_linear": ((1, 2, 3, 4), lambda x: F.interpolate(x, size=(5, 7), mode="bilinear")),
    "resize_linear_aligned": (
        (1, 2, 3, 4),
        lambda x: F.interpolate(x, size=(5, 7), mode="bilinear", align_corners=True),
    ),
    "resize_cubic": ((1, 2, 3, 4), lambda x: F.interpolate(x, size=(6, 6), mode="bicubic")),
    "resize_antialiased": (
        (1, 2, 8, 6),
        lambda x: F.interpolate(x, size=(4, 3), mode="bilinear", antialias=True),
    ),
    "group_query_attention": ((1, 3, 16), group_query),
    "attention_queries": (
        (1, 2, 3, 4),
        lambda x: attention(x, generic(1, 2, 5, 4), generic(1, 2, 5, 4, low=-0.5), scale=0.7),
    ),
    "attention_keys": (
        (1, 2, 5, 4),
        lambda x: attention(generic(1, 4, 3, 4), x, x + 0.25, mask=generic(3, 5, low=-2.0)),
    ),
    "attention_causal": (
        (1, 4, 6),
        lambda x: joined(attention(heads(x, 2), heads(x, 2), heads(x, 2), causal=True)),
    ),
    "attention_values_of_another_depth": (
        (1, 2, 5, 3),
        lambda x: attention(generic(1, 2, 3, 4), generic(1, 2, 5, 4, low=-0.5), x),
    ),
    "multi_head_attention": (
        (1, 3, 8),
        lambda x: joined(attention(heads(x, 2), heads(x * 0.5, 2), heads(generic(1, 3, 8), 2))),
    ),
    "rotary_embedding": (
        (1, 2, 3, 4),
        lambda x: rotate(x, generic(3, 2), generic(3, 2, low=-0.7, high=0.9)),
    ),
    "rotary_embedding_of_pairs": (
        (1, 2, 3, 4),
        lambda x: rotate_pairs(x, generic(3, 2), generic(3, 2, low=-0.7, high=0.9)),
    ),
    "dft": ((1, 6, 2), lambda x: complex_pairs(torch.fft.fft(torch.view_as_complex(x), dim=1))),
    "dft_inverse": ((1, 6, 2), lambda x: complex_pairs(torch.fft.ifft(torch.view_as_complex(x), dim=1))),
    "dft_onesided": ((1, 6, 1), lambda x: complex_pairs(torch.fft.rfft(x[..., 0], dim=1))),
    "stft": ((1, 10, 1), lambda x: short_time(x, generic(4, low=0.1))),
    "reduce_l1": ((1, 3, 4), lambda x: x.abs().sum(2)),
    "reduce_l2": ((1, 3, 4), lambda x: (x**2).sum(1).sqrt()),
    "reduce_log_sum_exp": ((1, 3, 4), lambda x: x.logsumexp(2)),
}

for swap in (False, True):
    for name, reduction in {"add": "sum", "mul": "prod", "min": "amin", "max": "amax"}.items():
        kind = "_of_updates" if swap else ""
        CASES[f"scatter_elements_{name}{kind}"] = (
            (2, 3, 6) if swap else (2, 3, 4),
            lambda x, reduction=reduction, swap=swap: reduced(x, reduction, swap),
        )
for mode in ("bilinear", "nearest"):
    for padding in ("zeros", "border", "reflection"):
        for align in (False, True):
            name = f"{mode}_{padding}_{'aligned' if align else 'plain'}"
            CASES[f"grid_sample_{name}"] = ((1, 2, 4, 5), sample(mode, padding, align, 1.7))
            CASES[f"grid_sample_at_{name}"] = ((1, 3, 2, 2), sampled(mode, padding, align))
# Beyond the borders PyTorch and ONNX differ.
CASES["grid_sample_bicubic"] = ((1, 2, 4, 5), sample("bicubic", "zeros", True, 0.9))
CASES["grid_sample_at_bicubic"] = ((1, 3, 2, 2), sampled("bicubic", "zeros", True))


def reference(shape, function):
    x = generic(*shape).requires_grad_(True)
    y = function(x).flatten()
    w = torch.sin(1.7 * torch.arange(len(y)) + 0.6) + 0.2
    (gradient,) = torch.autograd.grad((w * y).sum(), x)
    numbers = lambda tensor: [float(f"{value:.12g}") for value in tensor.detach().flatten().tolist()]
    return {"shape": shape, "x": numbers(x), "y": numbers(y), "gradient": numbers(gradient)}


def main():
    table = {name: reference(*case) for name, case in sorted(CASES.items())}
    lines = [f"{json.dumps(name)}: {json.dumps(values)}" for name, values in table.items()]
    (HERE / "onnx_operators_reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
