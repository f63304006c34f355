"""The settings of a run: sections with defaults, and reading them from YAML."""

from groot.config.reading import config_from, describe, list_settings, load_config, to_yaml
from groot.config.sections import (
    Config,
    DataConfig,
    EvaluationConfig,
    FitConfig,
    ModelConfig,
    OptimiseConfig,
    OutputConfig,
    RewardConfig,
    SearchConfig,
    Section,
)

__all__ = [
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "FitConfig",
    "ModelConfig",
    "OptimiseConfig",
    "OutputConfig",
    "RewardConfig",
    "SearchConfig",
    "Section",
    "config_from",
    "describe",
    "list_settings",
    "load_config",
    "to_yaml",
]
