"""Speed and memory beside other tools; see `benchmarks.bench`."""
