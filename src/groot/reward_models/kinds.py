"""What the rewards of a reward model mean, and how they are learnt.

sequence    Bradley-Terry on whole outputs; prefixes have a reward that means little
partial     Bradley-Terry on prefixes of equal length (PARGS)
value       the expected final reward of what goes on from a prefix (CD, FUDGE)
rad         the final reward, learnt with more weight on late prefixes (RAD)
vocabulary  the logit of a token is the reward of the prefix that ends with it, so that one call
            scores the whole vocabulary (FaRMA)
additive    Bradley-Terry on prefixes, too, but the reward of a prefix is the sum of what each of
            its tokens adds; a head of its own says it of the whole vocabulary in one call, from the
            state before the token. It begins with zeros.
"""

from typing import Literal, get_args

RewardKind = Literal["sequence", "partial", "value", "rad", "vocabulary", "additive"]
REWARD_KINDS: tuple[RewardKind, ...] = get_args(RewardKind)
