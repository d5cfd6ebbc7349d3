// Addresses without a leading slash: the app may be served below any path.
const list = document.querySelector("#list");
const form = document.querySelector("#new");

async function show() {
  const notes = await (await fetch("api/notes")).json();
  list.replaceChildren(...notes.map(item));
}

function item({ id, text }) {
  const entry = document.createElement("li");
  const remove = document.createElement("button");
  remove.textContent = "Remove";
  remove.onclick = async () => {
    await fetch(`api/notes/${id}`, { method: "DELETE" });
    await show();
  };
  entry.append(text, remove);
  return entry;
}

form.onsubmit = async (event) => {
  event.preventDefault();
  await fetch("api/notes", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text: form.text.value }),
  });
  form.reset();
  await show();
};

await show();
