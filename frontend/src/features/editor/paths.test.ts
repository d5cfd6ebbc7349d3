import { expect, it } from "vitest";
import { pathProblem, treeOf } from "./paths";

const THERE = ["user_code.py", "routers/items.py", "static/index.html"];

it.each(["main.py", "routers/users.py", "static/logo.svg", "data/a-b_c.1.csv", "__init__.py"])(
  "%s is a good path",
  (path) => expect(pathProblem(path, THERE)).toBeUndefined(),
);

it.each([
  ["", "name"],
  ["/etc/passwd.py", "Name a file"],
  ["a/", "Name a file"],
  ["../up.py", "start with a dot"],
  [".env.txt", "start with a dot"],
  ["a//b.py", "letters"],
  ["a b.py", "letters"],
  ["é.py", "letters"],
  ["a..py", "letters"],
  ["a/-b.py", "letters"],
  ["run.sh", "must end"],
  ["Makefile", "must end"],
  ["User_Code.py", "There is user_code.py"],
  ["routers.py/x.py", ""],
  ["user_code.py/x.py", "in the way"],
  [`${"a".repeat(130)}.py`, "at most"],
])("%j is refused with a reason", (path, reason) => {
  if (reason === "") expect(pathProblem(path, THERE)).toBeUndefined();
  else expect(pathProblem(path, THERE)).toContain(reason);
});

it("a file cannot take the place of a folder", () => {
  expect(pathProblem("static.html", ["static.html/a.css"])).toContain("in the way");
});

it("the tree has folders before files, and each in order", () => {
  const root = treeOf(["b.py", "a/z.py", "a/b/c.py", "a.py"]);
  expect(root.files.map(({ name }) => name)).toEqual(["a.py", "b.py"]);
  expect(root.folders[0]).toMatchObject({ name: "a", path: "a", files: [{ path: "a/z.py" }] });
  expect(root.folders[0]?.folders[0]?.files).toEqual([{ name: "c.py", path: "a/b/c.py" }]);
});
