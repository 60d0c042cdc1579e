"""Where the words of a figure are: none may cover another."""

import itertools

import numpy


def texts_of(figure):
    """Every text of a figure that was drawn, and the box around it (left, bottom, right, top) in pixels."""
    found = [*figure.texts, *itertools.chain(*(legend.get_texts() for legend in figure.legends))]
    for panel in figure.axes:
        found += panel.texts
        if not panel.axison:
            continue
        found += [panel.title, panel.xaxis.label, panel.yaxis.label]
        for axis in (panel.xaxis, panel.yaxis):
            low, high = sorted(axis.get_view_interval())
            room = 1e-9 * (high - low)
            for tick in axis.get_major_ticks():
                if low - room <= tick.get_loc() <= high + room:
                    found += [tick.label1, tick.label2]
    shown = [text for text in found if text.get_visible() and text.get_text().strip()]
    upright = [
        text for text in shown if text.get_rotation() % 90 == 0
    ]  # the box of others is larger than they are
    return [(text.get_text(), text.get_window_extent().extents) for text in upright]


def overlapping(figure, allowed=1.0):
    """Pairs of texts of which one covers another by more than ``allowed`` pixels each way."""
    texts = texts_of(figure)
    boxes = numpy.array([box for _, box in texts]).reshape(-1, 4)
    low = numpy.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = numpy.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    covers = numpy.triu(((high - low) > allowed).all(axis=2), k=1)
    return [(texts[one][0], texts[other][0]) for one, other in numpy.argwhere(covers)]
