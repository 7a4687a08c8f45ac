"""A small network with what quantising meets: stride, pool, concatenation, upsampling, a head."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime

NUMBERS = np.random.default_rng(7)


def _weights(name, *shape):
    values = NUMBERS.normal(0, 0.6 / np.sqrt(np.prod(shape[1:])), shape) * NUMBERS.uniform(
        0.4, 2.5, (shape[0], 1, 1, 1)
    )
    return f"float[{', '.join(map(str, shape))}] {name} = {{{', '.join(f'{v:.5f}' for v in values.ravel())}}}"


NET = f"""<ir_version: 8, opset_import: ["": 17], producer_name: "hand", metadata_props: ["k": "v"]>
net (float[1, 3, 64, 64] images) => (float[1, 4096, 6] output)
<{_weights("w1", 4, 3, 3, 3)}, float[4] b1 = {{0.1, -0.2, 0.3, 0.05}},
 {_weights("w2", 4, 4, 3, 3)}, {_weights("w3", 24, 8, 1, 1)},
 float[4] up = {{1, 1, 2, 2}}, int64[3] flat = {{1, 6, 4096}}>
{{
    [first] a = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (images, w1, b1)
    [act] b = LeakyRelu <alpha = 0.1> (a)
    [pool] p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
    [middle] c = Conv <pads = [1, 1, 1, 1]> (p, w2)
    [act2] d = LeakyRelu <alpha = 0.1> (c)
    [wide] u = Resize <mode = "nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">
        (d, , up)
    [two] v = Resize <mode = "nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor">
        (p, , up)
    [both] e = Concat <axis = 1> (u, v)
    [last] h = Conv (e, w3)
    [flatten] f = Reshape (h, flat)
    [soft] s = Sigmoid (f)
    [turn] output = Transpose <perm = [0, 2, 1]> (s)
}}"""
PICTURES = [np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8) for seed in (1, 2)]


def net():
    """The network, parsed."""
    return onnx.parser.parse_model(NET)


def run(model, images, **options):
    """All outputs on ONNX Runtime, on the CPU."""
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: images, **options})
