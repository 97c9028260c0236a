"""The command line ``g2o``: parses, calls the library, and shows what came of it."""
