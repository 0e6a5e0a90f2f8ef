"""What an ONNX file of a bundle may hold: versions and operators.

The operators are those that TensorRT 10.3 (JetPack 6) imports. Source: the operator table
of its ONNX parser (onnx-tensorrt, docs/operators.md). Left out: what draws random numbers,
since a prediction that cannot be repeated cannot be proven; and control flow (If, Loop,
Scan), since a bundle from a stranger must not run for ever, and TensorRT takes only some.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "IR_VERSION", "OPSET"]

# FP16 Q/DQ needs opset 19, TensorRT 10.3 ends at 20, and ONNX Runtime 1.23 reads IR 10.
OPSET = 20
IR_VERSION = 10

_TABLE = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool
    BatchNormalization Cast Ceil Celu Clip Concat Constant ConstantOfShape Conv
    ConvTranspose Cos Cosh CumSum DepthToSpace DequantizeLinear Div Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu
    Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample
    GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization
    IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax
    LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min
    Mish Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow
    QuantizeLinear RNN Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape
    Resize ReverseSequence RoiAlign Round ScatterElements ScatterND Selu Shape
    Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth
    Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu
    Unsqueeze Where Xor
"""
ALLOWED = frozenset(_TABLE.split())
