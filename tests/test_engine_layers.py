"""The inspector's JSON in both forms."""

import json

import pytest

from helpers.engine_header import EngineError
from helpers.engine_layers import Layer, count_precisions, read_layers


def ten(kind, inputs, outputs):
    port = [[{"Name": "t", "Format/Datatype": text} for text in texts] for texts in (inputs, outputs)]
    return {"Name": "a + b", "LayerType": kind, "Inputs": port[0], "Outputs": port[1]}


def eleven(kind, inputs, outputs):
    port = [
        [{"Name": "t", "Format": "kLINEAR", "Datatype": text} for text in texts]
        for texts in (inputs, outputs)
    ]
    return {"Name": "a + b", "LayerType": kind, "Inputs": port[0], "Outputs": port[1]}


CASES = [
    (ten, "CaskConvolution", ["Channel major FP16 format where channel % 8 == 0"], [], "fp16", True),
    (ten, "CaskConvolution", ["Half"], ["Float"], "fp16", True),
    (ten, "Reformat", ["Row major linear FP16 format"], ["Row major linear FP32"], "fp16", False),
    (ten, "PointWiseV2", ["Row major linear INT8 format"], [], "int8", True),
    (eleven, "gemm", ["Float"], ["Half"], "fp32", True),
    (eleven, "gemm", ["FP16"], ["FP16"], "fp16", True),
    (eleven, "gemm", ["BF16"], [], "bf16", True),
    (eleven, "gather", ["Int64", "Float"], ["Int64"], "fp32", True),
    (eleven, "shape", ["Int64"], [], "int64", True),
    (eleven, "kgen", [], ["Half"], "fp16", True),
    (eleven, "Cast", ["Half"], ["Float"], "fp16", False),
    (eleven, "kgen", [], [], "?", True),
]


@pytest.mark.parametrize(("form", "kind", "inputs", "outputs", "precision", "computes"), CASES)
def test_a_layer(form, kind, inputs, outputs, precision, computes):
    (layer,), _ = read_layers(json.dumps({"Layers": [form(kind, inputs, outputs)]}))
    assert layer == Layer("a + b", kind, precision)
    assert layer.computes is computes


def test_ports_in_both_forms():
    assert read_layers('{"Layers": [], "Bindings": ["images", "output"]}') == ((), ("images", "output"))
    text = '{"Layers": [], "I/O Tensors": [{"Name": "images", "IOMode": "Input"}]}'
    assert read_layers(text) == ((), ("images",))
    assert read_layers('{"Layers": ["conv"]}') == ((Layer("conv", "", "?"),), ())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"Layers": 1}', '{"Layers": [1]}'])
def test_a_third_form_is_told(text):
    with pytest.raises(EngineError, match="expected JSON with Layers"):
        read_layers(text)


def test_moving_is_not_computing():
    assert count_precisions(()) == {}
    layers = [Layer("a", "Reformat", "fp16"), Layer("b", "Convolution", "fp32"), Layer("c", "x", "fp32")]
    assert count_precisions(tuple(layers)) == {"fp32": 2}
