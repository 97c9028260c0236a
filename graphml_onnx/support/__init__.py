"""What every package may use and none owns: strict JSON, the look of a file, progress."""
