"""Staged, atomic publication of one or several output files.

All outputs are written to temporary files beside their final names and become visible together, by renames; a
failure leaves the earlier outputs byte-identical. A GraphML file (G) and its sidecar (S) are a pair: G holds the
digest of S. No file system replaces two files at once, so S is published first under an alias that contains its
digest, and a reader tries `candidates` and takes the file whose digest matches. The table shows what it finds if the
process is killed, or the power fails, after each step (0 is old, 1 is new):

======================================  ==========================  ==============================
after                                   in the folder               a reader finds
======================================  ==========================  ==============================
staging; (1) fsync of both files        S0 G0, temporary files      the old pair
(2) S1 renamed to its alias             S0 G0 S1-alias, temporary   the old pair
(3) G replaced: the commit point        S0 G1 S1-alias              the new pair, through the alias
(4) alias renamed to the final name     S1 G1                       the new pair
removal of backups and stale aliases    S1 G1                       the new pair
======================================  ==========================  ==============================

The folder is synchronised after (2), (3) and (4), so that the order also holds on the disk. Steps 2 to 4 run under
a lock between writers. An exception within them takes the renames back in reverse order, with a synchronisation
between those that depend on each other: from S1 G1 through S0 G1 S1-alias to S0 G0. For this, a hard link (a
"backup") keeps each file that is replaced; where the file system has no hard links, a failure after the first
replacement leaves the files as they are, which for a pair is one that decodes.

A reader that has opened G0 may already find S1. So it records the files before it opens them (`Watch`), and starts
again if it fails and the files have changed.

The next run of the same output removes what a killed one left: temporary files and backups when it stages, aliases
only after its own commit point, because until then the GraphML in place may need one of them. Hence names of the form
``<output>.<16 hexadecimal digits>`` and ``.<output>.<16 hexadecimal digits>.g2o-tmp`` are reserved.

Limits: the lock does not reach other machines on most network file systems; where the file system has no hard links,
a file that another program creates at the moment of publication is replaced even without ``overwrite``; owner,
access control lists and extended attributes of a replaced file are not carried over.
"""

from graphml_onnx.files.names import alias_path, candidates, with_suffix
from graphml_onnx.files.publication import Publication, StagedFile
from graphml_onnx.files.watching import Watch

__all__ = ["Publication", "StagedFile", "Watch", "alias_path", "candidates", "with_suffix"]
