"""What FP16 means for an operator.

COMPUTE lists what ONNX Runtime 1.31 loads and TensorRT-RTX 1.7 compiles in FP16, and what is
safe in it. LayerNormalization and InstanceNormalization are: TensorRT computes its
normalization layer in FP32 whatever its input is, unless told otherwise
(`INormalizationLayer::setComputePrecision`), and ONNX's ``stash_type`` of 1 asks for the same.
What overflows (TensorRT issue 2564) is a LayerNorm spelled out as Pow, ReduceMean, Sqrt and Div:
that is why STATISTICS are walked back from each operator that needs its small values.

Recurrent layers are FP16 with the rest: TensorRT-RTX 1.7 compiles no LSTM with a Cast to FP32
in front of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from mmedge.calibration.layers import KINDS

__all__ = [
    "COMPUTE",
    "LINEAR",
    "LOOKUPS",
    "MAKERS",
    "MOVES",
    "NEEDS_SMALL",
    "STATISTICS",
    "SUMS",
    "UNTYPED",
]

_MOVES = """
    Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Identity Pad Reshape
    ReverseSequence ScatterElements ScatterND Slice SpaceToDepth Split Squeeze Tile Transpose
    Trilu Unsqueeze Where
"""
MOVES = frozenset(_MOVES.split())
"""They move values and compute none."""

_COMPUTE = """
    Abs Add AveragePool BatchNormalization Clip Conv ConvTranspose Cos Div Elu Erf Exp Gelu Gemm
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish InstanceNormalization
    LayerNormalization LeakyRelu Log LogSoftmax MatMul Max MaxPool Mean Min Mish Mul Neg PRelu
    Pow Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Resize Selu Sigmoid Sign Sin
    Softmax Softplus Softsign Sqrt Sub Sum Tanh ThresholdedRelu
"""
COMPUTE = frozenset(_COMPUTE.split())

MAKERS = ("Cast", "DequantizeLinear")
"""They make floats of something else; which floats, their takers say."""
LOOKUPS = ("Gather", "GatherElements", "GatherND")
"""They look constants up by number, as an embedding does."""
UNTYPED = ("Cast", "IsInf", "IsNaN", "Shape", "Size")
"""They give the same for FP16 and FP32."""
SUMS = ("AveragePool", "GlobalAveragePool", "Mean", "ReduceMean", "ReduceSum", "Sum")

NEEDS_SMALL: Mapping[str, int] = {"Div": 1, "Log": 0, "Reciprocal": 0, "ReduceL2": 0, "Sqrt": 0}
"""Operator -> the input whose small values decide: a quotient of what became 0 is infinite."""
_STATISTICS = "Abs Add Clip Max Mul Neg Pow ReduceMean ReduceSum ReduceSumSquare Sqrt Sub"
STATISTICS = MOVES | frozenset(_STATISTICS.split())
"""What leads to a root or a divisor."""
LINEAR = STATISTICS | frozenset(KINDS)
"""What leads to a logarithm, which spreads small values out as far as large ones."""
