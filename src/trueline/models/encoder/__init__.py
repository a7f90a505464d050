"""A sentence encoder without torch: the weights of a BERT folder as an ONNX graph, built once and run by onnxruntime on one thread."""
