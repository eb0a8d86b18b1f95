"""What runs on a board: numpy, onnx and onnxruntime only."""
