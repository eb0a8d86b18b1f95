"""Measures ONNX files, with numpy, onnx and onnxruntime only, so that it also runs on boards without PyTorch."""
