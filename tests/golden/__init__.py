"""Small models with the GraphML that they give, for people to read and for a test to compare."""
