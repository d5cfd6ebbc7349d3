from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import Body, FastAPI, File, Form, HTTPException, UploadFile, status
from pydantic import BaseModel, ConfigDict, EmailStr, Field, computed_field, field_validator

app = FastAPI()


class Ingredient(BaseModel):
    name: str
    grams: Annotated[Decimal, Field(gt=0, decimal_places=1)]


class RecipeIn(BaseModel):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"title": "Bread", "ingredients": [{"name": "Flour", "grams": 500}]}]}
    )

    title: str = Field(min_length=1, max_length=80)
    course: Literal["starter", "main", "dessert"] = "main"
    ingredients: list[Ingredient] = []
    author: EmailStr | None = None
    secret_tip: str | None = None

    @field_validator("title")
    @classmethod
    def title_is_trimmed(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a title needs letters")
        return value.strip()


class Recipe(BaseModel):
    id: UUID
    title: str
    course: str
    ingredients: list[Ingredient]
    added: date

    @computed_field
    @property
    def weight(self) -> Decimal:
        return sum((part.grams for part in self.ingredients), Decimal(0))


class RecipeUpdate(BaseModel):
    title: str | None = None
    course: Literal["starter", "main", "dessert"] | None = None


recipes: dict[UUID, Recipe] = {}


def find(recipe_id: UUID) -> Recipe:
    if recipe_id not in recipes:
        raise HTTPException(status.HTTP_404_NOT_FOUND, "No such recipe")
    return recipes[recipe_id]


@app.post("/recipes/", response_model=Recipe, status_code=status.HTTP_201_CREATED, tags=["recipes"])
async def create_recipe(recipe: RecipeIn):
    saved = Recipe(id=uuid4(), added=date.today(), **recipe.model_dump(exclude={"secret_tip"}))
    recipes[saved.id] = saved
    return saved


@app.get("/recipes/{recipe_id}", tags=["recipes"])
async def read_recipe(recipe_id: UUID) -> Recipe:
    return find(recipe_id)


@app.patch("/recipes/{recipe_id}", tags=["recipes"])
async def update_recipe(recipe_id: UUID, update: RecipeUpdate) -> Recipe:
    recipes[recipe_id] = find(recipe_id).model_copy(update=update.model_dump(exclude_unset=True))
    return recipes[recipe_id]


@app.delete("/recipes/{recipe_id}", status_code=status.HTTP_204_NO_CONTENT, tags=["recipes"])
async def delete_recipe(recipe_id: UUID):
    del recipes[find(recipe_id).id]


@app.put("/ratings/{recipe_id}")
async def rate(recipe_id: UUID, stars: Annotated[int, Body(ge=1, le=5, embed=True)]):
    return {"title": find(recipe_id).title, "stars": stars}


@app.post("/contact")
async def contact(email: Annotated[EmailStr, Form()], message: Annotated[str, Form()]):
    return {"email": email, "length": len(message)}


@app.post("/photos")
async def upload(photo: UploadFile, thumbnail: Annotated[bytes, File()]):
    content = await photo.read()
    return {"name": photo.filename, "size": len(content), "thumbnail": len(thumbnail)}
