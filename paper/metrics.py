"""The primary metric of a task in words."""

from dimat.tasks.task import Metric


def opening(text: str) -> str:
    """Text as a sentence begins with it; names and units in it stay as they are."""
    return text[:1].upper() + text[1:]


def with_unit(metric: Metric) -> str:
    """What a metric is called, and its unit."""
    return f"{metric.title} [{metric.unit}]" if metric.unit else metric.title


def number_form(metric: Metric, sign: str = "") -> str:
    """How its values are written: percentages to a tenth, others in three digits."""
    return f"{sign}.1f" if metric.unit == "%" else f"{sign}.3g"


def unit_of_differences(metric: Metric) -> str:
    """In what differences are counted: of percentages, in points."""
    return f"points of {metric.title}" if metric.unit == "%" else with_unit(metric)
