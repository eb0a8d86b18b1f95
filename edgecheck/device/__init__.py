"""Everything that a board needs: measures ONNX files with numpy, onnx and onnxruntime only."""
