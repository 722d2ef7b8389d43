"""Pictures dealt out to parts so that each class has its share of boxes in each, also rare classes.

Iterative stratification ([Sechidis et al. 2011]): the class with the fewest groups left is dealt out first, each of its
groups to the part that lacks most of it. Theirs is of pictures that have a class or have not; here boxes are counted,
and groups are moved afterwards as long as the shares get nearer, which halves what is left to go; few groups are dealt
out several times. scikit-multilearn's and iterative-stratification's know neither counts nor groups.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

_MOST_ROUNDS = 20  # of moves; after some five nothing gets better
_MOST_TRIES, _MOST_LOOKED_AT = 30, 20_000  # orders in which few groups are dealt out, to keep the best


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
    totals = counts.sum(axis=0, dtype=np.float64)
    weights = np.where(np.arange(len(totals)) == 0, np.sqrt(len(totals)), 1)  # pictures weigh as much as all classes
    shares = weights * counts / np.maximum(totals, 1)  # [G, C]: of all boxes of a class
    wanted = weights * np.float64(fractions)[:, None] * (totals > 0)  # [P, C]
    tries = min(max(_MOST_LOOKED_AT // len(counts), 1), _MOST_TRIES)
    dealt = [_dealt(shares, wanted, _order(names, f"{seed} {number}")) for number in range(tries)]
    return min(dealt, key=lambda parts: _rounded(np.sum(_lacking(shares, wanted, parts) ** 2)))


def _rounded(values: np.ndarray) -> np.ndarray:
    """Values to compare: the order of sums, which differs by machine, must not decide between equal ones."""
    return np.round(values, 9)


def _order(names: Sequence[str], seed: str) -> np.ndarray:
    """`[G]`, the groups in an order that follows from names and seed."""
    keys = [
        hashlib.blake2b(f"{seed} {name}".encode("utf-8", "surrogatepass"), digest_size=16).digest() for name in names
    ]
    return np.array(sorted(range(len(names)), key=keys.__getitem__))


def _dealt(shares: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """`[G]`, the parts where groups are looked at in one order."""
    shuffled, parts = shares[order], np.empty(len(shares), int)
    parts[order] = _improved(shuffled, wanted, _stratified(shuffled, wanted))
    return parts


def _lacking(shares: np.ndarray, wanted: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """`[P, C]`, what parts have less than is wanted."""
    lacking = wanted.copy()
    np.subtract.at(lacking, parts, shares)
    return lacking


def _stratified(shares: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """`[G]`, parts by the rule of the paper; of equal parts the first that lacks most of everything."""
    parts = np.full(len(shares), -1)
    lacking = wanted.copy()
    while (left := parts < 0).any():
        of_class = np.count_nonzero(shares[left], axis=0)  # [C]
        if not of_class.any():  # groups without anything
            parts[left] = np.argmax(_rounded(lacking.sum(axis=1)))
            break
        rarest = int(np.argmin(np.where(of_class > 0, of_class, len(shares) + 1)))
        groups = np.flatnonzero(left & (shares[:, rarest] > 0))
        for group in groups[np.argsort(_rounded(-shares[groups, rarest]), kind="stable")]:
            of_rarest = _rounded(lacking[:, rarest])
            most = np.flatnonzero(of_rarest == of_rarest.max())
            part = most[np.argmax(_rounded(lacking[most].sum(axis=1)))]
            parts[group] = part
            lacking[part] -= shares[group]
    return parts


def _improved(shares: np.ndarray, wanted: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """`[G]`, each group moved to the part where the sum of squares of what lacks gets smallest, while that helps."""
    parts, lacking = parts.copy(), _lacking(shares, wanted, parts)
    for _ in range(_MOST_ROUNDS):
        moved = False
        for group, share in enumerate(shares):
            own = parts[group]
            # What the sum changes by where the group leaves its part for another one.
            change = _rounded(2 * (share @ (lacking[own] - lacking).T + share @ share))  # [P]
            change[own] = 0
            best = int(np.argmin(change))
            if change[best] < 0:
                lacking[own] += share
                lacking[best] -= share
                parts[group], moved = best, True
        if not moved:
            break
    return parts
