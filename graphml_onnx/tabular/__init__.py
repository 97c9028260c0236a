"""Writes models as tables: Parquet for DuckDB, Polars, pandas and Spark, and a property graph for Cypher."""

from graphml_onnx.tabular.api import TablesResult, tables
from graphml_onnx.tabular.cypher import property_graph

__all__ = ["TablesResult", "property_graph", "tables"]
