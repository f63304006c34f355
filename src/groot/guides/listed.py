"""What the table of guides says of each, how one is made by name, and what of it is saved."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from groot.errors import ConfigError
from groot.guides.materials import Materials

Need = Literal["reward model", "tuned model", "reward", "nothing", "function"]


class Listed:
    """What the table `GUIDES` says of a guide, how one is made by name, and what of it is saved.

    The settings of a guide are the keyword-only parameters of its class; each is kept in an
    attribute of the same name.

    Attributes:
        name: in the table.
        title: in the tables of `groot compare-guides` and in the report.
        needs: what it is made of; "function" is what only Python can give it.
        kinds: of the reward models that it takes, the one that suits it best first.
        steers_labels: whether it steers a labeler, too: what it adds to log_p is what the whole
            prefix is worth.
        is_costly: whether comparisons leave it out unless it is named.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    needs: ClassVar[Need] = "function"
    kinds: ClassVar[tuple[str, ...]] = ()
    steers_labels: bool = False
    is_costly: ClassVar[bool] = False

    @classmethod
    def made_of(cls, materials: Materials, **settings: Any) -> Self:
        """One of the materials that it needs.

        Raises:
            ConfigError: for a guide that is made of a function.
        """
        raise ConfigError(f"guide {cls.name!r} is made of a function: make it in Python.")

    @classmethod
    def setting_defaults(cls) -> dict[str, Any]:
        """The default of each setting."""
        return {
            name: parameter.default
            for name, parameter in inspect.signature(cls).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What it was made with, its models and functions apart."""
        return {name: getattr(self, name) for name in self.setting_defaults()}

    def parts(self) -> Mapping[str, Any]:
        """What a saved guide holds of it, by the names in `Materials`."""
        return {}
