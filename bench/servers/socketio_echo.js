// Reference: Socket.IO on Node, websocket transport only, no compression: an event comes in,
// an event goes back to its sender, and the acknowledgement. Run with NODE_PATH at its modules.
"use strict";

const http = require("http");
const { Server } = require("socket.io");

const port = Number(process.argv[2]);
const server = http.createServer();
const io = new Server(server, {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
});

io.on("connection", (socket) => {
  socket.on("publish", (message, acknowledge) => {
    socket.emit("publication", message);
    acknowledge({});
  });
});

server.listen(port, "127.0.0.1", 4096);
