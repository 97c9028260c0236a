"""The command line ``g2o``: parses arguments, calls the library, and shows the result."""
