module fastapi-platform.test/pause

go 1.26.0
