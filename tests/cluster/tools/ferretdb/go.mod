module fastapi-platform.test/ferretdb

go 1.26.0

// Built in a copy of itself, with the dependencies of its own go.mod and go.sum.
require github.com/FerretDB/FerretDB v1.24.2 // indirect
