"""Label formats: gold to targets and back, tag schemes, grammars. Plain Python, no torch."""

from collections.abc import Callable, Sequence

from groot.labels.classes import MultiClass, SingleClass
from groot.labels.format import LabelFormat
from groot.labels.sentinel_tags import SentinelTags
from groot.registry import Registry

FORMATS: Registry[Callable[[Sequence[str]], LabelFormat]] = Registry(
    "label format",
    {
        "sentinel_tags": SentinelTags,
        "single_class": SingleClass,
        "multi_class": MultiClass,
    },
)

__all__ = ["FORMATS", "LabelFormat", "MultiClass", "SentinelTags", "SingleClass"]
