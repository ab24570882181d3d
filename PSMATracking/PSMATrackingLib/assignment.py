"""The cheapest one-to-one assignment of lesions, cluster by cluster."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from .points import BoolArray, FloatArray, IndexArray


def assign(rows: IndexArray, columns: IndexArray, cost: FloatArray, unmatched_cost: float) -> BoolArray:
    """Choose pairs so that no row and no column is used twice and the total cost is least.

    Clusters are the connected components of the graph of pairs; inside each the linear assignment problem is solved
    with the choice to leave a row unmatched at ``unmatched_cost``. Pairs that are dearer than that are never chosen.

    Parameters
    ----------
    rows, columns : integer arrays, shape (k,)
        The two lesions of each pair; every pair occurs once.
    cost : array, shape (k,)
    unmatched_cost : float

    Returns
    -------
    boolean array, shape (k,): the chosen pairs.
    """
    chosen = np.zeros(len(cost), dtype=bool)
    usable = np.flatnonzero(cost < unmatched_cost)
    if usable.size == 0:
        return chosen
    row_count, column_count = int(rows.max()) + 1, int(columns.max()) + 1
    graph = coo_matrix(
        (np.ones(usable.size), (rows[usable], columns[usable] + row_count)),
        shape=(row_count + column_count, row_count + column_count),
    )
    _, cluster = connected_components(graph, directed=False)
    by_cluster = usable[np.argsort(cluster[rows[usable]], kind="stable")]
    borders = np.flatnonzero(np.diff(cluster[rows[by_cluster]])) + 1
    for members in np.split(by_cluster, borders):
        chosen[_assign_cluster(rows, columns, cost, unmatched_cost, members)] = True
    return chosen


def _assign_cluster(
    rows: IndexArray,
    columns: IndexArray,
    cost: FloatArray,
    unmatched_cost: float,
    members: IndexArray,
) -> list[int]:
    if members.size == 1:
        return [int(members[0])]
    row_numbers, row = np.unique(rows[members], return_inverse=True)
    column_numbers, column = np.unique(columns[members], return_inverse=True)
    # One dummy column per row stands for "no counterpart".
    matrix = np.full((len(row_numbers), len(column_numbers) + len(row_numbers)), unmatched_cost)
    pair = np.full(matrix.shape, -1, dtype=np.intp)
    matrix[row, column] = cost[members]
    pair[row, column] = members
    picked = pair[linear_sum_assignment(matrix)]
    return [int(index) for index in picked if index >= 0]
