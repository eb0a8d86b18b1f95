"""Maps of the ONNX file itself, by ONNX Runtime alone: no twin, no PyTorch."""
