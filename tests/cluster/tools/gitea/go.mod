module fastapi-platform.test/gitea

go 1.26.0

// Built in a copy of itself, with the dependencies and the replacements of its own go.mod.
require code.gitea.io/gitea v1.26.0 // indirect
