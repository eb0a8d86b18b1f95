"""ONNX files: reading them, their operators, shapes, counts and memory."""
