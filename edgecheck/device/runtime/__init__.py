"""ONNX Runtime: sessions, what it really runs, and a file in a process of its own."""
