const list = document.getElementById("messages");
const socket = new WebSocket(list.dataset.address);
socket.onmessage = (event) => {
  const item = document.createElement("li");
  item.textContent = event.data;
  list.appendChild(item);
};
