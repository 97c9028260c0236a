"""`g2o view`: one page that shows a model as its modules, without a network."""
