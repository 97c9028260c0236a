"""A document as XML and GraphML, fault by fault: what validation and the recognition of older formats stand on."""
