"""Reading labelled data: one reader per format, the benchmarks by name, and what doctor finds."""

from groot.data.read import READERS, read_examples, read_splits
from groot.data.result import Problem, Reading, ReadResult, Splits

__all__ = ["READERS", "Problem", "ReadResult", "Reading", "Splits", "read_examples", "read_splits"]
