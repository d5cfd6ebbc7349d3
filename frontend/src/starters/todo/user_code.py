from itertools import count
from typing import Annotated

from fastapi import FastAPI, HTTPException, status
from pydantic import BaseModel, Field

app = FastAPI(title="To-do list")


class NewTask(BaseModel):
    """What a client sends: FastAPI checks it and explains every mistake."""

    title: Annotated[str, Field(min_length=1, max_length=100)]
    done: bool = False


class Task(NewTask):
    """What a client gets back: the same, with the number we gave it."""

    id: int


# Kept in memory: simple and fast, and empty again whenever the app restarts.
tasks: dict[int, Task] = {}
numbers = count(1)


def find(task_id: int) -> Task:
    if task_id not in tasks:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no task {task_id}.")
    return tasks[task_id]


@app.get("/")
def home() -> dict[str, str]:
    return {"message": "A to-do list. Try it at /docs."}


@app.get("/tasks")
def list_tasks(done: bool | None = None) -> list[Task]:
    return [task for task in tasks.values() if done is None or task.done == done]


@app.post("/tasks", status_code=status.HTTP_201_CREATED)
def add_task(new: NewTask) -> Task:
    task = Task(id=next(numbers), **new.model_dump())
    tasks[task.id] = task
    return task


@app.get("/tasks/{task_id}")
def read_task(task_id: int) -> Task:
    return find(task_id)


@app.put("/tasks/{task_id}")
def change_task(task_id: int, new: NewTask) -> Task:
    find(task_id)
    tasks[task_id] = Task(id=task_id, **new.model_dump())
    return tasks[task_id]


@app.delete("/tasks/{task_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove_task(task_id: int) -> None:
    find(task_id)
    del tasks[task_id]
