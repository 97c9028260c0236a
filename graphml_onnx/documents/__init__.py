"""A document as XML and GraphML, fault by fault: used by validation and to recognise older formats."""
