"""JSON lines as typed records: how every page reads the folder that it is drawn from.

Each line is one JSON object whose field ``record`` tells its type. Types and fields that a reader does not
know are left alone, and of two records on one subject the later one counts, so that records may grow and a
measurement may be repeated without a new format. What cannot be read is refused in one line.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from riemann_noise_pytorch.errors import InputError

Check = Callable[[Mapping[str, Any], str], None]
KEY = "key"
"""In the metadata of a dataclass's field: its name in the record, where Python has no such name."""

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Kind:
    """One type of record.

    Args:
        built: The dataclass that its lines become.
        subject: Fields that tell what a record is about; of two records on one subject the later one counts.
            None: every line counts.
    """

    built: type[Any]
    subject: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Source:
    """What a file of records belongs to, for messages.

    Args:
        what: Such as ``a comparison``.
        again: How to make the file anew, such as ``compare again``.
    """

    what: str
    again: str


@dataclass(frozen=True)
class Setup:
    """With what, where and by which options an experiment was made."""

    version: str
    environment: Mapping[str, object]
    options: Mapping[str, object]
    commit: str | None = None


def read_typed(
    path: Path, kinds: Mapping[str, Kind], source: Source, check: Check | None = None
) -> dict[str, list[Any]]:
    """Read a file of JSON lines.

    Args:
        path: The file.
        kinds: What to make of each type of record.
        source: What the file belongs to.
        check: Called with each record and its place, before it is kept; raises what it refuses.

    Returns:
        The records of every type, in the order in which their subjects first appear.

    Raises:
        InputError: The file or a line of it cannot be used; file and line are named.
    """
    found: dict[str, dict[tuple[object, ...], Any]] = {kind: {} for kind in kinds}
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        record = _parse(line, where, source)
        name = record["record"]
        if name in kinds:
            built = _build(kinds[name].built, record, where, source)
            if check is not None:
                check(record, where)
            subject = kinds[name].subject
            about = (number,) if subject is None else tuple(getattr(built, field) for field in subject)
            found[name][about] = built
    return {kind: list(records.values()) for kind, records in found.items()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; give a folder written by this program") from error


def _parse(line: str, where: str, source: Source) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON ({error}); remove that line, or {source.again}") from error
    if not isinstance(record, dict) or not isinstance(record.get("record"), str):
        raise InputError(f"{where} is no record of {source.what}: it has no field 'record'; {source.again}")
    return record


def _build(kind: type[_Record], record: Mapping[str, object], where: str, source: Source) -> _Record:
    """Make the dataclass of one record, with every field of the right type."""
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for item in fields(kind):  # type: ignore[arg-type]
        key = item.metadata.get(KEY, item.name)
        if key in record:
            if not _fits(record[key], hints[item.name]):
                raise InputError(f"{where}: '{key}' of {_one(record)} has a wrong type; {source.again}")
            values[item.name] = record[key]
        elif item.default is MISSING and item.default_factory is MISSING:
            raise InputError(f"{where}: {_one(record)} record lacks '{key}'; {source.again}")
    return kind(**values)


def _one(record: Mapping[str, object]) -> str:
    """A record's type with its article."""
    name = str(record["record"])
    return f"{'an' if name[:1] in 'aeiou' else 'a'} {name}"


def _fits(value: object, hint: Any) -> bool:
    """Tell whether a JSON value has the type that a field asks for."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is object:
        return True
    if origin is UnionType:
        return any(_fits(value, choice) for choice in inner)
    if origin is Sequence:
        return isinstance(value, list) and all(_fits(item, inner[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_fits(item, inner[1]) for item in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))
