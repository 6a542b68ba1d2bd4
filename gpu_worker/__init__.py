"""The GPU worker: separates and analyses the songs of the queue and hands the results to the API."""
