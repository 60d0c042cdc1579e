"""The content of the paper over all studies of a folder: everything that its template shows."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

import pandas

from paper.comparisons import distinct
from paper.report.answers import TIMES, Answer, Question, questions
from paper.report.cost import POWER_FROM, total
from paper.report.entries import Entry, System, entries, package_yaml, systems
from paper.report.gathering import Gathered
from paper.report.settings import setting_row, words_of
from paper.report.studies import GPU, Contribution, Picture, text_of
from paper.shown import by_id
from paper.tables.rates import RatesTable
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.typst import typst as typst_of
from theory.claims.holm import LEVEL
from theory.claims.judgement import Judgement, judgements
from theory.claims.primary import SEEDS
from theory.report import read_audit

Content = dict[str, Any]
"""For the template, as JSON."""


def content_of(gathered: Gathered) -> Content:
    """All that the template shows; pictures by the names of `files_of`."""
    parts, judged = gathered.parts, _judged(gathered)
    beside = [stem for stem in parts if stem in systems()]
    own = [stem for stem in parts if stem not in beside] or beside
    of_catalogue = any(each.study_in(gathered.studies) for each in entries().values())
    words = {
        **words_of([gathered.studies[stem] for stem in own]),
        "data": "; ".join(
            distinct(each["description"] for stem in own for each in parts[stem].provenance["data"])
        ),
        "entries": len(entries()),
        "measured": sum(not each.study or gathered.study_of(each) in parts for each in entries().values()),
        "runs": sum(len(gathered.studies[stem].runs) for stem in parts),
        "devices": " and ".join(_devices(parts.values())),
        "level": f"{100 * (1 - LEVEL):g} %",
        "wanted": SEEDS,
        "gpu": GPU,
        "power": POWER_FROM,
    }
    prose = {key: text.format_map(words) for key, text in package_yaml("prose.yaml").items()}
    return {
        "name": gathered.name,
        "prose": {key: [line for line in text.split("\n") if line] for key, text in prose.items()},
        "times": list(TIMES.values()),
        "answers": _answers(gathered),
        "settings": _settings(gathered, own),
        "entries": [_entry(gathered, id, entry) for id, entry in entries().items()] if of_catalogue else [],
        "systems": [
            _entry(gathered, id, each) | _about(each)
            for id, each in systems().items()
            if id in gathered.studies
        ],
        "settings_of_systems": _settings(gathered, beside),
        "verdicts": list(map(_verdict, judged)),
        "primary": _as_table(_primary(judged)),
        "bounds": [_bound(key) for key in DERIVATIONS],
        "more": [_shown(each, gathered) for each in pictures_of(gathered) if not each.in_body],
        "appendix": [asdict(table) for part in parts.values() for table in part.appendix],
        "status": _as_table(_status(gathered)),
        "costs": _as_table(_costs(gathered)),
        "checklist": package_yaml("checklist.yaml"),
        "provenance": _as_table(_provenance(gathered)),
    }


def pictures_of(gathered: Gathered) -> list[Picture]:
    """All figures of all finished studies."""
    return [each for part in gathered.parts.values() for each in part.figures]


def files_of(gathered: Gathered) -> dict[str, bytes]:
    """The pictures by the names that the template has for them."""
    return {path_of(each): each.svg for each in pictures_of(gathered)}


def path_of(picture: Picture) -> str:
    """What the template calls a picture."""
    return f"{picture.entry}-{picture.id}.svg"


def _shown(picture: Picture, gathered: Gathered) -> dict[str, str]:
    """A picture's file and caption, which does not say what is the same in all captions."""
    labels = distinct(
        run.data.label() for stem in gathered.parts for run in gathered.studies[stem].runs.values()
    )
    caption = picture.caption.replace(f"({labels[0]}, ", "(") if len(labels) == 1 else picture.caption
    return {"entry": picture.entry, "path": path_of(picture), "caption": caption}


def _settings(gathered: Gathered, stems: Iterable[str]) -> Content:
    return _as_table({"study": stem, **setting_row(gathered.studies[stem])} for stem in stems)


def _as_table(rows: Iterable[dict[str, str]]) -> Content:
    head, body = text_of(pandas.DataFrame(list(rows)))
    return {"head": head, "body": body}


def _devices(parts: Iterable[Contribution]) -> list[str]:
    return distinct(device for part in parts for device in part.provenance["devices"])


def _answers(gathered: Gathered) -> Content:
    """The questions with their answers, or what these would take; and what all settings have in common."""
    found = []
    for place, question in enumerate(questions()):
        part = gathered.parts.get(question.study)
        found.append(part.answers.get(place, Answer()) if part else Answer())
    rows = [row for answer in found for row in answer.rows]
    varying = [key for key in ("data", "model", "agents") if len({row[key] for row in rows}) > 1]
    alike = [rows[0][key] for key in ("data", "model", "agents") if rows and key not in varying]

    def shown(row: dict[str, str]) -> list[str]:
        setting = ", ".join(row[key] for key in (*varying, "place"))
        return [setting, row["n"], *(row[time] for time in TIMES)]

    return {
        "alike": ", ".join(alike),
        "each": [
            {
                "question": said(question),
                "entry": question.study,
                "verdicts": [answer.verdicts.get(time, "") for time in TIMES],
                "rows": [shown(row) for row in answer.rows],
                "waiting": "" if answer.rows else gathered.left_for(question.study, place),
            }
            for place, (question, answer) in enumerate(zip(questions(), found, strict=True))
        ],
    }


def said(question: Question) -> str:
    """The question, with the values of keys that it names."""
    return question.question.format_map(
        {key.rpartition(".")[2]: " or ".join(values) for key, values in question.where.items()}
    )


def _entry(gathered: Gathered, id: str, entry: Entry) -> Content:
    """What the body shows of an entry."""
    stem = gathered.study_of(entry)
    part = gathered.parts.get(stem)
    figures, tables = (part.figures, [asdict(e) for e in part.tables if e.entry == id]) if part else ([], [])
    if not entry.study:
        known = by_id([RatesTable], next(iter(gathered.studies.values())))
        tables = [_as_table_of(each, id, name) for name, each in known.items() if each.kind in entry.tables]
    return {
        "id": id,
        "title": entry.title,
        "question": entry.question,
        "figures": [_shown(each, gathered) for each in figures if each.entry == id and each.in_body],
        "tables": tables,
        "waiting": "" if part or not entry.study else gathered.left_for(stem),
    }


def _about(system: System) -> Content:
    """What there is to say of a system before anything is measured."""
    return {key: getattr(system, key).strip() for key in ("what", "claims", "departures")}


def _as_table_of(table: Any, entry: str, name: str) -> Content:
    head, body = text_of(table.rows(None))
    return {"entry": entry, "id": name, "head": head, "body": body, "caption": table.caption()}


SAME = ["check", "statement", "problem", "graph", "agents", "quantity", "measured"]
"""Columns in which the evidence of two studies agrees that have the same runs."""


def _judged(gathered: Gathered) -> list[Judgement]:
    """Every claim, by the audit and the evidence of all studies; what several have counts once."""
    evidence = pandas.concat([part.evidence for part in gathered.parts.values()])
    return list(judgements([read_audit(gathered.audit), evidence.drop_duplicates(SAME)]))


def _primary(judged: Iterable[Judgement]) -> Iterator[dict[str, str]]:
    """What the primary comparisons found, setting by setting."""
    for each in judged:
        for row in each.deciding.itertuples() if each.claim.primary else ():
            yield {
                "claim": each.id,
                "setting": f"{row.problem}; {row.graph} of {row.agents}",
                "what": str(row.quantity),
                "n": str(row.seeds),
                "found": f"{row.measured} [{row.low}, {row.high}]",
                "verdict": str(row.verdict),
            }


def _verdict(judged: Judgement) -> Content:
    """A claim, its verdict, in how many settings it was found, and what else there is to say."""
    claim = judged.claim
    said = [claim.conditions, claim.instead, judged.with_test_error]
    words = list(judged.settings().values()) if claim.kind == "measurement" else []
    return {
        "id": judged.id,
        "statement": " ".join(claim.statement.split()),
        "where": claim.source(),
        "verdict": judged.verdict,
        "checks": judged.numbers,
        "settings": ", ".join(f"{words.count(word)} {word}" for word in distinct(words)),
        "primary": claim.primary.said() if claim.primary else "",
        "conditions": " ".join(" ".join(filter(None, said)).split()),
        "counterexample": judged.counterexample,
    }


def _bound(key: str) -> Content:
    bound = DERIVATIONS[key]
    limits = [typst_of(limit) for limit in bound.step_sizes.values()]
    return {"title": bound.title, "bound": bound.typst(), "limits": limits}


def _status(gathered: Gathered) -> Iterator[dict[str, str]]:
    for id, entry in entries().items():
        part = gathered.parts.get(entry.study_in(gathered.studies))
        left = gathered.left.get(entry.study_in(gathered.studies))
        full = gathered.full.get(entry.study_in(gathered.full))
        if not entry.study:
            here = "derived, nothing is trained"
        elif part:
            here = f"measured: {part.provenance['runs']} runs on {' and '.join(_devices([part]))}"
        else:
            here = f"waiting: {left.all}" if left else "not in this catalogue"
        yield {
            "entry": id,
            "title": entry.title,
            f"here ({gathered.name})": here,
            "at full size": full.all if full else "",
        }


def _costs(gathered: Gathered) -> Iterator[dict[str, str]]:
    """By study, and of all, what they share once."""
    known = {stem: part.costs for stem, part in gathered.parts.items()}
    every = {id: cost for costs in known.values() for id, cost in costs.items()}
    for stem, costs in {**known, "all, what they share once": every}.items():
        found = total(costs.values())
        yield {
            "study": stem,
            "jobs": str(len(costs)),
            "hours": "; ".join(f"{hours:.3g} on {device}" for device, hours in found["hours"].items()),
            "operations": f"{found['operations']:.3g}",
            "kWh": f"{found['kilowatt_hours']:.3g}",
        }


def _provenance(gathered: Gathered) -> Iterator[dict[str, str]]:
    for stem, part in gathered.parts.items():
        made = part.provenance
        versions = [
            ", ".join(f"{name} {value or 'unknown'}" for name, value in each.items())
            for each in made["versions"]
        ]
        yield {
            "study": stem,
            "data": "; ".join(each["description"] for each in made["data"]),
            "devices": "; ".join(made["devices"]),
            "threads": ", ".join(map(str, made["threads"])),
            "runs resumed": str(made["resumed"]),
            "largest memory [MiB]": f"{made['peak_memory_bytes'] / 2**20:.0f}",
            "versions": "; ".join(versions),
        }
