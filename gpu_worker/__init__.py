"""The GPU worker: separates and analyses the songs of the queue and hands the results to the API."""

import os

# ONNX Runtime reports its use to its maker unless told otherwise before it is imported, and keeps an
# identifier of the machine in the home folder.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
