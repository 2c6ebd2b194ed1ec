"""The filter language: text to a tree of typed comparisons. Nothing is executed, nothing is looked up.

Called by   filter.py
In          `in_stock and price <= 50 and category in ["shoes"] and not brand in ["X"]`
Grammar     any of  : all ("or" all)*            all : term ("and" term)*
            term    : "not" term | "(" any ")" | "in_stock" | field operator value
            operator: == != < <= > >=  contains  in [value, …]  not in [value, …]
            value   : number | "text" | 'text' | true | false | now | now-30d | now-12h
            field   : see FIELDS, and attributes.name or attributes["any name"]
Errors      FilterError with the column, counted from 1, of the character where the text stops making sense
Limits      MAX_LENGTH characters, MAX_DEPTH levels, MAX_LISTED values in a list
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

MAX_LENGTH = 5_000
MAX_DEPTH = 32
MAX_LISTED = 1_000

Kind = Literal["number", "text", "time", "boolean", "any"]
FIELDS: dict[str, Kind] = {
    "price": "number",
    "stock": "number",
    "rating": "number",
    "in_stock": "boolean",
    "category": "text",
    "categories": "text",
    "brand": "text",
    "title": "text",
    "currency": "text",
    "item_id": "text",
    "created_at": "time",
}
ORDERED = ("<", "<=", ">", ">=")
UNIT_MS = {"d": 86_400_000, "h": 3_600_000}


class FilterError(ValueError):
    """A text that is no filter; `column` counts characters from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(f"{message} (column {column})")
        self.column = column


@dataclass(frozen=True)
class Moment:
    """A time: epoch milliseconds, or milliseconds before the moment of the request."""

    at_ms: int = 0
    before_now_ms: int | None = None

    def resolve(self, now_ms: int) -> int:
        """Return epoch milliseconds."""
        return self.at_ms if self.before_now_ms is None else now_ms - self.before_now_ms


Value = float | str | bool | Moment


@dataclass(frozen=True)
class Comparison:
    """One test of one field; "in" compares with any of several values."""

    field: str
    operator: Literal["==", "<", "<=", ">", ">=", "in", "contains"]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of a term."""

    term: "Term"


@dataclass(frozen=True)
class All:
    """True when every term is."""

    terms: tuple["Term", ...]


@dataclass(frozen=True)
class Any:
    """True when at least one term is."""

    terms: tuple["Term", ...]


Term = Comparison | Not | All | Any


class Token(NamedTuple):
    """One word of the text and the column of its first character."""

    kind: str
    text: str
    column: int


TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<now>now(?:\s*-\s*\d{1,6}[dh])?\b)
    |(?P<attribute>attributes\.[^\W\d][\w-]*)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<number>[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?!\w))
    |(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<mark><=|>=|==|!=|[<>()\[\],])""",
    re.VERBOSE,
)


def parse(text: str) -> Term:
    """Return the tree of a filter."""
    if len(text) > MAX_LENGTH:
        raise FilterError(f"a filter has at most {MAX_LENGTH} characters", MAX_LENGTH + 1)
    return _Parser(text).parse()


def _tokens(text: str) -> list[Token]:
    tokens, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            quoted = text[place] in "\"'"
            raise FilterError("this text has no closing quote" if quoted else "unexpected character", place + 1)
        if match.lastgroup != "space":
            tokens.append(Token(str(match.lastgroup), match.group(), place + 1))
        place = match.end()
    return [*tokens, Token("end", "", len(text) + 1)]


class _Parser:
    """Recursive descent; each level of brackets or `not` counts towards MAX_DEPTH."""

    def __init__(self, text: str) -> None:
        self._tokens, self._place, self._depth = _tokens(text), 0, 0

    def parse(self) -> Term:
        term = self._any()
        if self._next.kind != "end":
            raise FilterError("expected `and`, `or` or the end", self._next.column)
        return term

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._next
        self._place += 1
        return token

    def _skip(self, text: str) -> bool:
        """Move past a mark or word when it is next; quoted text is never one."""
        if self._next.text != text or self._next.kind == "text":
            return False
        self._place += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._skip(text):
            raise FilterError(f"expected `{text}`", self._next.column)

    def _any(self) -> Term:
        terms = [self._all()]
        while self._skip("or"):
            terms.append(self._all())
        return terms[0] if len(terms) == 1 else Any(tuple(terms))

    def _all(self) -> Term:
        terms = [self._term()]
        while self._skip("and"):
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else All(tuple(terms))

    def _term(self) -> Term:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(f"more than {MAX_DEPTH} levels", self._next.column)
        if self._skip("not"):
            term: Term = Not(self._term())
        elif self._skip("("):
            term = self._any()
            self._expect(")")
        else:
            term = self._comparison()
        self._depth -= 1
        return term

    def _comparison(self) -> Term:
        field, kind = self._field()
        operator = self._take()
        if operator.kind == "name" and operator.text == "not":
            self._expect("in")
            return Not(Comparison(field, "in", self._listed(kind)))
        if operator.text == "in":
            return Comparison(field, "in", self._listed(kind))
        if operator.text == "contains":
            if kind not in ("text", "any"):
                raise FilterError("`contains` is for text", operator.column)
            return Comparison(field, "contains", (self._value("text"),))
        if operator.text in ORDERED:
            if kind in ("text", "boolean"):
                raise FilterError("this field has no order", operator.column)
            value = self._value("number" if kind == "any" else kind)
            return Comparison(field, operator.text, (value,))  # type: ignore[arg-type]
        if operator.text in ("==", "!="):
            equal = Comparison(field, "==", (self._value(kind),))
            return equal if operator.text == "==" else Not(equal)
        if field == "in_stock":
            self._place -= 1
            return Comparison(field, "==", (True,))
        raise FilterError("expected a comparison, such as `==` or `in`", operator.column)

    def _field(self) -> tuple[str, Kind]:
        token = self._take()
        if token.kind == "attribute":
            return token.text, "any"
        if token.kind == "name" and token.text == "attributes":
            self._expect("[")
            name = self._value("text")
            self._expect("]")
            return f"attributes.{name}", "any"
        kind = FIELDS.get(token.text) if token.kind == "name" else None
        if kind is None:
            raise FilterError(f"expected a field: {', '.join(FIELDS)} or attributes.<name>", token.column)
        return token.text, kind

    def _listed(self, kind: Kind) -> tuple[Value, ...]:
        self._expect("[")
        values: list[Value] = []
        while not self._skip("]"):
            if values:
                self._expect(",")
            if len(values) == MAX_LISTED:
                raise FilterError(f"a list holds at most {MAX_LISTED} values", self._next.column)
            values.append(self._value(kind))
        return tuple(values)

    def _value(self, kind: Kind) -> Value:
        token = self._take()
        value = _read_value(token)
        if kind == "time":
            return _as_moment(value, token)
        if kind == "text" and isinstance(value, float) and value.is_integer() and token.text.lstrip("+-").isdigit():
            value = token.text  # an item_id, or a brand that is a number
        wanted = {"number": (float,), "text": (str,), "boolean": (bool,), "any": (float, str, bool)}[kind]
        if type(value) not in wanted:
            names = {"number": "a number", "text": "a text in quotes", "boolean": "true or false", "any": "a value"}
            raise FilterError(f"expected {names[kind]}", token.column)
        return value


def _read_value(token: Token) -> Value:
    if token.kind == "number":
        number = float(token.text)
        if abs(number) > 1e300:
            raise FilterError("this number is too large", token.column)
        return number
    if token.kind == "text":
        return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
    if token.kind == "name" and token.text in ("true", "false"):
        return token.text == "true"
    if token.kind == "now":
        amount = token.text.removeprefix("now").strip(" -\t\n")
        return Moment(before_now_ms=int(amount[:-1]) * UNIT_MS[amount[-1]] if amount else 0)
    raise FilterError("expected a value", token.column)


def _as_moment(value: Value, token: Token) -> Moment:
    """A time is written as ISO 8601 (UTC when it names no zone), as epoch milliseconds, or from now."""
    if isinstance(value, Moment):
        return value
    if isinstance(value, float):
        return Moment(at_ms=int(value))
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise FilterError("expected a time, such as 2026-01-31", token.column) from None
    return Moment(at_ms=int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000))
