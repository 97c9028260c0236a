"""Models as tables: Parquet that DuckDB, Polars, pandas and Spark read, and a property graph made of it."""

from graphml_onnx.tabular.api import TablesResult, tables
from graphml_onnx.tabular.cypher import property_graph

__all__ = ["TablesResult", "property_graph", "tables"]
