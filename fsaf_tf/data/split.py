"""Pictures dealt out to parts so that each class has its share of boxes in each, also rare classes.

Iterative stratification ([Sechidis et al. 2011]): the class with the fewest groups left is dealt out first, each of its
groups to the part that lacks most of it. Theirs is of pictures that have a class or have not; here boxes are counted,
and groups are moved afterwards as long as the shares get nearer, which halves what is left to go. scikit-multilearn's
and iterative-stratification's know neither counts nor groups.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

_MOST_ROUNDS = 20  # of moves; after some five nothing gets better


def deal(counts: np.ndarray, fractions: Sequence[float], names: Sequence[str], seed: int) -> np.ndarray:
    """Deals groups of pictures out to parts.

    Args:
        counts: `[G, C]`, of each group what is to be shared out: its pictures, then the boxes of each class.
        fractions: of each of P parts, 1 together.
        names: of the groups, all different: the order in which they are looked at comes from these and the seed, not
            from that of the groups.
        seed: another one gives another split.

    Returns:
        `[G]` int64, the part of each group.
    """
    order = np.argsort([_key(name, seed) for name in names], kind="stable")
    shuffled = counts[order].astype(np.float64)
    totals = shuffled.sum(axis=0)
    weights = np.where(np.arange(len(totals)) == 0, np.sqrt(len(totals)), 1)  # pictures weigh as much as all classes
    shares = weights * shuffled / np.maximum(totals, 1)  # [G, C]: of all boxes of a class
    wanted = weights * np.float64(fractions)[:, None] * (totals > 0)  # [P, C]
    parts = _improved(shares, wanted, _stratified(shares, wanted))
    result = np.empty_like(parts)
    result[order] = parts
    return result


def _key(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {name}".encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _stratified(shares: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`[G]`, parts by the rule of the paper; of equal parts the first that lacks most of everything."""
    parts = np.full(len(shares), -1)
    lacking = wanted.copy()
    while (left := parts < 0).any():
        of_class = np.count_nonzero(shares[left], axis=0)  # [C]
        if not of_class.any():  # groups without anything
            parts[left] = np.argmax(lacking.sum(axis=1))
            break
        rarest = int(np.argmin(np.where(of_class > 0, of_class, len(shares) + 1)))
        groups = np.flatnonzero(left & (shares[:, rarest] > 0))
        for group in groups[np.argsort(-shares[groups, rarest], kind="stable")]:
            most = np.flatnonzero(lacking[:, rarest] == lacking[:, rarest].max())
            part = most[np.argmax(lacking[most].sum(axis=1))]
            parts[group] = part
            lacking[part] -= shares[group]
    return parts


def _improved(shares: np.ndarray, wanted: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """`[G]`, each group moved to the part where the sum of squares of what lacks gets smallest, while that helps."""
    parts = parts.copy()
    lacking = wanted.copy()
    np.subtract.at(lacking, parts, shares)
    for _ in range(_MOST_ROUNDS):
        moved = False
        for group, share in enumerate(shares):
            own = parts[group]
            # What the sum changes by where the group leaves its part for another one.
            change = 2 * (share @ (lacking[own] - lacking).T + share @ share)  # [P]
            change[own] = 0
            best = int(np.argmin(change))
            if change[best] < -1e-12:
                lacking[own] += share
                lacking[best] -= share
                parts[group], moved = best, True
        if not moved:
            break
    return parts
