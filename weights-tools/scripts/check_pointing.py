"""Makes tests/golden/pointing.json: small maps with what other programs say of them.

    pip install --no-deps quantus==0.6.0 torchray==1.0.0.2

and what they import. Both are for development only: Quantus is LGPL-3, TorchRay is CC-BY-NC.

`maps` have 10 rows of 12 multiples of 1/64, and a `region`. Each holds:

    maximum     column and row of the largest value, the first of equals row by row
    near        by tolerance: whether TorchRay counts the maximum as a hit
    quantus     PointingGame, RelevanceMassAccuracy and RelevanceRankAccuracy
    positive    the same of the map with negative values replaced by 0
    rank        relevance rank accuracy of the positive map if equals count row by row
    kept        by share of the energy: whether the pixels lie in the region that the highest
                threshold leaves that keeps this share of the sum of the positive map

Where the region is empty, Quantus's mass and rank are NaN, here null, and its PointingGame
counts a hit; so it does on a constant map. The mass of a map whose sum is 0 is null too. The rank
is null where it depends on the order of equal values, which Quantus leaves to an unstable sort.

`points` are TorchRay's game alone, on larger planes: size (width, height), the region's edges
(left, top, right, bottom, the last two excluded), the point and the tolerance.
"""

import argparse
import json
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import quantus
import torch
from torch import nn
from torchray.benchmark.pointing_game import PointingGame

GOLDEN = Path(__file__).resolve().parents[2] / "tests/golden/pointing.json"
SEED = 20
WIDTH, HEIGHT, UNIT = 12, 10, 64
TOLERANCES = (1, 2, 5, 15)
SHARES = ("0.01", "0.1", "0.3", "0.5", "1")
METRICS = {
    "any": quantus.PointingGame,
    "mass": quantus.RelevanceMassAccuracy,
    "rank": quantus.RelevanceRankAccuracy,
}


def planes(random):
    """Whole numbers, to be divided by UNIT."""
    shape = (HEIGHT, WIDTH)

    def normal(scale):
        return np.rint(random.normal(0, scale, shape)).astype(int)

    def levels(low, high):
        return random.integers(low, high, shape) * UNIT

    def sparse(count):
        plane = np.zeros(shape, int)
        plane.flat[random.choice(plane.size, count, replace=False)] = random.integers(1, 999, count)
        return plane

    yield from (normal(200) for _ in range(5))
    yield from (abs(normal(200)) for _ in range(4))
    yield from (levels(-2, 4) for _ in range(4))
    yield from (levels(0, 3) for _ in range(2))
    yield from (sparse(count) for count in (1, 2, 9, 40))
    yield sparse(9) - 5
    yield -abs(normal(200)) - 1
    yield np.zeros(shape, int)
    yield np.full(shape, 3 * UNIT)
    yield -np.full(shape, 3 * UNIT)


def regions(random):
    def rectangle():
        columns = np.sort(random.choice(WIDTH + 1, 2, replace=False))
        rows = np.sort(random.choice(HEIGHT + 1, 2, replace=False))
        region = np.zeros((HEIGHT, WIDTH), bool)
        region[slice(*rows), slice(*columns)] = True
        return region

    while True:
        yield rectangle()
        yield rectangle() | rectangle()
        border = np.ones((HEIGHT, WIDTH), bool)
        border[1:-1, 1:-1] = False
        yield rectangle() & ~rectangle()
        yield border
        yield rectangle()
        corner = np.zeros((HEIGHT, WIDTH), bool)
        corner[-1, -1] = True
        yield corner | rectangle()
        yield corner
        yield ~rectangle()


def cases():
    random = np.random.default_rng(SEED)
    found = list(zip(planes(random), regions(random)))
    for plane, region in found[1:12:2]:
        plane[region] += 5 * UNIT
    # What no rectangle is.
    found[3] = found[3][0], np.ones((HEIGHT, WIDTH), bool)
    found[8] = found[8][0], np.zeros((HEIGHT, WIDTH), bool)
    return found


def quantus_says(maps, regions):
    """Quantus's three numbers of each map; one batch, as it refuses single maps of zeros."""
    a, s = np.stack(maps)[:, None], np.stack(regions)[:, None]
    found = []
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        for metric in METRICS.values():
            game = metric(disable_warnings=True)
            found.append(
                game(
                    model=nn.Flatten(),
                    x_batch=np.zeros(a.shape),
                    y_batch=np.zeros(len(a), int),
                    a_batch=a,
                    s_batch=s,
                    batch_size=len(a),
                )
            )
    return list(zip(*found))


def possible_ranks(plane, region):
    """Relevance rank accuracy by the worst and by the best order of equal values."""
    area = region.sum()
    both = []
    for preferred in (~region, region):
        order = np.lexsort((~preferred.ravel(), -plane.ravel()))
        both.append(region.flat[order[:area]].mean() if area else 0.0)
    return both


def cleaned(plane, region, numbers):
    any_hit, mass, rank = (float(number) for number in numbers)
    least, most = possible_ranks(plane, region)
    assert np.isnan(rank) or least <= rank <= most
    return {
        "any": bool(any_hit),
        "mass": mass if np.isfinite(mass) else None,
        "rank": rank if least == most and region.any() else None,
    }


def first_maximum(plane):
    row, column = divmod(int(plane.argmax()), plane.shape[1])
    return column, row


def near(region, point, tolerance):
    with warnings.catch_warnings(action="ignore"):
        return PointingGame(1, tolerance).evaluate(torch.from_numpy(region), point) == 1


def kept_inside(energy, region, share):
    """Straight from the paper: the threshold is lowered until enough is kept."""
    needed = Fraction(share) * int(energy.sum())
    for threshold in sorted(set(energy[energy > 0].tolist()), reverse=True):
        kept = energy >= threshold
        if energy[kept].sum() >= needed:
            return bool(region[kept].all())
    return False


def checked_maps():
    found = cases()
    positive = [np.maximum(plane, 0) for plane, _ in found]
    both = {
        "quantus": quantus_says([plane / UNIT for plane, _ in found], [r for _, r in found]),
        "positive": quantus_says([plane / UNIT for plane in positive], [r for _, r in found]),
    }
    for i, ((plane, region), energy) in enumerate(zip(found, positive)):
        ranked = np.argsort(-energy, axis=None, kind="stable")[: region.sum()]
        yield {
            "values": (plane / UNIT).tolist(),
            "region": ["".join("01"[inside] for inside in row) for row in region.astype(int)],
            "maximum": first_maximum(plane),
            "near": {t: near(region, first_maximum(plane), t) for t in TOLERANCES},
            "quantus": cleaned(plane, region, both["quantus"][i]),
            "positive": cleaned(energy, region, both["positive"][i]),
            "rank": region.flat[ranked].mean() if region.any() else 0.0,
            "kept": {share: kept_inside(energy, region, share) for share in SHARES},
        }


def checked_points():
    """Around what lies exactly 15 pixels away: 15 in a line, 9 and 12 diagonally."""
    width, height = 64, 48
    left, top, right, bottom = edges = (20, 16, 40, 30)
    region = np.zeros((height, width), bool)
    region[top:bottom, left:right] = True
    for point in [
        (left - 14, top),
        (left - 15, top),
        (right + 13, bottom - 1),
        (right + 14, bottom - 1),
        (left - 9, top - 12),
        (left - 9, top - 11),
        (left - 8, top - 12),
        (right + 11, bottom + 8),
        (right + 11, bottom + 7),
        (left, top),
        (0, 0),
    ]:
        for tolerance in (1, 15):
            yield {
                "size": (width, height),
                "region": edges,
                "point": point,
                "tolerance": tolerance,
                "near": near(region, point, tolerance),
            }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=GOLDEN)
    output = parser.parse_args().output
    torch.set_num_threads(1)

    maps, points = list(checked_maps()), list(checked_points())
    lists = {
        name: "[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]"
        for name, entries in (("maps", maps), ("points", points))
    }
    parts = ",\n".join(f'"{name}": {entries}' for name, entries in lists.items())
    content = "{\n" + parts + "\n}\n"
    json.loads(content)
    output.write_text(content)
    print(f"{output}: {len(content)} bytes, {len(maps)} maps, {len(points)} points")


if __name__ == "__main__":
    main()
