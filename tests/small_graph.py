"""A graph of six nodes in ONNX's text form, with the ending of a detector: `[1, 64, 7]` raw predictions."""

HEAD = '<ir_version: 8, opset_import: ["": 17], producer_name: "hand", metadata_props: ["k": "v"]>'
NUMBERS = [", ".join(str((7 * i % 11 - 5) / 8) for i in range(count)) for count in (21, 49)]
SMALL = (
    HEAD
    + f"""
net (float[1, 3, 8, 8] images) => (float[1, 64, 7] output)
<float[7, 3, 1, 1] w1 = {{{NUMBERS[0]}}},
 float[7, 7, 1, 1] w2 = {{{NUMBERS[1]}}}, int64[3] flat = {{1, 7, 64}}>
{{
    [first] a = Conv (images, w1)
    [act] b = LeakyRelu <alpha = 0.1> (a)
    [last] c = Conv (b, w2)
    [flatten] d = Reshape (c, flat)
    [soft] e = Sigmoid (d)
    [turn] output = Transpose <perm = [0, 2, 1]> (e)
}}"""
)
