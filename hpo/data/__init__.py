"""Data: a hub id, files, a saved data set or a sample -> checked splits, labels, fingerprint.

sources     which tables belong to a split: `file_sources`, `dataset_sources`, `hub`
files       one file -> one table: `json_rows`, `delimited`, `conll`, `arrow`
rows        tables -> checked rows, each problem with its place
schemes     tagging schemes, one sentence at a time; `tags` over a data set
splits      carved, subset, counted, fingerprinted
load        all of it together
"""

from hpo.data.load import StudyData, load_data, load_test
from hpo.data.splits import Split, overlap, split_fingerprint
from hpo.data.tables import Layout

__all__ = ["Layout", "Split", "StudyData", "load_data", "load_test", "overlap", "split_fingerprint"]
