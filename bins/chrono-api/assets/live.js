// The live page: one WebSocket, one row a symbol. After a loss it resumes with the epoch and the sequence number of
// the last update, as any client of /stream can.

// A line stands for two minutes, whatever was seen of them; its points are at least half a second apart.
const POINT_MS = 500;
const LINE_MS = 120000;
// Lines move on while no price comes.
const REDRAW_MS = 1000;
// More rows than anybody reads; a page that draws every symbol of a large gateway would stall.
const ROWS_MAX = 200;
const BACKOFF_MS = [500, 1000, 2000, 5000, 10000];
// The page pings, so that it need not know how often the gateway is set to send heartbeats.
const PING_MS = 15000;
const SILENCE_MAX_MS = 40000;

const at = (id) => document.getElementById(id);
const rows = new Map();
const changed = new Set();

let key = keyInAddress();
let socket = null;
let epoch = null;
let seq = null;
let failures = 0;
let retry = null;
let frame = null;

function keyInAddress() {
  return new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
}

function show(state, text) {
  at("state").dataset.state = state;
  at("state").textContent = text;
}

function note(text) {
  at("note").textContent = text;
  at("note").hidden = text === "";
}

function askForKey(why) {
  show("waiting", "waiting for a key");
  at("refused").textContent = why;
  at("ask").hidden = false;
  at("key").focus();
}

/** Starts anew with a key; an empty one is asked for. */
function start(given) {
  key = given;
  clearTimeout(retry);
  socket?.close();
  socket = null;
  epoch = seq = null;
  failures = 0;
  if (key === "") return askForKey("");
  at("ask").hidden = true;
  connect();
}

function connect() {
  const opened = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`);
  const send = (command) => opened.send(JSON.stringify(command));
  let heard = performance.now();
  let pause = null;
  socket = opened;
  show("waiting", "connecting");

  const watch = setInterval(() => {
    if (performance.now() - heard > SILENCE_MAX_MS) opened.close();
    else if (opened.readyState === WebSocket.OPEN) send({ action: "ping" });
  }, PING_MS);

  opened.onopen = () => send({ action: "auth", key });
  opened.onmessage = ({ data }) => {
    heard = performance.now();
    const message = JSON.parse(data);
    // What came before an update or a heartbeat was seen; a snapshot or an answer says nothing of the others.
    if (message.type === "heartbeat" || (message.type === "price_update" && !message.snapshot)) seq = message.seq;
    switch (message.type) {
      case "authenticated":
        send({ action: "subscribe", symbols: ["*"], ...(seq === null ? {} : { epoch, since: seq }) });
        break;
      case "subscribed":
        failures = 0;
        if (message.epoch !== epoch) seq = null;
        epoch = message.epoch;
        show("live", "live");
        if (rows.size === 0) note("No price yet: post a batch to /internal/ingest and it appears here.");
        break;
      case "price_update":
        update(message.data);
        break;
      case "reconnect":
        pause = message.after_ms;
        break;
    }
  };
  opened.onclose = ({ code }) => {
    clearInterval(watch);
    if (socket !== opened) return;
    if (code === 4401) {
      askForKey("The gateway does not take this key. A demo makes new keys at each start: open the link that it printed.");
      return;
    }
    const wait = pause ?? BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2);
    failures += 1;
    show("lost", "connection lost, trying again");
    retry = setTimeout(connect, wait);
  };
}

function update(tick) {
  const row = rows.get(tick.symbol) ?? addRow(tick);
  if (row === null) return;
  const now = performance.now();
  if (row.points.length === 0 || now - row.points.at(-1).at >= POINT_MS) row.points.push({ at: now });
  row.points.at(-1).price = Number(tick.price);
  forget(row.points, now);
  row.tick = tick;
  drawSoon(row);
}

/** Drops what lies before the line, but for the last price, with which it begins. */
function forget(points, now) {
  while (points.length > 1 && now - points[1].at >= LINE_MS) points.shift();
}

/** However many updates come, the page is drawn once a frame, and not at all while nobody sees it. */
function drawSoon(row) {
  changed.add(row);
  frame ??= requestAnimationFrame(drawChanged);
}

function drawChanged() {
  frame = null;
  for (const row of changed) draw(row);
  changed.clear();
}

function draw(row) {
  const { tick, cells, points } = row;
  const price = Number(tick.price);
  if (price !== row.drawn) flash(cells.price, price > row.drawn ? "up" : "down");
  row.drawn = price;
  cells.price.textContent = cells.price.title = tick.price;
  cells.source.textContent = tick.source;
  const percent = ((price / row.first - 1) * 100).toFixed(3);
  const sign = percent > 0 ? "+" : percent < 0 ? "−" : "";
  cells.change.textContent = `${sign}${Math.abs(percent).toFixed(3)} %`;
  const now = performance.now();
  forget(points, now);
  const shown = [...points, { at: now, price }];
  const prices = shown.map((point) => point.price);
  const low = Math.min(...prices);
  const span = Math.max(...prices) - low;
  const across = (at) => Math.max(0, 100 - ((now - at) * 100) / LINE_MS);
  // A price that stands still is a level line.
  const place = (point) => `${across(point.at)},${span ? 20 - ((point.price - low) / span) * 20 : 10}`;
  row.line.setAttribute("points", shown.map(place).join(" "));
}

function flash(cell, direction) {
  cell.classList.remove("up", "down");
  cell.classList.add(direction);
  requestAnimationFrame(() => requestAnimationFrame(() => cell.classList.remove(direction)));
}

/** Adds a symbol's row in its place; none when the page is full. */
function addRow(tick) {
  if (rows.size === ROWS_MAX) {
    note(`Only the first ${ROWS_MAX} symbols are shown.`);
    return null;
  }
  const element = document.createElement("tr");
  const cells = {};
  for (const [name, classes] of [
    ["symbol", "symbol"],
    ["price", "number price"],
    ["change", "number change"],
    ["trend", "trend"],
    ["source", "source"],
  ]) {
    cells[name] = element.insertCell();
    cells[name].className = classes;
  }
  const svg = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);
  const [chart, line] = [svg("svg"), svg("polyline")];
  chart.setAttribute("viewBox", "0 0 100 20");
  chart.setAttribute("preserveAspectRatio", "none");
  chart.setAttribute("aria-hidden", "true");
  chart.append(line);
  cells.trend.append(chart);
  cells.symbol.textContent = element.dataset.symbol = tick.symbol;
  const first = Number(tick.price);
  const row = { cells, line, tick, first, drawn: first, points: [] };
  rows.set(tick.symbol, row);
  const after = [...at("rows").children].find((other) => other.dataset.symbol > tick.symbol);
  at("rows").insertBefore(element, after ?? null);
  at("prices").hidden = false;
  note("");
  return row;
}

at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = at("key").value.trim();
  history.replaceState(null, "", `#${new URLSearchParams({ key: given })}`);
  start(given);
});
// The link of a new demo, opened in this tab, changes nothing but the fragment.
addEventListener("hashchange", () => start(keyInAddress()));

setInterval(() => rows.forEach(drawSoon), REDRAW_MS);

start(key);
