"""Shrunken twins of studies: the same kinds of everything, in seconds instead of hours."""

from support.pictures import picture

from dimat.experiment.config import combined

PRINCIPAL = ("task", "method", "matching", "calibration")
"""Axes of which twins have every combination; of the others, see `star`."""
KEPT = (*PRINCIPAL, "seeds", "measures", "variants")
"""Lists that twins keep as they are."""
OF_THE_WHOLE = ("name", "device", "links", "bottleneck", "variants")
"""Keys that no variant has."""
WIDTHS = {
    "plain": {"widths": [4, 5]},
    "resnet20": {"width": 1},
    "vgg16": {"width": 0.02},
    "vit": {"width": 8, "heads": 2, "depth": 1},
}
AGENTS = 3
IMAGES = 6
"""Of each of the ten classes that pictures for twins have, in the training set."""


def twin_of(content):
    """The configuration of a study that has each value of every axis of ``content``, but takes seconds."""
    grids = [content]
    for variant in content.get("variants", []):
        grids.append(content | {key: combined(content.get(key), value) for key, value in variant.items()})
    first, *others = [part for grid in grids for part in star(small(grid))]
    variants = [
        {key: grid[key] for key in grid if key not in OF_THE_WHOLE and grid[key] != first.get(key)}
        for grid in others
    ]
    return first | {"variants": [each for each in variants if each]}


def star(grid):
    """Every combination with the first values of the axes not in `PRINCIPAL`; each other value once."""
    several = {key: value for key, value in grid.items() if isinstance(value, list)}
    alone = {key: value[0] for key, value in several.items() if key not in KEPT}
    yield grid | alone
    few = {"method": several["method"][:2]} if "method" in several else {}
    few |= {key: several[key][0] for key in ("matching", "calibration") if key in several}
    for key in alone:
        for value in several[key][1:]:
            yield grid | alone | few | {key: value}


def small(grid):
    """The same grid with small networks, few images, and little training."""
    found = dict(grid) | {"device": "cpu"}
    found["data"] = each_of(grid["data"], small_data)
    found["model"] = each_of(grid["model"], lambda model: model | WIDTHS.get(model["name"], {}))
    found["partition"] = each_of(grid["partition"], small_partition)
    found["calibration"] = each_of(
        grid.get("calibration", {}), lambda each: each | ({"limit": 20} if "limit" in each else {})
    )
    found["agents"] = AGENTS if grid.get("agents", 5) == 5 else grid["agents"]
    seeds = grid.get("seeds", [0, 1, 2])
    found["seeds"] = seeds[:2] if isinstance(seeds, list) else seeds
    training = grid.get("training", {})
    little = {
        "pretrain_epochs": 1,
        "rounds": min(2, training.get("rounds", 10)),
        "epochs": 1,
        "batch_size": 10,
    }
    found["training"] = training | little
    if grid.get("tuning"):
        found["tuning"] = grid["tuning"] | {"factors": grid["tuning"]["factors"][:2]}
    return found


def each_of(axis, change):
    """``change`` of every value of an axis, as mappings with a name where they have one."""
    values = axis if isinstance(axis, list) else [axis]
    changed = [change({"name": value} if isinstance(value, str) else value) for value in values]
    return changed if isinstance(axis, list) else changed[0]


def small_data(data):
    """Few images; data sets that no substitute stands in for are pictures made up (see `draw_pictures`)."""
    if data["name"] == "sines":
        return data | {"waves": 60, "test_waves": 10}
    if data["name"] != "digits" and "substitute" not in data:
        return {"name": "folder", "path": f"pictures-{data['name']}", "title": data["name"]}
    return data | {"train_limit": 60, "test_limit": 30}


def small_partition(partition):
    return partition | ({"fewest": 2} if partition["name"] == "dirichlet" else {})


def draw_pictures(folder, twin):
    """The pictures that a twin reads, where its commands are started."""
    grids = [twin, *twin["variants"]]
    for path in {grid["data"]["path"] for grid in grids if grid.get("data", {}).get("name") == "folder"}:
        for split, count in (("train", IMAGES), ("test", 2)):
            for label in range(10):
                place = folder / path / split / f"class {label}"
                place.mkdir(parents=True)
                for number in range(count):
                    picture((label, number, len(split)), 32, 32).save(place / f"{number}.png")
