"""`speech_tokenizer_v1.onnx`: a graph that runs, with the nodes' names and the tensors' orientation of the released file.

The names are those by which the package `s3tokenizer` 0.3.0 finds the weights; layer norms are taken apart as the exporter of the
released file did, so that their scale and shift are inputs of `Mul` and `Add_1`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model.encoders.s3.network import S3Config, S3Network

SMALL = S3Config(width=128, heads=2, layers=2)


class _Graph:
    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def weight(self, value: NDArray[np.generic]) -> str:
        return self.constant(f"onnx::{len(self.constants)}", value)

    def literal(self, value: float | list[int]) -> str:
        """A number, or whole numbers, as the exporter writes them: the output of a Constant node, not an initializer."""
        name = f"constant_{len(self.nodes)}"
        array = np.array(value, np.int64 if isinstance(value, list) else np.float32)
        self.nodes.append(
            helper.make_node("Constant", [], [name], name=f"/{name}", value=numpy_helper.from_array(array))
        )
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, list(inputs), [f"{name}_output_0"], name=name, **attributes))
        return f"{name}_output_0"


def _linear(graph: _Graph, name: str, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> str:
    x = graph.node("MatMul", f"{name}/MatMul", x, graph.weight(np.ascontiguousarray(weight.T)))
    return x if bias is None else graph.node("Add", f"{name}/Add", graph.constant(f"{name[1:]}.bias", bias), x)


def _gelu(graph: _Graph, name: str, x: str) -> str:
    y = graph.node("Erf", f"{name}/Erf", graph.node("Div", f"{name}/Div", x, graph.literal(2**0.5)))
    y = graph.node("Add", f"{name}/Add", y, graph.literal(1.0))
    return graph.node("Mul", f"{name}/Mul_1", graph.node("Mul", f"{name}/Mul", x, y), graph.literal(0.5))


def _norm(graph: _Graph, name: str, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
    centred = graph.node("Sub", f"{name}/Sub", x, graph.node("ReduceMean", f"{name}/ReduceMean", x, axes=[-1]))
    square = graph.node("Pow", f"{name}/Pow", centred, graph.literal(2.0))
    spread = graph.node("ReduceMean", f"{name}/ReduceMean_1", square, axes=[-1])
    spread = graph.node("Sqrt", f"{name}/Sqrt", graph.node("Add", f"{name}/Add", spread, graph.literal(1e-5)))
    y = graph.node("Mul", f"{name}/Mul", graph.node("Div", f"{name}/Div", centred, spread), graph.weight(weight))
    return graph.node("Add", f"{name}/Add_1", y, graph.weight(bias))


def _block(graph: _Graph, name: str, x: str, w: dict[str, NDArray[np.float32]], heads: int) -> str:
    width = w["attn.query.weight"].shape[0]
    split = graph.literal([0, 0, heads, width // heads])
    join = graph.literal([0, 0, width])
    h = _norm(graph, f"{name}/attn_ln", x, w["attn_ln.weight"], w["attn_ln.bias"])
    parts = {}
    for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        y = _linear(graph, f"{name}/attn/{part}", h, w[f"attn.{part}.weight"], w.get(f"attn.{part}.bias"))
        y = graph.node("Reshape", f"{name}/attn/{part}_split", y, split)
        parts[part] = graph.node("Transpose", f"{name}/attn/{part}_turn", y, perm=order)
    scores = graph.node("MatMul", f"{name}/attn/scores", parts["query"], parts["key"])
    scores = graph.node("Mul", f"{name}/attn/scaled", scores, graph.literal((width // heads) ** -0.5))
    y = graph.node(
        "MatMul", f"{name}/attn/mix", graph.node("Softmax", f"{name}/attn/softmax", scores, axis=-1), parts["value"]
    )
    y = graph.node(
        "Reshape", f"{name}/attn/join", graph.node("Transpose", f"{name}/attn/turn", y, perm=[0, 2, 1, 3]), join
    )
    x = graph.node(
        "Add", f"{name}/residual", x, _linear(graph, f"{name}/attn/out", y, w["attn.out.weight"], w["attn.out.bias"])
    )
    h = _norm(graph, f"{name}/mlp_ln", x, w["mlp_ln.weight"], w["mlp_ln.bias"])
    h = _linear(graph, f"{name}/mlp/mlp.0", h, w["mlp.0.weight"], w["mlp.0.bias"])
    h = _linear(graph, f"{name}/mlp/mlp.2", _gelu(graph, f"{name}/mlp/mlp.1", h), w["mlp.2.weight"], w["mlp.2.bias"])
    return graph.node("Add", f"{name}/residual_1", x, h)


def write_onnx(path: Path, network: S3Network) -> None:
    """`network` as the file that CosyVoice releases. Input `feats` [1, n_mels, T], output `indices` [1, T']."""
    config = network.config
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    graph = _Graph()
    x = "feats"
    for number, stride in ((1, config.stride), (2, 2)):
        kernel = {
            kind: graph.constant(f"encoders.conv{number}.{kind}", state[f"encoder.conv{number}.{kind}"])
            for kind in ("weight", "bias")
        }
        x = graph.node(
            "Conv", f"/conv{number}/Conv", x, kernel["weight"], kernel["bias"],
            kernel_shape=[3], pads=[1, 1], strides=[stride],
        )  # fmt: skip
        x = _gelu(graph, f"/gelu_{number}", x)
    x = graph.node("Transpose", "/Transpose", x, perm=[0, 2, 1])
    table = graph.constant("encoders.positional_embedding", state["encoder.positional_embedding"])
    frames = graph.node("Gather", "/Gather", graph.node("Shape", "/Shape", x), graph.literal([1]))
    zero, axis = graph.literal([0]), graph.literal([0])
    x = graph.node("Add", "/Add", x, graph.node("Slice", "/Slice", table, zero, frames, axis))
    for number in range(config.layers):
        prefix = f"encoder.blocks.{number}."
        weights = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        x = _block(graph, f"/blocks.{number}", x, weights, config.heads)
    book = "/quantizer/rq/model/layers.0/_codebook"
    codes = graph.weight(np.ascontiguousarray(state["quantizer._codebook.embed"].T))
    x = graph.node("LpNormalization", "/quantizer/Normalize", x, axis=-1, p=2)
    dots = graph.node("Mul", f"{book}/Twice", graph.node("MatMul", f"{book}/Dots", x, codes), graph.literal(2.0))
    squares = graph.node("Pow", f"{book}/Pow_1", codes, graph.literal(2.0))
    norms = graph.node("ReduceSum", f"{book}/ReduceSum", squares, graph.literal([0]), keepdims=1)
    nearest = graph.node("Sub", f"{book}/Sub", dots, norms)
    graph.nodes.append(helper.make_node("ArgMax", [nearest], ["indices"], name="/ArgMax", axis=-1, keepdims=0))
    feats = helper.make_tensor_value_info("feats", TensorProto.FLOAT, [1, config.n_mels, "T"])
    indices = helper.make_tensor_value_info("indices", TensorProto.INT64, [1, "N"])
    made = helper.make_graph(graph.nodes, "speech_tokenizer", [feats], [indices], graph.constants)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), str(path))


def random_network(config: S3Config = SMALL, seed: int = 0) -> S3Network:
    """Random weights whose codes vary from frame to frame."""
    import torch

    torch.manual_seed(seed)
    network = S3Network(config).eval()
    network.quantizer._codebook.embed.normal_()
    network.quantizer._codebook.embed.div_(network.quantizer._codebook.embed.norm(dim=1, keepdim=True))
    return network
