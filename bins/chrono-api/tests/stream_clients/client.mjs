// A client of `WS /stream`, written from the text of the spec alone; it shares no code with the gateway.
//
//   node client.mjs ws://HOST:PORT/stream KEY query|message SYMBOL...
//
// The key goes into `?key=` or into the first message. What is heard becomes lines of JSON on standard output:
// {"after_ms": since the start, by a clock that never steps, "message": as it was received}, and at the end
// {"after_ms": ..., "closed": {"code": ..., "reason": ...}}.

const [url, key, place, ...symbols] = process.argv.slice(2);
const socket = new WebSocket(place === "query" ? `${url}?key=${encodeURIComponent(key)}` : url);

const say = (what) => console.log(JSON.stringify({ after_ms: performance.now(), ...what }));
const send = (command) => socket.send(JSON.stringify(command));
const subscribe = () => send({ action: "subscribe", symbols });

socket.onopen = () => (place === "query" ? subscribe() : send({ action: "auth", key }));

socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  say({ message });
  if (message.type === "authenticated") subscribe();
};

socket.onclose = ({ code, reason }) => say({ closed: { code, reason } });
