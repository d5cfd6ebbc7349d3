from sqlmodel import Session, SQLModel, create_engine, select

from models import Team

engine = create_engine("sqlite:///database.db", connect_args={"check_same_thread": False})


def create_db_and_tables():
    SQLModel.metadata.create_all(engine)
    with Session(engine) as session:
        if not session.exec(select(Team)).first():
            session.add(Team(name="Preventers"))
            session.commit()


def get_session():
    with Session(engine) as session:
        yield session
