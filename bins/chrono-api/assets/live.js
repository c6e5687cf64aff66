// The live page: one WebSocket, one table row a symbol. It resumes after a loss with the epoch and sequence number
// of the last update, as any client of /stream can.

const POINTS = 180;
const BACKOFF_MS = [500, 1000, 2000, 5000, 10000];

const state = document.getElementById("state");
const ask = document.getElementById("ask");
const rows = new Map();

let key = decodeURIComponent(new URLSearchParams(location.hash.slice(1)).get("key") ?? "");
let epoch = null;
let seq = null;
let failures = 0;

function show(kind, text) {
  state.dataset.state = kind;
  state.textContent = text;
}

function askForKey(why) {
  show("waiting", "waiting for a key");
  document.getElementById("refused").textContent = why;
  ask.hidden = false;
  document.getElementById("key").focus();
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  key = document.getElementById("key").value.trim();
  history.replaceState(null, "", `#key=${encodeURIComponent(key)}`);
  ask.hidden = true;
  connect();
});

function connect() {
  show("waiting", "connecting");
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/stream`);
  let refused = false;
  let lastHeard = performance.now();

  socket.onopen = () => socket.send(JSON.stringify({ action: "auth", key }));
  socket.onmessage = (event) => {
    lastHeard = performance.now();
    const message = JSON.parse(event.data);
    switch (message.type) {
      case "authenticated": {
        const since = epoch === null ? {} : { epoch, since: seq };
        socket.send(JSON.stringify({ action: "subscribe", symbols: ["*"], ...since }));
        break;
      }
      case "subscribed":
        failures = 0;
        epoch = message.epoch;
        seq = message.seq;
        show("live", "live");
        break;
      case "reset":
        epoch = message.epoch;
        break;
      case "price_update":
        if (message.seq !== undefined) seq = Math.max(seq ?? 0, message.seq);
        update(message.data);
        break;
      case "error":
        if (message.code === "UNAUTHORIZED") refused = true;
        break;
    }
  };
  const watch = setInterval(() => {
    if (performance.now() - lastHeard > 75000) socket.close();
  }, 5000);
  socket.onclose = (event) => {
    clearInterval(watch);
    if (refused || event.code === 4401) {
      askForKey("The gateway did not take that key.");
      return;
    }
    const wait = BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)];
    failures += 1;
    show("lost", `connection lost, again in ${wait / 1000} s`);
    setTimeout(connect, wait * (0.75 + Math.random() / 2));
  };
}

function update(tick) {
  const row = rows.get(tick.symbol) ?? addRow(tick);
  const before = Number(row.last);
  const now = Number(tick.price);
  row.updates += 1;
  row.last = tick.price;
  row.points.push(now);
  if (row.points.length > POINTS) row.points.shift();
  row.price.textContent = tick.price;
  row.source.textContent = tick.source;
  row.count.textContent = row.updates;
  const change = ((now - row.first) / row.first) * 100;
  row.change.textContent = `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(3)} %`;
  if (now !== before) flash(row.price, now > before ? "up" : "down");
  draw(row);
}

function flash(cell, direction) {
  cell.classList.remove("up", "down");
  cell.classList.add(direction);
  requestAnimationFrame(() => requestAnimationFrame(() => cell.classList.remove(direction)));
}

function draw(row) {
  const low = Math.min(...row.points);
  const span = Math.max(...row.points) - low || 1;
  const step = 100 / Math.max(row.points.length - 1, 1);
  const at = (value, index) => `${(index * step).toFixed(2)},${(20 - ((value - low) / span) * 20).toFixed(2)}`;
  row.line.setAttribute("points", row.points.map(at).join(" "));
}

function addRow(tick) {
  const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  chart.setAttribute("viewBox", "0 0 100 20");
  chart.setAttribute("preserveAspectRatio", "none");
  chart.append(line);
  const element = document.createElement("tr");
  const cell = (className, ...content) => {
    const made = document.createElement("td");
    made.className = className;
    made.append(...content);
    element.append(made);
    return made;
  };
  cell("symbol", tick.symbol);
  const row = {
    price: cell("number price", tick.price),
    change: cell("number"),
    chart: cell("", chart),
    source: cell("source"),
    count: cell("number"),
    line,
    first: Number(tick.price),
    last: tick.price,
    points: [],
    updates: 0,
  };
  element.dataset.symbol = tick.symbol;
  rows.set(tick.symbol, row);
  const body = document.getElementById("rows");
  const after = [...body.children].find((other) => other.dataset.symbol > tick.symbol);
  body.insertBefore(element, after ?? null);
  document.getElementById("empty").hidden = true;
  return row;
}

if (key) connect();
else askForKey("");
