import sqlite3
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, status
from pydantic import BaseModel, Field

from database import connection

router = APIRouter(prefix="/api/notes", tags=["notes"])
Database = Annotated[sqlite3.Connection, Depends(connection)]


class NewNote(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=500)]


class Note(NewNote):
    id: int


@router.get("")
def list_notes(db: Database) -> list[Note]:
    rows = db.execute("SELECT id, text FROM notes ORDER BY id DESC")
    return [Note(id=row["id"], text=row["text"]) for row in rows]


@router.post("", status_code=status.HTTP_201_CREATED)
def add_note(new: NewNote, db: Database) -> Note:
    # The question mark keeps what people type out of the SQL.
    row = db.execute("INSERT INTO notes (text) VALUES (?) RETURNING id", [new.text]).fetchone()
    return Note(id=row["id"], text=new.text)


@router.delete("/{note_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove_note(note_id: int, db: Database) -> None:
    if db.execute("DELETE FROM notes WHERE id = ?", [note_id]).rowcount == 0:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"There is no note {note_id}.")
