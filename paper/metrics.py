"""The primary metric of a task in words."""

from dimat.tasks.task import Metric


def with_unit(metric: Metric) -> str:
    """What a metric is called, and its unit."""
    return f"{metric.title} [{metric.unit}]" if metric.unit else metric.title


def unit_of_differences(metric: Metric) -> str:
    """In what differences are counted: of percentages, in points."""
    return f"points of {metric.title}" if metric.unit == "%" else with_unit(metric)
