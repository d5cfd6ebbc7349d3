import pytest

from api.domain.source_check import check

DEEP = {
    "brackets": "(" * 150 + ")" * 150,
    "too many brackets": "[" * 5000,
    "unary": "-" * 100_000 + "1",
    "not": "not " * 50_000 + "x",
    "chain": "a" + ".b" * 100_000,
    "calls": "f" + "()" * 50_000,
    "subscripts": "f" + "[0]" * 50_000,
    "sum": "1" + "+1" * 50_000,
    "comparison": "a" + "<a" * 20_000,
    "lambda": "lambda:" * 20_000 + "1",
    "conditional": "a if b else " * 20_000 + "c",
    "power": "2**" * 20_000 + "2",
    "await": "async def f():\n " + "await " * 20_000 + "x",
    "comprehensions": "[" * 100 + "x" + " for x in y]" * 100,
    "comprehensions in iterables": "[x for x in " * 90 + "y" + "]" * 90,
    "generators": "(" * 60 + "x" + " for x in y)" * 60,
    "functions": "".join(" " * depth + "def f():\n" for depth in range(90)) + " " * 90 + "pass",
    "classes": "".join(" " * depth + "class f:\n" for depth in range(90)) + " " * 90 + "pass",
    "indentation": "".join(" " * depth + "if x:\n" for depth in range(500)),
    "elif": "if a: pass\n" + "elif b: pass\n" * 10_000,
    "f-strings": 'f"{' * 100,
    "f-string fields": 'f"' + "{a}" * 60_000 + '"',
    "f-string formats": "f'{a:" + "{b}" * 1000 + "}'",
    "decorators": "@a\n" * 30_000 + "def f(): pass",
    "statements": "a;" * 120_000,
    "targets": "a=" * 50_000 + "1",
    "dictionary": "{" + "a:a," * 40_000 + "}",
    "parameters": "def f(" + ",".join(f"a{n}" for n in range(20_000)) + "): pass",
    "hexadecimal": "x = 0x" + "f" * 250_000,
    "long name": "a" * 250_000,
    "long text": "x = '" + "a" * 250_000 + "'",
    "continued lines": "x = \\\n" * 80_000 + "1",
    "match": "match x:\n case " + "A(" * 90 + "b" + ")" * 90 + ": pass",
    "strings in annotations": "x: "
    + "list[" * 90
    + "'"
    + "list[" * 90
    + "a"
    + "]" * 90
    + "'"
    + "]" * 90,
    "aliases": "import asyncio\na0 = asyncio\n"
    + "\n".join(f"a{n + 1} = a{n}" for n in range(5000))
    + "\na5000.sys\n",
    "aliases in circles": "import asyncio\n"
    + "\n".join(f"a{n} = a{(n * 7) % 300} or a{(n * 11) % 300} or asyncio" for n in range(300))
    + "\na5.sys\n",
    "functions that pass a module": "import asyncio\n"
    + "\n".join(f"def f{n}(m):\n return f{(n + 1) % 500}(m) or m.sys" for n in range(500))
    + "\nf0(asyncio)\n",
}


@pytest.mark.parametrize("name", DEEP)
def test_no_source_crashes_or_stalls_the_check(name: str) -> None:
    found = check({"user_code.py": DEEP[name].encode()})
    assert found != []
    assert all(one.line >= 1 and one.column >= 1 for one in found)


@pytest.mark.parametrize(
    "name", ["chain", "unary", "comprehensions", "comprehensions in iterables", "functions", "sum"]
)
def test_what_nests_too_deeply_is_refused_cleanly(name: str) -> None:
    codes = {one.code for one in check({"user_code.py": DEEP[name].encode()})}
    assert codes & {"too_deep", "too_much_code", "syntax_error"}


def test_code_beyond_the_limit_is_refused_before_it_is_parsed() -> None:
    (found,) = check({"user_code.py": DEEP["statements"].encode()})
    assert found.code == "too_much_code"


MANY = {
    "bindings of a built-in": "open=open;" * 12_000,
    "uses before the binding": "def f():\n" + " open\n" * 10_000 + "def g(): f\nopen = 1\n",
    "names bound to each other": "".join(f"a{n}=a{n + 1} or a{n + 1}\n" for n in range(3000))
    + "app = a0\n",
    "a name bound to itself": "x = x\n" * 10_000 + "y = x\n",
    "text joined from names": "".join(f"a{n}=a{n + 1}+a{n + 1}\n" for n in range(3000))
    + "getattr(x, a0)\n" * 1000,
    "routes": "".join(f"@app.get('/{{a}}/{n}')\ndef f{n}(): 1\n" for n in range(3000)),
    "routes of many parameters": "".join(
        f"@app.get('/{'{a}' * 30}x{n}')\ndef f{n}(): 1\n" for n in range(500)
    ),
    "classes in diamonds": "class A0: pass\nclass B0: pass\n"
    + "".join(
        f"class A{n + 1}(A{n}, B{n}): x=1\nclass B{n + 1}(A{n}, B{n}): x=1\n" for n in range(800)
    )
    + "app = A800()\nA800.os\n",
    "imports of app": "from other import app\n" * 10_000,
    "star imports": "".join(f"from m{n} import *\n" for n in range(8000)) + "x\n" * 1000,
    "unknown names": "".join(f"aaaa{n}\nbbbb{n}=1\n" for n in range(8000)),
    "globals in functions": "".join(
        f"def f{n}():\n global app\n f{n + 1}()\n f{n + 1}()\n" for n in range(1000)
    )
    + "f0()\n",
    "modules given to many": "import asyncio\n"
    + "".join(f"def f{n}(m): m.sys\nf{n}(asyncio)\n" for n in range(2000)),
}


@pytest.mark.parametrize("name", MANY)
def test_the_time_grows_with_the_length_and_not_faster(name: str) -> None:
    # A combinatorial step would not come back at all; the helper's limit is another test's.
    assert check({"user_code.py": MANY[name].encode()}) != []
