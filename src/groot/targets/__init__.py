"""Label formats: gold to targets and back, tag schemes, grammars. Plain Python, no torch."""

from collections.abc import Callable, Sequence

from groot.registry import Registry
from groot.targets.classes import MultiClass, SingleClass
from groot.targets.format import LabelFormat
from groot.targets.sentinel_tags import SentinelTags

FORMATS: Registry[Callable[[Sequence[str]], LabelFormat]] = Registry(
    "label format",
    {
        "sentinel_tags": SentinelTags,
        "single_class": SingleClass,
        "multi_class": MultiClass,
    },
)

__all__ = ["FORMATS", "LabelFormat", "MultiClass", "SentinelTags", "SingleClass"]
