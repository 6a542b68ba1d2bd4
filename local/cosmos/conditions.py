"""Conditions as SQL: 1, 0 or NULL, which stands for undefined.

So SQL's three-valued AND, OR and NOT are Cosmos's, and a comparison is a CASE that is NULL where the kinds
of its two sides differ.
"""

from typing import Any

from lark import Token, Tree

from local.cosmos.errors import not_supported
from local.cosmos.operands import KIND_CASES, Operands, Property, kind_of


class Conditions(Operands):
    """Turns conditions of the syntax tree into SQL."""

    def condition(self, operand: Any, *, is_filter: bool = False) -> str:
        """Return SQL of a condition.

        Where `is_filter`, it is one of those that all have to be true, and false serves for undefined:
        so an index can be used.
        """
        match operand:
            case Tree("and_", parts):
                return f"({' AND '.join(self.condition(part, is_filter=is_filter) for part in parts)})"
            case Tree("or_", parts):
                return f"({' OR '.join(map(self.condition, parts))})"
            case Tree("not_", [negated]):
                return f"(NOT {self.condition(negated)})"
            case Tree("comparison", [left, operator, right]):
                return self._comparison(self.path(left), str(operator), self.constant(right), is_filter)
            case Tree("in_list", [subject, negation, *choices]):
                test = self._in_list(self.path(subject), list(map(self.constant, choices)))
                return f"({negation or ''} {test})"
            case Tree("between", [subject, negation, low, high]):
                path, is_filter = self.path(subject), is_filter and not negation
                at_least = self._comparison(path, ">=", self.constant(low), is_filter)
                at_most = self._comparison(path, "<=", self.constant(high), is_filter)
                return f"({negation or ''} ({at_least} AND {at_most}))"
            case Tree("call", [name, *arguments]):
                return self._call(str(name).upper(), arguments)
            case Token():
                value = self.constant(operand)
                return str(int(value)) if isinstance(value, bool) else "NULL"
        return f"CASE {self.path(operand).json} WHEN 'true' THEN 1 WHEN 'false' THEN 0 END"

    def _comparison(self, path: Property, operator: str, value: Any, is_filter: bool) -> str:
        kind, bound = kind_of(value), self.bind(value)
        test = f"{path.value} {operator} {bound}"
        if not is_filter:
            return f"CASE WHEN {path.kind} = {kind} THEN {test} END"
        self.compared.append(path)
        if [path] == self.order_by[:1] and operator in (("<", "<=") if self.descending else (">", ">=")):
            # A page begins where the last one ended: there, not at the constant, the search has to begin.
            self.bound["begin"] = self.bound[bound[1:]]
            test = f"+{test} AND {path.value} {operator[0]}= :begin"
        return f"({path.kind} = {kind} AND {test})"

    def _in_list(self, path: Property, values: list[Any]) -> str:
        kinds = {kind_of(value) for value in values}
        if len(kinds) != 1:
            raise not_supported("an empty list, or one of values of different kinds, to look in")
        test = f"{path.value} IN ({', '.join(map(self.bind, values))})"
        return f"CASE WHEN {path.kind} = {kinds.pop()} THEN {test} END"

    def _call(self, name: str, arguments: list[Any]) -> str:
        match name, arguments:
            case "IS_DEFINED", [subject]:
                return f"({self.path(subject).kind} <> 0)"
            case "IS_NULL", [subject]:
                return f"({self.path(subject).kind} = 1)"
            case "STARTSWITH" | "CONTAINS", [subject, *others]:
                part, is_case_ignored = [*map(self.constant, others), False][:2]
                if isinstance(part, str) and isinstance(is_case_ignored, bool) and len(others) < 3:
                    path, sign = self.path(subject), "=" if name == "STARTSWITH" else ">="
                    lower = "lower_text" if is_case_ignored else ""
                    test = f"instr({lower}({path.value}), {lower}({self.bind(part)})) {sign} 1"
                    return f"CASE WHEN {path.kind} = {kind_of(part)} THEN {test} END"
            case "ARRAY_CONTAINS", [Token() as values, subject]:
                if isinstance(values := self.constant(values), list):
                    return self._in_list(self.path(subject), values)
            case "ARRAY_CONTAINS", [subject, sought]:
                path, value = self.path(subject), self.constant(sought)
                test = (
                    f"CASE type {KIND_CASES} END = {kind_of(value)} AND ifnull(atom, 0) = {self.bind(value)}"
                )
                # json_each reads any JSON: let it see no other than an array.
                elements = f"json_each(CASE {path.kind} WHEN 5 THEN {path.json} ELSE '[]' END)"
                return f"CASE {path.kind} WHEN 5 THEN EXISTS (SELECT 1 FROM {elements} WHERE {test}) END"  # noqa: S608
        raise not_supported(f"{name} with these arguments")
