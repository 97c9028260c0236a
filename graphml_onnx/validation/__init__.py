"""Validation of GraphML files in layers: document, keys, nodes, graph, hierarchy, store, outcome; a module for each."""
