"""SQL of the aggregates, over a property's kind and value: JSON texts, NULL if undefined.

What is undefined does not count. A sum or average of anything but numbers is undefined, and so are the
least and greatest of arrays and objects.
"""

from local.cosmos.errors import not_supported
from local.cosmos.operands import Property

NAMES = {"COUNT": "Count", "SUM": "Sum", "AVG": "Average", "MIN": "Min", "MAX": "Max"}  # as plans call them


def sql(name: str, of: Property | None, is_partial: bool) -> str:
    """Return SQL of an aggregate of a property, or of a constant (None) as in COUNT(1)."""
    if of is None:
        if name != "COUNT":
            raise not_supported(f"{name} of a constant")
        return "json_text(count(*))"
    if name == "COUNT":
        return f"json_text(count(nullif({of.kind}, 0)))"
    if name in ("MIN", "MAX"):
        return _extreme(name.lower(), of)
    numbers = _of_kind(3, of)
    result = total = f"json_text(ifnull(sum({numbers}), 0))"
    if name == "AVG":
        partial = f"""'{{"sum":' || {total} || ',"count":' || count({numbers}) || '}}'"""
        result = partial if is_partial else f"json_text(avg({numbers}))"
    return f"CASE WHEN total({of.kind} NOT IN (0, 3)) = 0 THEN {result} END"


def _extreme(function: str, of: Property) -> str:
    """Return SQL of the least or greatest, kinds coming before values as in ORDER BY."""
    booleans, numbers, texts = (f"{function}({_of_kind(number, of)})" for number in (2, 3, 4))
    return (
        f"CASE WHEN max({of.kind}) <= 4 THEN CASE {function}(nullif({of.kind}, 0)) WHEN 1 THEN 'null'"
        f" WHEN 2 THEN CASE {booleans} WHEN 0 THEN 'false' ELSE 'true' END"
        f" WHEN 3 THEN json_text({numbers}) WHEN 4 THEN json_text({texts}) END END"
    )


def _of_kind(number: int, of: Property) -> str:
    return f"CASE {of.kind} WHEN {number} THEN {of.value} END"
