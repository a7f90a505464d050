"""A BERT encoder as an ONNX graph, written node by node from its tensors (Devlin et al., 1810.04805).

In order: embeddings, then the layers (attention, feed-forward, each with its residual and layer norm), then the sum of the tokens' states
at the layers that are asked for. Left out on purpose: batches and padding, since one text at a time is what makes a quantised result
independent of its neighbours; the pooler, which sentence encoders do not use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trueline.errors import DataError

OPSET = 17
VERSION = 1
"""Part of a built graph's name: raise it when the nodes change."""

Tensors = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the graph needs of a BERT config: layers, heads, width of the states, positions (longest text in tokens), eps of the norms."""

    layers: int
    heads: int
    width: int
    positions: int
    eps: float


def shape_of(config: Mapping[str, Any]) -> Shape:
    """The shape in a `config.json`. Raises `DataError` for what the graph cannot say: another architecture or activation."""
    kind, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind != "bert" or activation != "gelu" or config.get("position_embedding_type", "absolute") != "absolute":
        what = f"the encoder is {kind!r} with activation {activation!r}, expected a bert with gelu and absolute positions"
        raise DataError(what, remedy="name a BERT sentence encoder, such as all-MiniLM-L6-v2")
    try:
        return Shape(
            int(config["num_hidden_layers"]), int(config["num_attention_heads"]), int(config["hidden_size"]),
            int(config["max_position_embeddings"]), float(config.get("layer_norm_eps", 1e-12)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as e:
        raise DataError(f"the encoder's config.json lacks {e}", remedy="give the whole folder of the model") from None


@dataclass(slots=True)
class _Nodes:
    """The nodes and weights written so far. Every method returns the name of what it made."""

    tensors: Tensors
    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, array: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def tensor(self, name: str) -> NDArray[np.float32]:
        try:
            return np.asarray(self.tensors[name], dtype=np.float32)
        except KeyError:
            raise DataError(f"the encoder's weights lack {name}", remedy="give the whole folder of the model") from None

    def linear(self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> str:
        """x W^T + b, the weight laid out (out, in) as torch keeps it."""
        return self.op("Add", self.op("MatMul", x, self.weight(weight.T)), self.weight(bias))

    def norm(self, x: str, name: str, eps: float) -> str:
        scale, shift = self.weight(self.tensor(f"{name}.weight")), self.weight(self.tensor(f"{name}.bias"))
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=eps)


def _embeddings(g: _Nodes, shape: Shape) -> str:
    """(tokens, width): word + position + the first token type, normalised."""
    words = g.op("Gather", g.weight(g.tensor("embeddings.word_embeddings.weight")), "ids")
    table = g.tensor("embeddings.position_embeddings.weight") + g.tensor("embeddings.token_type_embeddings.weight")[0]
    start, end = g.weight(np.array([0], np.int64)), g.op("Shape", "ids")
    here = g.op("Slice", g.weight(table), start, end, g.weight(np.array([0], np.int64)))
    return g.norm(g.op("Add", words, here), "embeddings.LayerNorm", shape.eps)


def _attention(g: _Nodes, shape: Shape, x: str, name: str) -> str:
    """softmax(Q K^T / sqrt(d)) V over the heads (1706.03762, eq. 1); the three projections are one product, the scale stands in Q."""
    parts = [f"{name}.attention.self.{p}" for p in ("query", "key", "value")]
    scale = np.repeat([1 / math.sqrt(shape.width / shape.heads), 1.0, 1.0], shape.width).astype(np.float32)
    weight = np.concatenate([g.tensor(f"{p}.weight") for p in parts]) * scale[:, None]
    bias = np.concatenate([g.tensor(f"{p}.bias") for p in parts]) * scale
    whole = g.op("Reshape", g.linear(x, weight, bias), g.weight(np.array([0, 3, shape.heads, -1], np.int64)))
    q, k, v = (g.op("Gather", whole, g.weight(np.array(i, np.int64)), axis=1) for i in range(3))
    scores = g.op("MatMul", g.op("Transpose", q, perm=[1, 0, 2]), g.op("Transpose", k, perm=[1, 2, 0]))
    seen = g.op("MatMul", g.op("Softmax", scores, axis=-1), g.op("Transpose", v, perm=[1, 0, 2]))
    flat = g.op("Reshape", g.op("Transpose", seen, perm=[1, 0, 2]), g.weight(np.array([0, -1], np.int64)))
    out = f"{name}.attention.output"
    mixed = g.linear(flat, g.tensor(f"{out}.dense.weight"), g.tensor(f"{out}.dense.bias"))
    return g.norm(g.op("Add", x, mixed), f"{out}.LayerNorm", shape.eps)


def _gelu(g: _Nodes, x: str) -> str:
    """x / 2 (1 + erf(x / sqrt 2)) (1606.08415)."""
    inner = g.op("Erf", g.op("Div", x, g.weight(np.array(math.sqrt(2), np.float32))))
    whole = g.op("Mul", x, g.op("Add", inner, g.weight(np.array(1.0, np.float32))))
    return g.op("Mul", whole, g.weight(np.array(0.5, np.float32)))


def _feed_forward(g: _Nodes, shape: Shape, x: str, name: str) -> str:
    wide = g.linear(x, g.tensor(f"{name}.intermediate.dense.weight"), g.tensor(f"{name}.intermediate.dense.bias"))
    narrow = g.linear(_gelu(g, wide), g.tensor(f"{name}.output.dense.weight"), g.tensor(f"{name}.output.dense.bias"))
    return g.norm(g.op("Add", x, narrow), f"{name}.output.LayerNorm", shape.eps)


def bert_graph(tensors: Tensors, shape: Shape, layers: Sequence[int]) -> Any:
    """The model `ids` (tokens,) -> `sums` (len(layers), width): the states after each named layer (0 = embeddings) summed over the tokens.

    tensors: named as in a BertModel, a leading `bert.` taken off. Raises `DataError` for a missing tensor or layer."""
    from onnx import TensorProto, helper

    if not layers or not all(0 <= n <= shape.layers for n in layers):
        raise DataError(f"layers {tuple(layers)} of an encoder that has {shape.layers}", remedy=f"name layers from 0 to {shape.layers}")
    g = _Nodes({k.removeprefix("bert."): v for k, v in tensors.items()})
    x = _embeddings(g, shape)
    states = [x]
    for n in range(max(layers)):
        x = _feed_forward(g, shape, _attention(g, shape, x, f"encoder.layer.{n}"), f"encoder.layer.{n}")
        states.append(x)
    axis = g.weight(np.array([0], np.int64))
    sums = [g.op("ReduceSum", states[n], axis, keepdims=1) for n in layers]
    g.nodes.append(helper.make_node("Concat", sums, ["sums"], name="sums", axis=0))
    graph = helper.make_graph(
        g.nodes, "encoder", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        [helper.make_tensor_value_info("sums", TensorProto.FLOAT, [len(layers), shape.width])], g.weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="trueline")
