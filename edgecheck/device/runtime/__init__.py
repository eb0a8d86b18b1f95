"""ONNX Runtime: sessions, profiles of the optimized graph, and runs in a separate process."""
