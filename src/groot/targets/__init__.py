"""Target formats: gold to targets and back, tag schemes, grammars. Plain Python, no torch.

Training takes the first format of the table whose `takes` answers for the training examples.
"""

from groot.registry import Registry
from groot.targets.classes import MultiClass, SingleClass
from groot.targets.format import LabelFormat
from groot.targets.sentinel_tags import SentinelTags

FORMATS: Registry[type[LabelFormat]] = Registry(
    "label format",
    {
        "sentinel_tags": SentinelTags,
        "single_class": SingleClass,
        "multi_class": MultiClass,
    },
)

__all__ = ["FORMATS", "LabelFormat", "MultiClass", "SentinelTags", "SingleClass"]
